"""The inbox: which Canaries must be looked at. A set of keys, not a queue of events.

A key carries no event: whoever takes it reads the present state of everything (level, not edge). In five sentences:
- putting a key twice before it is taken is the same as putting it once;
- a key that is put while its worker is busy is handed out again when the worker asks next, never to a second worker;
- a timer puts its key once; a newer timer of the same key replaces the older one, and None removes it;
- a key that nobody works on yet is announced once (`on_arrival`), so that a worker can be started;
- `close` forgets the key, its timer and its marks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Key(NamedTuple):
    """The identity of a Canary."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.name}.{self.namespace}"


class _Slot:
    __slots__ = ("marked", "since", "timer", "waiter")

    def __init__(self, since: float) -> None:
        self.marked = True
        self.since = since
        self.timer: asyncio.TimerHandle | None = None
        self.waiter: asyncio.Future[None] | None = None


class Inbox:
    """Lives in one event loop, and is used in no other."""

    def __init__(self, on_arrival: Callable[[Key], None] = lambda key: None) -> None:
        self._slots: dict[Key, _Slot] = {}
        self._loop = asyncio.get_running_loop()
        self.on_arrival = on_arrival

    def __len__(self) -> int:
        return len(self._slots)

    def put(self, key: Key) -> None:
        """Mark a key: its worker will look at it, now or as soon as it is done with the present look."""
        slot = self._slots.get(key)
        if slot is None:
            self._slots[key] = _Slot(self._loop.time())
            self.on_arrival(key)
            return
        if not slot.marked:
            slot.marked, slot.since = True, self._loop.time()
        if slot.waiter is not None and not slot.waiter.done():
            slot.waiter.set_result(None)

    def put_all(self, keys: Iterable[Key]) -> None:
        for key in tuple(keys):
            self.put(key)

    def wake_in(self, key: Key, seconds: float | None) -> None:
        """Put the key after that many seconds; replaces its timer."""
        slot = self._slots.get(key)
        if slot is None:
            return
        if slot.timer is not None:
            slot.timer.cancel()
        # a hair late rather than early: a decision that is asked too early only asks for the same wake again
        slot.timer = None if seconds is None else self._loop.call_later(max(0.0, seconds) + 0.001, self._ring, key)

    def _ring(self, key: Key) -> None:
        slot = self._slots.get(key)
        if slot is not None:
            slot.timer = None
            self.put(key)

    def waiting(self) -> int:
        """How many keys are marked; may be asked in another thread."""
        return sum(slot.marked for slot in list(self._slots.values()))

    async def news(self, key: Key) -> None:
        """Return as soon as the key is marked. One taker per key."""
        slot = self._slots.setdefault(key, _Slot(self._loop.time()))
        while not slot.marked:
            slot.waiter = self._loop.create_future()
            try:
                await slot.waiter
            finally:
                slot.waiter = None

    async def take(self, key: Key) -> float:
        """Return as soon as the key is marked, and unmark it: since when it was (the loop's time)."""
        await self.news(key)
        slot = self._slots[key]
        slot.marked = False
        return slot.since

    def close(self, key: Key) -> None:
        """Forget a key whose worker ended."""
        slot = self._slots.pop(key, None)
        if slot is not None and slot.timer is not None:
            slot.timer.cancel()
