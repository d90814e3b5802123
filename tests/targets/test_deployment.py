"""Deployments as targets: the primary made of a kept template, facts read from a Deployment, its ReplicaSets and pods, its size."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.workloads import WorkloadFacts
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.deployment import Deployment
from flaggerpy.targets.metadata import by_prefix, canary_label
from flaggerpy.targets.primary import selector_of
from flaggerpy.targets.registry import target_for
from flaggerpy.targets.templates import slim_history
from tests.targets.builders import IMAGE, Obj, canary, deployment, pod, replicaset, template

LABELS = ("app", "name", "app.kubernetes.io/name")


TARGET = Deployment()


def primary(of: Obj | None = None, *, value: str = "podinfo", prefixes: tuple[str, ...] = (), replicas: int | None = 2) -> Obj:
    kept = TARGET.kept(canary(), of or deployment(), "abc", {"configmap/settings": "1" * 16})["data"]
    wanted = Wanted(
        selector_label="app", label_value=value, run_id="run-1", revision="abc", replicas=replicas, include_label_prefix=prefixes,
        config_names={("configmap", "settings"): "settings-primary-11111111"},
    )  # fmt: skip
    return TARGET.primary(canary(), kept, wanted)


def workload_facts(of: Obj, history: list[Obj], pods: list[Obj] | None) -> WorkloadFacts:
    return TARGET.facts(of, [slim_history(copy.deepcopy(each)) for each in history], pods, {})


def test_the_selector_is_the_first_of_the_known_labels() -> None:
    assert selector_of(deployment(), LABELS) == ("app", "podinfo")
    other = deployment(selector={"matchLabels": {"app.kubernetes.io/name": "web", "name": "shop"}})
    assert selector_of(other, LABELS) == ("name", "shop")


def test_without_a_known_label_the_sentence_is_flagger_s() -> None:
    assert selector_of(deployment(selector={"matchLabels": {"x": "y"}}), LABELS) == (
        "deployment podinfo.shop spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]"
    )
    assert isinstance(selector_of(deployment(selector={"matchExpressions": []}), LABELS), str)


def test_the_primary_is_flagger_s_in_names_labels_selector_and_owner() -> None:
    made = primary()
    assert made["metadata"] == {
        "name": "podinfo-primary",
        "namespace": "shop",
        "labels": {"app": "podinfo-primary"},
        "annotations": {"flagger.app/revision": "abc"},
        "ownerReferences": [
            {
                "apiVersion": "flagger.app/v1beta1",
                "kind": "Canary",
                "name": "podinfo",
                "uid": "canary-uid",
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    spec = made["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "podinfo-primary"}}
    assert spec["template"]["metadata"] == {
        "labels": {"app": "podinfo-primary", "team": "a"},
        "annotations": {"prometheus.io/scrape": "true", "flagger-id": "run-1", "flagger.app/revision": "abc"},
    }
    assert {key: spec[key] for key in ("replicas", "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit")} == {
        "replicas": 2,
        "minReadySeconds": 3,
        "progressDeadlineSeconds": 60,
        "revisionHistoryLimit": 5,
    }
    assert spec["strategy"] == deployment()["spec"]["strategy"]


def test_labels_and_annotations_of_the_target_come_along_by_prefix_only() -> None:
    assert primary(prefixes=("te", "owner"))["metadata"]["labels"] == {"app": "podinfo-primary", "team": "a"}
    everything = primary(prefixes=("*",))["metadata"]
    assert everything["labels"] == {"app": "podinfo-primary", "team": "a"}
    assert everything["annotations"] == {"owner.example.com/mail": "a@example.com", "flagger.app/revision": "abc"}


def test_without_a_size_the_primary_keeps_its_own() -> None:
    assert "replicas" not in primary(replicas=None)["spec"]


def test_fields_that_the_target_does_not_set_are_not_claimed() -> None:
    bare = deployment()
    for field in ("minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "strategy"):
        del bare["spec"][field]
    assert set(primary(bare)["spec"]) == {"replicas", "selector", "template"}


def test_configs_are_those_of_the_revision() -> None:
    with_configs = template()
    with_configs["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "settings"}}]
    with_configs["spec"]["volumes"] = [{"name": "v", "configMap": {"name": "settings"}}]
    spec = primary(deployment(with_configs))["spec"]["template"]["spec"]
    assert spec["containers"][0]["envFrom"] == [
        {"configMapRef": {"name": "settings-primary-11111111"}},
        {"secretRef": {"name": "settings"}},
    ]
    assert spec["volumes"][0]["configMap"]["name"] == "settings-primary-11111111"


def selector(value: str, label: str = "app") -> Obj:
    return {"matchLabels": {label: value}, "matchExpressions": [{"key": label, "operator": "In", "values": ["other", value]}]}


def scheduling(value: str) -> Obj:
    required = [{"labelSelector": selector(value), "topologyKey": "zone"}]
    preferred = [{"weight": 1, "podAffinityTerm": {"labelSelector": selector(value), "topologyKey": "zone"}}]
    both = {"requiredDuringSchedulingIgnoredDuringExecution": required, "preferredDuringSchedulingIgnoredDuringExecution": preferred}
    return {
        "topologySpreadConstraints": [{"maxSkew": 1, "labelSelector": selector(value)}],
        "affinity": {"podAntiAffinity": copy.deepcopy(both), "podAffinity": copy.deepcopy(both), "nodeAffinity": {"x": 1}},
    }


@pytest.mark.parametrize("value", ["podinfo", "a-value-that-is-not-the-deployment-s-name"])
@pytest.mark.fault("Q-64")
def test_pods_are_spread_over_pods_like_themselves_by_the_label_s_value(value: str) -> None:
    spec = primary(deployment(template(**scheduling(value))), value=value)["spec"]["template"]["spec"]
    wanted = scheduling(f"{value}-primary")
    assert {key: spec[key] for key in wanted} == wanted


def test_selectors_of_other_labels_and_other_pods_stay() -> None:
    kept_apart = {"topologySpreadConstraints": [{"labelSelector": selector("podinfo", "team")}, {"labelSelector": selector("db")}, {}]}
    spec = primary(deployment(template(**copy.deepcopy(kept_apart))))["spec"]["template"]["spec"]
    assert spec["topologySpreadConstraints"] == kept_apart["topologySpreadConstraints"]


def test_the_kept_template_stays_as_it_was() -> None:
    of = deployment(template(**scheduling("podinfo")))
    before = copy.deepcopy(of)
    primary(of)
    assert of == before


def test_a_kept_revision_holds_what_a_primary_is_made_of() -> None:
    labelled = template()
    labelled["metadata"]["labels"]["pod-template-hash"] = "abc"
    kept = TARGET.kept(canary(), deployment(labelled), "abc", {"configmap/settings": "1" * 16})
    assert kept["metadata"]["name"] == "podinfo-abc"
    assert kept["metadata"]["labels"] == {"flagger.app/canary": "podinfo", "flagger.app/revision": "abc"}
    assert kept["metadata"]["ownerReferences"][0]["uid"] == "canary-uid"
    assert (kept["apiVersion"], kept["kind"], kept["revision"]) == ("apps/v1", "ControllerRevision", 2)
    data = kept["data"]
    assert set(data) == {
        "template", "strategy", "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit", "replicas", "labels",
        "annotations", "configs",
    }  # fmt: skip
    assert "pod-template-hash" not in data["template"]["metadata"]["labels"]
    assert data["annotations"] == {"owner.example.com/mail": "a@example.com"}
    assert data["configs"] == {"configmap/settings": "1" * 16}


def test_a_target_without_replicas_or_configs_keeps_none() -> None:
    data = TARGET.kept(canary(), deployment(replicas=0), "abc", None)["data"]
    assert "replicas" not in data
    assert "configs" not in data


@given(st.text("abc-", min_size=1, max_size=253))
def test_the_label_of_a_canary_fits(name: str) -> None:
    value = canary_label(canary(name))["flagger.app/canary"]
    assert len(value) <= 63
    assert value == name or len(name) > 63


@given(st.dictionaries(st.text("abct.", min_size=1), st.just("")), st.lists(st.text("abc", max_size=3)))
def test_labels_by_prefix(labels: dict[str, str], prefixes: list[str]) -> None:
    kept = by_prefix(labels, prefixes)
    assert kept.keys() <= labels.keys()
    assert all(any(p and key.startswith(p) for p in prefixes) for key in kept)


def test_the_label_of_a_canary_whose_name_is_too_long_stays_unique() -> None:
    one, two = canary_label(canary("a" * 100)), canary_label(canary("a" * 101))
    assert one != two
    assert len(one["flagger.app/canary"]) == 63


@pytest.mark.fault("Q-31")
def test_scaling_is_a_patch() -> None:
    assert TARGET.scaling(deployment(), 3) == [{"op": "add", "path": "/spec/replicas", "value": 3}]
    assert TARGET.scaling(deployment(), 2) == []
    assert TARGET.scaling(deployment(replicas=None), 1) == []


def test_the_template_is_restored_where_it_differs() -> None:
    of = deployment()
    kept = TARGET.kept(canary(), of, "abc", None)["data"]["template"]
    assert TARGET.restoring(of, kept) == []
    assert TARGET.restoring(deployment(template(hostname="other")), kept) == [{"op": "replace", "path": "/spec/template", "value": kept}]


def test_the_revision_is_the_hash_of_the_replica_set_that_holds_the_template() -> None:
    history = [slim_history(each) for each in sets()]
    assert TARGET.revision(deployment(OLD), history) == "old"
    assert TARGET.revision(deployment(template(hostname="newer")), history) == ""


NEW, OLD = template(), template(hostname="old")


def sets(**status: Any) -> list[Obj]:
    foreign = replicaset(NEW, 2, "foreign", replicas=9)
    foreign["metadata"]["ownerReferences"][0]["uid"] = "somebody"
    return [foreign, replicaset(OLD, 1, "old", replicas=1, readyReplicas=1), replicaset(NEW, 2, "new", **status)]


@pytest.mark.fault("Q-58")
def test_facts_are_those_of_the_present_replicaset() -> None:
    facts = workload_facts(deployment(), sets(replicas=2, readyReplicas=2, availableReplicas=1), [pod(), pod("other", "uid-old")])
    assert (facts.name, facts.replicas, facts.revision, facts.fresh) == ("podinfo", 2, "new", True)
    assert (facts.created, facts.updated, facts.ready, facts.available, facts.old) == (2, 2, 2, 1, 1)
    assert facts.serving == 3
    assert facts.images == (IMAGE,)
    assert [p.name for p in facts.pods] == ["podinfo-1"]
    assert facts.pods_known
    assert (facts.problem, facts.pod_creation_error, facts.flagger_id, facts.source_revision) == ("", "", "", "")


def test_a_generation_that_was_not_observed_is_not_fresh() -> None:
    of = deployment()
    of["metadata"]["generation"] = 5
    assert not workload_facts(of, sets(), []).fresh
    assert not workload_facts({**of, "status": {}}, sets(), []).fresh


def test_a_generation_that_changes_nothing_of_the_pods_needs_not_be_observed() -> None:
    """An annotation counts a Deployment's generation up as well."""
    of = deployment(replicas=2)
    of["metadata"]["generation"] = 5
    history = sets(replicas=2, readyReplicas=2)
    history[-1]["spec"]["replicas"] = 2
    assert workload_facts(of, history, []).fresh
    for other in (deployment(replicas=3), deployment(template(hostname="newer"), replicas=2)):
        other["metadata"]["generation"] = 5
        assert not workload_facts(other, history, []).fresh


