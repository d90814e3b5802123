"""The judgement of a play: what it takes for a wrong promotion, for a wait without a name, for the longest wait."""

from __future__ import annotations

from typing import Any

from e2e.disorder.playing import Wait, promoted, standstill, unnamed
from e2e.recorder import Seen


def canary(at: float, phase: str, waits: str = "", stalled: str = "") -> Seen:
    conditions = [{"type": "Stalled", "status": "True", "message": stalled}] if stalled else []
    status: dict[str, Any] = {"phase": phase, "conditions": conditions, **({"progress": {"waitingFor": waits}} if waits else {})}
    return Seen(at, {"metadata": {"name": "app"}, "status": status})


def deployment(at: float, name: str, image: str) -> Seen:
    return Seen(at, {"metadata": {"name": name}, "spec": {"template": {"spec": {"containers": [{"image": image}]}}}})


def test_the_images_of_the_primary_are_told_in_order() -> None:
    told = [("app-primary", "a"), ("app", "b"), ("app-primary", "a"), ("app-primary", "b")]
    seen = [deployment(at, name, image) for at, (name, image) in enumerate(told)]
    assert promoted(seen, "app-primary") == ["a", "b"]


def test_a_run_that_says_nothing_is_found_and_an_idle_canary_may_be_silent() -> None:
    seen = [canary(1, ""), canary(2, "Initialized"), canary(3, "Progressing", "pods"), canary(4, "Promoting"), canary(5, "Succeeded")]
    assert unnamed(seen) == ["Promoting"]
    assert unnamed([canary(1, "Progressing", stalled="the API server answers: 500")]) == []


def test_the_longest_wait_of_a_run_is_told_with_its_name() -> None:
    seen = [canary(0, "Initialized"), canary(100, "Progressing", "pods"), canary(103, "Progressing", "checks"), canary(110, "Succeeded")]
    assert standstill(seen) == Wait(7, "checks")
