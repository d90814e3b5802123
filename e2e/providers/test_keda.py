"""ScaledObjects, with KEDA's own operator and the HPAs that it makes: the pause, the primary's twin, its floor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.core.stage import Stage
from e2e.kube import Kube, Object, until
from e2e.providers.demand import PER_POD, Demand, steered
from e2e.sandbox import Sandbox
from flaggerpy.targets.scalers import PAUSED_REPLICAS

REF = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "app"}


@pytest.fixture
def demand(kube: Kube, sandbox: Sandbox) -> Iterator[Demand]:
    if "keda" not in sandbox.asked_for():
        pytest.skip("needs KEDA: boot the sandbox --with keda")
    with steered(kube) as demand:
        yield demand


class Scaled:
    """The ScaledObjects of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._kube, self._where = stage.kube, stage.namespace
        self._path = f"/apis/keda.sh/v1alpha1/namespaces/{self._where}/scaledobjects"

    def apply(self, **spec: Any) -> Object:
        trigger = {"type": "cpu", "metricType": "AverageValue", "metadata": {"value": f"{PER_POD}m"}}
        whole = {
            "scaleTargetRef": {"name": "app"},
            "minReplicaCount": 2,
            "maxReplicaCount": 8,
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}},
            "triggers": [trigger],
            **spec,
        }
        meta = {"name": "app", "namespace": self._where, "labels": {"team": "a"}}
        wanted = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": meta, "spec": whole}
        path = f"{self._path}/app"
        made: Object = self._kube.ask("PATCH", path, wanted, "application/apply-patch+yaml", fieldManager="e2e", force="true")
        return made

    def get(self, name: str) -> Object:
        found: Object = self._kube.ask("GET", f"{self._path}/{name}")
        return found

    def pause(self, name: str) -> str | None:
        value: str | None = (self.get(name)["metadata"].get("annotations") or {}).get(PAUSED_REPLICAS)
        return value

    def is_paused(self, name: str) -> bool:
        """Whether KEDA says so."""
        conditions = (self.get(name).get("status") or {}).get("conditions") or ()
        return any((condition["type"], condition["status"]) == ("Paused", "True") for condition in conditions)

    def hpa(self, name: str) -> Object | None:
        """What KEDA made of it."""
        return self._kube.find("HorizontalPodAutoscaler", f"keda-hpa-{name}", self._where)

    def least(self, name: str) -> int:
        found = self.hpa(name)
        return found["spec"]["minReplicas"] if found else 0


def size(stage: Stage, name: str) -> int:
    return int(stage.kube.get("Deployment", name, stage.namespace)["spec"]["replicas"])


def test_a_release_under_keda_finds_its_pods_and_the_pause_stands_between_releases(stage: Stage, demand: Demand) -> None:
    scaled = Scaled(stage)
    scaled.apply()
    analysis = {"interval": "5s", "threshold": 2, "stepWeight": 100, "maxWeight": 100}
    stage.initialise(stage.canary(analysis=analysis, autoscalerRef=REF), stage.deployment(replicas=4), seconds=90)
    until(lambda: scaled.is_paused("app") and scaled.hpa("app") is None, 30, "KEDA to hold the target at zero", stage.story)
    assert size(stage, "app") == 0
    until(lambda: scaled.least("app-primary") == 4, 30, "the HPA of the primary with its floor", stage.story)
    spec = scaled.get("app")["spec"]
    with stage.load(rate=40) as load:
        stage.release("1.0.1")
        stage.until_status(lambda status: status.get("canaryWeight") == 100, 90, "all traffic on the canary")
        assert scaled.pause("app") is None
        assert size(stage, "app-primary") >= 4
        stage.phase("Succeeded", seconds=90)
    assert load.result["lost"] == 0, load.result
    until(lambda: scaled.is_paused("app") and scaled.hpa("app") is None, 30, "the pause after the release", stage.story)
    assert size(stage, "app") == 0
    assert scaled.pause("app-primary") is None
    assert scaled.get("app")["spec"] == spec
    until(lambda: scaled.least("app-primary") == 2, 90, "the floor to be taken off", stage.story)
    demand.pods = 3
    until(lambda: size(stage, "app-primary") == 3, 60, "KEDA to size the primary by its load", stage.story)


def test_a_pause_that_somebody_puts_or_takes_off_is_put_right(stage: Stage, demand: Demand) -> None:
    scaled = Scaled(stage)
    scaled.apply()
    stage.initialise(stage.canary(autoscalerRef=REF), stage.deployment(replicas=2), seconds=90)
    until(lambda: scaled.is_paused("app"), 30, "the pause", stage.story)
    annotate(stage, "app", None)
    annotate(stage, "app-primary", "0")
    until(lambda: scaled.pause("app") == "0" and scaled.pause("app-primary") is None, 20, "both to be put right", stage.story)
    until(lambda: size(stage, "app") == 0 and size(stage, "app-primary") >= 2, 60, "KEDA to follow", stage.story)


def test_queries_of_triggers_ask_for_the_primary(stage: Stage, demand: Demand, sandbox: Sandbox) -> None:
    scaled = Scaled(stage)
    query = {"query": 'sum(rate(x{app="app"}[1m]))', "threshold": "5", "serverAddress": sandbox.prometheus_url}
    scaled.apply(triggers=[{"type": "prometheus", "metadata": query}], initialCooldownPeriod=9)
    stage.initialise(stage.canary(autoscalerRef=REF), stage.deployment(replicas=2), seconds=90)
    twin = scaled.get("app-primary")["spec"]
    assert twin["triggers"][0]["metadata"]["query"] == 'sum(rate(x{app="app-primary"}[1m]))'
    assert (twin["initialCooldownPeriod"], twin["scaleTargetRef"]["name"]) == (9, "app-primary")


def test_a_deletion_lets_keda_have_its_target_again(stage: Stage, demand: Demand) -> None:
    scaled = Scaled(stage)
    scaled.apply()
    stage.initialise(stage.canary(autoscalerRef=REF, revertOnDeletion=True), stage.deployment(replicas=3), seconds=90)
    until(lambda: scaled.is_paused("app"), 30, "the pause", stage.story)
    with stage.load(rate=40) as load:
        stage.kube.delete("Canary", "app", stage.namespace)
        until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.story)
    assert load.result["lost"] == 0, load.result
    assert scaled.pause("app") is None
    until(lambda: scaled.hpa("app") is not None and not scaled.is_paused("app"), 30, "KEDA to scale the target", stage.story)
    assert size(stage, "app") >= 2


def annotate(stage: Stage, name: str, value: str | None) -> None:
    path = f"/apis/keda.sh/v1alpha1/namespaces/{stage.namespace}/scaledobjects/{name}"
    stage.kube.ask("PATCH", path, {"metadata": {"annotations": {PAUSED_REPLICAS: value}}}, "application/merge-patch+json")
