"""Autoscalers: the primary's twin from the user's, its floor, KEDA's pause, and queries that name the primary."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.canary import AutoscalerRef, parse_canary
from flaggerpy.api.names import SCALER_FLOOR
from flaggerpy.api.problems import spec_problems
from flaggerpy.targets import scalers
from flaggerpy.targets.scalers import PAUSED_REPLICAS, facts, primary_query, twin

Obj = dict[str, Any]
HPA: Obj = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {
        "name": "web", "namespace": "shop", "resourceVersion": "7", "uid": "h-1",
        "labels": {"team": "a", "kustomize.toolkit.fluxcd.io/name": "apps"},
        "annotations": {"note": "x", "kubectl.kubernetes.io/last-applied-configuration": "{}"},
    },
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 3, "maxReplicas": 30,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
    },
}  # fmt: skip
KEDA: Obj = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {
        "name": "web-so", "namespace": "shop", "resourceVersion": "7",
        "labels": {"team": "a", "scaledobject.keda.sh/name": "web-so"},
        "annotations": {PAUSED_REPLICAS: "0", "scaledobject.keda.sh/transfer-hpa-ownership": "true"},
    },
    "spec": {
        "scaleTargetRef": {"name": "web", "envSourceContainerName": "app"},
        "minReplicaCount": 1, "maxReplicaCount": 9, "idleReplicaCount": 0, "initialCooldownPeriod": 5,
        "advanced": {"horizontalPodAutoscalerConfig": {"name": "web-hpa"}, "scalingModifiers": {"formula": "a + b"}},
        "triggers": [
            {"type": "prometheus", "name": "a", "metadata": {"query": 'sum(rate(requests{app="web"}[1m]))', "threshold": "5"}},
            {"type": "cron", "name": "b", "metadata": {"start": "0 8 * * *"}},
        ],
    },
}  # fmt: skip


def ref(kind: str = "HorizontalPodAutoscaler", **fields: Any) -> AutoscalerRef:
    version, name = ("autoscaling/v2", "web") if kind == "HorizontalPodAutoscaler" else ("keda.sh/v1alpha1", "web-so")
    return AutoscalerRef.model_validate({"apiVersion": version, "kind": kind, "name": name, **fields})


CANARY = parse_canary(
    {
        "metadata": {"name": "web", "namespace": "shop", "uid": "c-1", "generation": 1, "resourceVersion": "1"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "analysis": {"interval": "10s"}},
    }
)


def made(source: Obj, have: Obj | None = None, *, floor: int | None = None, follow: bool = True, **fields: Any) -> Obj:
    found = twin(CANARY, ref(source["kind"], **fields), source, have, floor=floor, follow=follow)
    assert found is not None
    return found


def at(source: Obj, path: str, value: Any) -> Obj:
    changed = copy.deepcopy(source)
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place[name]
    place[last] = value
    return changed


def test_the_primary_s_hpa_is_a_copy_that_scales_the_primary() -> None:
    primary = made(HPA)
    assert primary["metadata"]["name"] == "web-primary"
    assert primary["spec"] == {**HPA["spec"], "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web-primary"}}
    assert primary["metadata"]["labels"] == {"team": "a"}
    assert primary["metadata"]["annotations"].items() >= {"note": "x"}.items()
    assert "kubectl.kubernetes.io/last-applied-configuration" not in primary["metadata"]["annotations"]
    assert [owner["uid"] for owner in primary["metadata"]["ownerReferences"]] == ["c-1"]


def test_a_scaled_object_keeps_what_flagger_does_not_know_and_never_its_pause() -> None:
    primary = made(KEDA)
    spec = primary["spec"]
    assert spec["scaleTargetRef"] == {"name": "web-primary", "envSourceContainerName": "app"}
    assert spec["advanced"] == {"horizontalPodAutoscalerConfig": {"name": "web-hpa-primary"}, "scalingModifiers": {"formula": "a + b"}}
    assert spec["initialCooldownPeriod"] == 5
    assert spec["triggers"][0]["metadata"] == {"query": 'sum(rate(requests{app="web-primary"}[1m]))', "threshold": "5"}
    assert spec["triggers"][1] == KEDA["spec"]["triggers"][1]
    assert PAUSED_REPLICAS not in primary["metadata"]["annotations"]
    assert primary["metadata"]["labels"] == {"team": "a"}, "KEDA puts its own label on the twin"
    assert primary["metadata"]["annotations"]["scaledobject.keda.sh/transfer-hpa-ownership"] == "true"


def test_queries_and_bounds_of_the_primary_may_be_given() -> None:
    spec = made(KEDA, primaryScalerQueries={"a": "mine", "z": "unused"}, primaryScalerReplicas={"minReplicas": 2, "maxReplicas": 5})["spec"]
    assert spec["triggers"][0]["metadata"]["query"] == "mine"
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (2, 5)
    bounds = made(HPA, primaryScalerReplicas={"maxReplicas": 50})["spec"]
    assert (bounds["minReplicas"], bounds["maxReplicas"]) == (3, 50)


@pytest.mark.parametrize(
    ("query", "target", "wanted"),
    [
        ('sum(rate(x{app="app"}[1m]))', "app", 'sum(rate(x{app="app-primary"}[1m]))'),
        ('x{app="web-canary"}', "web", 'x{app="web-primary"}'),
        ('x{app="web-primary"}', "web", 'x{app="web-primary"}'),
        ('x{pod=~"web-[0-9a-z]+-.*"}', "web", 'x{pod=~"web-primary-[0-9a-z]+-.*"}'),
        ('x{pod=~"web-.*"}', "web", 'x{pod=~"web-primary-.*"}'),
        ('x{app="web-api", job="my-web", host="web.example.com"}', "web", 'x{app="web-api", job="my-web", host="web-primary.example.com"}'),
        ("avg:requests{app:web,web:x}", "web", "avg:requests{app:web-primary,web:x}"),
        ("web_requests_total{}", "web", "web_requests_total{}"),
        ("sum by (app) (app{app='app'})", "app", "sum by (app) (app{app='app-primary'})"),
    ],
)
def test_a_query_names_the_primary_and_nothing_else_changes(query: str, target: str, wanted: str) -> None:
    assert primary_query(query, target) == wanted


@given(st.sampled_from(["app", "web", "podinfo"]), st.text(alphabet='web-app{}="~. ,', max_size=40))
def test_a_query_is_rewritten_once(target: str, query: str) -> None:
    once = primary_query(query, target)
    assert primary_query(once, target) == once


@given(st.integers(1, 60), st.booleans())
def test_a_floor_lifts_the_lower_bound_and_comes_off_again(floor: int, keda: bool) -> None:
    source = KEDA if keda else HPA
    plain = made(source)
    raised = made(source, plain, floor=floor, follow=False)
    least, most = ("minReplicaCount", "maxReplicaCount") if keda else ("minReplicas", "maxReplicas")
    assert raised["spec"][least] == min(max(floor, source["spec"][least]), source["spec"][most])
    assert raised["spec"][most] == source["spec"][most]
    assert "idleReplicaCount" not in raised["spec"]
    assert facts(CANARY, ref(source["kind"]), source, raised).floor == floor
    assert made(source, raised, floor=floor, follow=True) == raised
    assert made(source, raised, follow=False) == plain


def test_without_a_lower_bound_of_its_own_a_twin_gets_none_back() -> None:
    source = at(HPA, "spec", {key: value for key, value in HPA["spec"].items() if key != "minReplicas"})
    plain = made(source)
    raised = made(source, plain, floor=4, follow=False)
    assert raised["spec"]["minReplicas"] == 4
    assert made(source, raised, follow=False) == plain


def test_a_twin_that_does_not_follow_keeps_what_it_has() -> None:
    plain = made(HPA)
    edited = at(HPA, "spec.maxReplicas", 50)
    assert not facts(CANARY, ref(), edited, plain).follows
    assert made(edited, plain, floor=9, follow=False)["spec"]["maxReplicas"] == 30
    followed = made(edited, plain, floor=9, follow=True)
    assert followed["spec"]["maxReplicas"] == 50
    assert facts(CANARY, ref(), edited, followed).follows


def test_with_sync_always_an_upper_bound_falls_only_after_the_release() -> None:
    raised = made(HPA, made(HPA), floor=20, sync="always")
    lowered = at(HPA, "spec.maxReplicas", 5)
    during = made(lowered, raised, floor=20, sync="always")
    assert (during["spec"]["minReplicas"], during["spec"]["maxReplicas"]) == (20, 30)
    assert facts(CANARY, ref(sync="always"), lowered, during).follows
    after = made(lowered, during, sync="always")
    assert (after["spec"]["minReplicas"], after["spec"]["maxReplicas"]) == (3, 5)
    by_promotion = made(lowered, raised, floor=20)
    assert (by_promotion["spec"]["minReplicas"], by_promotion["spec"]["maxReplicas"]) == (5, 5)


def test_what_a_hand_changes_in_the_twin_is_seen() -> None:
    plain = made(HPA)
    assert facts(CANARY, ref(), HPA, plain).follows
    assert not facts(CANARY, ref(), HPA, at(plain, "spec.maxReplicas", 4)).follows
    assert not facts(CANARY, ref(), HPA, at(plain, "spec.scaleTargetRef.name", "web")).sound
    assert not facts(CANARY, ref(), HPA, at(plain, "metadata.ownerReferences", [])).sound
    spoiled = at(plain, "metadata.annotations", {**plain["metadata"]["annotations"], SCALER_FLOOR: "seven"})
    assert facts(CANARY, ref(), HPA, spoiled).floor is None


def test_a_pause_on_the_primary_is_unsound() -> None:
    plain = made(KEDA)
    assert facts(CANARY, ref("ScaledObject"), KEDA, plain).sound
    held = at(plain, "metadata.annotations", {**plain["metadata"]["annotations"], PAUSED_REPLICAS: "0"})
    assert not facts(CANARY, ref("ScaledObject"), KEDA, held).sound
    assert PAUSED_REPLICAS not in made(KEDA, held, follow=False)["metadata"]["annotations"]


def test_what_cannot_be_followed_is_told() -> None:
    assert facts(CANARY, ref(), None, None).problem == "spec.autoscalerRef: HorizontalPodAutoscaler web is not there"
    other = at(HPA, "spec.scaleTargetRef.name", "api")
    assert facts(CANARY, ref(), other, None).problem == "spec.autoscalerRef: HorizontalPodAutoscaler web scales api, not web"
    assert facts(CANARY, ref(), HPA, None).problem == ""
    assert twin(CANARY, ref(), None, None, floor=3, follow=True) is None


def test_bounds_are_read_with_each_kind_s_defaults() -> None:
    told = facts(CANARY, ref(primaryScalerReplicas={"maxReplicas": 50}), HPA, None)
    assert (told.least, told.most, told.primary_most, told.paused) == (3, 30, 50, None)
    bare = at(KEDA, "spec", {"scaleTargetRef": {"name": "web"}, "triggers": []})
    told = facts(CANARY, ref("ScaledObject"), bare, None)
    assert (told.least, told.most, told.primary_most, told.paused) == (1, 100, 100, True)


def patched(obj: Obj, operations: list[Obj]) -> Obj:
    result = copy.deepcopy(obj)
    for operation in operations:
        parts = [part.replace("~1", "/") for part in operation["path"].split("/")[1:]]
        place = result
        for part in parts[:-1]:
            place = place[part]
        match operation["op"]:
            case "test":
                assert place[parts[-1]] == operation["value"]
            case "add":
                place[parts[-1]] = operation["value"]
            case "remove":
                del place[parts[-1]]
    return result


@pytest.mark.parametrize("annotations", [None, {}, {"a": "b"}, {PAUSED_REPLICAS: "0"}, {"a": "b", PAUSED_REPLICAS: "4"}])
def test_a_pause_is_put_on_and_taken_off_by_a_patch_of_its_own(annotations: dict[str, str] | None) -> None:
    source = at(KEDA, "metadata", {"name": "web-so", "resourceVersion": "7"})
    if annotations is not None:
        source["metadata"]["annotations"] = annotations
    held = patched(source, scalers.pause_patch(source, paused=True))
    assert held["metadata"]["annotations"][PAUSED_REPLICAS] == "0"
    assert held["spec"] == source["spec"]
    assert scalers.pause_patch(held, paused=True) == []
    free = patched(held, scalers.pause_patch(held, paused=False))
    assert PAUSED_REPLICAS not in free["metadata"]["annotations"]
    assert {k: v for k, v in (annotations or {}).items() if k != PAUSED_REPLICAS} == free["metadata"]["annotations"]
    assert scalers.pause_patch(free, paused=False) == []


def test_the_note_of_a_floor_says_what_it_replaces() -> None:
    note = json.loads(made(KEDA, floor=4)["metadata"]["annotations"][SCALER_FLOOR])
    assert note == {"floor": 4, "own": {"idleReplicaCount": 0, "minReplicaCount": 1}}


def test_the_page_on_autoscaling_shows_what_we_take() -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "autoscaling.md").read_text()
    [block] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    source, shown = yaml.safe_load_all(block)
    assert spec_problems(shown) == []
    shown["metadata"] |= {"namespace": "shop", "uid": "c-1", "generation": 1, "resourceVersion": "1"}
    canary = parse_canary(shown)
    assert canary.spec.model_dump(by_alias=True, exclude_unset=True) == shown["spec"]
    assert canary.spec.autoscaler_ref is not None
    assert facts(canary, canary.spec.autoscaler_ref, source, None).problem == ""
