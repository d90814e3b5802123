"""DaemonSets on a real cluster: released, rolled back, scaled to zero and given back, by the real daemon set controller and kubelet."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from e2e.core.controllers import Controller
from e2e.core.daemonsets import KEY, DaemonStage
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox

PAGE = Path(__file__).parents[2] / "docs" / "targets.md"
SECONDS = 25.0
"""From the change of an image that does not exist to Failed: some 8 s on a quiet machine."""


@pytest.fixture
def stage(kube: Kube, sandbox: Sandbox, controller: Controller, namespace: str) -> DaemonStage:
    return DaemonStage(kube, sandbox, namespace)


def documented(stage: DaemonStage) -> list[Object]:
    """The manifest of docs/targets.md, with an image that the sandbox has."""
    text = PAGE.read_text().split("```yaml\n")[1].split("```")[0]
    found: list[Object] = list(yaml.safe_load_all(text))
    for obj in found:
        obj["metadata"]["namespace"] = stage.namespace
    found[0]["spec"]["template"]["spec"]["containers"][0]["image"] = stage.image("1.0.0")
    stage.name = found[0]["metadata"]["name"]
    return found


@pytest.mark.fault("Q-20", "Q-28")
def test_the_daemonset_of_the_manual_is_released_rolled_back_and_given_back(stage: DaemonStage) -> None:
    daemonset, canary = documented(stage)
    stage.kube.apply(daemonset, canary)
    stage.phase("Initialized", seconds=60)
    assert stage.replicas() == 0
    stage.until_without_pods()

    stage.kube.apply(daemonset)  # GitOps, which knows nothing of the key
    assert stage.replicas() == 0

    began = time.time()
    stage.release("0.0.0-missing")
    status = stage.phase("Failed", seconds=SECONDS)
    assert time.time() - began < SECONDS * 2
    assert "0.0.0-missing" in status["history"][0]["cause"]
    assert stage.replicas() == 0
    stage.until_without_pods()

    stage.release("1.0.1")
    stage.phase("Progressing", seconds=10)
    status = stage.phase("Succeeded", seconds=60)
    assert [entry["outcome"] for entry in status["history"]] == ["Succeeded", "Failed", "Initialized"]
    assert stage.primary_image().endswith(":1.0.1")
    primary = stage.kube.get("DaemonSet", f"{stage.name}-primary", stage.namespace)
    assert KEY not in (primary["spec"]["template"]["spec"].get("nodeSelector") or {})
    assert primary["status"]["numberAvailable"] == primary["status"]["desiredNumberScheduled"] > 0
    stage.until_without_pods()

    stage.kube.delete("Canary", stage.name, stage.namespace)
    until(lambda: stage.kube.find("Canary", stage.name, stage.namespace) is None, 40, "the Canary to go", stage.story)
    assert stage.replicas() > 0
    assert any(pod["status"]["phase"] == "Running" for pod in stage.pods())


@pytest.mark.slow
def test_a_good_image_is_promoted_without_a_lost_request(stage: DaemonStage) -> None:
    stage.initialise(stage.canary())
    with stage.load(rate=50) as load:
        stage.release("1.0.1")
        seen: set[int] = set()

        def done(status: Object) -> bool:
            seen.add(status.get("canaryWeight", 0))
            return status.get("phase") == "Succeeded"

        stage.until_status(done, 60, "the promotion")
    assert load.result["lost"] == 0, load.result
    assert {20, 40, 60} <= seen
    assert stage.primary_image().endswith(":1.0.1")
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}


@pytest.mark.slow
def test_a_crash_loop_ends_the_release_with_its_cause(stage: DaemonStage) -> None:
    stage.initialise(stage.canary())
    crasher = {"name": "sidecar", "image": f"{stage.sandbox.registry}/crasher:1.0.0", "command": ["/crasher", "-after", "100ms"]}
    stage.change(containers=[crasher])
    status = stage.phase("Failed", seconds=60)
    assert "sidecar" in status["history"][0]["cause"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    assert stage.replicas() == 0
    stage.until_without_pods()


@pytest.mark.slow
def test_a_quota_is_named_and_ends_the_release_at_its_deadline(stage: DaemonStage) -> None:
    stage.initialise(stage.canary(progressDeadlineSeconds=15))
    stage.until_without_pods()
    stage.kube.ask("POST", f"/api/v1/namespaces/{stage.namespace}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}},
    })  # fmt: skip
    stage.release("1.0.1")
    status = stage.phase("Failed", seconds=60)
    assert "no pod can be made: quota full is used up" in status["history"][0]["cause"]


@pytest.mark.slow
@pytest.mark.fault("Q-20")
def test_a_primary_that_was_deleted_comes_back_with_pods_after_a_failure(stage: DaemonStage) -> None:
    stage.initialise(stage.canary())
    stage.release("0.0.0-missing")
    stage.phase("Failed", seconds=SECONDS)
    stage.kube.delete("DaemonSet", "app-primary", stage.namespace)

    def serves() -> bool:
        primary = stage.kube.get("DaemonSet", "app-primary", stage.namespace)
        return int(primary["status"].get("numberAvailable", 0)) > 0

    until(serves, 40, "the primary to be back with pods", stage.story)
    assert stage.primary_image().endswith(":1.0.0")


@pytest.mark.slow
def test_deletion_without_revert_leaves_the_daemonset_as_it_is(stage: DaemonStage) -> None:
    stage.initialise(stage.canary())
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 20, "the Canary to go")
    until(lambda: stage.kube.find("DaemonSet", "app-primary", stage.namespace) is None, 30, "the primary to be collected")
    assert stage.replicas() == 0
    # as the manual says
    path = f"/spec/template/spec/nodeSelector/{KEY.replace('/', '~1')}"
    stage.kube.patch("DaemonSet", "app", [{"op": "remove", "path": path}], stage.namespace)
    until(lambda: any(pod["status"]["phase"] == "Running" for pod in stage.pods()), 40, "its pods to be back", stage.story)
