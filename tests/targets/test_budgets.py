"""PodDisruptionBudgets of a primary: which are copied, with which selector, and which are not wanted any more."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.targets.budgets import copies, orphans
from flaggerpy.targets.metadata import other_labels
from tests.targets.builders import Obj, canary


def budget(selector: Obj, asked: str | None = "true", **spec: Any) -> Obj:
    labels = {"flagger.app/copy-to-primary": asked} if asked else {}
    return {"metadata": {"name": "pdb", "namespace": "shop", "labels": labels}, "spec": {"minAvailable": 1, **spec, "selector": selector}}


def test_a_budget_that_asks_for_it_is_copied_with_the_primary_s_selector() -> None:
    original = budget({"matchLabels": {"app": "podinfo", "part": "web"}}, unhealthyPodEvictionPolicy="AlwaysAllow")
    [made] = copies([original], canary(), "app", "podinfo")
    assert (made["metadata"]["name"], made["metadata"]["labels"]["flagger.app/copy-to-primary"]) == ("pdb-primary", "copy")
    assert made["spec"] == {
        "minAvailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": {"app": "podinfo-primary", "part": "web"}},
    }
    assert original["spec"]["selector"] == {"matchLabels": {"app": "podinfo", "part": "web"}}


def test_expressions_select_too() -> None:
    either = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["podinfo", "x"]}]}
    [made] = copies([budget(either)], canary(), "app", "podinfo")
    assert made["spec"]["selector"] == {"matchExpressions": [{"key": "app", "operator": "In", "values": ["podinfo-primary"]}]}


@pytest.mark.parametrize(
    "original",
    [
        budget({"matchLabels": {"app": "podinfo"}}, asked=None),
        budget({"matchLabels": {"app": "podinfo"}}, asked="copy"),
        budget({"matchLabels": {"app": "other"}}),
        budget({"matchLabels": {"part": "web"}}),
        budget({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["podinfo"]}]}),
        budget({}),
    ],
)
def test_no_other_budget_is_copied(original: Obj) -> None:
    assert copies([original], canary(), "app", "podinfo") == []


def test_a_copy_whose_budget_is_gone_goes() -> None:
    made = copies([budget({"matchLabels": {"app": "podinfo"}})], canary(), "app", "podinfo")
    assert orphans(made, canary(), made) == []
    assert orphans(made, canary(), []) == made
    assert orphans(made, canary("two", "uid-2"), []) == [], "of another Canary"


def test_the_other_labels_tell_primaries_of_one_label_apart() -> None:
    matched = {"app": "shop", "part": "web", "kustomize.toolkit.fluxcd.io/name": "f"}
    assert other_labels({"spec": {"selector": {"matchLabels": matched}}}, "app") == {"part": "web"}
    assert other_labels({"spec": {}}, "app") == {}


def test_those_that_do_not_ask_do_not_keep_others_from_it() -> None:
    asks = budget({"matchLabels": {"app": "podinfo"}})
    others = [budget({"matchLabels": {"app": "podinfo"}}, asked=None), budget({"matchLabels": {"app": "other"}})]
    assert copies([*others, asks], canary(), "app", "podinfo") == copies([asks], canary(), "app", "podinfo") != []
