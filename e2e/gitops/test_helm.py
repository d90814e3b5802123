"""Helm's own client on the user's chart in mid-run: an upgrade that changes nothing, one with another image, and a rollback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from e2e.core.stage import Stage
from e2e.gitops.watching import Watching
from e2e.kube import Object
from e2e.sandbox.build import program

INTERVAL = "5s"
"""Helm's --force gives up when what it puts was written in the same moment, so that there has to be time between two steps."""


class Chart:
    """The user's chart: its Deployment (with a size, as `helm create` makes it) and its Canary, by the value `tag`."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        (folder / "templates").mkdir(parents=True)
        (folder / "Chart.yaml").write_text(yaml.safe_dump({"apiVersion": "v2", "name": "app", "version": "0.1.0"}))
        (folder / "values.yaml").write_text(yaml.safe_dump({"tag": "1.0.0"}))
        analysis = {"interval": INTERVAL, "threshold": 2, "stepWeight": 20, "maxWeight": 60}
        canary = stage.canary(release="{{ .Values.tag }}", analysis=analysis)
        objects: list[Object] = [stage.deployment("{{ .Values.tag }}", replicas=2), canary]
        (folder / "templates" / "app.yaml").write_text(yaml.safe_dump_all(objects, sort_keys=False))

    def helm(self, *words: str) -> str:
        command = [str(program("helm", "helm")), *words, "-n", self.stage.namespace]
        environment = self.stage.sandbox.env() | {"HELM_CACHE_HOME": f"{self.folder}-cache", "HELM_CONFIG_HOME": f"{self.folder}-config"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def upgrade(self, tag: str, *words: str) -> None:
        self.helm("upgrade", "--install", "app", str(self.folder), "--set", f"tag={tag}", *words)

    def revisions(self) -> int:
        return len(json.loads(self.helm("history", "app", "-o", "json")))


@pytest.fixture
def chart(stage: Stage, tmp_path: Path) -> Chart:
    made = Chart(stage, tmp_path / "app")
    made.upgrade("1.0.0")
    stage.phase("Initialized", seconds=60)
    return made


def step(stage: Stage, weight: int) -> None:
    """Wait until the route has this weight, and nothing is left to do before the next check."""

    def waits(status: Object) -> bool:
        return bool(status.get("phase") == "Progressing" and status["canaryWeight"] >= weight and status["run"].get("analysedAt"))

    stage.until_status(waits, 60, f"weight {weight}")


def test_an_upgrade_in_mid_run_that_changes_nothing_is_no_release(stage: Stage, chart: Chart) -> None:
    with stage.load() as load, Watching(stage) as watching:
        chart.upgrade("1.0.1")
        step(stage, 20)
        chart.upgrade("1.0.1")
        chart.upgrade("1.0.1", "--force")  # puts the whole objects
        stage.phase("Succeeded", seconds=60)
    watching.one_run_without_a_jump()
    under_way = [seen.obj["status"] for seen in watching.canaries.so_far() if seen.obj["status"].get("canaryWeight")]
    told = [str(status.get("progress", {}).get("waitingFor")) for status in under_way]
    assert not [text for text in told if "has not observed" in text], "the Canary was written when Helm was about to put it"
    assert load.result["lost"] == 0, load.result
    assert chart.revisions() >= 3
    assert stage.primary_image() == stage.image("1.0.1")


def test_an_upgrade_with_another_image_and_a_rollback_of_helm_are_releases_of_what_they_bring(stage: Stage, chart: Chart) -> None:
    with stage.load() as load, Watching(stage) as watching:
        chart.upgrade("1.0.1")
        step(stage, 20)
        chart.upgrade("1.0.2")  # the run of 1.0.1 is over, without a step of it being kept
        step(stage, 20)
        chart.helm("rollback", "app", "1")  # back to what is promoted: nothing is left to release
        stage.phase("Initialized", "Succeeded", "Failed", seconds=60)
    assert load.result["lost"] == 0, load.result
    assert len(set(watching.runs)) == 2
    assert watching.weights[-1] == 0
    assert set(watching.templates) == {stage.image("1.0.0")}
    assert stage.primary_image() == stage.image("1.0.0")
