"""How a background task is ended."""

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
    if not task.cancelled() and (error := task.exception()):
        _log.error("the task %s had failed", task.get_name(), exc_info=error)
