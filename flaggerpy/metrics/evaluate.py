"""From a Canary's metric to the requests that measure it, and from a value to the verdict, worded as Flagger's events are.

One metric can be up to three checks: a built-in one by its name, its own `query`, and a template. They are evaluated in this order
and the first that fails words the failure. Everything here is pure; `measuring.py` sends what is planned.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flaggerpy.api.canary import Canary, Metric
from flaggerpy.api.durations import format_duration
from flaggerpy.api.metrictemplate import MetricTemplate
from flaggerpy.http import HttpRequest
from flaggerpy.metrics import builtin, gotemplate, providers
from flaggerpy.metrics.goformat import format_float
from flaggerpy.metrics.prometheus import Prometheus
from flaggerpy.metrics.reading import Access, MetricProvider, Reading

Check = Literal["success-rate", "duration", "query", "template"]
Unit = Literal["percent", "ms", ""]

_PROMETHEUS = Prometheus()
SERVER_FIELD = "spec.metricsServer"
UNUSABLE = "Metric query failed for no usable metrics template and query were configured"


@dataclass(frozen=True)
class Settings:
    """The controller's flags that measuring needs: `-metrics-server`, `-mesh-provider`, `-no-cross-namespace-refs`."""

    metrics_server: str = "http://prometheus:9090"
    mesh_provider: str = "istio"
    no_cross_namespace_refs: bool = False


@dataclass(frozen=True)
class Query:
    """A check that is ready to be sent.

    `text` is the rendered query, `scale` turns the answer into `unit` (percent 0-100, milliseconds, or the query's own), `observed`
    is the mesh provider in Flagger's words, for built-in checks.
    """

    check: Check
    request: HttpRequest
    provider: MetricProvider
    kind: str
    access: Access
    text: str
    unit: Unit = ""
    scale: float = 1.0
    observed: str = ""
    written: str = ""
    """Where its address is written: an object and its field, for people."""

    @property
    def describe(self) -> str:
        """The query and the server, for people."""
        return f"{' '.join(self.text.split())} on {self.access.server}"


@dataclass(frozen=True)
class Problem:
    """Why a check cannot be sent, as the text of a Warning event. It counts as a failed check."""

    text: str


def checks(metric: Metric) -> tuple[Check, ...]:
    """What a metric asks for, in the order of evaluation; empty when it asks for nothing (`UNUSABLE`)."""
    found = list[Check]()
    if metric.name == builtin.SUCCESS_RATE:
        found.append("success-rate")
    if metric.name == builtin.DURATION:
        found.append("duration")
    if metric.query:
        found.append("query")
    if metric.template_ref:
        found.append("template")
    return tuple(found)


def template_key(canary: Canary, metric: Metric) -> tuple[str, str] | None:
    """Namespace and name of the MetricTemplate that a metric refers to."""
    if not metric.template_ref:
        return None
    return metric.template_ref.namespace or canary.namespace, metric.template_ref.name


def plan(
    canary: Canary,
    metric: Metric,
    check: Check,
    template: MetricTemplate | None,
    secret: Mapping[str, str] | None,
    settings: Settings,
) -> Query | Problem:
    """The query of one check of a metric, or why there is none.

    `template` is the object that `template_key` names, None when it does not exist; `secret` the decoded entries of the Secret that
    the template names, None when that does not exist. Both are needed for check "template" only.
    """
    if check == "template":
        return _template(canary, metric, template, secret, settings)
    address = canary.spec.metrics_server or settings.metrics_server
    access = Access(address, {}, {}, trusted=address == settings.metrics_server, tenant=canary.namespace)
    if check == "query":
        try:
            text = gotemplate.render(metric.query or "", functions(canary, metric))
        except gotemplate.TemplateError as error:
            return Problem(f"Prometheus query failed for {metric.name}: {error}")
        return _query(check, "prometheus", access, text, f"Prometheus query failed for {metric.name}", SERVER_FIELD)
    return _builtin(canary, metric, check, access, settings)


def functions(canary: Canary, metric: Metric) -> gotemplate.Functions:
    """What queries can refer to: Flagger's names. The interval is 1m where the metric has none (Flagger leaves it empty)."""
    spec = canary.spec
    return {
        "name": canary.name,
        "namespace": canary.namespace,
        "target": canary.target,
        "service": canary.apex,
        "ingress": spec.ingress_ref.name if spec.ingress_ref else canary.target,
        "route": spec.route_ref.name if spec.route_ref else canary.target,
        "interval": metric.interval or builtin.DEFAULT_METRIC_INTERVAL,
        "variables": metric.template_variables,
    }


