"""Images asked for before their first pod: pull secrets and nodes from the cluster, the rest from the registries, within a few seconds.

What may not be read is not known, and what is not known weakens a no: nothing here raises, and nothing outlasts its time. A pull secret is
read by name and only when an image is asked for; nodes are listed at most once a minute, their images only where a no depends on them.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from flaggerpy.api.images import ImageAnswer
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError, Forbidden
from flaggerpy.egress.connections import Turns
from flaggerpy.http import Send
from flaggerpy.images import nodes as of_nodes
from flaggerpy.images.asking import ask
from flaggerpy.images.conversation import Found, conversation
from flaggerpy.images.credentials import BadSecret, Entries, matching, of_secret
from flaggerpy.images.judging import Nodes, Wanted, judge, of_pod
from flaggerpy.images.platforms import Platform
from flaggerpy.rollout.imagecheck import ANSWERED_WITHIN

Obj = dict[str, Any]
ReadSecret = Callable[[str, str], Awaitable[Mapping[str, str] | None]]

AT_ONCE = 32
"""How many registries are talked to at a time: many releases may begin in the same second."""
OF_NAMESPACE = 24
"""How many of them for one namespace: one whose registries are slow leaves room for the others."""
NODES_KEPT = 60.0
MOST_TOLD = 1000
"""Sentences that are remembered as said; images and namespaces are in them, and there are always new ones."""
REFUSALS = frozenset({"image-missing", "image-denied", "pull-credentials"})
"""Causes that may only mean that a pull secret was not at hand."""

_log = logging.getLogger(__name__)


class Cluster(Protocol):
    """What is read of a cluster. All raise `ApiError`."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The decoded data of a Secret, None when there is none."""

    async def service_account(self, namespace: str, name: str) -> Obj | None:
        """A ServiceAccount, None when there is none."""

    async def nodes(self, *, images: bool) -> Sequence[Obj]:
        """All nodes; without `images` perhaps their metadata alone."""


class ApiCluster:
    """`Cluster` over a client. `secret` is another reader of Secrets than the client itself, say one that keeps them."""

    def __init__(self, client: Client, secret: ReadSecret | None = None) -> None:
        self._client = client
        self._secret = secret
        self._kept: dict[bool, tuple[float, Sequence[Obj]]] = {}
        self._listing = asyncio.Lock()

    async def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        if self._secret is not None:
            return await self._secret(namespace, name)
        found = await self._client.find(kinds.SECRET, namespace, name)
        return None if found is None else decoded(found)

    async def service_account(self, namespace: str, name: str) -> Obj | None:
        return await self._client.find(kinds.SERVICE_ACCOUNT, namespace, name)

    async def nodes(self, *, images: bool) -> Sequence[Obj]:
        async with self._listing:
            now = asyncio.get_running_loop().time()
            at, found = self._kept.get(images, (-NODES_KEPT, ()))
            if now - at >= NODES_KEPT:
                found = await self._client.list(kinds.NODE, metadata_only=not images)
                self._kept[images] = (now, [_slim(node) for node in found])
            return self._kept[images][1]


