"""Plans and verdicts: Flagger's exact texts, thresholds old and new, and problems worded for the person who wrote the metric."""

from __future__ import annotations

import pytest

from flaggerpy.api.canary import Metric
from flaggerpy.metrics.evaluate import Check, Problem, Query, Settings, checks, failure, plan, verdict
from flaggerpy.metrics.reading import Reading
from tests.metrics.canaries import canary, metric, template

SETTINGS = Settings(metrics_server="http://prometheus:9090", mesh_provider="kubernetes")
REF = {"templateRef": {"name": "errors", "namespace": "flagger"}}


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"name": "request-success-rate"}, ("success-rate",)),
        ({"name": "request-duration"}, ("duration",)),
        ({"name": "errors", "query": "up"}, ("query",)),
        ({"name": "errors"} | REF, ("template",)),
        ({"name": "request-duration", "query": "up"} | REF, ("duration", "query", "template")),
        ({"name": "errors"}, ()),
    ],
)
def test_a_metric_is_all_the_checks_that_it_asks_for(fields: dict[str, object], asked: tuple[Check, ...]) -> None:
    assert checks(Metric.model_validate(fields)) == asked


RANGE = "thresholdRange"
FAILED = [
    ("success-rate", {RANGE: {"min": 99}}, 98.0, "Halt podinfo.test advancement success rate 98.00% < 99%"),
    ("success-rate", {RANGE: {"min": 99.5}}, 99.499, "Halt podinfo.test advancement success rate 99.50% < 99.5%"),
    ("success-rate", {RANGE: {"max": 50}}, 50.126, "Halt podinfo.test advancement success rate 50.13% > 50%"),
    ("success-rate", {"threshold": 99}, 0.0, "Halt podinfo.test advancement success rate 0.00% < 99%"),
    ("duration", {RANGE: {"max": 500}}, 1515.9, "Halt podinfo.test advancement request duration 1.515s > 500ms"),
    ("duration", {RANGE: {"min": 100}}, 99.99, "Halt podinfo.test advancement request duration 99ms < 100ms"),
    ("duration", {"threshold": 500}, 90000.0, "Halt podinfo.test advancement request duration 1m30s > 500ms"),
    ("duration", {}, 1.0, "Halt podinfo.test advancement request duration 1ms > 0s"),
    ("query", {RANGE: {"max": 1}}, 1.25, "Halt podinfo.test advancement m 1.25 > 1"),
    ("template", {RANGE: {"min": 0.5}}, 0.25, "Halt podinfo.test advancement m 0.25 < 0.5"),
    ("template", {"threshold": 2500000}, 3000000.0, "Halt podinfo.test advancement m 3000000.00 > 2.5e+06"),
    ("query", {}, 0.01, "Halt podinfo.test advancement m 0.01 > 0"),
]

PASSED = [
    ("success-rate", {RANGE: {"min": 99}}, 99.0),
    ("success-rate", {RANGE: {}}, 0.0),
    ("success-rate", {}, 0.0),
    ("success-rate", {"threshold": 99}, 99.0),
    ("duration", {RANGE: {"max": 500}}, 500.9),
    ("duration", {RANGE: {"min": 100, "max": 500}}, 100.0),
    ("duration", {"threshold": 500.9}, 500.9),
    ("duration", {}, 0.9),
    ("query", {RANGE: {"min": 1, "max": 1}}, 1.0),
    ("template", {}, 0.0),
    ("template", {}, -1.0),
    # the range takes the place of the old threshold, even when it is empty
    ("query", {RANGE: {}, "threshold": 1}, 5.0),
]


@pytest.mark.parametrize(("check", "fields", "value", "text"), FAILED)
def test_a_value_outside_its_threshold_fails_in_flaggers_words(check: Check, fields: dict[str, object], value: float, text: str) -> None:
    assert verdict(canary(), metric("m", **fields), check, value) == text


@pytest.mark.parametrize(("check", "fields", "value"), PASSED)
def test_a_value_within_its_threshold_passes(check: Check, fields: dict[str, object], value: float) -> None:
    assert verdict(canary(), metric("m", **fields), check, value) is None


def planned(check: Check, fields: Metric, **spec: object) -> Query:
    query = plan(canary(**spec), fields, check, template(), {}, SETTINGS)
    assert isinstance(query, Query), query
    return query


def test_built_in_checks_ask_the_controllers_prometheus_in_their_unit() -> None:
    rate, duration = planned("success-rate", metric()), planned("duration", metric("request-duration"))
    assert rate.request.url == duration.request.url == "http://prometheus:9090/api/v1/query"
    assert (rate.unit, rate.scale, rate.observed) == ("percent", 1.0, "kubernetes")
    assert (duration.unit, duration.scale) == ("ms", 1000.0)
    assert planned("duration", metric("request-duration"), provider="contour").scale == 1.0


