"""Commands of a person: what is written, what is refused, how the answer reads."""

from __future__ import annotations

import pytest

from flaggerpy.cli.commands import Order, acknowledged, order, outcome
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.views import CanaryView, canary_view
from tests.cli.objects import NOW, Obj, at, canary, ended, run

IMAGE = "podinfo:2"


def view(obj: Obj, events: tuple[Obj, ...] = ()) -> CanaryView:
    return canary_view(obj, NOW, events=events)


RUNNING = canary("Progressing", run=run("r2", IMAGE), canaryWeight=40)
FAILED = canary(
    "Failed", lastAppliedSpec="r2", appliedImages=[IMAGE], history=[ended("r2", IMAGE, "Failed", started=-9, end=-1, cause="crashed")]
)


@pytest.mark.parametrize("verb", ["abort", "promote", "pause"])
def test_a_command_is_meant_for_the_revision_under_way(verb: str) -> None:
    assert order(verb, view(RUNNING)) == Order(verb, f"flagger.app/{verb}", "r2")


def test_retry_is_meant_for_the_revision_that_failed() -> None:
    assert order("retry", view(FAILED)) == Order("retry", "flagger.app/retry", "r2")


def test_pause_between_releases_is_meant_for_any() -> None:
    assert order("pause", view(canary("Succeeded", lastAppliedSpec="r1"))).value == "*"


def test_resume_takes_the_pause_off() -> None:
    assert order("resume", view(canary(annotations={"flagger.app/pause": "r2"}))) == Order("resume", "flagger.app/pause", None)


@pytest.mark.parametrize(
    ("verb", "obj", "words"),
    [
        ("abort", FAILED, "nothing to abort: podinfo is Failed"),
        ("promote", canary("Succeeded"), "nothing to promote"),
        ("retry", RUNNING, "nothing to retry: podinfo is Progressing, not Failed"),
        ("resume", RUNNING, "podinfo is not paused"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(verb: str, obj: Obj, words: str) -> None:
    with pytest.raises(Problem, match=words) as raised:
        order(verb, view(obj))
    assert raised.value.code == Exit.FAILED


def test_the_annotation_taken_off_is_the_acknowledgement() -> None:
    given = Order("abort", "flagger.app/abort", "r2")
    assert not acknowledged(given, view(canary(annotations={"flagger.app/abort": "r2"}, run=run("r2", IMAGE))))
    assert acknowledged(given, view(RUNNING))


def test_a_pause_is_acknowledged_when_the_controller_says_that_it_holds() -> None:
    given = Order("pause", "flagger.app/pause", "r2")
    pause = {"flagger.app/pause": "r2"}
    assert not acknowledged(given, view(canary(annotations=pause, run=run("r2", IMAGE))))
    held = canary(annotations=pause, run=run("r2", IMAGE), progress={"waitingFor": "a person: the release is paused"})
    assert acknowledged(given, view(held))


def test_an_abort_is_told_with_its_cause() -> None:
    given = Order("abort", "flagger.app/abort", "r2")
    after = canary("Failed", history=[ended("r2", IMAGE, "Aborted", started=-9, end=0, cause="aborted by a person")])
    assert outcome(given, view(RUNNING), view(after)) == (
        Exit.OK,
        "Aborted: podinfo is Failed, canary weight 0 % (aborted by a person).",
    )


def test_a_retry_is_told() -> None:
    given = Order("retry", "flagger.app/retry", "r2")
    after = canary("Progressing", run=run("r2", IMAGE), progress={"waitingFor": "2 pods to get ready"})
    assert outcome(given, view(FAILED), view(after)) == (
        Exit.OK,
        "Retrying revision r2: podinfo is Progressing, canary weight 0 %; waiting: 2 pods to get ready.",
    )


def test_a_refusal_is_told_in_the_controllers_own_words() -> None:
    given = Order("promote", "flagger.app/promote", "r1")
    said: Obj = {"type": "Warning", "message": "promote is meant for r1, but r2 is under way", "lastTimestamp": at(0)}
    code, sentence = outcome(given, view(RUNNING), view(RUNNING, (said,)))
    assert code == Exit.FAILED
    assert sentence == (
        'Not promoted yet: podinfo is Progressing, canary weight 40 %. It said: "promote is meant for r1, but r2 is under way"'
    )
