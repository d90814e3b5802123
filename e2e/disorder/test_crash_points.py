"""A controller that dies at a write of a release, on a real cluster under load: a sample of what is played in full in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.core.controllers import Controller
from e2e.disorder import figures
from e2e.disorder.conftest import NewController
from e2e.disorder.dying import When
from e2e.disorder.playing import Play
from e2e.kube import Kube, until

SAMPLE = (2, 3, 5, 8, 11, 14, 17, 20, 23, 26)


def died(controller: Controller) -> bool:
    return controller.exit_code() == -9


@pytest.mark.slow
@pytest.mark.parametrize("passes", [True, False], ids=["passes", "fails"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_deaths_at_writes_of_releases_lead_to_the_same_ends(
    play: Play, new_controller: NewController, kube: Kube, namespace: str, tmp_path: Path, when: When, passes: bool
) -> None:
    """One release for each write of the sample, its controller dying there; the next begins where it ended."""
    first = new_controller("first").start()
    play.begin()
    first.stop()
    tags, deaths, written = ["1.0.1", "1.0.2"], 0, 0
    for number, write in enumerate(SAMPLE if passes else SAMPLE[:7]):
        notes, tag = tmp_path / f"{write}", tags[number % 2]
        victim = new_controller(f"{when}-{write}", program=("e2e.disorder.dying", str(write), when, str(notes), "--")).start()
        until(lambda: play.stage.status().get("phase") in ("Initialized", "Succeeded", "Failed"), 20, "an idle Canary")
        play.start(tag, passes=passes)
        until(lambda victim=victim, tag=tag: died(victim) or play.over(tag), 90, f"write {write}", play.stage.story)  # type: ignore[misc]
        deaths += died(victim)
        written = max(written, len(notes.read_text().splitlines()))
        victim.end()
        kube.patch("Lease", "flagger-leader-election", {"spec": {"holderIdentity": ""}}, namespace)
        heir = new_controller(f"{when}-{write}-heir").start()
        play.end(tag, "Succeeded" if passes else "Failed", seconds=90)
        heir.stop()
    told = play.judge()
    row = f"{'passing' if passes else 'failing'} releases, death {when}"
    figures.note("crash points on a cluster", row, deaths=deaths, **{"writes of a release": written}, **told)
    assert deaths >= 5