def test_the_canary_may_name_another_server_for_all_but_templates() -> None:
    spec = {"metricsServer": "http://other:9090/x"}
    assert planned("success-rate", metric(), **spec).request.url == "http://other:9090/x/api/v1/query"
    assert planned("query", metric("m", query="up"), **spec).request.url == "http://other:9090/x/api/v1/query"
    assert planned("template", metric("m", **REF), **spec).request.url == "http://prometheus.monitoring:9090/api/v1/query"


@pytest.mark.fault("Q-12")
def test_the_interval_is_one_minute_everywhere_when_none_is_given() -> None:
    assert "[1m]" in planned("success-rate", metric()).text
    assert "[30s]" in planned("success-rate", metric(interval="30s")).text
    assert planned("query", metric("m", query="x[{{ interval }}]")).text == "x[1m]"
    query = plan(canary(), metric("m", **REF), "template", template("x[{{ interval }}]"), None, SETTINGS)
    assert isinstance(query, Query)
    assert query.text == "x[1m]"


def test_queries_know_the_canary_and_its_variables() -> None:
    text = "{{ name }} {{ namespace }} {{ target }} {{ service }} {{ ingress }} {{ route }} {{ variables.a }}"
    spec = {
        "service": {"port": 80, "name": "web"},
        "ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"},
    }
    query = planned("query", metric("m", query=text, templateVariables={"a": "1"}), **spec)
    assert query.text == "podinfo test podinfo web front podinfo 1"


def problem(fields: Metric, check: Check = "template", **more: object) -> str:
    given = {"template": template(), "secret": None, "settings": SETTINGS} | more
    result = plan(canary(), fields, check, given["template"], given["secret"], given["settings"])  # type: ignore[arg-type]
    assert isinstance(result, Problem), result
    return result.text


def test_problems_of_templates_are_named() -> None:
    fields = metric("m", **REF)
    assert problem(fields, template=None) == "Metric template errors.flagger error: there is no such MetricTemplate"
    assert problem(fields, template=template(secretRef={"name": "keys"})) == (
        "Metric template errors.flagger secret keys error: there is no such Secret in namespace flagger"
    )
    assert problem(fields, template=template(type="datadog")) == (
        "Metric template errors.flagger provider datadog error: not supported; there are: prometheus"
    )
    assert problem(fields, template=template(address="")).startswith("Metric template errors.flagger provider prometheus error: ''")
    assert problem(fields, template=template("{{ variables.x }}")) == (
        'Metric template errors.flagger query render error: line 1, column 13: map has no entry for key "x"; there are: none'
    )
    assert "cross-namespace references are blocked" in problem(fields, settings=Settings(no_cross_namespace_refs=True))


def test_problems_of_other_queries_are_named() -> None:
    assert problem(metric("m", query="{{ nope }}"), "query").startswith("Prometheus query failed for m: line 1, column 4: function nope")
    assert problem(metric(), "success-rate", settings=Settings(mesh_provider="kuma")) == (
        "Metric request-success-rate is not built in for provider kuma: give it a templateRef or a query"
    )
    assert problem(metric(), "success-rate", settings=Settings("prometheus", "kubernetes")).startswith(
        "Prometheus query failed: 'prometheus'"
    )


@pytest.mark.parametrize(
    ("check", "fields", "reading", "text"),
    [
        (
            "success-rate",
            {},
            Reading("no-data", text="no values found"),
            "Halt advancement no values found for kubernetes metric request-success-rate probably podinfo.test is not receiving traffic"
            ": no values found; HINT",
        ),
        (
            "duration",
            {"name": "request-duration"},
            Reading("no-data", text="no values found"),
            "Halt advancement no values found for kubernetes metric request-duration probably podinfo.test is not receiving traffic; HINT",
        ),
        (
            "query",
            {"name": "m", "query": "up"},
            Reading("no-data", text="no values found"),
            "Halt advancement no values found for metric: m; HINT",
        ),
        (
            "template",
            {"name": "m"} | REF,
            Reading("no-data", text="no values found"),
            "Halt advancement no values found for custom metric: m: no values found; HINT",
        ),
        ("success-rate", {}, Reading("error", text="WHY"), "Prometheus query failed: WHY"),
        ("duration", {"name": "request-duration"}, Reading("unreachable", text="WHY"), "Prometheus query failed: WHY"),
        ("query", {"name": "m", "query": "up"}, Reading("error", text="WHY"), "Prometheus query failed for m: WHY"),
        ("template", {"name": "m"} | REF, Reading("error", text="WHY"), "Metric query failed for m: WHY"),
    ],
)
def test_what_gave_no_value_is_told_in_flaggers_words(check: Check, fields: dict[str, str], reading: Reading, text: str) -> None:
    subject = Metric.model_validate({"name": "request-success-rate"} | fields)
    assert failure(canary(), subject, planned(check, subject), reading, "HINT") == text


def test_a_query_describes_itself_on_one_line_without_credentials() -> None:
    query = planned("query", metric("m", query="a\n  +   b"), metricsServer="http://me:secret@prometheus:9090")
    assert query.describe == "a + b on http://prometheus:9090"
