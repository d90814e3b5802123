"""DaemonSets as targets: one revision whether scaled to zero or not, pods told by their hash, and a size that the cluster decides."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.workloads import WorkloadFacts
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.daemonset import NO_NODE, DaemonSet, is_scaled_to_zero, lacks_pods
from flaggerpy.targets.templates import SCALE_TO_ZERO, slim_history
from tests.cluster.fake_apiserver import json_patch
from tests.targets.builders import IMAGE, Obj, canary, template

TARGET = DaemonSet()
ZERO = {SCALE_TO_ZERO: "true"}


def daemonset(pod_template: Obj | None = None, *, uid: str = "ds-uid", **changes: Any) -> Obj:
    spec = {
        "selector": {"matchLabels": {"app": "podinfo"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}},
        "minReadySeconds": 3,
        "revisionHistoryLimit": 5,
        "template": pod_template or template(),
    }
    status = changes.pop("status", {"observedGeneration": 4, "desiredNumberScheduled": 3})
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {
            "name": "podinfo", "namespace": "shop", "uid": uid, "generation": 4, "labels": {"app": "podinfo"},
            "annotations": {"deprecated.daemonset.template.generation": "4", "owner.example.com/mail": "a@example.com"},
        },
        "spec": spec | changes,
        "status": status,
    }  # fmt: skip


def counts(**numbers: int) -> Obj:
    """A status that was observed, with the names that Kubernetes gives these numbers."""
    names = {
        "desired": "desiredNumberScheduled", "current": "currentNumberScheduled", "updated": "updatedNumberScheduled",
        "ready": "numberReady", "available": "numberAvailable",
    }  # fmt: skip
    return {"observedGeneration": 4} | {names[name]: number for name, number in numbers.items()}


def revision(pod_template: Obj, digest: str, owner: str = "ds-uid") -> Obj:
    return slim_history(
        {
            "metadata": {
                "name": f"podinfo-{digest}",
                "labels": {"app": "podinfo", "controller-revision-hash": digest},
                "ownerReferences": [{"kind": "DaemonSet", "uid": owner, "controller": True}],
            },
            "data": {"spec": {"template": copy.deepcopy(pod_template) | {"$patch": "replace"}}},
        }
    )


def pod(name: str, digest: str, *, ready: bool = True, owner: str = "ds-uid", leaving: bool = False, **status: Any) -> Obj:
    metadata: Obj = {
        "name": name,
        "labels": {"app": "podinfo", "controller-revision-hash": digest},
        "ownerReferences": [{"kind": "DaemonSet", "uid": owner, "controller": True}],
    }
    if leaving:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": metadata, "spec": {"nodeName": name, "containers": [{"name": "podinfo", "image": IMAGE}]},
        "status": {"phase": "Running", "conditions": conditions} | status,
    }  # fmt: skip


def facts(of: Obj, history: list[Obj] | None = None, pods: list[Obj] | None = None, events: list[Obj] | None = None) -> WorkloadFacts:
    return TARGET.facts(of, history or [], pods, {"podinfo": events or []})


def patched(of: Obj, operations: list[Obj]) -> Obj:
    found: Obj = json_patch(of, operations)
    return found


# --- scaled to zero ----------------------------------------------------------------------------------------------------------------------

SELECTORS = st.none() | st.dictionaries(st.sampled_from(["disk", "pool", "example.com/gpu"]), st.sampled_from(["a", "b"]), max_size=3)


@given(SELECTORS)
def test_to_zero_and_back_is_what_it_was(selector: dict[str, str] | None) -> None:
    of = daemonset(template(nodeSelector=selector) if selector else template())
    away = patched(of, TARGET.scaling(of, 0))
    assert TARGET.size(away) == 0
    assert is_scaled_to_zero(away)
    assert away["spec"]["template"]["spec"]["nodeSelector"] == (selector or {}) | ZERO
    assert TARGET.scaling(away, 0) == []
    assert TARGET.revision(away, []) == TARGET.revision(of, [])
    back = patched(away, TARGET.scaling(away, 7))
    assert back == of
    assert TARGET.scaling(back, 2) == []


def test_the_size_is_the_number_of_nodes_and_never_zero_unless_scaled_so() -> None:
    assert TARGET.size(daemonset()) == 3
    assert TARGET.size(daemonset(status={})) == 1
    assert TARGET.size(daemonset(template(nodeSelector=ZERO))) == 0


@pytest.mark.fault("Q-20")
def test_a_primary_never_gets_what_keeps_pods_off_all_nodes() -> None:
    of = daemonset(template(nodeSelector=ZERO | {"disk": "ssd"}))
    kept = TARGET.kept(canary(), of, "abc", None)
    assert kept["data"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    made = TARGET.primary(canary(), kept["data"], Wanted("app", "podinfo", "run-1", "abc", replicas=3))
    assert made["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert "nodeSelector" not in TARGET.kept(canary(), daemonset(template(nodeSelector=ZERO)), "abc", None)["data"]["template"]["spec"]


@pytest.mark.fault("Q-20")
def test_without_a_node_that_matches_nothing_is_ready() -> None:
    unknown_or_none: tuple[list[Obj] | None, ...] = (None, [])
    for pods in unknown_or_none:
        found = facts(daemonset(status=counts(desired=0)), pods=pods)
        assert (found.replicas, found.created, found.available, found.pod_creation_error) == (1, 0, 0, NO_NODE)
        assert found.problem == f"daemonset podinfo.shop runs nowhere: {NO_NODE}"
    assert facts(daemonset(status={"observedGeneration": 3})).problem == ""  # not counted yet
    assert facts(daemonset(template(nodeSelector=ZERO), status=counts(desired=0))).problem == ""


# --- the primary -------------------------------------------------------------------------------------------------------------------------


def test_the_primary_is_a_daemonset_with_the_fields_that_flagger_copies_and_no_size() -> None:
    kept = TARGET.kept(canary(), daemonset(), "abc", {"configmap/settings": "1" * 16})
    assert (kept["kind"], kept["metadata"]["name"], kept["revision"]) == ("ControllerRevision", "podinfo-abc", 4)
    assert kept["data"]["annotations"] == {"owner.example.com/mail": "a@example.com"}
    made = TARGET.primary(canary(), kept["data"], Wanted("app", "podinfo", "run-1", "abc", replicas=3))
    assert (made["kind"], made["metadata"]["name"]) == ("DaemonSet", "podinfo-primary")
    assert set(made["spec"]) == {"updateStrategy", "minReadySeconds", "revisionHistoryLimit", "selector", "template"}
    assert made["spec"]["template"]["metadata"]["annotations"]["flagger-id"] == "run-1"


@pytest.mark.fault("Q-64")
def test_pods_of_daemonsets_are_kept_apart_by_the_label_s_value_too() -> None:
    def affinity(value: str) -> Obj:
        term = {"labelSelector": {"matchLabels": {"app": value}}, "topologyKey": "zone"}
        return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}

    kept = TARGET.kept(canary(), daemonset(template(affinity=affinity("podinfo"))), "abc", None)
    made = TARGET.primary(canary(), kept["data"], Wanted("app", "podinfo", "run-1", "abc"))
    assert made["spec"]["template"]["spec"]["affinity"] == affinity("podinfo-primary")


def test_a_template_is_restored_scaled_as_it_is() -> None:
    kept = TARGET.kept(canary(), daemonset(template(hostname="old")), "abc", None)["data"]["template"]
    before = copy.deepcopy(kept)
    for of in (daemonset(), daemonset(template(nodeSelector=ZERO))):
        restored = patched(of, TARGET.restoring(of, kept))
        assert restored["spec"]["template"]["spec"]["hostname"] == "old"
        assert is_scaled_to_zero(restored) == is_scaled_to_zero(of)
        assert TARGET.restoring(restored, kept) == []
    assert kept == before


# --- facts -------------------------------------------------------------------------------------------------------------------------------

NEW, OLD = template(), template(hostname="old")
HISTORY = [revision(OLD, "o"), revision(NEW, "n"), revision(template(nodeSelector=ZERO), "z"), revision(NEW, "foreign", "somebody")]


def test_the_pods_of_the_run_are_those_of_every_revision_that_holds_its_template() -> None:
    pods = [pod("b", "z"), pod("a", "n"), pod("c", "o"), pod("d", "n", owner="somebody"), pod("e", "foreign"), pod("f", "unknown")]
    found = facts(daemonset(status=counts(desired=3, available=5)), HISTORY, pods)
    assert [each.name for each in found.pods] == ["a", "b"]
    assert (found.created, found.ready, found.old, found.serving) == (2, 2, 3, 5)
    assert found.pods_known
    assert (found.fresh, found.word, found.images) == (True, "daemonset", (IMAGE,))


def test_available_are_at_least_those_that_others_cannot_be() -> None:
    def available(total: int, *pods: Obj) -> int:
        return facts(daemonset(status=counts(desired=3, available=total)), HISTORY, list(pods)).available

    new = [pod(str(number), "n") for number in range(3)]
    assert available(3, *new) == 3
    assert available(2, *new) == 2  # minReadySeconds is not over for one
    assert available(3, *new[:2], pod("o", "o")) == 2
    assert available(3, *new[:1], pod("o", "o"), pod("p", "o")) == 1
    assert available(3, *new[:2], pod("o", "o", leaving=True)) == 2  # counted by Kubernetes until it is gone
    assert available(2, *new[:1], pod("o", "o", ready=False)) == 1
    assert available(0, *new) == 0


def test_pods_that_leave_or_ended_are_not_counted() -> None:
    pods = [pod("a", "n", leaving=True), pod("b", "n", ready=False, phase="Failed", reason="Evicted"), pod("c", "o", leaving=True)]
    found = facts(daemonset(status=counts(desired=3, available=1)), HISTORY, pods)
    assert (found.created, found.ready, found.available, found.old, found.serving) == (0, 0, 0, 0, 0)
    assert [each.name for each in found.pods] == ["a", "b"]


def test_while_pods_are_not_watched_the_status_is_read_as_the_worst_that_it_can_mean() -> None:
    found = facts(daemonset(status=counts(desired=5, current=5, updated=3, ready=4, available=4)))
    assert (found.replicas, found.created, found.ready, found.available, found.old, found.serving) == (5, 3, 2, 2, 2, 4)
    assert not found.pods_known
    complete = facts(daemonset(status=counts(desired=5, current=5, updated=5, ready=5, available=5)))
    assert (complete.created, complete.available, complete.old) == (5, 5, 0)


def test_a_generation_that_was_not_observed_is_not_fresh() -> None:
    of = daemonset()
    of["metadata"]["generation"] = 5
    assert not facts(of).fresh
    assert facts(of).revision == facts(daemonset()).revision


def test_a_primary_tells_its_run_and_the_revision_it_was_made_of() -> None:
    kept = TARGET.kept(canary(), daemonset(), "abc", None)["data"]
    made = TARGET.primary(canary(), kept, Wanted("app", "podinfo", "run-1", "abc"))
    assert (facts(made).flagger_id, facts(made).source_revision) == ("run-1", "abc")


def test_why_no_pod_can_be_made_is_told_by_events_of_the_daemonset() -> None:
    def event(message: str, at: str, reason: str = "FailedCreate") -> Obj:
        return {"reason": reason, "message": message, "lastTimestamp": at}

    told = [event("new", "2026-01-01T00:00:02Z"), event("old", "2026-01-01T00:00:01Z"), event("x", "2026-01-01T00:00:03Z", "Other")]
    lacking = daemonset(status=counts(desired=3, current=1, available=1))
    assert lacks_pods(lacking)
    assert facts(lacking, HISTORY, [pod("a", "n")], told).pod_creation_error == "new"
    assert facts(lacking, HISTORY, [pod("a", "n")], told[2:]).pod_creation_error == ""
    assert facts(daemonset(), HISTORY, [pod(str(number), "n") for number in range(3)], told).pod_creation_error == ""
    assert not lacks_pods({"status": {"replicas": 3, "readyReplicas": 1}})


# --- what cannot be released -------------------------------------------------------------------------------------------------------------


def test_a_strategy_by_which_nothing_is_replaced_is_refused() -> None:
    problem = facts(daemonset(updateStrategy={"type": "OnDelete"})).problem
    assert problem.startswith("daemonset podinfo.shop must have RollingUpdate strategy but have OnDelete")
    assert facts(daemonset(updateStrategy=None)).problem == ""


def container(**port: Any) -> Obj:
    return {"name": "podinfo", "image": IMAGE, "ports": [port]}


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"containers": [container(containerPort=80, hostPort=8080)]}, "port 8080 "),
        ({"containers": [container(containerPort=80)], "hostNetwork": True}, "port 80 "),
        ({"containers": [container(containerPort=80)]}, ""),
        ({"hostNetwork": True}, ""),
        ({"initContainers": [container(hostPort=81) | {"restartPolicy": "Always"}, container(hostPort=82)]}, "port 81 "),
    ],
)
def test_a_port_of_the_node_cannot_be_had_twice(spec: Obj, refused: str) -> None:
    problem = facts(daemonset(template(**spec))).problem
    assert refused in problem
    assert bool(problem) == bool(refused)


def test_what_nobody_wrote_is_told_as_nothing() -> None:
    found = TARGET.facts(daemonset(), [], [], {})
    assert (found.flagger_id, found.source_revision, found.pod_creation_error, found.revision_born) == ("", "", "", 0.0)
    assert not TARGET.facts(daemonset(status={}) | {"metadata": {"name": "podinfo", "generation": 1}}, [], [], {}).fresh


def test_the_newest_word_about_pods_that_cannot_be_made_is_told() -> None:
    told = [{"reason": "FailedCreate", "message": f"at {second}", "eventTime": f"2026-01-01T00:00:0{second}Z"} for second in (1, 3, 2)]
    assert facts(daemonset(), pods=[], events=told).pod_creation_error == "at 3"


def test_what_a_controller_revision_holds_is_the_template_as_it_was_written() -> None:
    stored = {"data": {"spec": {"template": template(nodeSelector=ZERO) | {"$patch": "replace"}}}}
    digest, held = TARGET.held(stored)
    assert digest == TARGET.revision(daemonset(), [])
    assert held["spec"] == template()["spec"]
    assert "$patch" not in held
    assert TARGET.held({"data": {"spec": {"template": template()}}})[0] == digest


def test_pods_lack_while_nodes_that_match_have_none() -> None:
    assert lacks_pods({"status": {"currentNumberScheduled": 1, "desiredNumberScheduled": 2}})
    assert not lacks_pods({"status": {"currentNumberScheduled": 2, "desiredNumberScheduled": 2}})
    assert not lacks_pods({})
