"""How late the event loop is: what a worker waits for although nobody made it wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

INTERVAL = 0.25
WINDOW = 240


class LoopLag:
    """Sleeps for a quarter of a second, again and again, and notes how much longer it took; `worst()` of the last minute, seconds."""

    def __init__(self, observe: Callable[[float], None] | None = None, interval: float = INTERVAL) -> None:
        self._observe = observe
        self._interval = interval
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to measure the loop that this is called in."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="loop lag")

    async def stop(self) -> None:
        """End it."""
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait({task})

    def worst(self) -> float:
        """The longest lag of the last minute, in seconds."""
        return max(self._recent, default=0.0)

    async def _run(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(self._interval)
            lag = max(0.0, time.perf_counter() - began - self._interval)
            self._recent.append(lag)
            if self._observe:
                self._observe(lag)
