"""Who wrote what, from managedFields; and what somebody added to a primary made ours."""

from __future__ import annotations

from typing import Any

from flaggerpy.controller.ownership import SOMEBODY, foreign_fields, newest_other, owner_of, reclaim

Obj = dict[str, Any]


def entry(manager: str, fields: Obj, *, operation: str = "Update", time: str = "2026-01-01T00:00:00Z", subresource: str = "") -> Obj:
    made: Obj = {"manager": manager, "operation": operation, "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields}
    return made | ({"subresource": subresource} if subresource else {})


def primary(*entries: Obj) -> Obj:
    return {"metadata": {"name": "p", "resourceVersion": "7", "managedFields": list(entries)}}


def ours() -> Obj:
    containers: Obj = {'k:{"name":"app"}': {".": {}, "f:name": {}, "f:image": {}}}
    return entry("flaggerpy", {"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": containers}}}}, operation="Apply")


SIDECAR: Obj = {"f:containers": {'k:{"name":"beside"}': {".": {}, "f:name": {}, "f:image": {}}}, "f:hostNetwork": {}}
RESTART: Obj = {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}}}
KUBE = entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, subresource="status")
NUMBER = entry("kube-controller-manager", {"f:metadata": {"f:annotations": {"f:deployment.kubernetes.io/revision": {}}}})
HPA = entry("horizontal-pod-autoscaler", {"f:spec": {"f:replicas": {}}}, subresource="scale")


def test_what_others_own_of_the_spec_is_named() -> None:
    edit = entry("kubectl-edit", {"f:spec": {"f:template": {"f:spec": SIDECAR}}})
    assert foreign_fields(primary(ours(), KUBE, NUMBER, HPA, edit)) == [
        ("template.spec.containers[beside].name", "kubectl-edit"),
        ("template.spec.containers[beside].image", "kubectl-edit"),
        ("template.spec.hostNetwork", "kubectl-edit"),
    ]


def test_sizes_and_restarts_are_nobody_s_edit() -> None:
    restart = entry("kubectl-rollout", {"f:spec": {"f:template": RESTART}})
    size = entry("kubectl-scale", {"f:spec": {"f:replicas": {}}})
    assert foreign_fields(primary(ours(), restart, size)) == []
    assert reclaim(primary(ours(), restart, size)) is None


def test_what_others_own_becomes_ours_and_they_keep_the_rest() -> None:
    edit = entry("kubectl-edit", {"f:spec": {"f:template": {**RESTART, "f:spec": SIDECAR}}, "f:metadata": {"f:labels": {"f:a": {}}}})
    gone = entry("set-image", {"f:spec": {"f:template": {"f:spec": {"f:dnsPolicy": {}}}}})
    before = primary(ours(), KUBE, edit, gone)
    operations = reclaim(before)
    assert operations is not None
    test, replace = operations
    assert test == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    mine, kube, theirs = replace["value"]
    assert mine["fieldsV1"]["f:spec"]["f:template"]["f:spec"] == {
        "f:containers": {
            'k:{"name":"app"}': {".": {}, "f:name": {}, "f:image": {}},
            'k:{"name":"beside"}': {".": {}, "f:name": {}, "f:image": {}},
        },
        "f:hostNetwork": {},
        "f:dnsPolicy": {},
    }
    assert kube == KUBE
    assert theirs["fieldsV1"] == {"f:spec": {"f:template": RESTART}, "f:metadata": {"f:labels": {"f:a": {}}}}
    assert len(before["metadata"]["managedFields"]) == 4, "what was looked at stays as it was"


def test_without_an_apply_of_ours_nothing_is_claimed() -> None:
    assert reclaim(primary(entry("flagger", {"f:spec": {"f:template": {"f:spec": SIDECAR}}}))) is None


def test_the_newest_of_the_others_is_named() -> None:
    old = entry("kubectl", {"f:spec": {"f:replicas": {}}}, time="2026-01-01T00:00:00Z")
    new = entry("argocd-controller", {"f:metadata": {"f:labels": {}}}, time="2026-01-02T00:00:00Z")
    assert newest_other(primary(ours(), old, new, KUBE)) == "argocd-controller"
    assert newest_other(primary(ours(), old, new), "f:spec", "f:replicas") == "kubectl"
    assert newest_other(primary(ours(), KUBE)) == newest_other({"metadata": {}}) == SOMEBODY


def test_who_set_a_field_is_told_before_who_wrote_last() -> None:
    selector = entry("argocd-controller", {"f:spec": {"f:selector": {"f:app": {}}}}, time="2026-01-01T00:00:00Z")
    label = entry("kubectl-label", {"f:metadata": {"f:labels": {}}}, time="2026-01-02T00:00:00Z")
    assert owner_of(primary(ours(), selector, label), "spec.selector") == "argocd-controller"
    assert owner_of(primary(ours(), selector, label), "spec.ports") == "kubectl-label"
