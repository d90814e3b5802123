"""Providers linkerd and smi on a real API server with the SMI's CustomResourceDefinitions: releases by a TrafficSplit that was the user's.
No mesh is there: what a TrafficSplit says is all that can be seen."""

from __future__ import annotations

import pytest

from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.kube import Object, until

STEPS: Object = {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 20}
VERSIONS = {"linkerd": "v1alpha1", "smi:v1alpha1": "v1alpha1", "smi:v1alpha2": "v1alpha2", "smi:v1alpha3": "v1alpha3"}


def split_of(stage: Stage, version: str) -> Object:
    return stage.kube.get("TrafficSplit", stage.name, stage.namespace, f"split.smi-spec.io/{version}")


def weights(stage: Stage, version: str) -> dict[str, int]:
    return {backend["service"]: int(backend["weight"]) for backend in split_of(stage, version)["spec"]["backends"]}


@pytest.mark.proves(
    "accepted", "a whole release", "a route of the user taken over", providers=("linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3")
)
@pytest.mark.parametrize("provider", VERSIONS)
def test_a_split_of_the_user_is_taken_over_led_through_a_release_and_given_back(stage: Stage, receiver: Receiver, provider: str) -> None:
    version = VERSIONS[provider]
    theirs: Object = {"service": "app", "backends": [{"service": "app", "weight": 1 if version != "v1alpha1" else "1"}]}
    meta = {"name": "app", "namespace": stage.namespace, "labels": {"by": "user"}}
    service = {"selector": {"app": "app"}, "ports": [{"port": PORT}]}
    stage.kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": stage.namespace}, "spec": service})
    split = {"apiVersion": f"split.smi-spec.io/{version}", "kind": "TrafficSplit", "metadata": meta, "spec": theirs}
    [before] = stage.kube.apply(split, manager="user")
    gate = {"name": "gate", "type": "confirm-promotion", "url": f"{receiver.url}/gate"}
    receiver.answers["/gate"] = 403
    analysis = {**STEPS, "webhooks": [gate]}
    stage.initialise(stage.canary(provider=provider, analysis=analysis, revertOnDeletion=True), seconds=60)
    assert weights(stage, version) == {"app-primary": 100, "app-canary": 0}
    stage.release("1.0.1")
    stage.phase("WaitingPromotion", seconds=60)
    assert weights(stage, version) == {"app-primary": 80, "app-canary": 20}
    del receiver.answers["/gate"]
    stage.phase("Succeeded", seconds=60)
    assert weights(stage, version) == {"app-primary": 100, "app-canary": 0}
    assert stage.primary_image().endswith(":1.0.1")
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.texts)
    after = split_of(stage, version)
    assert after["spec"] == before["spec"]
    assert after["metadata"]["labels"] == {"by": "user"}
    assert "annotations" not in after["metadata"]
    assert stage.replicas() == 2
