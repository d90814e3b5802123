"""Others who write what flaggerpy writes, on a real cluster: people who edit a primary, tools that apply their manifests all the time."""

from __future__ import annotations

import threading

import pytest

from e2e.core.stage import PORT, Stage
from e2e.core.test_configs import BLUE_GREEN, rolled_out
from e2e.kube import Object, until

pytestmark = pytest.mark.slow

ARGO = "argocd-controller"


def primary(stage: Stage) -> Object:
    return stage.kube.get("Deployment", f"{stage.name}-primary", stage.namespace)


def test_a_primary_stays_what_was_promoted(stage: Stage) -> None:
    stage.initialise(stage.canary(provider="kubernetes", analysis=BLUE_GREEN), stage.deployment(replicas=1))
    before = primary(stage)["spec"]
    path = stage.kube.path("Deployment", stage.namespace, f"{stage.name}-primary")
    containers = [{"name": "app", "image": stage.image("1.0.1")}, {"name": "beside", "image": stage.image("1.0.1"), "env": []}]
    body = {"spec": {"template": {"spec": {"containers": containers, "enableServiceLinks": False, "hostAliases": [{"ip": "127.0.0.9"}]}}}}
    stage.kube.ask("PATCH", path, body, "application/strategic-merge-patch+json", fieldManager="kubectl-edit")
    until(lambda: primary(stage)["spec"]["template"] == before["template"], 20, "the promoted template", stage.story)
    stage.told("kubectl-edit has changed")
    until(lambda: rolled_out(stage), 60, "the primary's pods", stage.story)

    # a restart is no edit
    restart = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
    stage.kube.ask("PATCH", path, restart, "application/strategic-merge-patch+json", fieldManager="kubectl-rollout")
    until(lambda: rolled_out(stage), 60, "the primary's pods", stage.story)
    assert "kubectl.kubernetes.io/restartedAt" in primary(stage)["spec"]["template"]["metadata"]["annotations"]

    stage.kube.patch("Deployment", f"{stage.name}-primary", {"spec": {"replicas": 0}}, stage.namespace)
    until(lambda: primary(stage)["spec"]["replicas"] == 1, 20, "the primary's size", stage.story)
    # the target holds what failed: no primary is ever made of it
    stage.release("9.9.9")
    stage.phase("Failed", seconds=60)
    stage.kube.delete("Deployment", f"{stage.name}-primary", stage.namespace)
    until(lambda: stage.kube.find("Deployment", f"{stage.name}-primary", stage.namespace), 20, "the primary", stage.story)
    assert stage.primary_image() == stage.image("1.0.0")


def test_manifests_that_are_applied_again_and_again_disturb_no_release(stage: Stage) -> None:
    stage.initialise(stage.canary(), stage.deployment(replicas=1))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": stage.name, "namespace": stage.namespace},
        "spec": {"selector": {"app": stage.name}, "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }
    wanted = stage.deployment("1.0.1", replicas=1)
    over = threading.Event()

    def self_heal() -> None:
        while not over.wait(1.5):
            stage.kube.apply(wanted, service, stage.canary(), manager=ARGO)

    tool = threading.Thread(target=self_heal)
    tool.start()
    try:
        runs: set[str] = set()
        weights: list[int] = [0]

        def done(status: Object) -> bool:
            if status.get("run"):
                runs.add(status["run"]["id"])
            if status.get("phase") == "Progressing" and status.get("canaryWeight", 0) != weights[-1]:
                weights.append(status["canaryWeight"])
            return status.get("phase") == "Succeeded"

        stage.until_status(done, 90, "the promotion")
        assert len(runs) == 1
        assert weights == sorted(weights)
        assert len(stage.status()["history"]) == 2

        def named() -> bool:
            told = stage.condition("Conflict").get("message", "")
            return all(part in told for part in (ARGO, "ignoreDifferences", "spec.selector of Service", "spec.replicas of Deployment"))

        until(named, 60, "the condition Conflict", stage.story)
        assert stage.status()["phase"] == "Succeeded"
        assert stage.condition("Ready")["status"] == "True"
    finally:
        over.set()
        tool.join()

    def put_right() -> bool:
        selector: Object = stage.kube.get("Service", stage.name, stage.namespace)["spec"]["selector"]
        return selector == {"app": f"{stage.name}-primary"}

    until(put_right, 20, "the Service to lead to the primary", stage.story)
