"""Turns: which Canaries may be looked at now, where hundreds would be at the same moment.

A look computes for some milliseconds, and the loop it runs in also hears the API server and the probes, and cuts the weight of pods that
are lost. So one look is begun per pass of the loop, a bounded number of them is under way, and a Canary in a run, whose traffic is at
stake, comes before one that is not. A look that waits for long (an admission webhook that does not answer) gives its turn to one of
another namespace, so that a fault of one holds up the others for a moment at most; within a namespace no more are under way all the same,
and some of these only for Canaries in a run: each that hangs holds a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator

AT_ONCE = 24
"""Looks under way, those that hang apart: enough for an API server that is tens of milliseconds away, and as many connections to it."""
KEPT = 8
"""How many of those of one namespace are kept for Canaries in a run."""
PATIENCE = 1.0
"""Seconds after which a look that is still under way is taken to hang: longer than one takes with an API server that is busy."""
URGENT_IN_A_ROW = 8
"""How many urgent ones are let in before one that is not, if there is one."""

Lane = dict[str, deque[asyncio.Future[None]]]
"""Who waits, by namespace; the namespace that had no turn for longest comes first."""


class Turns:
    """Lives in one event loop: that of its first turn."""

    def __init__(self, at_once: int = AT_ONCE, patience: float = PATIENCE, kept: int = KEPT) -> None:
        self._free = self._most = at_once
        self._kept = kept
        self._patience = patience
        self._urgent: Lane = {}
        self._others: Lane = {}
        self._under_way: Counter[str] = Counter()
        self._in_a_row = 0
        self._pumping = False

    def __len__(self) -> int:
        """How many wait for their turn."""
        return sum(len(waiting) for lane in (self._urgent, self._others) for waiting in lane.values())

    @contextlib.asynccontextmanager
    async def turn(self, namespace: str, *, urgent: bool = False) -> AsyncIterator[None]:
        """Wait for a turn of this namespace, and have it until the end of the block, or for as long as the patience lasts."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[None] = loop.create_future()
        (self._urgent if urgent else self._others).setdefault(namespace, deque()).append(mine)
        self._pump_soon(loop)
        held = True

        def give_back() -> None:
            nonlocal held
            if held:
                held = False
                self._free += 1
                self._pump_soon(loop)

        def end() -> None:
            self._under_way[namespace] -= 1
            if not self._under_way[namespace]:
                del self._under_way[namespace]
            give_back()
            self._pump_soon(loop)

        try:
            await mine
        except asyncio.CancelledError:
            # cancelled in the very moment in which it was given
            if mine.done() and not mine.cancelled():
                end()
            raise
        timer = loop.call_later(self._patience, give_back)
        try:
            yield
        finally:
            timer.cancel()
            end()

    def _pump_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._pumping:
            self._pumping = True
            loop.call_soon(self._pump, loop)

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pumping = False
        if self._free > 0 and (found := self._next()) is not None:
            namespace, waiter = found
            self._free -= 1
            self._under_way[namespace] += 1
            waiter.set_result(None)
            self._pump_soon(loop)

    def _next(self) -> tuple[str, asyncio.Future[None]] | None:
        for lane in self._in_order():
            of_urgent = lane is self._urgent
            most = self._most if of_urgent else max(self._most - self._kept, 1)
            for namespace in tuple(lane):
                waiting = lane[namespace]
                while waiting and waiting[0].done():
                    waiting.popleft()
                if waiting and self._under_way[namespace] >= most:
                    continue
                del lane[namespace]
                if waiting:
                    waiter = waiting.popleft()
                    if waiting:
                        lane[namespace] = waiting
                    self._in_a_row = self._in_a_row + 1 if of_urgent else 0
                    return namespace, waiter
        return None

    def _in_order(self) -> Iterator[Lane]:
        lanes = (self._urgent, self._others)
        yield from reversed(lanes) if self._in_a_row >= URGENT_IN_A_ROW else lanes