def test_a_template_other_than_the_replicaset_s_is_not_fresh() -> None:
    facts = workload_facts(deployment(template(hostname="newer")), sets(), [])
    assert (facts.fresh, facts.revision, facts.problem) == (False, "new", "")


def test_a_deployment_that_was_replaced_as_a_whole_keeps_its_pods() -> None:
    """`helm upgrade --force` puts the manifest of the chart: the revision's number comes back a moment later."""
    whole = deployment()
    bare = copy.deepcopy(whole)
    del bare["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    history = sets(replicas=2, readyReplicas=2)
    assert workload_facts(bare, history, None) == workload_facts(whole, history, None)
    bare["spec"]["template"]["spec"]["containers"][0]["image"] = "podinfo:new"
    found = workload_facts(bare, history, None)
    assert (found.fresh, found.ready) == (False, 2)


def test_without_its_replicaset_there_is_no_revision() -> None:
    facts = workload_facts(deployment(), sets()[:2], [pod()])
    assert (facts.fresh, facts.revision, facts.pods, facts.old) == (False, "", (), 1)
    assert workload_facts(deployment(), [], []).revision == ""


def test_defaults_of_replicas_and_zero() -> None:
    assert workload_facts(deployment(replicas=None), sets(), []).replicas == 1
    assert workload_facts(deployment(replicas=0), sets(), []).replicas == 0


def test_a_paused_target_is_named_only_when_its_new_template_waits() -> None:
    assert workload_facts(deployment(paused=True), sets(), []).problem == ""
    assert "is paused" in workload_facts(deployment(template(hostname="newer"), paused=True), sets(), []).problem


def test_why_no_pod_can_be_made_is_read() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: small"}
    assert workload_facts(deployment(), sets(conditions=[condition]), []).pod_creation_error == "exceeded quota: small"
    assert workload_facts(deployment(), sets(conditions=[condition | {"status": "False"}]), []).pod_creation_error == ""
    assert workload_facts(deployment(), sets(conditions=[condition | {"reason": "FailedDelete"}]), []).pod_creation_error == ""


def test_a_primary_tells_its_run_and_the_revision_it_was_made_of() -> None:
    made = primary()
    made["metadata"] |= {"uid": "deployment-uid", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}}
    facts = workload_facts(made, [replicaset(made["spec"]["template"], 1, "p")], None)
    assert (facts.flagger_id, facts.source_revision, facts.pods_known, facts.revision) == ("run-1", "abc", False, "p")