class ImageCheck:
    """See the module. `cluster` None: there is none, and registries are asked without pull secrets of it."""

    def __init__(self, cluster: Cluster | None, send: Send, *, seconds: float = ANSWERED_WITHIN) -> None:
        self._cluster = cluster
        self._send = send
        self._seconds = seconds
        self._turns = Turns(OF_NAMESPACE)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._told: set[str] = set()

    async def pod(
        self, namespace: str, spec: Mapping[str, Any], *, ignored: Sequence[str] = (), ran: frozenset[str] = frozenset()
    ) -> tuple[ImageAnswer, ...]:
        """One answer for each container of a pod spec. `ran`: images that ran in this cluster before, so that nodes may hold them."""
        items = of_pod(spec, ignored)
        until = asyncio.get_running_loop().time() + self._seconds
        entries: Entries = ()
        gap = ""
        if any(item.to_ask for item in items):
            entries, gap = await self.entries(namespace, spec, until)
        return await self.answers(items, entries, until=until, pod_spec=spec, namespace=namespace, ran=ran, gap=gap)

    async def answers(
        self,
        items: Sequence[Wanted],
        entries: Entries,
        *,
        until: float,
        pod_spec: Mapping[str, Any],
        namespace: str = "",
        ran: frozenset[str] = frozenset(),
        demanded: tuple[Platform, ...] = (),
        gap: str = "",
    ) -> tuple[ImageAnswer, ...]:
        """As `pod`, for images with the entries of their pull secrets, until this time of the event loop.

        `namespace`: on whose behalf; "" for nobody's, who has no bound. `demanded`: platforms that must be there, whatever the nodes are.
        `gap`: why there may be more pull secrets than these.
        """
        found, nodes = await asyncio.gather(self._found(namespace, items, entries, until), self._nodes(until, images=False))
        platforms = demanded or of_nodes.platforms(nodes or (), pod_spec)
        # a registry at localhost is one for each node; without a cluster it is the one that was asked
        count = 1 if self._cluster is None else len(nodes or ())
        holders: Sequence[Obj] | None = None
        if any(_depends_on_nodes(item, found.get(item.image)) for item in items):
            holders = await self._nodes(until, images=True)
        answers = []
        for item in items:
            known = Nodes(platforms, _held(item, holders, ran), count, strict=bool(demanded))
            answer = judge(item, found.get(item.image), known)
            if gap and answer.kind in ("missing", "doubt") and answer.cause in REFUSALS:
                answer = replace(answer, kind="unchecked", detail=gap)
                self._once(f"image check of {item.image}: not checked: {gap}")
            elif answer.kind == "doubt":
                _log.info("image check of %s cannot tell: %s: %s", item.image, answer.cause, answer.detail)
            answers.append(answer)
        return tuple(answers)

    async def _found(self, namespace: str, items: Sequence[Wanted], entries: Entries, until: float) -> dict[str, Found]:
        """What the registries said, by image as it is written."""
        asked = {item.image: item for item in items if item.to_ask}
        tasks = {image: asyncio.create_task(self._ask(namespace, item, entries)) for image, item in asked.items()}
        if tasks:
            try:
                await asyncio.wait(tasks.values(), timeout=max(0.0, until - asyncio.get_running_loop().time()))
            finally:
                for task in tasks.values():
                    task.cancel()
        late = Found("doubt", "pull-timeout", f"no whole answer within {self._seconds:g} s")
        return {image: task.result() if task.done() and not task.cancelled() else late for image, task in tasks.items()}

    async def _ask(self, namespace: str, item: Wanted, entries: Entries) -> Found:
        assert item.reference is not None
        try:
            async with self._turns.turn(namespace), self._slots:
                return await ask(self._send, conversation(item.reference, matching(entries, item.reference)), namespace)
        except Exception as error:
            # a mistake of ours, or an answer that nobody foresaw: a release must not hang on it
            _log.exception("image check of %s failed", item.image)
            return Found("doubt", "pull-unknown", f"internal error: {type(error).__name__}")

    async def entries(self, namespace: str, spec: Mapping[str, Any], until: float) -> tuple[Entries, str]:
        """The entries of the pull secrets that a pod would have, and why there may be more of them."""
        if self._cluster is None:
            return (), ""
        found: Entries = ()
        try:
            async with asyncio.timeout_at(until):
                for name in await self._pull_secrets(namespace, spec, self._cluster):
                    what = f"the pull secret {name}"
                    data = await self._cluster.secret(namespace, name)
                    # without it the kubelet asks too, and so do we
                    found += of_secret(data) if data else ()
        except Forbidden as error:
            return found, f"the pull secrets may not be read: {error.message}"
        except BadSecret as error:
            self._once(f"{what} in namespace {namespace} cannot be used: {error}")
            return found, f"{what} cannot be used: {error}"
        except (ApiError, TimeoutError) as error:
            return found, f"the pull secrets cannot be read: {str(error) or 'no answer in time'}"
        return found, ""

    async def _pull_secrets(self, namespace: str, spec: Mapping[str, Any], cluster: Cluster) -> list[str]:
        """The pod's own, or where it names none those of its service account, as admission would give it."""
        own = spec.get("imagePullSecrets") or ()
        if not own:
            account = str(spec.get("serviceAccountName") or spec.get("serviceAccount") or "default")
            own = (await cluster.service_account(namespace, account) or {}).get("imagePullSecrets") or ()
        return list(dict.fromkeys(str(ref["name"]) for ref in own if ref.get("name")))

    async def _nodes(self, until: float, *, images: bool) -> Sequence[Obj] | None:
        if self._cluster is None:
            return None
        try:
            async with asyncio.timeout_at(until):
                return await self._cluster.nodes(images=images)
        except (ApiError, TimeoutError) as error:
            what = "which images the nodes hold" if images else "which platforms the nodes have"
            self._once(f"image check: it is not known {what}: {str(error) or 'no answer in time'}")
            return None

    def _once(self, sentence: str) -> None:
        """A lasting lack is named once, not with every release."""
        if sentence not in self._told:
            if len(self._told) >= MOST_TOLD:
                self._told.clear()
            self._told.add(sentence)
            _log.warning("%s", sentence)


def decoded(secret: Obj) -> dict[str, str]:
    """The data of a Secret as text."""
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (secret.get("data") or {}).items()}


def _slim(node: Obj) -> Obj:
    metadata = node.get("metadata") or {}
    return {
        "metadata": {"name": metadata.get("name"), "labels": metadata.get("labels") or {}},
        "status": {"images": (node.get("status") or {}).get("images") or []},
    }


def _depends_on_nodes(item: Wanted, found: Found | None) -> bool:
    return item.policy == "IfNotPresent" and found is not None and found.kind != "exists"


def _held(item: Wanted, holders: Sequence[Obj] | None, ran: frozenset[str]) -> frozenset[str] | None:
    """Whether nodes hold the image, as `Nodes.held` has it."""
    if item.image in ran:
        return frozenset({item.image})
    if holders is None or item.reference is None:
        return None
    return frozenset({item.image}) if of_nodes.holds(holders, item.reference) else frozenset()
