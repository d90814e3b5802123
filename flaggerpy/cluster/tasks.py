"""How a background task is ended, and what becomes known when it ends by itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

_log = logging.getLogger(__name__)


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel `task` and wait until it is over, whatever came of it.

    Not `suppress(CancelledError): await task`: when the one who waits is cancelled meanwhile, that would swallow it, and a worker that was
    told to stop would go on.
    """
    if task is None:
        return
    task.cancel()
    await asyncio.wait({task})
    if error := failure(task):
        _log.error("the task %s had failed", task.get_name(), exc_info=error)


def failure(task: asyncio.Task[Any] | None) -> BaseException | None:
    """The error that ended a task; None where there is none."""
    return task.exception() if task is not None and task.done() and not task.cancelled() else None
