"""Turns: which Canaries may be looked at now, where hundreds would be at the same moment.

A look computes for some milliseconds, and the loop it runs in also hears the API server and the probes, and cuts the weight of pods that
are lost. So one look is begun per pass of the loop, a bounded number of them is under way, and a Canary in a run, whose traffic is at
stake, comes before one that is not. A look that waits for long (an admission webhook that does not answer) gives its turn to the next one,
soon where others of its namespace hang already, so that a fault of one namespace holds up the others for a moment at most.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator

AT_ONCE = 24
"""Looks under way: enough for an API server that is tens of milliseconds away, and as many connections to it at most."""
PATIENCE = 1.0
"""Seconds after which a look that is still under way is not counted any more: longer than a look takes with an API server that is busy."""
HANGING = 8
"""Looks of one namespace that are past that at once, from which on the next ones there are taken to hang, too."""
IMPATIENCE = 0.1
"""Seconds after which these are not counted any more: hundreds that hang are let in within two or three seconds."""
URGENT_IN_A_ROW = 8
"""How many urgent ones are let in before one that is not, if there is one."""


class Turns:
    """Lives in one event loop: that of its first turn."""

    def __init__(self, at_once: int = AT_ONCE, patience: float = PATIENCE) -> None:
        self._free = at_once
        self.patience = patience
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0
        self._pumping = False
        self._overdue: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many wait for their turn."""
        return len(self._urgent) + len(self._others)

    @contextlib.asynccontextmanager
    async def turn(self, namespace: str, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block, or for as long as the patience lasts."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        (self._urgent if urgent else self._others).append(mine)
        self._pump_soon(loop)
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free += 1
                self._pump_soon(loop)

        try:
            await mine
        except asyncio.CancelledError:
            # cancelled in the very moment in which it was given
            if mine.done() and not mine.cancelled():
                give_back()
            raise

        def overdue() -> None:
            self._overdue[namespace] += 1
            give_back()

        hangs = self._overdue[namespace] >= HANGING
        timer = loop.call_later(IMPATIENCE if hangs else self.patience, overdue)
        try:
            yield
        finally:
            timer.cancel()
            if not held:
                self._overdue[namespace] -= 1
                if not self._overdue[namespace]:
                    del self._overdue[namespace]
            give_back()

    def _pump_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._pumping:
            self._pumping = True
            loop.call_soon(self._pump, loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pumping = False
        if self._free > 0 and (waiter := self._next()) is not None:
            self._free -= 1
            waiter.set_result(None)
            self._pump_soon(loop)

    def _next(self) -> asyncio.Future[None] | None:
        while self._urgent or self._others:
            of_urgent = bool(self._urgent) and (self._in_a_row < URGENT_IN_A_ROW or not self._others)
            waiter = (self._urgent if of_urgent else self._others).popleft()
            if not waiter.done():
                self._in_a_row = self._in_a_row + 1 if of_urgent else 0
                return waiter
        return None
