"""Pods that fail, on a real kubelet: every cause ends its release in its time and says why, and no request reaches what cannot answer.

The rows of `e2e/catalogue/core.py` are played beside each other, while the first tests run; a row is asserted when its turn comes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from e2e.catalogue.core import ROWS
from e2e.catalogue.judging import judged, says
from e2e.catalogue.play import BUSY, Plays, rows_of, settings
from e2e.catalogue.row import Row, app, env, key_of
from e2e.catalogue.watched import Watched, canary_weight, is_ready, pods_of
from e2e.core.controllers import Controller
from e2e.core.stage import PORT, Stage
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox

CUT = 3.0
"""Seconds from the kubelet's report to a route without the lost share: 0.15 on a quiet machine (docs/benchmarks.md), 1.2 on a busy one."""
@pytest.fixture(scope="module")
def watched(kube: Kube, controller: Controller) -> Iterator[Watched]:
    with Watched(kube) as opened:
        yield opened


@pytest.fixture(scope="module", autouse=True)
def plays(request: pytest.FixtureRequest, kube: Kube, sandbox: Sandbox, watched: Watched) -> Iterator[Plays]:
    """The rows that are to be tested, under way from now on."""
    opened = Plays(kube, sandbox, watched)
    for row in rows_of(item for item in request.session.items if item.path == request.path):
        opened.start(row)
    yield opened
    opened.close()


def test_a_fault_that_heals_within_its_grace_is_forgiven(stage: Stage) -> None:
    stage.kube.apply(settings(stage))
    stage.initialise(stage.canary(podHealth={"certainGrace": "60s", "settle": "2s"}), stage.deployment(replicas=1), BUSY)
    stage.change(containers=[app(env=[key_of("configMap", "settings", "colour")])])
    status = stage.until_status(lambda status: bool(status.get("podFailures")), BUSY, "the failure to be named")
    assert status["phase"] == "Progressing"
    assert "no key colour" in status["podFailures"][0]["diagnosis"]
    time.sleep(6)  # the default grace would be over
    assert stage.status()["phase"] == "Progressing"
    stage.kube.apply(settings(stage, colour="blue"))
    status = stage.phase("Succeeded", seconds=60)
    assert [entry["outcome"] for entry in status["history"]] == ["Succeeded", "Initialized"]
    assert not status.get("podFailures")


@pytest.mark.fault("Q-1")
def test_a_promotion_that_fails_on_the_primary_gives_it_its_template_back(stage: Stage, watched: Watched) -> None:
    analysis = {"interval": "2s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}
    stage.initialise(stage.canary(analysis=analysis), stage.deployment(replicas=1), BUSY)
    [before] = pods_of(stage, "app-primary")
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 40, BUSY, "weight 40")
    stage.kube.patch("Canary", "app", {"spec": {"progressDeadlineSeconds": 12}}, stage.namespace)
    # no room for the pod that a rolling update of the primary brings up first
    stage.kube.ask("POST", f"/api/v1/namespaces/{stage.namespace}/resourcequotas", {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}},
    })  # fmt: skip
    stage.phase("Promoting", seconds=20)
    status = stage.phase("Failed", seconds=60)
    cause = status["history"][0]["cause"]
    assert cause.startswith("promotion failed: ")
    for words in ("progress deadline of 12s exceeded", "no pod can be made: quota full is used up"):
        assert words in cause, cause
        says(words, "an event", stage.texts)
    assert stage.primary_image().endswith(":1.0.0")
    [after] = pods_of(stage, "app-primary")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    assert stage.replicas() == 0
    assert max(weight for _, weight in watched.weights(stage)) == 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_release_whose_pods_fail_ends_and_says_why(row: Row, plays: Plays) -> None:
    judged(row, plays)


class Lost:
    """Two canary pods at 40 %, told to fail; how fast the route follows is measured between two watches."""

    def __init__(self, stage: Stage, watched: Watched) -> None:
        self.stage, self.watched = stage, watched
        self.pods = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods_of(stage, "app")}
        assert len(self.pods) == 2

    def tell(self, order: str, *pods: str) -> float:
        """POST an order to pods (all, when none is named); answers the moment."""
        at = time.time()
        for name in pods or self.pods:
            httpx.post(f"http://{self.pods[name]}:{PORT}/{order}", timeout=5, trust_env=False)
        return at

    def until_weight(self, weight: int, since: float, seconds: float) -> float:
        """When the route was first seen with this weight after `since`; waits for it."""
        return self.watched.until(
            "HTTPRoute", self.stage, lambda obj: canary_weight(obj, self.stage.name) == weight, f"weight {weight}", seconds, since
        )  # fmt: skip

    def until_unready(self, since: float, *pods: str) -> float:
        """When the last of the pods was first seen as not Ready."""
        return max(
            self.watched.until_pod(self.stage, name, lambda obj: not is_ready(obj), f"{name} not to be Ready", since)
            for name in pods or self.pods
        )  # fmt: skip


def test_the_weight_leaves_lost_pods_at_once_and_the_run_goes_on(stage: Stage, watched: Watched) -> None:
    analysis = {"interval": "30s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}
    stage.initialise(stage.canary(analysis=analysis))
    # slow to get ready again, so that two crashed pods are surely unready together
    began = time.time()
    stage.change(containers=[app(env=env(READY_AFTER="3s"))])
    stage.until_status(lambda status: status.get("canaryWeight") == 40, 40, "weight 40")
    lost = Lost(stage, watched)
    lost.until_weight(40, began, 10)
    one = next(iter(lost.pods))

    at = lost.tell("unready", one)
    unready = lost.until_unready(at, one)
    cut = lost.until_weight(20, at, 10)
    print(f"one of two unready: route at 20 {cut - unready:.2f} s after its report")
    assert cut - unready <= CUT
    status = stage.status()
    assert (status["phase"], status["canaryWeight"], status["failedChecks"]) == ("Progressing", 40, 0)
    at = lost.tell("ready", one)
    lost.until_weight(40, at, 10)

    def all_lost(order: str) -> float:
        at = lost.tell(order)
        unready = lost.until_unready(at)
        cut = lost.until_weight(0, at, 10)
        print(f"{order}: route at 0 {cut - unready:.2f} s after the last pod's report")
        assert cut - unready <= CUT, f"after {order}"
        return cut

    all_lost("unready")
    assert stage.phase("Progressing", seconds=1)["canaryWeight"] == 0
    time.sleep(3)
    assert stage.weights()["app-canary"] == 0
    at = lost.tell("ready")
    lost.until_weight(40, at, 15)  # the first step again, after settle

    cut = all_lost("crash")
    lost.until_weight(40, cut, 20)
    assert stage.status()["phase"] == "Progressing"

    all_lost("unready")
    status = stage.phase("Failed", seconds=10)
    assert "all pods of the canary became unready 3 times" in status["history"][0]["cause"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    until(lambda: stage.replicas() == 0, 10, "the target to be at zero")
