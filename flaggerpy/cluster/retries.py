"""Which requests to the API server are repeated, after which pause, and how fast they may follow each other.

Retries (tenacity; few and bounded, `Retry-After` honoured): what certainly was not carried out is repeated for every verb (429, refused
connections, an error with Retry-After, which the API server sends only for requests that it did not begin); what may have been carried
out (5xx, time-out, a broken connection) is repeated only where repeating does no harm: reads, server-side apply, merge patches, deletions.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import tenacity

from flaggerpy.cluster.errors import ServerError, TooManyRequests, Unreachable

RETRY_SECONDS = 20.0


class Throttle:
    """A token bucket that makes callers wait their turn; `qps` 0 lets everything pass."""

    def __init__(self, qps: float, burst: int, sleep: Callable[[float], Awaitable[Any]]) -> None:
        self._qps = qps
        self._burst = max(1, burst)
        self._tokens = float(self._burst)
        self._at = time.monotonic()
        self._sleep = sleep

    async def turn(self) -> None:
        if self._qps <= 0:
            return
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._qps) - 1
        self._at = now
        if self._tokens < 0:
            await self._sleep(-self._tokens / self._qps)


def worth_repeating(error: BaseException, idempotent: bool) -> bool:
    """Whether a request that failed so may be sent again; `idempotent`: to carry it out twice does no harm."""
    if isinstance(error, Unreachable):
        return idempotent or not error.sent
    if isinstance(error, TooManyRequests):
        return True
    return isinstance(error, ServerError) and error.status != 501 and (idempotent or error.retry_after is not None)


def pause(state: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return min(float(asked), 10.0) + random.uniform(0, 0.1)
    return float(min(0.1 * 3 ** (state.attempt_number - 1), 3.0)) * random.uniform(0.75, 1.25)


def unreachable(error: BaseException, within: float) -> Unreachable:
    """What came instead of an answer, in our terms; `within`: seconds that were waited for one."""
    sent = not isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
    if isinstance(error, TimeoutError):
        return Unreachable(str(error) or f"no answer within {within:g} s", sent=sent)
    return Unreachable(f"{error or type(error).__name__}", sent=sent)
