"""Kinds of routes and of autoscalers, followed from the first Canary on that needs them: the cluster may serve none of them, or not yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.following import Following
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller.interests import Ref
from flaggerpy.controller.packing import View
from flaggerpy.routers.base import RouteObject

Obj = dict[str, Any]

ASK_AGAIN_SECONDS = 15.0


class RouteWatches:
    """By kind. `make` gives the watch of one, `scopes` where it has to watch, `wake` wakes who waits for a kind."""

    def __init__(
        self,
        client: Client,
        make: Callable[[Kind], tuple[Following, View]],
        scopes: Callable[[], Iterable[str]],
        wake: Callable[[Kind], None],
    ) -> None:
        self._client = client
        self._make = make
        self._scopes = scopes
        self._wake = wake
        self._followed: dict[Kind, tuple[Following, View]] = {}
        self._not_served: dict[Kind, str] = {}
        self._absent: set[Kind] = set()
        self._answered: dict[Kind, asyncio.Event] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}

    @property
    def followings(self) -> list[Following]:
        """Those that are followed by now."""
        return [following for following, _ in self._followed.values()]

    def stop(self) -> None:
        """Begin no more; who made the watches ends them."""
        for task in self._tasks.values():
            task.cancel()

    def get(self, wanted: RouteObject, namespace: str) -> Obj | None:
        """A route as it stands, None when it is not there, or when its kind is not followed."""
        followed = self._followed.get(_kind(wanted))
        return followed[1].get(namespace, wanted.name) if followed else None

    def follow(self, wanted: Iterable[RouteObject], namespace: str) -> tuple[bool, list[str]]:
        """Whether all these kinds are followed there by now, and sentences about those that the cluster does not serve."""
        ready, problems = True, []
        for kind in {_kind(route) for route in wanted}:
            followed = self._followed.get(kind)
            if followed is None or not followed[0].synced(namespace):
                ready = False
                if kind not in self._answered:
                    self._answered[kind] = asyncio.Event()
                    self._later(self._begin(kind))
            if kind in self._not_served:
                problems.append(self._not_served[kind])
        return ready, problems

    def unserved(self, wanted: Iterable[RouteObject]) -> bool:
        """Whether the cluster said that it has none of these kinds: then there are no such routes."""
        return all(_kind(route) in self._absent for route in wanted)

    async def first(self, wanted: Iterable[RouteObject], namespace: str, within: float) -> None:
        """Wait, so many seconds at most, until what these kinds hold is known, or that they are not served.

        A controller that has just begun would else tell in each status that it cannot read the route, and a moment later what it read.
        """
        if self.follow(wanted := list(wanted), namespace)[0]:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                for kind in {_kind(route) for route in wanted}:
                    await self._answered[kind].wait()
                    if kind in self._followed:
                        await self._followed[kind][0].listed(namespace)

    async def _begin(self, kind: Kind) -> None:
        while True:
            try:
                if await self._client.serves(kind):
                    break
                self._absent.add(kind)
                problem = f"the cluster does not serve {kind.kind} of {kind.api_version}: its CustomResourceDefinition is missing"
            except ApiError as error:
                problem = f"{kind.kind} of {kind.api_version} cannot be looked up: {error}"
            if self._not_served.get(kind) != problem:
                self._not_served[kind] = problem
                self._answered[kind].set()
                self._wake(kind)
            await asyncio.sleep(ASK_AGAIN_SECONDS)
            self._client.forget_discovery()
        self._not_served.pop(kind, None)
        self._absent.discard(kind)
        following, _ = self._followed[kind] = self._make(kind)

        async def announce(scope: str) -> None:
            await following.listed(scope)
            self._wake(kind)

        for scope in self._scopes():
            following.begin(scope)
            self._later(announce(scope))
        self._answered[kind].set()

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = task
        task.add_done_callback(lambda done: self._tasks.pop(done, None))


def any_of(kind: Kind) -> Ref:
    """What to be interested in for everything of a kind."""
    return Ref(f"{kind.plural}.{kind.version}", "", "")


def kind_ref(route: RouteObject) -> Ref:
    """What to be interested in, to be woken when this kind of route begins to be followed."""
    return any_of(_kind(route))


def _kind(route: RouteObject) -> Kind:
    return Kind(route.group, route.version, route.plural, route.kind)
