"""What a person can do: something in every phase in which there is something."""

from __future__ import annotations

import pytest

from flaggerpy.cli.advice import advice
from flaggerpy.cli.views import canary_view
from tests.cli.objects import NOW, Obj, canary, run


def told(obj: Obj) -> str:
    return "\n".join(advice(canary_view(obj, NOW)))


@pytest.mark.parametrize(
    ("obj", "command"),
    [
        (canary(""), "Is flaggerpy running"),
        (canary("Failed"), "flaggerpy retry podinfo -n test"),
        (canary("Progressing", canaryWeight=20, run=run("r2", "a:2")), "flaggerpy skip podinfo -n test"),
        (canary("Progressing", run=run("r2", "a:2")), "flaggerpy abort podinfo -n test"),
        (canary("Progressing", run=run("r2", "a:2", paused=True)), "flaggerpy resume podinfo -n test"),
        (canary("Waiting", run=run("r2", "a:2")), "flaggerpy skip podinfo -n test: pass the gate"),
        (canary("WaitingPromotion", run=run("r2", "a:2")), "flaggerpy abort podinfo -n test"),
        (canary("Succeeded", promotedRevisions=["r2", "r1"], lastAppliedSpec="r2"), "flaggerpy rollback-to podinfo -n test r1"),
        (canary("Progressing", spec={"suspend": True}, run=run("r2", "a:2")), "kubectl patch canary podinfo -n test"),
        (canary("Progressing", spec={"analysis": {"interval": 3}}), "kubectl edit canary podinfo -n test"),
    ],
)
def test_each_phase_has_its_commands(obj: Obj, command: str) -> None:
    assert command in told(obj)


def test_before_the_first_step_there_is_none_to_skip() -> None:
    assert "skip" not in told(canary("Progressing", run=run("r2", "a:2")))


@pytest.mark.parametrize(
    "obj", [canary("Promoting"), canary("Finalising"), canary("Progressing", run=run("r2", "a:2", verdict="it crashed", paused=True))]
)
def test_where_nothing_can_be_done_nothing_is_said(obj: Obj) -> None:
    assert told(obj) == ""


def test_what_the_controller_advises_comes_first_and_is_not_said_twice() -> None:
    progress = {"waitingFor": "gate", "advice": "open it, or flaggerpy skip podinfo -n test"}
    assert advice(canary_view(canary("WaitingPromotion", run=run("r2", "a:2"), progress=progress), NOW)) == (
        "open it, or flaggerpy skip podinfo -n test", "flaggerpy abort podinfo -n test: end the release",
    )  # fmt: skip
