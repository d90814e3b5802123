"""Broken specs are refused in sentences that name the field; good and legacy ones are not."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.problems import alert_provider_problems, metric_template_problems, salvaged_canary, spec_problems, warnings
from tests.api.broken_specs import BROKEN, GOOD, Broken, patched


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
@pytest.mark.fault("Q-5", "Q-6", "Q-22", "Q-57")
def test_a_broken_spec_is_refused_by_name(broken: Broken) -> None:
    found = spec_problems(patched(GOOD, broken.patch))
    assert any(sentence.startswith(f"{broken.field}") and broken.words in sentence for sentence in found), found


def test_there_are_more_broken_specs_than_were_tried_on_flagger() -> None:
    assert len({broken.name for broken in BROKEN}) == len(BROKEN) >= 41


ADMITTED: list[dict[str, Any]] = [
    {},
    {"analysis": {"interval": "3s"}},
    {"analysis": {"interval": "500ms"}},
    {"analysis": {"interval": "1h30m"}},
    {"analysis": {"interval": "1.5m"}},
    {"analysis": {"threshold": 0}},
    {"analysis": {"stepWeight": 20, "maxWeight": 15}},
    {"analysis": {"stepWeight": None, "stepWeights": [1, 2, 10, 80, 100]}},
    {"analysis": {"stepWeight": None, "stepWeights": [100]}},
    {"analysis": {"stepWeight": None, "iterations": 10, "match": [{"headers": {"x-canary": {"exact": "yes"}}}]}},
    {"analysis": {"stepWeight": None, "iterations": 10, "match": [{"queryParams": {"beta": {"prefix": "y"}}}]}},
    {"analysis": {"stepWeightPromotion": 0, "mirrorWeight": 0}},
    {"analysis": {"metrics": [{"name": "latency", "query": "vector(1)", "threshold": 500}]}},
    {"analysis": {"metrics": [{"name": "request-duration", "templateRef": {"name": "t", "namespace": "other"}}]}},
    {"analysis": {"webhooks": [{"name": "e", "type": "", "url": "https://gate.test:8443/a?b=c#d"}]}},
    {"analysis": {"alerts": [{"name": "x", "severity": "", "providerRef": {"name": "x"}}]}},
    {"analysis": None, "skipAnalysis": True},
    {"analysis": None, "canaryAnalysis": {"interval": "1m", "threshold": 1, "stepWeight": 5}},
    {"provider": "kubernetes", "analysis": {"stepWeight": None, "iterations": 3}},
    {"provider": "kubernetes", "skipAnalysis": True},
    {"provider": "gatewayapi:v1beta1", "service": {"gatewayRefs": [{"name": "podinfo", "kind": "Service", "group": "core", "port": 80}]}},
    {"service": {"targetPort": "http"}},
    {"service": {"targetPort": 0}},
    {"service": {"targetPort": "0"}},
    {"service": {"timeout": "infinity"}},
    {"service": {"timeout": ""}},
    {"service": {"timeout": "0s"}},
    {"service": {"name": "", "portName": "grpc"}},
    {"metricsServer": ""},
    {"podHealth": {"settle": "0s"}},
]


@pytest.mark.parametrize("patch", ADMITTED, ids=str)
def test_what_runs_sensibly_is_admitted(patch: dict[str, Any]) -> None:
    obj = patched(GOOD, patch)
    assert spec_problems(obj) == []
    parse_canary(obj)


def test_the_controllers_provider_counts_where_the_spec_names_none() -> None:
    obj = patched(GOOD, {"provider": None})
    assert spec_problems(obj) == []
    assert spec_problems(obj, "contour") == []
    assert spec_problems(obj, "kubernetes") == [
        "spec: analysis.iterations must be given with provider kubernetes (blue/green), "
        "which cannot split traffic by stepWeight or stepWeights"
    ]
    (refusal,) = spec_problems(obj, "kuma")
    assert refusal.startswith("spec.provider: is not given, and kuma, the controller's -mesh-provider, is not built yet")


def test_a_provider_of_a_third_party_is_taken() -> None:
    assert spec_problems(patched(GOOD, {"provider": "kuma"}), providers=["kuma"]) == []


@pytest.mark.fault("Q-13")
def test_references_into_other_namespaces_can_be_switched_off() -> None:
    obj = patched(GOOD, {"analysis": {"metrics": [{"name": "e", "templateRef": {"name": "errors", "namespace": "other"}}]}})
    assert spec_problems(obj) == []
    assert spec_problems(obj, same_namespace=True) == [
        "spec.analysis.metrics[0].templateRef.namespace: errors of namespace other: references into other namespaces are switched off"
    ]


@pytest.mark.parametrize("spec", [None, {}, [], "x", {"targetRef": 5}, {"targetRef": {"kind": None}}])
@pytest.mark.fault("Q-29")
def test_any_junk_gets_a_sentence(spec: object) -> None:
    assert spec_problems({"spec": spec})


def test_legacy_forms_are_warned_of() -> None:
    metrics = [{"name": "request-success-rate", "threshold": 99}, {"name": "request-duration", "threshold": 500}]
    legacy = {"interval": "500ms", "threshold": 1, "stepWeight": 5, "metrics": metrics}
    obj = patched(GOOD, {"analysis": None, "canaryAnalysis": legacy})
    assert spec_problems(obj) == []
    assert warnings(parse_canary(obj)) == [
        "spec.canaryAnalysis: is deprecated; write spec.analysis instead",
        "spec.canaryAnalysis.interval: 500ms is shorter than 1s; 1s is used",
        "spec.canaryAnalysis.metrics[0].threshold: is deprecated; write thresholdRange.min instead",
        "spec.canaryAnalysis.metrics[1].threshold: is deprecated; write thresholdRange.max instead",
    ]


def test_what_does_nothing_is_warned_of() -> None:
    analysis = {
        "stepWeight": None, "stepWeights": [5], "mirrorWeight": 10,
        "metrics": [
            {"name": "request-success-rate"},
            {"name": "errors", "query": "x"},
            {"name": "late", "query": "x", "threshold": 1, "thresholdRange": {"max": 1}},
            {"name": "open", "query": "x", "thresholdRange": {}},
        ],
        "sessionAffinity": {"cookieName": "a", "sameSite": "None"},
    }  # fmt: skip
    found = warnings(parse_canary(patched(GOOD, {"analysis": analysis})))
    fields = [sentence.split(":")[0].removeprefix("spec.analysis.") for sentence in found]
    ranges = [f"metrics[{i}].{field}" for i, field in enumerate(("thresholdRange", "thresholdRange", "threshold", "thresholdRange"))]
    assert fields == [*ranges, "maxWeight", "mirrorWeight", "sessionAffinity.sameSite"]
    assert warnings(parse_canary(GOOD)) == []


@pytest.mark.fault("Q-53")
def test_metric_templates_and_alert_providers_have_their_rules() -> None:
    template = {"spec": {"provider": {"type": "prometheus", "address": "http://prometheus:9090"}, "query": "vector(1)"}}
    assert metric_template_problems(template) == []
    assert metric_template_problems({"spec": {"provider": {"type": "prometheus"}, "query": " "}}) == [
        "spec.query: query must not be empty",
        "spec.provider: address is missing: this type of provider has no default address",
    ]
    assert metric_template_problems({"spec": {"provider": {"type": "prom"}, "query": "x"}})[0].startswith(
        "spec.provider.type: must be one of"
    )
    both = {"spec": {"type": "slack", "address": "https://hooks.test/x", "secretRef": {"name": "s"}}}
    assert alert_provider_problems(both) == []
    assert alert_provider_problems({"spec": {"type": "slack"}}) == [
        "spec: address is missing; write it, or secretRef to a Secret with the key address"
    ]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_what_can_be_read_of_a_broken_canary_is_kept(broken: Broken) -> None:
    canary = salvaged_canary(patched(GOOD, {"revertOnDeletion": True, **broken.patch}))
    if broken.field.startswith("spec.targetRef") and not broken.words.startswith(("a group", "kind", "is not built")):
        assert canary is None
    else:
        assert canary is not None
        assert canary.spec.revert_on_deletion
        assert (canary.name, canary.key) == ("podinfo", "podinfo.test")


@pytest.mark.fault("Q-5")
def test_only_what_cannot_be_read_is_left_out() -> None:
    weights = {"stepWeight": None, "stepWeights": [5, 7.5, 20, "x"], "threshold": 2.5}
    metrics = [{"name": "a", "query": "x"}, {"query": "y"}, {"name": 3}, {"name": "b", "query": "z"}]
    canary = salvaged_canary(patched(GOOD, {"provider": "mesh", "analysis": {**weights, "metrics": metrics}}))
    assert canary is not None
    assert canary.spec.provider is None
    assert canary.spec.plan.step_weights == [5, 20]
    assert canary.spec.plan.interval == "10s"
    assert canary.spec.plan.threshold == 1
    assert [metric.query for metric in canary.spec.plan.metrics] == ["x", "z"]


@pytest.mark.parametrize("spec", [None, [], "x", {}, {"targetRef": {"kind": "Deployment"}}])
def test_nothing_is_salvaged_without_a_target(spec: object) -> None:
    assert salvaged_canary({"metadata": {"name": "a", "namespace": "b"}, "spec": spec}) is None