def test_what_nobody_wrote_is_told_as_nothing() -> None:
    history = [replicaset(template(), 2, "new"), replicaset(template(), 1, "old")]
    found = workload_facts(deployment(), history, None)
    assert (found.created, found.ready, found.available, found.old, found.serving) == (0, 0, 0, 0, 0)
    assert (found.flagger_id, found.source_revision, found.images) == ("", "", (IMAGE,))
    assert not workload_facts(deployment() | {"status": {}}, history, None).fresh
    first = deployment() | {"status": {}}
    first["metadata"]["generation"] = 1
    assert not workload_facts(first, history, None).fresh


def test_what_a_replica_set_holds_is_its_hash_and_its_template() -> None:
    stored = replicaset(template(), 2, "abc")
    assert TARGET.held(stored) == ("abc", stored["spec"]["template"])
    assert TARGET.held({"metadata": {}, "spec": {}}) == ("", {})


def test_a_workload_of_which_only_the_name_is_known_is_called_that() -> None:
    said = selector_of({"metadata": {"name": "podinfo", "namespace": "shop"}}, LABELS)
    assert said == "workload podinfo.shop spec.selector.matchLabels must contain one of [app name app.kubernetes.io/name]"


def test_kinds_that_nobody_knows_are_looked_at_as_deployments() -> None:
    assert target_for("Deployment").kind == target_for("Whatever").kind == "Deployment"
    assert target_for("DaemonSet").kind == "DaemonSet"
