"""The inbox: each sentence of its docstring."""

from __future__ import annotations

import asyncio

from flaggerpy.controller.inbox import Inbox, Key

A = Key("shop", "a")
B = Key("shop", "b")


async def test_a_key_prints_as_flagger_writes_it() -> None:
    assert str(A) == "a.shop"


async def test_a_new_key_is_announced_once_and_can_be_taken_once() -> None:
    seen: list[Key] = []
    inbox = Inbox(seen.append)
    inbox.put(A)
    inbox.put(A)
    assert seen == [A]
    await inbox.take(A)
    second = asyncio.ensure_future(inbox.take(A))
    await asyncio.sleep(0)
    assert not second.done()
    second.cancel()


async def test_a_key_that_is_put_while_its_worker_is_busy_is_handed_out_again() -> None:
    inbox = Inbox()
    inbox.put(A)
    await inbox.take(A)
    inbox.put(A)
    await asyncio.wait_for(inbox.take(A), 1)


async def test_a_waiting_worker_is_woken_by_its_own_key_only() -> None:
    inbox = Inbox()
    inbox.put(A)
    await inbox.take(A)
    waiting = asyncio.ensure_future(inbox.take(A))
    await asyncio.sleep(0)
    inbox.put(B)
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(A)
    await asyncio.wait_for(waiting, 1)


async def test_the_newest_timer_counts_and_none_removes_it() -> None:
    inbox = Inbox()
    inbox.put(A)
    await inbox.take(A)
    inbox.wake_in(A, 3600)
    inbox.wake_in(A, 0)
    await asyncio.wait_for(inbox.take(A), 1)
    inbox.wake_in(A, 0)
    inbox.wake_in(A, None)
    waiting = asyncio.ensure_future(inbox.take(A))
    await asyncio.sleep(0.02)
    assert not waiting.done()
    waiting.cancel()


async def test_a_closed_key_is_forgotten_with_its_timer_and_can_arrive_again() -> None:
    seen: list[Key] = []
    inbox = Inbox(seen.append)
    inbox.put(A)
    inbox.wake_in(A, 0)
    inbox.close(A)
    await asyncio.sleep(0.02)
    assert seen == [A]
    assert len(inbox) == 0
    inbox.put(A)
    assert seen == [A, A]
    await asyncio.wait_for(inbox.take(A), 1)
