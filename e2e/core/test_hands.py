"""Releases in the hands of a person, on a real cluster: skip, promote, go back, and a promotion that fails on the primary."""

from __future__ import annotations

import json
import subprocess
import time
from typing import Any

import pytest

from e2e.core.commands import flaggerpy
from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Object, until
from flaggerpy.cli.problems import Exit

MEASURED: Object = {"name": "forty-two", "query": "vector(42)", "thresholdRange": {"min": 40}, "interval": "10s"}


def run(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    return flaggerpy(stage.sandbox, *words, "-n", stage.namespace)


def done(stage: Stage, *words: str) -> str:
    """What a command printed that must succeed."""
    said = run(stage, *words)
    assert said.returncode == Exit.OK, said.stdout + said.stderr + stage.story()
    return said.stdout


def history(stage: Stage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(stage, "history", "app", "-o", "json"))
    return found


def test_a_person_takes_a_step_early_and_promotes_past_a_closed_gate(stage: Stage, receiver: Receiver) -> None:
    receiver.answers["/ask-ops"] = 403
    gate = {"name": "ask-ops", "type": "confirm-promotion", "url": f"{receiver.url}/ask-ops"}
    analysis = {"interval": "120s", "threshold": 2, "stepWeight": 30, "maxWeight": 60, "metrics": [MEASURED], "webhooks": [gate]}
    stage.initialise(stage.canary(analysis=analysis))
    stage.release("1.0.1")
    stage.until_status(lambda status: status["canaryWeight"] == 30 and "analysedAt" in status["run"], 40, "the first step")
    began = time.monotonic()  # by itself the step would take two minutes
    assert "Skipped: app is Progressing" in done(stage, "skip", "app")
    stage.until_status(lambda status: status["canaryWeight"] == 60, 20, "the second step")
    assert time.monotonic() - began < 60
    assert "forty-two  >= 40  over 10s  last 42 at 30%" in done(stage, "describe", "app")
    done(stage, "skip", "app")  # the wait at 60; then comes the gate, which is passed as well
    stage.phase("Promoting", "Finalising", "Succeeded", seconds=20)
    late = run(stage, "skip", "app")
    assert late.returncode == Exit.FAILED, late.stdout
    stage.phase("Succeeded", seconds=30)
    assert stage.primary_image().endswith(":1.0.1")
    stage.told("Skipped by a person (flaggerpy-cli as ")
    newest = history(stage)[0]
    assert newest["measured"] == {"steps": ["30%", "60%"], "metrics": [{"name": "forty-two", "values": [42, 42]}]}
    assert [(order["command"], order["detail"]) for order in newest["orders"]] == [("skip", "at step 30"), ("skip", "at step 60")]
    assert all(order["by"].startswith("flaggerpy-cli as ") for order in newest["orders"])


def test_an_earlier_template_is_released_again_without_a_lost_request(stage: Stage) -> None:
    stage.initialise(stage.canary())
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=60)
    refused = run(stage, "rollback-to", "app", "nosuchrev1")
    assert (refused.returncode, "is not kept any more" in refused.stderr) == (Exit.FAILED, True), refused.stdout + refused.stderr
    with stage.load(rate=50) as load:
        assert "Rolling back to revision" in done(stage, "rollback-to", "app", "2")
        said = run(stage, "wait", "app", "--image", ":1.0.0", "--timeout", "60s")
        assert (said.returncode, "was promoted" in said.stdout) == (Exit.OK, True), said.stdout + stage.story()
    assert load.result["lost"] == 0, load.result
    assert stage.primary_image().endswith(":1.0.0")
    target = stage.kube.get("Deployment", "app", stage.namespace)
    assert target["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":1.0.0")
    newest = history(stage)[0]
    assert [order["command"] for order in newest["orders"]] == ["rollback-to"]
    stage.told("Rolling app.", "asked by a person (flaggerpy-cli as ")
    # what kubectl writes is a command too, with a name of its own; nothing is to be done twice
    path = stage.kube.path("Canary", stage.namespace, "app")
    body = {"metadata": {"annotations": {"flagger.app/rollback-to": newest["revision"]}}}
    stage.kube.ask("PATCH", path, body, "application/merge-patch+json", fieldManager="kubectl-annotate")
    stage.told("the target has this revision")
    until(lambda: "flagger.app/rollback-to" not in stage.get()["metadata"].get("annotations", {}), 10, "the annotation to be taken off")


@pytest.mark.slow
def test_a_promotion_that_fails_on_the_primary_is_taken_back_and_traps_nobody(stage: Stage) -> None:
    """Q-1: a template that runs as canary and cannot start as primary, for only the primary's pods have that annotation."""
    stage.initialise(stage.canary())
    field = {"fieldRef": {"fieldPath": "metadata.annotations['flagger.app/revision']"}}
    weights: list[tuple[int, int]] = []
    with stage.load(rate=50) as load:
        stage.change(
            containers=[
                {
                    "name": "app", "image": stage.image("1.0.1"), "command": ["/toggle$(PROMOTED)"],
                    "env": [{"name": "PROMOTED", "valueFrom": field}],
                }
            ]
        )  # fmt: skip

        def ended(status: Object) -> bool:
            weights.append((status.get("canaryWeight", 0), stage.replicas()))
            return status.get("phase") == "Failed"

        stage.until_status(lambda status: status.get("phase") == "Promoting", 60, "the promotion")
        stage.until_status(ended, 60, "the promotion to be taken back")
        until(lambda: stage.replicas() == 0, 10, "the canary to be scaled down")
        # never a weight on pods that are not wanted any more
        assert not [pair for pair in weights if pair[0] and not pair[1]], weights
        assert stage.weights() == {"app-primary": 100, "app-canary": 0}
        assert stage.primary_image().endswith(":1.0.0")
        cause = stage.status()["history"][0]["cause"]
        assert cause.startswith("promotion failed: "), cause
        stage.told("Promotion of app.", "failed, primary not ready")
        # the next release finds a sound primary
        stage.change(containers=[{"name": "app", "image": stage.image("1.0.2"), "command": None}])
        stage.phase("Succeeded", seconds=60)
        assert stage.primary_image().endswith(":1.0.2")
    assert load.result["sent"] > 500
    assert load.result["lost"] == 0, load.result
