"""One object: every broken spec is refused by name and at its line; typos are told; what only seems to work is a warning."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.cli.linting.findings import Finding, Severity
from flaggerpy.cli.linting.run import lint
from flaggerpy.cli.manifests import parse
from flaggerpy.cli.planning import planned
from tests.api.broken_specs import BROKEN, GOOD, Broken, patched

BLUE_GREEN: dict[str, Any] = {"stepWeight": None, "maxWeight": None, "iterations": 3}


def findings(*objects: dict[str, Any] | str, **options: Any) -> list[Finding]:
    text = "---\n".join(each if isinstance(each, str) else yaml.safe_dump(each, sort_keys=False) for each in objects)
    return lint(parse(text, "f.yaml"), **options)


def errors(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.severity is Severity.ERROR]


def rules(found: list[Finding]) -> set[str]:
    return {each.rule.id for each in found}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_a_broken_spec_is_refused_by_name_at_its_line(broken: Broken) -> None:
    text = yaml.safe_dump(patched(GOOD, broken.patch), sort_keys=False)
    found = errors(lint(parse(text, "f.yaml")))
    told = [
        each for each in found if each.message.startswith(broken.field) and (broken.words in each.message or "is missing" in each.message)
    ]
    assert told, found
    lines = text.splitlines()
    last = re.split(r"[.\[\]]+", told[0].field.rstrip("]"))[-1]
    line = lines[told[0].place.line - 1]
    # a field that is there is pointed at; one that is missing is not, but what should hold it
    named = told[0].message.partition(": ")[2].split(" ")[0]
    assert f"{last}:" in line or f"{named}:" in line or "is missing" in told[0].message or line.lstrip().startswith("- "), line


def test_there_are_at_least_as_many_as_flagger_takes_in_silence() -> None:
    assert len(BROKEN) >= 41


def test_a_good_canary_has_no_finding_but_the_missing_target() -> None:
    assert rules(findings(GOOD)) == {"target-not-in-files"}
    assert findings({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "x"}}) == []


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"analysis": {"stepWieght": 10}}, "spec.analysis.stepWieght: there is no such field; stepWeight may be meant"),
        ({"analyses": {}}, "spec.analyses: there is no such field; analysis may be meant"),
        ({"service": {"target_port": 1}}, "spec.service.target_port: there is no such field; targetPort may be meant"),
        ({"analysis": {"metrics": [{"name": "request-duration", "treshold": 1}]}}, "spec.analysis.metrics[0].treshold: there is no such"),
        ({"colour": "red"}, "spec.colour: there is no such field"),
    ],
)
def test_a_field_that_does_not_exist_is_told(patch: dict[str, Any], message: str) -> None:
    (told,) = [each for each in findings(patched(GOOD, patch)) if each.rule.id == "unknown-field"]
    assert told.message.startswith(message)


def test_maps_of_names_and_foreign_schemas_take_any_key() -> None:
    found = findings(
        patched(GOOD, {"service": {"apex": {"labels": {"any.thing/x": "y"}}}, "analysis": {"webhooks": [
            {"name": "x", "url": "http://x.test/", "type": "rollout", "timeout": "5s", "metadata": {"cmd": "y"}}]}})
    )  # fmt: skip
    assert "unknown-field" not in rules(found)


def test_a_status_that_came_with_the_object_is_not_looked_at() -> None:
    assert rules(findings({**GOOD, "status": {"whatever": 1}})) == {"target-not-in-files"}


@pytest.mark.parametrize(
    ("patch", "rule", "words"),
    [
        ({"analysis": {"metrics": None, "webhooks": None}}, "nothing-measured", "only failing pods can end a release"),
        ({"analysis": {"stepWeight": 60}}, "step-above-max", "60 is above maxWeight 50"),
        (
            {"analysis": {"metrics": [{"name": "request-duration", "thresholdRange": {"max": 0}}]}},
            "never-passes",
            "no request-duration is ever at most 0",
        ),
        (
            {"analysis": {"metrics": [{"name": "request-duration", "interval": "15s", "thresholdRange": {"max": 9}}]}},
            "short-window",
            "less than two samples",
        ),
        (
            {"analysis": {"webhooks": [{"name": "x", "url": "http://x.test/", "timeout": "8s", "retries": 1}]}},
            "slow-check",
            "may take 16s; the interval is 10s",
        ),
        ({"analysis": {"webhooks": [{"name": "x", "url": "http://x.test/"}] * 2}}, "same-hook-name", "stands above already"),
        ({"skipAnalysis": True}, "skipped-analysis", "the analysis is not run"),
        ({"analysis": {"mirrorWeight": 5}}, "no-effect", "is not used without mirror"),
        ({"service": {"hosts": ["a.test"]}}, "no-effect", "has no effect with provider contour"),
        ({"analysis": {"sessionAffinity": {"cookieName": "a"}}}, "invalid-field", "sessionAffinity"),
    ],
)
def test_what_is_hardly_meant_is_told(patch: dict[str, Any], rule: str, words: str) -> None:
    told = [each for each in findings(patched(GOOD, patch)) if each.rule.id == rule]
    assert told
    assert words in told[0].message


def test_the_deprecated_name_of_the_analysis_is_linted_too() -> None:
    obj = patched(GOOD, {"analysis": None, "canaryAnalysis": {"interval": "10s", "threshold": 1, "stepWeight": 60, "maxWeight": 50}})
    told = {each.rule.id: each.field for each in findings(obj)}
    assert told["step-above-max"] == "spec.canaryAnalysis.stepWeight"
    assert "no-effect" in told


def test_old_versions_and_shapes_that_are_none() -> None:
    assert rules(findings({**GOOD, "apiVersion": "flagger.app/v1alpha3"})) == {"api-version"}
    assert rules(findings({**GOOD, "spec": None})) == {"invalid-field"}
    assert rules(findings({**GOOD, "spec": "x"})) == {"invalid-field"}
    assert "invalid-field" in rules(findings({**GOOD, "metadata": {}}))
    head = "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: a}\n"
    assert rules(findings(f"{head}spec:\n  suspend: true\n  suspend: false\n")) == {"duplicate-key", "invalid-field"}


def test_templates_and_alert_providers_are_linted() -> None:
    template = {"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "t"}}
    spec = {"provider": {"type": "prometheus", "adress": "http://p.test"}, "query": " "}
    told = [each.message for each in findings({**template, "spec": spec})]
    assert any("address may be meant" in text for text in told)
    assert any("query must not be empty" in text for text in told)
    alert = {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "a"}, "spec": {"type": "pager"}}
    assert any("spec.type: must be one of" in each.message for each in findings(alert))


def test_the_controllers_provider_counts() -> None:
    obj = patched(GOOD, {"provider": None})
    assert errors(findings(obj)) == []
    assert rules(errors(findings(obj, provider="kuma"))) == {"not-built"}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "exact", "min", "x"]), inner, max_size=2),
    max_leaves=4,
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


@given(st.data())
@settings(max_examples=150)
def test_whatever_stands_in_a_field_is_a_finding_and_no_crash(data: st.DataObject) -> None:
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": {"spec": {"containers": [{"name": "a", "ports": []}]}}}
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "podinfo", "namespace": "test"}, "spec": spec}
    objects = [deepcopy(GOOD), target]
    at = data.draw(st.sampled_from([place for place in _places(objects) if len(place) > 1]))
    parent: Any = objects
    for step in at[:-1]:
        parent = parent[step]
    parent[at[-1]] = data.draw(VALUES)
    told = findings(*objects, for_flagger=True, provider="kubernetes")
    for each in told:
        assert each.message
        assert each.place.line >= 1
    if not errors(told):
        # what has no error can be planned
        canary, deployment = parse(yaml.safe_dump_all(objects), "f.yaml")
        assert planned(canary.obj, deployment.obj, "kubernetes")[2].parts