def _builtin(canary: Canary, metric: Metric, check: Check, access: Access, settings: Settings) -> Query | Problem:
    observed = builtin.provider_of(canary, settings.mesh_provider)
    observer = builtin.observer_of(observed)
    if not observer:
        return Problem(f"Metric {metric.name} is not built in for provider {observed}: give it a templateRef or a query")
    name: builtin.Builtin = builtin.SUCCESS_RATE if check == "success-rate" else builtin.DURATION
    try:
        text = builtin.query(canary, observer, name, metric.interval or builtin.DEFAULT_METRIC_INTERVAL)
        request = _PROMETHEUS.request(access, text)
    except ValueError as error:
        return Problem(f"Prometheus query failed: {error}")
    scale = observer.milliseconds if check == "duration" else 1.0
    unit: Unit = "ms" if check == "duration" else "percent"
    return Query(check, request, _PROMETHEUS, "prometheus", access, text, unit, scale, observed, SERVER_FIELD)


def _template(
    canary: Canary, metric: Metric, template: MetricTemplate | None, secret: Mapping[str, str] | None, settings: Settings
) -> Query | Problem:
    key = template_key(canary, metric)
    assert key  # `checks` gives "template" only with a templateRef
    named = f"Metric template {key[1]}.{key[0]}"
    if settings.no_cross_namespace_refs and key[0] != canary.namespace:
        return Problem(f"{named} error: it is in another namespace, and cross-namespace references are blocked")
    if not template:
        return Problem(f"{named} error: there is no such MetricTemplate")
    source = template.spec.provider
    if source.secret_ref and secret is None:
        return Problem(f"{named} secret {source.secret_ref.name} error: there is no such Secret in namespace {key[0]}")
    if not providers.provider(source.type):
        return Problem(f"{named} provider {source.type} error: not supported; there are: {', '.join(providers.kinds())}")
    try:
        text = gotemplate.render(template.spec.query, functions(canary, metric))
    except gotemplate.TemplateError as error:
        return Problem(f"{named} query render error: {error}")
    headers = {name: tuple(values) for name, values in source.headers.items()}
    access = Access(source.address or "", headers, secret or {}, source.insecure_skip_verify, tenant=canary.namespace)
    return _query("template", source.type, access, text, f"{named} provider {source.type} error", f"{named} spec.provider.address")


def _query(check: Check, kind: str, access: Access, text: str, failure: str, written: str) -> Query | Problem:
    provider = providers.provider(kind)
    assert provider  # the caller looked
    try:
        return Query(check, provider.request(access, text), provider, kind, access, text, written=written)
    except ValueError as error:
        return Problem(f"{failure}: {error}")


def verdict(canary: Canary, metric: Metric, check: Check, value: float) -> str | None:
    """None when a value (in the check's unit) passes, else the failure's sentence.

    `thresholdRange` includes both ends. Without it the legacy `threshold` holds, 0 where unset: a success rate must reach it,
    anything else must not exceed it. Durations compare whole milliseconds.
    """
    limits, halt = metric.threshold_range, f"Halt {canary.key} advancement"
    if check == "success-rate":
        low, high = (limits.min, limits.max) if limits else (metric.threshold or 0.0, None)
        if low is not None and value < low:
            return f"{halt} success rate {value:.2f}% < {format_float(low)}%"
        if high is not None and value > high:
            return f"{halt} success rate {value:.2f}% > {format_float(high)}%"
        return None
    low, high = (limits.min, limits.max) if limits else (None, metric.threshold or 0.0)
    if check == "duration":
        took = math.trunc(value)
        if low is not None and took < math.trunc(low):
            return f"{halt} request duration {_duration(took)} < {_duration(math.trunc(low))}"
        if high is not None and took > math.trunc(high):
            return f"{halt} request duration {_duration(took)} > {_duration(math.trunc(high))}"
        return None
    if low is not None and value < low:
        return f"{halt} {metric.name} {value:.2f} < {format_float(low)}"
    if high is not None and value > high:
        return f"{halt} {metric.name} {value:.2f} > {format_float(high)}"
    return None


def _duration(milliseconds: int) -> str:
    return format_duration(milliseconds / 1000)


def failure(canary: Canary, metric: Metric, query: Query, reading: Reading, hint: str = "") -> str:
    """The event text of a check that gave no value. `hint` says what is wrong with the query, where that was found out."""
    more = f"; {hint}" if hint else ""
    if reading.kind == "no-data":
        if query.check in ("success-rate", "duration"):
            subject = f"Halt advancement no values found for {query.observed} metric {metric.name}"
            cause = f"probably {canary.target}.{canary.namespace} is not receiving traffic"
            return f"{subject} {cause}{f': {reading.text}' if query.check == 'success-rate' else ''}{more}"
        if query.check == "query":
            return f"Halt advancement no values found for metric: {metric.name}{more}"
        return f"Halt advancement no values found for custom metric: {metric.name}: {reading.text}{more}"
    if query.check in ("success-rate", "duration"):
        return f"Prometheus query failed: {reading.text}"
    source = "Prometheus" if query.check == "query" else "Metric"
    return f"{source} query failed for {metric.name}: {reading.text}"
