"""Autoscalers on a real cluster: the HPA controller follows a load that the test steers, and each switch finds the pods that it needs."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Kube, Object, until
from e2e.providers.demand import PER_POD, Demand, steered

REF = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "app"}


@pytest.fixture
def demand(kube: Kube) -> Iterator[Demand]:
    with steered(kube) as demand:
        yield demand


def hpa(stage: Stage, least: int = 2, most: int = 8) -> Object:
    target = {"type": "AverageValue", "averageValue": f"{PER_POD}m"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app", "namespace": stage.namespace, "labels": {"team": "a"}},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            # shrinks as soon as it sees no load: what is kept is kept by us
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def size(stage: Stage, name: str) -> int:
    return int(stage.kube.get("Deployment", name, stage.namespace)["spec"]["replicas"])


def ready(stage: Stage, name: str) -> int:
    return int(stage.kube.get("Deployment", name, stage.namespace).get("status", {}).get("readyReplicas", 0))


def twin(stage: Stage) -> Object:
    return stage.kube.get("HorizontalPodAutoscaler", "app-primary", stage.namespace)


def said(stage: Stage) -> Object:
    """The user's HPA without what its controller notes."""
    found = copy.deepcopy(stage.kube.get("HorizontalPodAutoscaler", "app", stage.namespace))
    managers = {entry["manager"] for entry in found["metadata"]["managedFields"]}
    return {"spec": found["spec"], "annotations": found["metadata"].get("annotations"), "ours": "flaggerpy" in managers}


def test_each_switch_finds_the_pods_that_it_needs(stage: Stage, demand: Demand, receiver: Receiver) -> None:
    stage.kube.apply(hpa(stage))
    gate = {"name": "gate", "type": "confirm-promotion", "url": f"{receiver.url}/gate", "timeout": "5s"}
    receiver.answers["/gate"] = 403
    analysis = {"interval": "2s", "threshold": 2, "stepWeight": 100, "maxWeight": 100, "webhooks": [gate]}
    stage.initialise(stage.canary(analysis=analysis, autoscalerRef=REF), stage.deployment(replicas=4), seconds=60)
    before = said(stage)
    assert not before["ours"]
    assert twin(stage)["metadata"]["labels"] == {"team": "a"}
    assert size(stage, "app-primary") == 4
    assert size(stage, "app") == 0
    least: list[int] = []
    with stage.load(rate=40) as load:
        stage.release("1.0.1")
        stage.until_status(lambda status: status.get("canaryWeight") == 100, 60, "all traffic on the canary")
        assert ready(stage, "app") >= 4
        demand.pods = 6

        def grown() -> bool:
            # the primary is idle meanwhile, and its HPA would take pods away
            least.append(size(stage, "app-primary"))
            return ready(stage, "app") == 6

        until(grown, 60, "the canary's HPA to follow the demand", stage.story)
        receiver.answers.pop("/gate")
        stage.until_status(lambda status: status.get("phase") in ("Finalising", "Succeeded"), 60, "the switch back")
        assert ready(stage, "app-primary") == 6
        stage.phase("Succeeded", seconds=60)
    assert min(least) >= 4
    assert load.result["lost"] == 0, load.result
    assert said(stage) == before
    assert size(stage, "app") == 0
    stage.told("Scaling app.", "before 100% of the traffic comes")
    until(lambda: twin(stage)["spec"]["minReplicas"] == 2, 90, "the floor to be taken off", stage.story)
    demand.pods = 3
    until(lambda: size(stage, "app-primary") == 3, 60, "the primary's autoscaler to follow the load", stage.story)


def test_a_rollback_finds_the_primary_as_it_was(stage: Stage, demand: Demand) -> None:
    stage.kube.apply(hpa(stage))
    analysis = {"interval": "20s", "threshold": 1, "stepWeight": 100, "maxWeight": 100}
    stage.initialise(stage.canary(analysis=analysis, autoscalerRef=REF), stage.deployment(replicas=4), seconds=60)
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 100, 60, "all traffic on the canary")
    name, where = "app-primary", stage.namespace
    # long enough for an HPA that looks every 15 s
    until(lambda: twin(stage).get("status", {}).get("desiredReplicas") == 4, 40, "the primary's HPA to want its floor", stage.story)
    stage.kube.patch("Canary", "app", {"metadata": {"annotations": {"flagger.app/abort": "*"}}}, where)
    stage.phase("Failed", seconds=40)
    assert ready(stage, name) >= 4


def test_a_bound_that_is_changed_reaches_the_primary_as_asked(stage: Stage, demand: Demand) -> None:
    stage.kube.apply(hpa(stage))
    stage.initialise(stage.canary(autoscalerRef={**REF, "sync": "always"}), stage.deployment(replicas=4), seconds=60)
    stage.kube.apply(hpa(stage, most=9))
    until(lambda: twin(stage)["spec"]["maxReplicas"] == 9, 20, "the new bound", stage.story)


def test_what_the_page_on_autoscaling_shows_is_taken(kube: Kube, namespace: str) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "autoscaling.md").read_text()
    for shown in yaml.safe_load_all("---\n".join(re.findall(r"```yaml\n(.*?)```", page, re.DOTALL))):
        [made] = kube.apply(shown, namespace=namespace)
        assert made["spec"].get("autoscalerRef") == shown["spec"].get("autoscalerRef")
