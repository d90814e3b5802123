"""Continuous HTTP load at a constant rate, whatever the answers take, and what came of it.

Every request is sent once and counted where it was sent; one whose answer is late, missing or not below 400 is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass, field

import aiohttp

from flaggerpy.cli.live import Traffic

WINDOW_SECONDS = 5.0


@dataclass
class Count:
    """Requests sent in a stretch of time, those of them that were lost, and how."""

    sent: int = 0
    lost: int = 0
    how: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Answered:
    """One request that is over: when (monotonic seconds), whether it was answered well, and how long it took in seconds."""

    at: float
    good: bool
    took: float


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def traffic(answers: list[Answered], total: Count, window: float = WINDOW_SECONDS) -> Traffic:
    """What the live view shows of the last `window` seconds and of all."""
    if not answers:
        return Traffic(sent=total.sent, lost=total.lost)
    good = sum(answer.good for answer in answers)
    return Traffic(
        success_rate=100 * good / len(answers),
        p99_ms=1000 * percentile([answer.took for answer in answers], 99),
        sent=total.sent,
        lost=total.lost,
        per_second=len(answers) / window,
    )


class Load:
    """The load: `async with Load(url, host) as load`. `begin` starts a new count and answers it."""

    def __init__(self, url: str, host: str, *, rate: float = 50.0, timeout: float = 5.0) -> None:
        self._url = url
        self._host = host
        self._rate = rate
        self._timeout = timeout
        self._count = Count()
        self._recent: deque[Answered] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._beat: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None

    def begin(self) -> Count:
        """Requests sent from now on go into this count."""
        self._count = Count()
        return self._count

    def traffic(self) -> Traffic:
        """The last seconds, and the present count."""
        since = time.monotonic() - WINDOW_SECONDS
        while self._recent and self._recent[0].at < since:
            self._recent.popleft()
        return traffic(list(self._recent), self._count)

    async def settle(self) -> None:
        """Wait until all requests under way are answered, so that the counts are complete."""
        if self._under_way:
            await asyncio.wait(set(self._under_way))

    async def __aenter__(self) -> Load:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._timeout), connector=aiohttp.TCPConnector(limit=0), headers={"Host": self._host}
        )
        self._beat = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._beat:
            self._beat.cancel()
            await asyncio.gather(self._beat, return_exceptions=True)
        await self.settle()
        if self._session:
            await self._session.close()

    async def _run(self) -> None:
        begun, number = time.monotonic(), 0
        while True:
            number += 1
            late = begun + number / self._rate - time.monotonic()
            # a loop that was held up sends at once what is due: the rate is that of the users, not of this program
            await asyncio.sleep(max(0.0, late))
            self._count.sent += 1
            task = asyncio.create_task(self._ask(self._count))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _ask(self, count: Count) -> None:
        assert self._session
        begun = time.monotonic()
        trouble = ""
        try:
            async with self._session.get(self._url, allow_redirects=False) as response:
                await response.read()
                if response.status >= 400:
                    trouble = f"HTTP {response.status}"
        except TimeoutError:
            trouble = "time-out"
        except (aiohttp.ClientError, OSError) as error:
            trouble = type(error).__name__
        if trouble:
            count.lost += 1
            count.how[trouble] += 1
        now = time.monotonic()
        self._recent.append(Answered(now, not trouble, now - begun))
