"""Ending a background task: it is over afterwards, its failure is told, and who waits for it can be cancelled."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flaggerpy.cluster.client import Client
from flaggerpy.cluster.kinds import CONFIG_MAP
from flaggerpy.cluster.tasks import end
from flaggerpy.cluster.watch import Watcher
from tests.cluster.fake_apiserver import FakeApiServer


class Slow:
    """A task that takes its time to end."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.may_end = asyncio.Event()

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await self.may_end.wait()


async def test_a_task_is_over_when_it_was_ended() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await end(task)
    assert task.cancelled()
    await end(task)
    await end(None)


async def test_who_waits_for_the_end_of_a_task_can_be_cancelled() -> None:
    slow = Slow()
    inner = asyncio.create_task(slow.run())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(end(inner))
    await slow.ending.wait()
    waiting.cancel()
    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait({inner})


async def test_a_worker_that_is_cancelled_while_it_stops_a_watch_stops_too(server: FakeApiServer, client: Client) -> None:
    slow = Slow()
    went_on = False

    async def sleep(seconds: float) -> None:
        await slow.run()

    async def work() -> None:
        nonlocal went_on
        async with Watcher(client, CONFIG_MAP, sleep=sleep):
            await asyncio.sleep(0.05)
        went_on = True

    server.fault = lambda request: 403
    worker = asyncio.create_task(work())
    await slow.ending.wait()
    worker.cancel()
    slow.may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await worker
    assert not went_on


async def test_the_failure_of_a_task_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise RuntimeError("a fault")

    task = asyncio.create_task(fails(), name="it")
    await asyncio.wait({task})
    with caplog.at_level(logging.ERROR):
        await end(task)
    assert "the task it had failed" in caplog.text
