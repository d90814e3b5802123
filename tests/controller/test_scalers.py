"""Autoscalers through releases, on an API server in memory: the primary's twin, KEDA's pause, and the user's objects left alone."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flaggerpy.api.names import SCALER_FLOOR
from flaggerpy.cluster import kinds
from flaggerpy.controller.packing import packed
from flaggerpy.controller.slimming import only_if_different, slim_scaler
from flaggerpy.rollout import handover
from flaggerpy.targets.scalers import PAUSED_REPLICAS
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, controller, new_image, phase, status

Obj = dict[str, Any]
pytestmark = pytest.mark.usefixtures("short_drains", "living")
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment"}
HPA_REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"}
KEDA_REF = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "podinfo"}


def hpa(**spec: Any) -> Obj:
    body = {"scaleTargetRef": {**SCALED, "name": "podinfo"}, "minReplicas": 2, "maxReplicas": 6, **spec}
    meta = {"name": "podinfo", "namespace": SHOP, "labels": {"team": "a"}, "annotations": {"note": "x"}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": meta, "spec": body}


def scaled_object(**annotations: str) -> Obj:
    trigger = {"type": "prometheus", "metadata": {"query": 'sum(rate(x{app="podinfo"}[1m]))'}}
    beyond = {"scalingModifiers": {"formula": "a"}}
    spec = {"scaleTargetRef": {"name": "podinfo"}, "minReplicaCount": 2, "triggers": [trigger], "advanced": beyond}
    meta: Obj = {"name": "podinfo", "namespace": SHOP}
    if annotations:
        meta["annotations"] = annotations
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": meta, "spec": spec}


def twin(server: FakeApiServer, kind: kinds.Kind = kinds.HORIZONTAL_POD_AUTOSCALER) -> Obj:
    found = server.get(kind, SHOP, "podinfo-primary")
    assert found is not None
    return found


def floor(server: FakeApiServer) -> str | None:
    text: str | None = twin(server)["metadata"]["annotations"].get(SCALER_FLOOR)
    return text


@pytest.mark.fault("Q-31", "Q-33")
async def test_the_primary_has_a_twin_of_the_hpa_which_stays_as_the_user_wrote_it(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "SETTLED", 0.5)
    server.add(deployment())
    server.add(hpa())
    before = server.get(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo")
    async with controller(server):
        server.add(canary(autoscalerRef=HPA_REF))
        await phase(server, "Initialized")
        await eventually(lambda: floor(server) is None)
        made = twin(server)
        assert made["spec"] == {**hpa()["spec"], "scaleTargetRef": {**SCALED, "name": "podinfo-primary"}}
        assert made["metadata"]["labels"] == {"team": "a"}
        assert made["metadata"]["annotations"]["note"] == "x"
        assert server.get(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo") == before
        server.patch(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo", {"spec": {"maxReplicas": 9}})
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
        await eventually(lambda: floor(server) is not None)
        assert twin(server)["spec"]["maxReplicas"] == 6
        await phase(server, "Succeeded")
        assert twin(server)["spec"]["maxReplicas"] == 9
        await eventually(lambda: floor(server) is None)
        assert twin(server)["spec"]["minReplicas"] == 2
        written = len([request for request in server.requests if request.method == "PATCH" and "podinfo-primary" in request.path])
        server.patch(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo-primary", {"status": {"currentReplicas": 2}})
        server.remove(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo-primary")
        await eventually(lambda: server.get(kinds.HORIZONTAL_POD_AUTOSCALER, SHOP, "podinfo-primary") is not None)
        again = len([request for request in server.requests if request.method == "PATCH" and "podinfo-primary" in request.path])
        assert again == written + 1


@pytest.mark.fault("Q-31", "Q-32")
async def test_keda_is_paused_by_an_annotation_that_the_primary_never_gets(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(scaled_object(**{"kubectl.kubernetes.io/last-applied-configuration": "{}"}))

    def pause() -> str | None:
        found = server.get(kinds.SCALED_OBJECT, SHOP, "podinfo")
        assert found is not None
        value: str | None = found["metadata"]["annotations"].get(PAUSED_REPLICAS)
        return value

    async with controller(server):
        server.add(canary(autoscalerRef=KEDA_REF))
        await phase(server, "Initialized")
        await eventually(lambda: pause() == "0")
        made = twin(server, kinds.SCALED_OBJECT)
        assert PAUSED_REPLICAS not in made["metadata"]["annotations"]
        assert made["spec"]["triggers"][0]["metadata"]["query"] == 'sum(rate(x{app="podinfo-primary"}[1m]))'
        server.patch(
            kinds.SCALED_OBJECT, SHOP, "podinfo-primary", {"metadata": {"annotations": {PAUSED_REPLICAS: "0"}}}
        )  # fmt: skip
        await eventually(lambda: PAUSED_REPLICAS not in twin(server, kinds.SCALED_OBJECT)["metadata"]["annotations"])
        new_image(server, "podinfo:2")
        await eventually(lambda: pause() is None)
        await phase(server, "Succeeded")
        await eventually(lambda: pause() == "0")
        found = server.get(kinds.SCALED_OBJECT, SHOP, "podinfo")
        assert found is not None
        assert found["spec"] == scaled_object()["spec"]
        assert found["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] == "{}"


async def test_an_autoscaler_that_comes_late_is_waited_for(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(canary(autoscalerRef=HPA_REF))
    async with controller(server):
        await eventually(lambda: "HorizontalPodAutoscaler podinfo is not there" in str(status(server).get("conditions")), 45)
        assert server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary") is None
        server.add(hpa())
        await phase(server, "Initialized")


async def test_a_kind_that_the_cluster_does_not_serve_is_named(server: FakeApiServer) -> None:
    server.served.discard(kinds.SCALED_OBJECT)
    server.add(deployment())
    server.add(canary(autoscalerRef=KEDA_REF))
    async with controller(server):
        await eventually(lambda: "does not serve ScaledObject of keda.sh/v1alpha1" in str(status(server).get("conditions")), 45)


async def test_a_size_that_is_given_to_an_idle_target_is_the_primary_s(server: FakeApiServer) -> None:
    server.add(deployment())
    async with controller(server):
        server.add(canary())
        await phase(server, "Initialized")
        server.patch(kinds.DEPLOYMENT, SHOP, "podinfo", {"spec": {"replicas": 3}})

        def sized() -> bool:
            target, primary = (server.get(kinds.DEPLOYMENT, SHOP, name) for name in ("podinfo", "podinfo-primary"))
            assert target is not None
            assert primary is not None
            return (target["spec"]["replicas"], primary["spec"]["replicas"]) == (0, 3)

        await eventually(sized)


def test_what_an_autoscaler_measures_wakes_nobody() -> None:
    woken: list[str] = []
    told = only_if_different(lambda at, new, old: woken.append(at.name))
    before = hpa()
    later = copy.deepcopy(before)
    before["status"], later["status"] = {"currentReplicas": 2}, {"currentReplicas": 3}
    before["metadata"]["resourceVersion"], later["metadata"]["resourceVersion"] = "1", "2"
    where = type("Where", (), {"namespace": SHOP, "name": "podinfo"})()
    kept = packed(slim_scaler)
    told(where, kept(copy.deepcopy(later)), kept(copy.deepcopy(before)))
    assert woken == []
    later["spec"]["maxReplicas"] = 9
    told(where, kept(copy.deepcopy(later)), kept(copy.deepcopy(before)))
    told(where, None, kept(copy.deepcopy(later)))
    assert woken == ["podinfo", "podinfo"]


async def test_keda_has_its_target_again_when_the_canary_goes(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(scaled_object())
    before = scaled_object()
    async with controller(server):
        server.add(canary(autoscalerRef=KEDA_REF, revertOnDeletion=True))
        await phase(server, "Initialized")
        await eventually(lambda: PAUSED_REPLICAS in str(server.get(kinds.SCALED_OBJECT, SHOP, "podinfo")))
        delete_canary(server)
        await eventually(lambda: server.get(kinds.CANARY, SHOP, "podinfo") is None, 45)
    found = server.get(kinds.SCALED_OBJECT, SHOP, "podinfo")
    assert found is not None
    assert not found["metadata"].get("annotations")
    assert found["spec"] == before["spec"]
    assert server.get(kinds.SCALED_OBJECT, SHOP, "podinfo-primary") is None


async def test_a_primary_that_is_left_behind_keeps_its_autoscaler(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(hpa())
    async with controller(server):
        server.add(canary(autoscalerRef=HPA_REF, revertOnDeletion=True))
        await phase(server, "Initialized")
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        delete_canary(server)
        await eventually(lambda: server.get(kinds.CANARY, SHOP, "podinfo") is None, 45)
        primary = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary")
        assert primary is not None
        for left in (primary, twin(server)):
            assert not left["metadata"].get("ownerReferences")
        new_image(server, "podinfo:3")
        server.add(canary(autoscalerRef=HPA_REF, revertOnDeletion=True))
        await phase(server, "Initialized")
        assert twin(server)["metadata"]["ownerReferences"][0]["name"] == "podinfo"


def delete_canary(server: FakeApiServer) -> None:
    """As kubectl does."""
    server._delete(kinds.CANARY, server.objects[(kinds.CANARY.group, kinds.CANARY.plural)][(SHOP, "podinfo")], {})
