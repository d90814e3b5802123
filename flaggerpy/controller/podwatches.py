"""Pods, followed only by the label selector of a run that is under way: a watch for each side of a release."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.watch import Watcher
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.slimming import slim

Obj = dict[str, Any]

ROLES = ("target", "primary")


class PodWatches:
    """By Canary and role; `later` runs a coroutine beside everything else."""

    def __init__(self, client: Client, inbox: Inbox, later: Callable[[Any], asyncio.Task[None]]) -> None:
        self._client = client
        self._inbox = inbox
        self._later = later
        self._pods: dict[tuple[Key, str], tuple[str, Watcher]] = {}
        self._announced: dict[tuple[Key, str], asyncio.Task[None]] = {}

    def follow(self, key: Key, role: str, selector: str | None) -> None:
        """Watch the pods that this selector picks, None: no more."""
        at = (key, role)
        known = self._pods.get(at)
        if (known[0] if known else None) == selector:
            return
        if known:
            del self._pods[at]
            # a watch that was never answered has nothing to announce
            self._announced.pop(at).cancel()
            self._later(known[1].stop())
        if selector is None:
            return
        watcher = Watcher(self._client, kinds.POD, key.namespace, selector, project=slim, on_change=lambda *_: self._inbox.put(key))
        self._pods[at] = (selector, watcher)
        watcher.start()

        async def announce() -> None:
            await watcher.synced.wait()
            self._inbox.put(key)

        self._announced[at] = self._later(announce())

    def get(self, key: Key, role: str) -> list[Obj] | None:
        """The pods that are followed, None while they are not known yet."""
        known = self._pods.get((key, role))
        if known is None or not known[1].synced.is_set():
            return None
        return [obj for _, obj in known[1].items()]

    async def list_again(self, key: Key) -> None:
        """Read the pods that are followed anew, whatever their watch has told."""
        for role in ROLES:
            if known := self._pods.get((key, role)):
                await known[1].list_again()

    def watchers(self) -> list[tuple[str, Watcher]]:
        """All of them, with the namespaces that they are in."""
        return [(key.namespace, watcher) for (key, _), (_, watcher) in self._pods.items()]
