"""Images looked at before the first pod, on a real kubelet: a certain no makes no pod, a doubt and a good image are not in the way."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from e2e.core.commands import flaggerpy
from e2e.core.stage import Stage
from e2e.kube import Object, until
from e2e.registry import Basic, FaultyRegistry, faults
from flaggerpy.cli.problems import Exit

BUSY = 60
SOON = 15.0
"""Seconds from the change to the end on a busy machine; 1 on a quiet one."""


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry(upstream="127.0.0.1:5000") as opened:
        yield opened


def behind_a_password(stage: Stage, registry: FaultyRegistry) -> None:
    """Only who shows the pull secret of the namespace's default service account may read."""
    registry.auth = Basic({"alice": "hunter2"})
    config = json.dumps({"auths": {registry.host: {"username": "alice", "password": "hunter2"}}})
    secret = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull", "namespace": stage.namespace},
        "type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }  # fmt: skip
    stage.kube.apply(secret)
    stage.kube.patch("ServiceAccount", "default", {"imagePullSecrets": [{"name": "pull"}]}, stage.namespace)


def from_registry(stage: Stage, registry: FaultyRegistry) -> Object:
    deployment = stage.deployment(replicas=1)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = registry.image("toggle", "1.0.0")
    return deployment


def quick(stage: Stage, mode: str) -> Object:
    """A Canary that promotes what is ready: here the way to the first pod is what counts."""
    return stage.canary(
        provider="kubernetes", skipAnalysis=True, podHealth={"imageCheck": mode, "settle": "0s", "certainGrace": "1s"}, analysis=None
    )


def sets(stage: Stage, tag: str) -> list[Object]:
    """The target's ReplicaSets with this tag."""
    found = stage.kube.items("ReplicaSet", stage.namespace, "app=app")
    return [each for each in found if each["spec"]["template"]["spec"]["containers"][0]["image"].endswith(f":{tag}")]


def pods_ever(stage: Stage, tag: str) -> int:
    """How many pods with this tag were ever made, by the events of their ReplicaSets."""
    names = {each["metadata"]["name"] for each in sets(stage, tag)}
    events = stage.kube.items("Event", stage.namespace)
    return sum(event["reason"] == "SuccessfulCreate" and event["involvedObject"]["name"] in names for event in events)


def failed_after(status: Object) -> float:
    """Seconds from the beginning of the last run to its end."""
    last = status["history"][0]
    return (datetime.fromisoformat(last["ended"]) - datetime.fromisoformat(last["started"])).total_seconds()


def test_a_certain_no_ends_the_release_with_no_pod_ever_made_and_by_default_the_kubelet_decides(stage: Stage) -> None:
    stage.initialise(quick(stage, "Fail"), stage.deployment(replicas=1), BUSY)
    image = stage.image("7.7.7")
    stage.release("7.7.7")
    status = stage.phase("Failed", seconds=SOON)
    cause = f"image {image} of container app does not exist (it answers 404 (MANIFEST_UNKNOWN))"
    assert cause in status["history"][0]["cause"]
    assert cause in stage.condition("Stalled")["message"]
    stage.told(f"Rolling back app.{stage.namespace} {cause}")
    assert failed_after(status) <= SOON
    assert [each["spec"]["replicas"] for each in sets(stage, "7.7.7")] == [0]
    assert pods_ever(stage, "7.7.7") == 0
    # a pipeline would have been told the same
    said = flaggerpy(stage.sandbox, "check-image", stage.image("1.0.1"), image, "--cluster", "-o", "json")
    assert said.returncode == Exit.FAILED, said.stderr
    assert [each["answer"] for each in json.loads(said.stdout)["images"]] == ["exists", "missing"]

    stage.kube.patch("Canary", "app", {"spec": {"podHealth": {"imageCheck": "Warn"}}}, stage.namespace)
    stage.release("7.7.8")
    stage.until_status(lambda status: status["history"][0]["revision"] != last(status), BUSY, "the end of the second release")
    stage.told(f"Image check of app.{stage.namespace}: image {stage.image('7.7.8')} of container app does not exist")
    assert "it answers" not in stage.status()["history"][0]["cause"]
    assert pods_ever(stage, "7.7.8") == 1


def last(status: Object) -> str:
    """The revision of the first release that failed."""
    return str(status["history"][-2]["revision"])


def test_a_good_image_passes_at_once_and_a_registry_that_hangs_holds_nothing_up_for_long(stage: Stage, registry: FaultyRegistry) -> None:
    stage.initialise(quick(stage, "Fail"), from_registry(stage, registry), BUSY)

    stage.kube.set_image("app", "app", registry.image("toggle", "1.0.1"), stage.namespace)
    stage.phase("Succeeded", seconds=BUSY)
    assert not [text for text in stage.texts() if "Image check" in text]

    hang = faults.hanging(path=faults.MANIFESTS)
    registry.inject(hang)
    began = time.monotonic()
    stage.kube.set_image("app", "app", registry.image("toggle", "1.0.2"), stage.namespace)
    until(lambda: stage.replicas() > 0, 30, "the canary to be scaled up without an answer", stage.story)
    assert time.monotonic() - began >= 4.5
    stage.told("cannot tell: the registry", "does not answer in time (no whole answer within 5 s)")
    registry.heal(hang)
    stage.until_status(lambda status: status["phase"] == "Succeeded" and len(status["history"]) == 3, BUSY, "the release to succeed")
    assert stage.primary_image().endswith(":1.0.2")


def test_the_pull_secret_of_the_service_account_opens_the_registry_as_it_does_for_the_kubelet(
    stage: Stage, registry: FaultyRegistry
) -> None:
    behind_a_password(stage, registry)
    stage.initialise(quick(stage, "Fail"), from_registry(stage, registry), BUSY)
    stage.kube.set_image("app", "app", registry.image("toggle", "7.7.9"), stage.namespace)
    status = stage.phase("Failed", seconds=SOON)
    # without the secret it would be 401, and a doubt
    assert "does not exist (it answers 404" in status["history"][0]["cause"]
    assert pods_ever(stage, "7.7.9") == 0
    stage.kube.set_image("app", "app", registry.image("toggle", "1.0.1"), stage.namespace)
    stage.phase("Succeeded", seconds=BUSY)
    assert not [text for text in stage.texts() if "cannot tell" in text]
