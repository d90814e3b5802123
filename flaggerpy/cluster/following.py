"""One kind of object followed in several namespaces, or in all of them, and read as one cache.

Each namespace has a list-and-watch of its own: what becomes of one (it is deleted, or our rights there are) is of no matter to the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flaggerpy.cluster.client import Manifest
from flaggerpy.cluster.kinds import Kind
from flaggerpy.cluster.watch import Key, Watcher

EVERYWHERE = ""
"""The scope that is all namespaces."""


class Following:
    """Watchers by scope: a namespace, or EVERYWHERE. `make` gives one that was not started, for a namespace or (None) for all."""

    def __init__(self, kind: Kind, make: Callable[[str | None], Watcher]) -> None:
        self.kind = kind
        self.watchers: dict[str, Watcher] = {}
        self._make = make

    def begin(self, scope: str) -> None:
        """Follow the kind there, too; a second call does nothing."""
        if scope not in self.watchers:
            self.watchers[scope] = self._make(scope or None)
            self.watchers[scope].start()

    async def end(self, scope: str) -> None:
        """Follow it there no more: everything there is told as gone."""
        watcher = self.watchers.pop(scope, None)
        if watcher is not None:
            await watcher.stop()
            watcher.cache.forget()

    def at(self, namespace: str) -> Watcher | None:
        """The watcher that sees this namespace."""
        return self.watchers.get(namespace) or self.watchers.get(EVERYWHERE)

    def synced(self, namespace: str) -> bool:
        """Whether what is in this namespace was listed."""
        watcher = self.at(namespace)
        return watcher is not None and watcher.synced.is_set()

    async def listed(self, namespace: str) -> None:
        """Wait until what is in this namespace was listed; at once where the kind is not followed there."""
        watcher = self.at(namespace)
        if watcher is not None:
            await watcher.synced.wait()

    def get(self, ns: str | None, name: str) -> Manifest | None:
        """The projection of one object, None when it is not there."""
        watcher = self.at(ns or "")
        return watcher.get(ns, name) if watcher else None

    def items(self) -> Iterator[tuple[Key, Manifest]]:
        """All keys and projections; safe while the caches change."""
        return itertools.chain.from_iterable([watcher.items() for watcher in self.watchers.values()])

    def put(self, obj: Mapping[str, Any]) -> None:
        """Take the answer of our own write: see `watch.Cache.put`."""
        watcher = self.at(str(obj["metadata"].get("namespace") or ""))
        if watcher is not None:
            watcher.cache.put(obj)
