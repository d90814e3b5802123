"""What picks the target's pods by the label that tells the sides apart does not pick the primary's, and that is said."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.linting.test_single import findings, rules
from tests.cli.linting.test_together import CANARY, DEPLOYMENT, SERVICE

Obj = dict[str, Any]

APP: Obj = {"matchLabels": {"app": "podinfo"}}
RULES = {"budget-misses-primary", "policy-misses-primary", "monitor-misses-primary", "monitor-misses-canary"}
KINDS = {
    "PodDisruptionBudget": ("policy/v1", "selector", "budget-misses-primary"),
    "NetworkPolicy": ("networking.k8s.io/v1", "podSelector", "policy-misses-primary"),
    "PodMonitor": ("monitoring.coreos.com/v1", "selector", "monitor-misses-primary"),
}


def around(kind: str, selector: Obj, namespace: str = "test") -> Obj:
    version, field, _ = KINDS.get(kind, ("monitoring.coreos.com/v1", "selector", ""))
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "podinfo", "namespace": namespace}, "spec": {field: selector}}


def told(*objects: Obj) -> set[str]:
    return rules(findings(CANARY, DEPLOYMENT, *objects)) & RULES


def asks(operator: str, *values: str) -> Obj:
    return {"matchExpressions": [{"key": "app", "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("selector", [APP, asks("In", "podinfo")])
def test_a_selector_on_the_label_that_tells_the_sides_apart_is_named(kind: str, selector: Obj) -> None:
    assert told(around(kind, selector)) == {KINDS[kind][2]}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "selector",
    [
        {}, {"matchLabels": {"app": "other"}}, asks("Exists"), {"matchExpressions": [{"operator": "In"}]},
        asks("In", "podinfo", "podinfo-primary"),
    ],
)  # fmt: skip
def test_one_that_picks_both_sides_or_neither_is_not(kind: str, selector: Obj) -> None:
    assert told(around(kind, selector)) == set()


def test_an_object_of_another_namespace_says_nothing() -> None:
    assert told(around("PodDisruptionBudget", APP, "other")) == set()


def test_a_service_monitor_that_leaves_the_canary_out_is_named() -> None:
    assert told(around("ServiceMonitor", APP)) == {"monitor-misses-canary"}
    assert told(around("ServiceMonitor", {"matchLabels": {"app": "podinfo-canary"}})) == set()
    # the labels of a Service that stands are its own
    assert told(around("ServiceMonitor", APP), SERVICE) == set()
