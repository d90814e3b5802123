"""What the commands need of a cluster, as a short interface, and its one implementation over `cluster.client`.

Only the Canary is required reading. Pods, events and workloads make an answer better; whoever may not read them still gets the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from flaggerpy.cluster import errors, kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.kinds import Kind
from flaggerpy.cluster.signing import signed
from flaggerpy.cluster.watch import Key, Watcher
from flaggerpy.controller.workloads import HISTORIES, WORKLOADS

Obj = dict[str, Any]


class Follower(Protocol):
    """Objects of one kind as they change: one list, one watch. `synced` is set once the list has come; `problem` is the last error."""

    problem: errors.ApiError | None
    synced: asyncio.Event

    def start(self) -> None:
        """Begin; errors are retried for ever and told by `problem`."""

    async def stop(self) -> None:
        """End."""

    def items(self) -> Iterator[tuple[Key, Obj]]:
        """What there is now."""


class Access(Protocol):
    """Reads and the one kind of write of the command. All raise `cluster.errors.ApiError`; lists marked "readable" are empty instead."""

    namespace: str
    """The namespace of the kubeconfig context."""

    def now(self) -> float:
        """The API server's time in epoch seconds."""

    async def canaries(self, namespace: str | None, selector: str = "") -> list[Obj]:
        """All Canaries of a namespace, or (None) of all, by label selector ("": all)."""

    async def canary(self, namespace: str, name: str) -> Obj | None:
        """One Canary, None when there is none of that name. Raises NotFound when the kind is not installed."""

    async def workload(self, kind: str, namespace: str, name: str) -> Obj | None:
        """A target or primary; None when it is not there or not readable."""

    async def history(self, kind: str, namespace: str, selector: str) -> list[Obj]:
        """The objects that hold the templates of a kind of workload, by label selector, where readable."""

    async def pods(self, namespace: str, selector: str) -> list[Obj]:
        """Pods by label selector, where readable."""

    async def events(self, namespace: str, uid: str) -> list[Obj]:
        """Events of the object with this uid, where readable."""

    def follow(
        self, kind: Kind, namespace: str | None, on_change: Callable[[], None], *, labels: str = "", fields: str = ""
    ) -> Follower:  # fmt: skip
        """The objects of a kind by selectors, not started; `on_change` is called at every change."""

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Obj:
        """Set annotations of a Canary; None takes one off. Answers the Canary as stored."""


class ClusterAccess:
    """`Access` to a real API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.namespace = client.namespace

    def now(self) -> float:
        return self._client.now()

    async def canaries(self, namespace: str | None, selector: str = "") -> list[Obj]:
        return await self._client.list(kinds.CANARY, namespace, label_selector=selector or None)

    async def canary(self, namespace: str, name: str) -> Obj | None:
        found = await self._client.find(kinds.CANARY, namespace, name)
        if found is None and not await self._client.serves(kinds.CANARY):
            raise errors.NotFound("the kind Canary is not served", status=404)
        return found

    async def workload(self, kind: str, namespace: str, name: str) -> Obj | None:
        if kind not in WORKLOADS:
            return None
        try:
            return await self._client.find(WORKLOADS[kind], namespace, name)
        except errors.Forbidden:
            return None

    async def history(self, kind: str, namespace: str, selector: str) -> list[Obj]:
        return await self._readable(HISTORIES[kind], namespace, label_selector=selector) if kind in HISTORIES else []

    async def pods(self, namespace: str, selector: str) -> list[Obj]:
        return await self._readable(kinds.POD, namespace, label_selector=selector)

    async def events(self, namespace: str, uid: str) -> list[Obj]:
        return await self._readable(kinds.EVENT, namespace, field_selector=f"involvedObject.uid={uid}")

    def follow(
        self, kind: Kind, namespace: str | None, on_change: Callable[[], None], *, labels: str = "", fields: str = ""
    ) -> Follower:  # fmt: skip
        def changed(key: Key, new: Obj | None, old: Obj | None) -> None:
            on_change()

        return Watcher(self._client, kind, namespace, labels or None, on_change=changed, field_selector=fields or None)

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Obj:
        body = {"metadata": {"annotations": dict(annotations)}}
        return await self._client.merge_patch(kinds.CANARY, namespace, name, body, manager=await self._signature())

    async def _signature(self) -> str:
        """The field manager of our writes, with the user in it."""
        try:
            user = await self._client.whoami()
        except errors.ApiError:
            user = ""  # nobody needs this right to command
        return signed("flaggerpy-cli", user)

    async def _readable(self, kind: Kind, namespace: str, **selectors: str) -> list[Obj]:
        try:
            return await self._client.list(kind, namespace, **selectors)  # type: ignore[arg-type]
        except errors.Forbidden:
            return []
