"""A Canary as a row of the page's list."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.dashboard.rows import LONGEST_SENTENCE, row, short_image
from tests.dashboard.scene import NOW, canary, run


def test_an_idle_canary_says_what_it_has_and_nothing_else() -> None:
    assert row(canary()) == {
        "ns": "test", "name": "app", "phase": "Succeeded", "state": "idle", "images": ["app:1.0.0"], "at": NOW - 3600,
    }  # fmt: skip


def test_a_release_says_weight_image_and_what_it_waits_for_since_when() -> None:
    found = row(canary(**run(40)))
    assert (found["state"], found["weight"], found["images"]) == ("releasing", 40, ["app:1.1.0"])
    assert (found["wait"], found["since"]) == ("the interval of 10s at 40%", NOW - 3)


def test_a_weight_that_was_cut_is_the_one_in_force() -> None:
    found = row(canary(**run(40, cut=10)))
    assert (found["weight"], found["cut"]) == (10, True)


@pytest.mark.parametrize(
    ("phase", "run_state", "state"),
    [
        ("", {}, "idle"),
        ("Initializing", {}, "releasing"),
        ("Initialized", {}, "idle"),
        ("Waiting", {}, "held"),
        ("Progressing", {}, "releasing"),
        ("Progressing", {"paused": True}, "held"),
        ("WaitingPromotion", {}, "held"),
        ("Promoting", {}, "releasing"),
        ("Finalising", {}, "releasing"),
        ("Succeeded", {}, "idle"),
        ("Failed", {}, "failed"),
        ("Terminating", {}, "releasing"),
        ("Terminated", {}, "idle"),
    ],
)
def test_each_phase_has_a_state_to_sort_by(phase: str, run_state: dict[str, Any], state: str) -> None:
    assert row(canary(phase=phase, run=run_state or None))["state"] == state


@pytest.mark.parametrize("status", [None, {}, {"phase": 7, "run": [], "progress": "x", "canaryWeight": "many", "promotedImages": "x"}])
def test_what_cannot_be_read_is_left_out(status: Any) -> None:
    obj = canary()
    obj["status"] = status
    obj["metadata"]["annotations"] = None
    assert row(obj)["name"] == "app"


def test_a_failed_canary_says_why() -> None:
    entries = [{"ended": "2026-01-01T00:00:00Z", "cause": "old"}, {"ended": "2026-02-01T00:00:00Z", "cause": "image not found"}]
    assert row(canary(phase="Failed", history=entries))["cause"] == "image not found"
    assert "cause" not in row(canary(phase="Succeeded", history=entries))
    assert "cause" not in row(canary(phase="Failed", history=["x"]))


def test_long_sentences_are_cut() -> None:
    assert len(row(canary(progress={"waitingFor": "x" * 5000}))["wait"]) == LONGEST_SENTENCE


def test_images_are_short() -> None:
    assert short_image("registry.example.com:5000/a/b/app@sha256:0123456789abcdef") == "app@0123456789ab"
