"""The memory of one run for its picture: weights, phases, values of metrics and events, each with its time. Plain values, bounded.

The status has no times of its steps, so they are noted while the run is seen. What was before a note-taker began is missing, and `since`
says from when on there are notes: the page draws a gap there, not a line. Times in epoch seconds (the API server's clock).
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Mapping
from typing import Any

Obj = dict[str, Any]

POINTS = 240
METRICS = 8
EVENTS = 60
LONGEST_EVENT = 300
MISSED = 5.0
"""Seconds after a run's begin within which the notes count as complete."""
NOTHING = math.nan


class Series:
    """Values over time: at most so many points; when it is full every second one of the older half goes."""

    __slots__ = ("thinned", "times", "values")

    def __init__(self) -> None:
        self.times, self.values = array("d"), array("d")
        self.thinned = False

    def add(self, at: float, value: float | None) -> None:
        """One more point; None is a measurement without a value."""
        self.times.append(at)
        self.values.append(NOTHING if value is None else value)
        if len(self.times) > POINTS:
            half = POINTS // 2
            self.times = self.times[:half:2] + self.times[half:]
            self.values = self.values[:half:2] + self.values[half:]
            self.thinned = True

    def last(self) -> float:
        return self.values[-1] if self.values else NOTHING

    def points(self) -> list[list[float | None]]:
        """[[time, value or None], ...] for JSON; times to the tenth of a second."""
        return [[round(at, 1), None if math.isnan(value) else value] for at, value in zip(self.times, self.values, strict=True)]


class Timeline:
    """One run, as it was seen. `saw` takes each state of its Canary, `heard` each event about it."""

    def __init__(self, run: Mapping[str, Any], now: float) -> None:
        self.id = str(run.get("id") or "")
        self.revision = str(run.get("revision") or "")
        self.started = _seconds(run.get("startedAt")) or now
        self.since = self.started if now - self.started <= MISSED else now
        self.ended: float | None = None
        self.outcome = ""
        self.weights, self.checks = Series(), Series()
        self.phases: deque[tuple[float, str]] = deque(maxlen=EVENTS)
        self.metrics: dict[str, Series] = {}
        self.events: deque[tuple[float, str, str]] = deque(maxlen=EVENTS)
        self._measured: tuple[Any, ...] = ()
        self._waits = ""

    def saw(self, status: Mapping[str, Any], now: float, *, telling: bool) -> None:
        """Note what is new in this status. `telling` False: no events are heard here, so what is waited for stands in for them."""
        run = _dict(status.get("run"))
        phase = str(status.get("phase") or "")
        if not self.phases or self.phases[-1][1] != phase:
            self.phases.append((now, phase))
        cut, planned = run.get("cut"), status.get("canaryWeight")
        weight = _seconds(cut if cut is not None else planned) or 0.0
        if self.weights.last() != weight:
            self.weights.add(now, weight)
        failed = _seconds(status.get("failedChecks")) or 0.0
        if self.checks.last() != failed and (failed or self.checks.times):
            self.checks.add(now, failed)
        self._measure(_dict(run.get("measured")), now)
        waits = str(_dict(status.get("progress")).get("waitingFor") or "")
        if waits != self._waits:
            self._waits = waits
            if waits and not telling:
                self.heard("Normal", f"waits for {waits}", now)

    def heard(self, type_: str, message: str, now: float) -> None:
        """Note an event."""
        self.events.append((now, type_, message if len(message) <= LONGEST_EVENT else message[: LONGEST_EVENT - 1] + "…"))

    def end(self, status: Mapping[str, Any], now: float) -> None:
        """The run is over: its outcome is what the history says of it."""
        history = status.get("history")
        entry = _dict(history[0]) if isinstance(history, list) and history else {}
        self.outcome = str(entry.get("outcome") or "") if entry.get("revision") == self.revision else ""
        self.weights.add(now, _seconds(status.get("canaryWeight")) or 0.0)
        self.phases.append((now, str(status.get("phase") or "")))
        self.ended = now

    def _measure(self, measured: Mapping[str, Any], now: float) -> None:
        """A check was done when the column of the present step is another one, or has another value."""
        found = {str(metric.get("name") or ""): metric["values"][-1] for metric in measured.get("metrics") or () if metric.get("values")}
        present = (tuple((measured.get("steps") or ())[-1:]), tuple(found.items()))
        if not found or present == self._measured:
            return
        self._measured = present
        for name, value in found.items():
            if name not in self.metrics and len(self.metrics) < METRICS:
                self.metrics[name] = Series()
            if name in self.metrics:
                self.metrics[name].add(now, _seconds(value))

    def to_obj(self) -> Obj:
        """For JSON: see the names; `since` is later than `started` where the first part was not seen."""
        every = [self.weights, self.checks, *self.metrics.values()]
        return {
            "revision": self.revision,
            "started": round(self.started, 1),
            "since": round(self.since, 1),
            "ended": round(self.ended, 1) if self.ended is not None else None,
            "outcome": self.outcome,
            "weights": self.weights.points(),
            "checks": self.checks.points(),
            "phases": [[round(at, 1), phase] for at, phase in self.phases],
            "metrics": {name: series.points() for name, series in self.metrics.items()},
            "events": [[round(at, 1), type_, text] for at, type_, text in self.events],
            "thinned": any(series.thinned for series in every),
        }


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
