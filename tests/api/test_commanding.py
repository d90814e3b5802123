"""When a command makes sense, and what is written for it."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.commanding import ANNOTATIONS, Order, Unfit, order, unfit
from flaggerpy.api.status import CanaryStatus, parse_status


def at(phase: str, **run: Any) -> CanaryStatus:
    return parse_status({"status": {"phase": phase, "run": {"id": "1", "revision": "v2", **run}}})


def unfit_ones(status: CanaryStatus, *, suspended: bool = False, paused: bool = False) -> dict[str, Unfit]:
    found = {verb: unfit(verb, status, suspended=suspended, paused=paused) for verb in ANNOTATIONS}
    return {verb: why for verb, why in found.items() if why}


@pytest.mark.parametrize("phase", ["Waiting", "Progressing", "WaitingPromotion"])
def test_a_release_under_way_can_be_ended_promoted_skipped_and_held(phase: str) -> None:
    assert unfit_ones(at(phase)) == {"retry": Unfit.NOT_FAILED, "resume": Unfit.NOT_PAUSED}


@pytest.mark.parametrize("phase", ["Promoting", "Finalising"])
def test_what_is_promoted_is_not_held_or_ended_any_more(phase: str) -> None:
    assert unfit_ones(at(phase)) == {
        "abort": Unfit.TOO_LATE, "skip": Unfit.TOO_LATE, "pause": Unfit.TOO_LATE, "promote": Unfit.PROMOTED_ALREADY,
        "retry": Unfit.NOT_FAILED, "resume": Unfit.NOT_PAUSED,
    }  # fmt: skip


@pytest.mark.parametrize("phase", ["", "Initializing", "Initialized", "Succeeded", "Failed"])
def test_without_a_release_the_next_one_can_be_held_and_the_one_that_failed_repeated(phase: str) -> None:
    expected = dict.fromkeys(("abort", "promote", "skip"), Unfit.NO_RELEASE) | {"resume": Unfit.NOT_PAUSED}
    if phase != "Failed":
        expected["retry"] = Unfit.NOT_FAILED
    for status in (parse_status({"status": {"phase": phase}}), at(phase)):
        assert unfit_ones(status) == expected


def test_a_rollback_takes_its_way() -> None:
    assert unfit_ones(at("Progressing", verdict="crashed")) == {
        "abort": Unfit.ABORTED_ALREADY, "skip": Unfit.ROLLING_BACK, "pause": Unfit.ROLLING_BACK, "promote": Unfit.ROLLING_BACK,
        "retry": Unfit.NOT_FAILED, "resume": Unfit.NOT_PAUSED,
    }  # fmt: skip


def test_a_run_that_is_held_is_resumed_before_a_step_is_skipped() -> None:
    assert unfit_ones(at("Progressing"), paused=True) == {
        "skip": Unfit.PAUSED, "pause": Unfit.PAUSED_ALREADY, "retry": Unfit.NOT_FAILED,
    }  # fmt: skip


def test_a_promotion_that_was_ordered_is_not_ordered_again() -> None:
    assert unfit("promote", at("Progressing", forced=True), suspended=False, paused=False) is Unfit.PROMOTED_ALREADY


def test_while_nothing_moves_a_pause_can_come_and_go_and_nothing_else() -> None:
    expected = dict.fromkeys(("abort", "retry", "promote", "skip", "rollback-to"), Unfit.SUSPENDED)
    assert unfit_ones(at("Progressing"), suspended=True, paused=True) == expected | {"pause": Unfit.PAUSED_ALREADY}
    assert unfit_ones(at("Progressing"), suspended=True) == expected | {"resume": Unfit.NOT_PAUSED}


@pytest.mark.parametrize(
    ("verb", "phase", "value"),
    [
        ("abort", "Progressing", "v2"),
        ("skip", "WaitingPromotion", "v2@40"),
        ("pause", "Progressing", "v2"),
        ("pause", "Waiting", "v2"),
        ("pause", "Succeeded", "*"),
        ("pause", "Initializing", "*"),
        ("retry", "Failed", "v2"),
        ("resume", "Progressing", None),
    ],
)
def test_an_order_names_the_revision_that_was_seen(verb: str, phase: str, value: str | None) -> None:
    assert order(verb, "v2", 40, phase) == Order(verb, ANNOTATIONS[verb], value)


def test_without_a_revision_any_is_meant() -> None:
    assert (order("abort", "", 0, "Waiting").value, order("skip", "", 40, "Waiting").value) == ("*", "*@40")
