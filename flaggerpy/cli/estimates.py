"""How long the parts of a release take, from what was measured of this one and of the last ones. Pure; all lengths in seconds.

An estimate is no promise: it says what comes if pods start as they did and every check passes. Nothing is told of what waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

RECENT = 5
"""So many of the last steps speak for the next one."""
UNKNOWN_START = 5.0
"""A pod's start, where neither its manifest nor a release before tells anything."""
AROUND = 2.0
"""What a release takes beside its steps, pods and waits: routes that are proven, endpoints that go."""


@dataclass(frozen=True)
class Past:
    """A release that was promoted: how long it took in all, and in how many steps."""

    took: float
    steps: int


def step(interval: float, took: Sequence[float]) -> float:
    """A step that comes: as the last ones went, but never less than the interval (a step that a person skipped says nothing)."""
    return max(interval, median(took[-RECENT:])) if took else interval


def start(least: float, past: Iterable[Past], *, steps: int, known: float) -> float:
    """The start of the canary's pods.

    `least` is what the manifest's probes allow, `known` the length of everything in a release but its two starts (canary and primary).
    What a past release with as many steps took beyond that is the time of both; the newest one (the first of `past`) speaks.
    """
    for release in past:
        if release.steps == steps and release.took > known:
            return max(least, (release.took - known) / 2)
    return least or UNKNOWN_START


def left(expected: float, elapsed: float, until: float | None = None) -> float:
    """What is left of something that is under way: until its known end, else until it has taken as long as expected. Never below 0."""
    return max(expected - elapsed if until is None else until, 0.0)


def total(parts: Iterable[float | None]) -> tuple[float, bool]:
    """The sum of what is known, and whether a part of it has no end that anybody knows (None)."""
    known = list(parts)
    return sum(part for part in known if part is not None), None in known
