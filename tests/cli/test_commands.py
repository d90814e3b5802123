"""Commands of a person: what is written, what is refused, how the answer reads."""

from __future__ import annotations

import pytest

from flaggerpy.api.commanding import Order
from flaggerpy.cli.commands import acknowledged, order, outcome
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
PAUSED = {"flagger.app/pause": "r2"}
ROLLED_BACK = canary("Progressing", run=run("r2", IMAGE, verdict="crashed"))


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
        ("abort", canary("Initializing"), "nothing to abort: podinfo is Initializing, no release is under way"),
        ("skip", canary("Progressing", annotations=PAUSED, run=run("r2", IMAGE)), "is paused. First: flaggerpy resume podinfo"),
        ("promote", ROLLED_BACK, "too late to promote: podinfo is being rolled back: crashed"),
        ("pause", ROLLED_BACK, "too late to pause: podinfo is being rolled back: crashed"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_sentence(verb: str, obj: Obj, words: str) -> None:
    with pytest.raises(Problem, match=words) as raised:
        order(verb, view(obj))
    assert raised.value.code == Exit.FAILED


@pytest.mark.parametrize(
    ("verb", "obj"),
    [
        ("abort", ROLLED_BACK),
        ("pause", canary("Progressing", annotations=PAUSED, run=run("r2", IMAGE))),
        ("promote", canary("Progressing", run=run("r2", IMAGE, forced=True))),
        ("promote", canary("Finalising", run=run("r2", IMAGE))),
    ],
)
def test_what_is_so_already_may_be_ordered_again(verb: str, obj: Obj) -> None:
    assert order(verb, view(obj)).value == "r2"


KEPT = canary(
    "Succeeded", lastAppliedSpec="r3", lastPromotedSpec="r3", promotedRevisions=["r3", "r2-1f3c", "r1-aaaa", "r1-bbbb"],
    history=[
        ended("r3", "podinfo:3", "Succeeded", started=-9, end=-1), ended("r2-1f3c", IMAGE, "Succeeded", started=-99, end=-90),
        ended("r0", "podinfo:0", "Initialized", started=-999, end=-990),
    ],
)  # fmt: skip


@pytest.mark.parametrize(("to", "revision"), [("2", "r2-1f3c"), ("r2", "r2-1f3c"), ("r2-1f3c", "r2-1f3c"), ("r1-bbbb", "r1-bbbb")])
def test_the_way_back_is_named_by_number_or_revision(to: str, revision: str) -> None:
    assert order("rollback-to", view(KEPT), to) == Order("rollback-to", "flagger.app/rollback-to", revision)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("3", "The template of r0 is not kept any more. Kept are those of: r3, r2-1f3c, r1-aaaa, r1-bbbb"),
        ("4", "has 3 entries, there is no number 4"),
        ("r1", "r1 is the template of several revisions: r1-aaaa, r1-bbbb"),
        ("r9", "The template of r9 is not kept any more"),
    ],
)
def test_a_way_back_that_is_not_there_is_refused(to: str, words: str) -> None:
    with pytest.raises(Problem, match=words):
        order("rollback-to", view(KEPT), to)


def test_a_skip_names_revision_and_step_so_that_it_cannot_skip_another() -> None:
    assert order("skip", view(RUNNING)) == Order("skip", "flagger.app/skip", "r2@40")
    assert order("skip", view(canary("Progressing", run=run("r2", IMAGE), iterations=3))).value == "r2@3"


@pytest.mark.parametrize("verb", ["abort", "promote", "retry", "skip", "rollback-to"])
def test_a_suspended_canary_takes_no_command(verb: str) -> None:
    with pytest.raises(Problem, match="podinfo is suspended"):
        order(verb, view(canary("Progressing", spec={"suspend": True}, run=run("r2", IMAGE))), "r2")


@pytest.mark.parametrize("verb", ["abort", "pause", "skip"])
@pytest.mark.parametrize("phase", ["Promoting", "Finalising"])
def test_what_comes_too_late_is_refused(verb: str, phase: str) -> None:
    with pytest.raises(Problem, match=f"It is too late to {verb}: podinfo is {phase}"):
        order(verb, view(canary(phase, run=run("r2", IMAGE))))


def test_a_skip_is_told_by_what_the_controller_wrote() -> None:
    given = Order("skip", "flagger.app/skip", "r2@40")
    taken = canary("Progressing", canaryWeight=40, run=run("r2", IMAGE, skip=True))
    assert outcome(given, view(RUNNING), view(taken))[0] == Exit.OK
    further = canary("Progressing", canaryWeight=60, run=run("r2", IMAGE))
    assert outcome(given, view(RUNNING), view(further)) == (Exit.OK, "Skipped: podinfo is Progressing, canary weight 60 %.")
    assert outcome(given, view(RUNNING), view(RUNNING))[0] == Exit.FAILED


def test_a_way_back_is_told_by_what_the_controller_wrote() -> None:
    given = Order("rollback-to", "flagger.app/rollback-to", "r2-1f3c")
    going = canary("Succeeded", lastAppliedSpec="r3", reverting={"revision": "r2-1f3c", "before": "r3", "at": at(0)})
    assert outcome(given, view(KEPT), view(going))[0] == Exit.OK
    assert outcome(given, view(KEPT), view(canary("Progressing", run=run("r2-1f3c", IMAGE))))[0] == Exit.OK
    assert outcome(given, view(KEPT), view(KEPT))[0] == Exit.FAILED


def test_a_promotion_that_still_waits_for_pods_is_ordered_all_the_same() -> None:
    given = Order("promote", "flagger.app/promote", "r2")
    waits = canary("Progressing", run=run("r2", IMAGE, forced=True), progress={"waitingFor": "2 pods"})
    assert outcome(given, view(RUNNING), view(waits)) == (
        Exit.OK, "Promoted by hand: podinfo is Progressing, canary weight 0 %; waiting: 2 pods.",
    )  # fmt: skip


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
