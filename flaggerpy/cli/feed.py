"""Canaries as they change, for the live views: a list and a watch of each thing that is shown, no polling.

One Canary takes a watch of itself, one of its events and one of the pods of each side, and a look at its two workloads for their label
selectors. Many take a single watch: their statuses tell all that a table shows. What may not be read is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from flaggerpy.api.names import primary_name
from flaggerpy.cli.access import Access, Follower, Obj
from flaggerpy.cli.closer import selector_of
from flaggerpy.cli.problems import no_such_canary
from flaggerpy.cluster import kinds
from flaggerpy.cluster.errors import ApiError, Forbidden, Unreachable

FIRST_ANSWER = 20.0
"""Seconds that the first list may take."""
SELECTOR_PAUSE = 5.0
"""Seconds between two looks for a workload that is not there yet."""


class Feed:
    """Canaries of a namespace (None: of all), or one of them by name. `async with` it: then the first list has come.

    Entering raises Problem when the one that is named is not there, and ApiError when the list cannot be had.
    """

    def __init__(self, access: Access, namespace: str | None, *, name: str = "", labels: str = "") -> None:
        self._access = access
        self._namespace = namespace
        self._name = name
        self._listeners: list[Callable[[], None]] = []
        fields = f"metadata.name={name}" if name else ""
        self._canaries = access.follow(kinds.CANARY, namespace, self._changed, labels=labels, fields=fields)

    async def __aenter__(self) -> Self:
        self._canaries.start()
        try:
            await _first(self._canaries)
            if self._name and not self.objects():
                raise no_such_canary(self._namespace or "", self._name)
        except BaseException:
            await self._canaries.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._canaries.stop()

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` at every change."""
        self._listeners.append(heard)

    def objects(self) -> list[Obj]:
        """The Canaries, in order of namespace and name."""
        return [obj for _, obj in sorted(self._canaries.items(), key=lambda item: item[0])]

    @property
    def problem(self) -> ApiError | None:
        """Why what is shown may be old; None while the watch is well."""
        return self._canaries.problem

    def _changed(self) -> None:
        for heard in self._listeners:
            heard()


class Beside:
    """What lies beside one Canary: pods of both sides, None while they are not known, and events."""

    def __init__(self, access: Access, heard: Callable[[], None]) -> None:
        self._access = access
        self._heard = heard
        self._target: tuple[str, str, str] = ("", "", "")
        self._uid = ""
        self._pods: dict[str, Follower] = {}
        self._events: Follower | None = None
        self._looked: dict[str, float] = {}
        self.workload: Obj | None = None
        """The target as it was at the first look: what its probes say."""

    async def turn_to(self, obj: Obj) -> None:
        """Follow what lies beside this Canary; quick where that is followed already."""
        metadata = obj["metadata"]
        namespace, uid = str(metadata.get("namespace") or ""), str(metadata.get("uid") or "")
        reference = (obj.get("spec") or {}).get("targetRef") or {}
        target = (str(reference.get("kind") or ""), namespace, str(reference.get("name") or ""))
        if target != self._target:
            await self._end(*self._pods.values())
            self._target, self._pods, self.workload = target, {}, None
            self._looked.clear()
        if uid != self._uid:
            await self._end(self._events)
            self._uid = uid
            self._events = self._access.follow(kinds.EVENT, namespace, self._heard, fields=f"involvedObject.uid={uid}")
            self._events.start()
        await asyncio.gather(self._side(target[2]), self._side(primary_name(target[2])))

    async def _side(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        if name in self._pods or now - self._looked.get(name, -SELECTOR_PAUSE) < SELECTOR_PAUSE:
            return
        self._looked[name] = now
        kind, namespace, target = self._target
        try:
            workload = await self._access.workload(kind, namespace, name)
        except ApiError:
            return  # looked for again
        if name == target:
            self.workload = workload
        labels = selector_of(workload)
        if labels and name not in self._pods:
            self._pods[name] = self._access.follow(kinds.POD, namespace, self._heard, labels=labels)
            self._pods[name].start()

    def pods(self, *, primary: bool) -> list[Obj] | None:
        """The pods of one side."""
        follower = self._pods.get(primary_name(self._target[2]) if primary else self._target[2])
        return _readable(follower)

    def events(self) -> list[Obj]:
        """The Canary's events."""
        return _readable(self._events) or []

    async def settled(self) -> None:
        """Wait until the first lists have come, or cannot be had: a first frame without holes."""
        followers = [each for each in (self._events, *self._pods.values()) if each]
        await asyncio.gather(*(_first(each) for each in followers), return_exceptions=True)

    async def close(self) -> None:
        """End all watches."""
        await self._end(self._events, *self._pods.values())

    async def _end(self, *followers: Follower | None) -> None:
        await asyncio.gather(*(each.stop() for each in followers if each))


def _readable(follower: Follower | None) -> list[Obj] | None:
    if follower is None or not follower.synced.is_set() or isinstance(follower.problem, Forbidden):
        return None
    return [obj for _, obj in follower.items()]


async def _first(follower: Follower) -> None:
    """Wait for the first list. Raises what stands in its way: nobody watches a cluster that cannot be asked."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FIRST_ANSWER
    while not follower.synced.is_set():
        problem = follower.problem
        if problem is not None:
            raise problem
        if loop.time() > end:
            raise Unreachable(f"no answer within {FIRST_ANSWER:g} s", sent=True)
        try:
            await asyncio.wait_for(follower.synced.wait(), 0.1)
        except TimeoutError:
            continue
