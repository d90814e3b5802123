"""The API server's time, learned from the Date header of its answers.

A Date header tells whole seconds. An answer with Date D that was awaited from `sent` to `received` (local monotonic seconds) says that the
server's clock was in [D, D+1) at some moment in between, so the offset lies in (D - received, D + 1 - sent). Overlapping observations
narrow this interval; one that does not overlap replaces it (another server, or a stepped clock). Between observations the local monotonic
clock counts. A correction after the first is worked in at no more than a tenth of the time that passes, so that time never goes backwards
and a step of any clock expires nothing (architecture: "Time is the API server's"). A process that goes on with another's work goes on with
its time too, see `resume`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

# two quartz clocks drift apart by up to some 100 parts per million; the interval must not become narrower than the truth
DRIFT = 0.0002
SLEW = 0.1


class ServerClock:
    """Epoch seconds as the API server has them; the local clock until the first answer."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._read_at = monotonic()
        self._value = wall()
        self._low = self._high = self._value - self._read_at
        self._seen_at: float | None = None

    @property
    def synced(self) -> bool:
        """True once an answer carried a Date."""
        return self._seen_at is not None

    def observe(self, date: str | None, sent: float, received: float) -> None:
        """Learn from one answer; an unreadable Date is ignored. `sent` and `received` are local monotonic seconds."""
        try:
            seconds = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, TypeError):
            return
        low, high = seconds - received, seconds + 1 - sent
        if self._seen_at is None:
            self._low, self._high, self._seen_at = low, high, received
            self._read_at = self._monotonic()
            self._value = self._read_at + self._offset
            return
        spread = max(0.0, received - self._seen_at) * DRIFT
        old_low, old_high = self._low - spread, self._high + spread
        overlaps = low <= old_high and old_low <= high
        self._low, self._high = (max(low, old_low), min(high, old_high)) if overlaps else (low, high)
        self._seen_at = received

    def resume(self, ahead: float) -> None:
        """Go on as a clock that was `ahead` seconds before the API server's (behind it, if negative), and come back to it as ever.

        What a predecessor has stored is in its time: by a clock that was set meanwhile, all of it would be long ago, or yet to come.
        """
        self._read_at = self._monotonic()
        self._value = self._read_at + self._offset + ahead

    @property
    def _offset(self) -> float:
        return (self._low + self._high) / 2

    def now(self) -> float:
        """Epoch seconds; never smaller than an earlier answer (but for `resume`)."""
        moment = self._monotonic()
        passed = max(0.0, moment - self._read_at)
        counted = self._value + passed
        correction = moment + self._offset - counted if self.synced else 0.0
        self._value = counted + max(-SLEW * passed, min(SLEW * passed, correction))
        self._read_at = moment
        return self._value
