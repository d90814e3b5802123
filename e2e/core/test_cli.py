"""The `flaggerpy` command on a real cluster: what a pipeline waits for, and what a person on call reads and does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from e2e.core.commands import flaggerpy
from e2e.core.stage import Stage
from e2e.kube import Object
from e2e.sandbox import Sandbox
from flaggerpy.cli.problems import Exit


def run(stage: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    return flaggerpy(stage.sandbox, *words, "-n", stage.namespace)


def started(stage: Stage, *words: str) -> subprocess.Popen[str]:
    """A command that goes on while the test does something else."""
    import os
    import sys

    command: Sequence[str] = [sys.executable, "-m", "flaggerpy.cli.main", *words, "-n", stage.namespace]
    environment = {**os.environ, "KUBECONFIG": str(stage.sandbox.kubeconfig)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_pipeline_waits_for_its_own_release_from_the_very_moment_of_the_change(stage: Stage) -> None:
    stage.initialise(stage.canary())
    assert run(stage, "wait", "app", "--image", ":1.0.0", "--timeout", "5s").returncode == Exit.OK
    # begun before the change: the release before must not be taken for this one
    early = started(stage, "wait", "app", "--image", ":1.0.1", "--timeout", "60s")
    stage.release("1.0.1")
    done = run(stage, "wait", "app", "--image", stage.image("1.0.1"), "--timeout", "60s")
    assert (done.returncode, "was promoted" in done.stdout) == (Exit.OK, True), done.stdout + done.stderr
    said, _ = early.communicate(timeout=30)
    assert early.returncode == Exit.OK, said
    assert stage.primary_image().endswith(":1.0.1")
    history = run(stage, "history", "app").stdout.splitlines()
    assert ["Succeeded" in history[1], "toggle:1.0.1" in history[1], "Initialized" in history[2]] == [True, True, True]


def test_a_pipeline_learns_why_its_release_failed_and_a_person_what_to_do(stage: Stage) -> None:
    stage.initialise(stage.canary())
    stage.release("9.9.9")
    failed = run(stage, "wait", "app", "--image", ":9.9.9", "--timeout", "60s")
    assert failed.returncode == Exit.FAILED, failed.stdout + failed.stderr
    assert "toggle:9.9.9 of container app does not exist" in failed.stdout
    page = run(stage, "describe", "app").stdout
    assert page.startswith(f"app.{stage.namespace}   Failed"), page
    assert "Pods that fail" in page
    assert "Push the image" in page
    assert "(and 1 more)" in page
    # putting the target back is done at once: the primary runs it already
    stage.release("1.0.0")
    back = run(stage, "wait", "app", "--image", ":1.0.0", "--timeout", "20s")
    assert (back.returncode, "already runs" in back.stdout) == (Exit.OK, True), back.stdout + back.stderr


def test_a_release_that_is_overtaken_ends_the_wait_for_it(stage: Stage) -> None:
    stage.initialise(stage.canary(analysis={"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}))
    stage.release("1.0.1")
    waiting = started(stage, "wait", "app", "--image", ":1.0.1", "--timeout", "60s")
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 40, "the first step")
    stage.release("1.0.2")
    said, _ = waiting.communicate(timeout=30)
    assert waiting.returncode == Exit.SUPERSEDED, said
    late = run(stage, "wait", "app", "--image", ":1.0.2", "--timeout", "1s")
    assert (late.returncode, "Timed out after 1 s, waiting: " in late.stdout) == (Exit.TIMED_OUT, True), late.stdout


def test_a_paused_release_holds_its_step_until_it_is_resumed(stage: Stage) -> None:
    # steps that leave a slow machine time to start the command
    stage.initialise(stage.canary(analysis={"interval": "6s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 40, "the first step")
    paused = run(stage, "pause", "app")
    assert paused.returncode == Exit.OK, paused.stdout + paused.stderr
    held = stage.status()["canaryWeight"]
    time.sleep(13)  # nothing may happen in two intervals: there is no event to wait for
    assert stage.status()["canaryWeight"] == held
    page = run(stage, "describe", "app").stdout
    assert "paused     no step is taken" in page
    resumed = run(stage, "resume", "app")
    assert resumed.returncode == Exit.OK, resumed.stdout
    assert run(stage, "watch", "app", "--until-done").returncode == Exit.OK
    refused = run(stage, "abort", "app")
    assert (refused.returncode, "nothing to abort" in refused.stdout + refused.stderr) == (Exit.FAILED, True)


@pytest.mark.parametrize("word", ["get", "describe", "abort"])
def test_who_has_no_rights_is_told_so_in_a_sentence(stage: Stage, tmp_path: Path, sandbox: Sandbox, word: str) -> None:
    config: Object = yaml.safe_load(sandbox.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": stage.kube.token("default", stage.namespace)}
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(config))
    words = (word,) if word == "get" else (word, "app")
    refused = flaggerpy(sandbox, *words, "-n", stage.namespace, "--kubeconfig", str(file))
    assert refused.returncode == Exit.NO_PERMISSION
    assert refused.stderr.startswith("Not allowed: canaries.flagger.app ")
    assert "Traceback" not in refused.stderr
