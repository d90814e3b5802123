"""What Flagger 1.44 would refuse, drop, or do otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from flaggerpy.api import crds
from flaggerpy.cli.linting import flagger
from tests.api.broken_specs import GOOD, patched
from tests.cli.linting.test_single import findings

ISTIO: dict[str, Any] = {"provider": "istio", "service": {"match": [{"headers": {"x": {"exact": "y"}}}]}}
AB: dict[str, Any] = {"iterations": 2, "stepWeight": None}


@pytest.mark.parametrize(
    ("patch", "rule", "words"),
    [
        ({"podHealth": {"settle": "5s"}}, "flagger-ignores", "spec.podHealth: is dropped by Flagger's CRD"),
        ({"service": {"corsPolicy": {"allowOrigins": [{"suffix": ".x"}]}}}, "flagger-ignores", "allowOrigins[0].suffix: is dropped"),
        ({"analysis": {"interval": "1h"}}, "flagger-refuses", "1h does not fit Flagger's pattern"),
        ({"analysis": {"interval": "1.5m"}}, "flagger-refuses", "1.5m does not fit"),
        ({"analysis": {"interval": "3s"}}, "flagger-differs", "Flagger takes 3s as 10s"),
        ({"analysis": {"interval": "500ms"}}, "flagger-differs", "Flagger takes 500ms as 10s"),
        ({"analysis": None, "skipAnalysis": True}, "flagger-refuses", "analysis is missing"),
        ({"analysis": None, "canaryAnalysis": {"interval": "1m", "threshold": 1, "stepWeight": 5}}, "flagger-refuses", "write analysis"),
        ({"service": {"match": [{"uri": {"suffix": ".html"}}]}}, "flagger-ignores", "spec.service.match[0].uri.suffix"),
        (
            {"analysis": {"alerts": [{"name": "x", "severity": "", "providerRef": {"name": "x"}}]}},
            "flagger-ignores",
            "never sends this alert",
        ),
        ({"analysis": {"mirror": True}}, "flagger-refuses", "starts its analysis over and over"),
        (
            {"provider": "istio", "analysis": {**AB, "match": [{"headers": {"a": {"suffix": "b"}}}]}},
            "flagger-differs",
            "only has to be there",
        ),
        (
            {**ISTIO, "analysis": {**AB, "match": [{"queryParams": {"a": {"exact": "b"}}}]}},
            "flagger-ignores",
            "spec.analysis.match[0].queryParams: is dropped by Flagger",
        ),
        (
            {**ISTIO, "analysis": {**AB, "match": [{"headers": {"a": {"exact": "b"}}}]}},
            "flagger-differs",
            "spec.analysis.match[0].headers: take the place",
        ),
        ({"analysis": {"webhooks": [{"name": "x", "type": "rollback", "url": "http://x.test"}]}}, "flagger-differs", "rollback hooks"),
    ],
)
def test_a_difference_is_told_only_when_asked_for(patch: dict[str, Any], rule: str, words: str) -> None:
    obj = patched(GOOD, patch)
    told = [each for each in findings(obj, for_flagger=True) if each.rule.id == rule]
    assert told
    assert words in told[0].message
    assert not any(each.rule.id.startswith("flagger-") for each in findings(obj))


def test_a_plain_canary_is_flaggers_as_well() -> None:
    assert not any(each.rule.id.startswith("flagger-") for each in findings(GOOD, for_flagger=True))


def test_an_alert_provider_with_both_is_refused_there() -> None:
    spec = {"type": "slack", "address": "http://s.test", "secretRef": {"name": "s"}}
    obj = {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "a"}, "spec": spec}
    assert [each.rule.id for each in findings(obj, for_flagger=True)] == ["flagger-refuses"]


def test_every_field_that_only_we_have_is_told() -> None:
    """Of a field that our CRD gets nobody has to think here: Flagger's are written down."""
    schema = crds.canary_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    ours = set(paths(schema, "spec")) - flagger.flagger_fields()
    roots = {path for path in ours if not any(path.startswith((f"{other}.", f"{other}[", f"{other}{{")) for other in ours)}
    assert {"spec.podHealth", "spec.canaryAnalysis", "spec.service.match[].uri.suffix"} <= roots
    assert not flagger.flagger_fields() - set(paths(schema, "spec"))


def paths(schema: dict[str, Any], at: str) -> Iterator[str]:
    for name, inner in (schema.get("properties") or {}).items():
        yield f"{at}.{name}"
        yield from paths(inner, f"{at}.{name}")
    yield from paths(schema.get("items") or {}, f"{at}[]") if "items" in schema else ()
    every = schema.get("additionalProperties")
    yield from paths(every, f"{at}{{}}") if isinstance(every, dict) else ()


@pytest.mark.parametrize(("value", "told"), [("follow", True), ("ignore", True), ("track", False), ("disabled", False)])
def test_flagger_knows_one_value_of_the_tracking_annotation(value: str, told: bool) -> None:
    metadata = {"name": "c", "annotations": {"flagger.app/config-tracking": value}}
    found = findings({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, for_flagger=True)
    assert [each.rule.id for each in found] == (["flagger-differs"] if told else [])


def test_a_command_that_stands_is_nothing_to_flagger() -> None:
    obj = {**GOOD, "metadata": {**GOOD["metadata"], "annotations": {"flagger.app/pause": "*"}}}
    told = [each.rule.id for each in findings(obj, for_flagger=True) if each.rule.id.startswith("flagger-")]
    assert told == ["flagger-ignores"]
