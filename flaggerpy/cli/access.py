"""What the commands need of a cluster, as a short interface, and its one implementation over `cluster.client`.

Only the Canary is required reading. Pods, events and workloads make an answer better; whoever may not read them still gets the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from flaggerpy.cluster import errors, kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller.workloads import HISTORIES, WORKLOADS

Obj = dict[str, Any]

LONGEST_MANAGER = 120
"""Letters of a field manager's name; the API server takes 128 bytes."""


class Access(Protocol):
    """Reads and the one kind of write of the command. All raise `cluster.errors.ApiError`; lists marked "readable" are empty instead."""

    namespace: str
    """The namespace of the kubeconfig context."""

    def now(self) -> float:
        """The API server's time in epoch seconds."""

    async def canaries(self, namespace: str | None) -> list[Obj]:
        """All Canaries of a namespace, or (None) of all."""

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

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Obj:
        """Set annotations of a Canary; None takes one off. Answers the Canary as stored."""


class ClusterAccess:
    """`Access` to a real API server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.namespace = client.namespace

    def now(self) -> float:
        return self._client.now()

    async def canaries(self, namespace: str | None) -> list[Obj]:
        return await self._client.list(kinds.CANARY, namespace)

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

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Obj:
        body = {"metadata": {"annotations": dict(annotations)}}
        return await self._client.merge_patch(kinds.CANARY, namespace, name, body, manager=await self._signature())

    async def _signature(self) -> str:
        """The field manager of our writes, with the user in it: it is what the controller, and so the history, gets to know."""
        try:
            user = await self._client.whoami()
        except errors.ApiError:
            user = ""  # nobody needs this right to command
        printable = "".join(letter for letter in user if letter.isprintable())
        return f"flaggerpy-cli as {printable}"[:LONGEST_MANAGER] if printable else "flaggerpy-cli"

    async def _readable(self, kind: Kind, namespace: str, **selectors: str) -> list[Obj]:
        try:
            return await self._client.list(kind, namespace, **selectors)  # type: ignore[arg-type]
        except errors.Forbidden:
            return []
