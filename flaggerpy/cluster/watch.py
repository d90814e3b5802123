"""List and watch: a cache of one kind that follows the API server, holds projections, and tells what changed.

One task per Watcher: list (pages), watch from that version, go on where a watch ended. What a watch can do wrong, and the answer here:
- 410 Gone: the list is read anew and what it does not name goes, so that what vanished meanwhile is reported as deleted;
- silence: bookmarks come about every minute, so 75 s without a byte may mean a dead connection: reconnect from the last version. It may
  also mean nothing: a server that was just started sends no bookmarks for a kind of which nothing happened (seen with 1.34), so that this
  is no problem as long as the connection can be made again;
- errors of any kind: endless back-off with jitter, capped at 15 s; the last one is told by `problem`;
- repeats: an event whose resourceVersion or projection is the cached one tells nobody.

Own writes are fenced: `put` takes the answer of a write, so that the cache is never older than what we wrote ourselves. This compares
resourceVersions as numbers. Kubernetes long called them opaque (equal or not); since 1.35 (KEP-5504, true in practice of every etcd-backed
server before) decimal versions of one resource may be ordered. A version that is no decimal number is never ordered: `put` then changes
nothing and the watch brings the object.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from flaggerpy.cluster.client import JSON, METADATA, Client, Manifest, Page
from flaggerpy.cluster.errors import ApiError, Gone, Silent, error_from
from flaggerpy.cluster.kinds import Kind
from flaggerpy.cluster.selectors import matches
from flaggerpy.cluster.tasks import end

SILENCE = 75.0
SERVER_TIMEOUT = 300
BACKOFF_FIRST = 0.5
BACKOFF_CAP = 15.0
HEALTHY_AFTER = 1.0

_log = logging.getLogger(__name__)


class Key(NamedTuple):
    """Identity of an object within its kind; the namespace is empty for cluster-scoped kinds."""

    namespace: str
    name: str


Projection = Callable[[Manifest], Manifest | None]
OnChange = Callable[[Key, Manifest | None, Manifest | None], None]


class _Entry(NamedTuple):
    uid: str
    version: str
    value: Manifest | None


def whole(obj: Manifest) -> Manifest:
    """The projection used when none is given: the object without managedFields, which are most of its size."""
    obj.get("metadata", {}).pop("managedFields", None)
    return obj


def newer(version: str, than: str) -> bool | None:
    """Whether a resourceVersion is newer than another one of the same resource; None when these versions have no order."""
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return None


class Cache:
    """What a watch has told, by key, as projections. A projection of None means: exists, but is of no interest.

    Of a namespace that `keep` says no to nothing is taken at all.
    """

    def __init__(
        self,
        kind: Kind,
        *,
        namespace: str | None = None,
        label_selector: str | None = None,
        metadata_only: bool = False,
        project: Projection | None = None,
        on_change: OnChange | None = None,
        keep: Callable[[str], bool] | None = None,
    ) -> None:
        self._keep = keep
        self._kind = kind
        self._metadata_only = metadata_only
        self._namespace = namespace
        self._label_selector = label_selector
        self._project = project or whole
        self._on_change = on_change
        self._entries: dict[Key, _Entry] = {}
        self._fills = 0
        self._gone: dict[Key, str] = {}
        self.version = ""

    def get(self, ns: str | None, name: str) -> Manifest | None:
        """The projection of one object, None when it is not there."""
        entry = self._entries.get(Key(ns or "", name))
        return entry.value if entry else None

    def items(self) -> Iterator[tuple[Key, Manifest]]:
        """All keys and projections; safe while the cache changes."""
        return iter([(key, entry.value) for key, entry in self._entries.items() if entry.value is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self.items())

    def put(self, obj: Mapping[str, Any]) -> bool:
        """Take the answer of our own write or of a live read, if it is newer than what is known; true when the cache took it.

        Of an object that is known, its own version decides: a watch that lost an event goes on to later ones of others.
        """
        metadata = obj["metadata"]
        version, key = str(metadata.get("resourceVersion") or ""), key_of(obj)
        elsewhere = (self._namespace and key.namespace != self._namespace) or not self._keeps(key)
        if elsewhere or not matches(self._label_selector, metadata.get("labels")):
            return False
        known = self._entries.get(key)
        # of what is not known, the watch has told everything up to its own version: also that this object is gone
        if not newer(version, known.version if known else self.version or "0"):
            return False
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            return False
        self._store(key, obj)
        return True

    def missed(self, objects: Iterable[Mapping[str, Any]], version: str, within: str = "") -> bool:
        """Whether a list (its resourceVersion is `version`) has what is not known here, not so new, or no more.

        `within` is the namespace that was listed, "" for all that this cache follows.
        """
        every = {key_of(obj): str(obj["metadata"].get("resourceVersion") or "") for obj in objects}
        listed = {key: version for key, version in every.items() if self._keeps(key)}
        if any(key not in self._entries or newer(told, self._entries[key].version) for key, told in listed.items()):
            return True
        return any(key not in listed and not newer(self._entries[key].version, version) for key in self._within(within))

    def _within(self, namespace: str) -> list[Key]:
        return [key for key in self._entries if namespace in ("", key.namespace)]

    def forget(self, within: str = "") -> None:
        """What is in this namespace ("" for all) is not followed any more: all of it is told as gone."""
        for key in self._within(within):
            self._drop(key)

    async def fill(self, pages: AsyncIterator[Page], within: str = "", *, whole: bool = False) -> None:
        """Take a list of a namespace ("" for all) page by page: thousands of objects are not unpacked all at once.

        What it does not name is gone at its end, except for our own writes that are newer than it; what is told as deleted meanwhile stays
        so. What ends the list (an ApiError) leaves what was taken, and lets nothing go. `whole`: nothing is taken before all has been
        read, for listeners that would draw conclusions from what they do not find.
        """
        listed: set[Key] = set()
        read: list[Manifest] = []
        version = ""
        self._fills += 1
        try:
            async for page in pages:
                if page.first:
                    listed, read = set(), []
                if whole:
                    read += page.items
                else:
                    listed |= self.take(page.items)
                version = page.version
                # not kept while the next one is awaited
                del page
            self.keep_only(listed | self.take(read), version, within)
        finally:
            self._fills -= 1
            if not self._fills:
                self._gone.clear()

    def take(self, objects: Iterable[Manifest]) -> set[Key]:
        """Some objects of a list: their keys."""
        listed = set()
        for obj in objects:
            key = key_of(obj)
            listed.add(key)
            self._take(key, obj)
        return listed

    def keep_only(self, listed: set[Key], version: str, within: str = "") -> None:
        """The end of a list, `version`, whose objects were taken."""
        for key in self._within(within):
            if key not in listed and not newer(self._entries[key].version, version):
                self._drop(key)
        self.version = version

    def event(self, type_: str, obj: Manifest) -> None:
        """One line of a watch."""
        version = str(obj["metadata"].get("resourceVersion") or "")
        if type_ == "DELETED":
            known = self._entries.get(key_of(obj))
            if self._fills:
                self._gone[key_of(obj)] = version
            # a namesake that we made ourselves meanwhile is not the one that went
            if known and not (known.uid != _uid(obj) and newer(known.version, version)):
                self._drop(key_of(obj))
        elif type_ != "BOOKMARK":
            self._take(key_of(obj), obj)
        self.version = version or self.version

    def _keeps(self, key: Key) -> bool:
        return self._keep is None or self._keep(key.namespace)

    def _take(self, key: Key, obj: Manifest) -> None:
        if not self._keeps(key):
            return
        known = self._entries.get(key)
        version = str(obj["metadata"].get("resourceVersion") or "")
        if known and (known.version == version or newer(known.version, version)):
            return
        # a list that is older than its deletion
        if key in self._gone and not newer(version, self._gone[key]):
            return
        self._store(key, obj)

    def _store(self, key: Key, obj: Mapping[str, Any]) -> None:
        known = self._entries.get(key)
        uid, version = _uid(obj), str(obj["metadata"].get("resourceVersion") or "")
        old = known.value if known else None
        try:
            value = self._project(self._copy(obj))
        except Exception:
            # one odd object must not end the watch for all others; what cannot be read is taken as unchanged
            _log.exception("%s %s/%s could not be projected", self._kind.kind, key.namespace, key.name)
            value = old
        if known and known.uid != uid and old is not None and value is not None:
            # deleted and made again between two looks: two changes, not one
            self._drop(key)
            old = None
        self._entries[key] = _Entry(uid, version, value)
        if value != old:
            self._tell(key, value, old)

    def _copy(self, obj: Mapping[str, Any]) -> Manifest:
        # the default projection takes managedFields away: from our copy, not from the caller's object
        metadata = dict(obj["metadata"])
        if self._metadata_only:
            return {"apiVersion": self._kind.api_version, "kind": self._kind.kind, "metadata": metadata}
        return {**obj, "metadata": metadata}

    def _drop(self, key: Key) -> None:
        gone = self._entries.pop(key)
        if gone.value is not None:
            self._tell(key, None, gone.value)

    def _tell(self, key: Key, new: Manifest | None, old: Manifest | None) -> None:
        if self._on_change:
            try:
                self._on_change(key, new, old)
            except Exception:
                # a fault in one listener must not end the watch for all others
                _log.exception("on_change failed for %s/%s", key.namespace, key.name)


class Watcher:
    """Follows one kind until stopped: `start`, wait for `synced`, read `get` and `items`, `await stop()`.

    `on_change(key, new, old)` is called in the event loop, in order, with projections: old None is new to us, new None is gone. It must not
    block. With `metadata_only` objects carry no more than apiVersion, kind and metadata, and the server sends no more.
    """

    def __init__(
        self,
        client: Client,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        metadata_only: bool = False,
        project: Projection | None = None,
        on_change: OnChange | None = None,
        *,
        field_selector: str | None = None,
        keep: Callable[[str], bool] | None = None,
        silence: float = SILENCE,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self.problem: ApiError | None = None
        self.last_heard: float | None = None
        self.cache = Cache(
            kind, namespace=namespace, label_selector=label_selector, metadata_only=metadata_only, project=project, on_change=on_change,
            keep=keep,
        )  # fmt: skip
        self.get = self.cache.get
        self.items = self.cache.items
        self._client = client
        self._namespace = namespace
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._metadata_only = metadata_only
        self._silence = silence
        self._sleep = sleep
        self._failures = 0
        self._stale = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow; a second call does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"watch {self.kind}")

    async def stop(self) -> None:
        """End the connection and the task; the cache stays as it was."""
        task, self._task = self._task, None
        await end(task)

    async def __aenter__(self) -> Watcher:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def silent_for(self) -> float:
        """Seconds since the server last said anything (object, bookmark or list); infinite before the first word."""
        return float("inf") if self.last_heard is None else time.monotonic() - self.last_heard

    def _heard(self) -> None:
        self.last_heard = time.monotonic()

    async def _run(self) -> None:
        while True:
            began, reason = time.monotonic(), "ended"
            try:
                if self._stale:
                    await self._list()
                await self._follow()
                # a server may end a watch when it likes; one that ends each at once is not to be asked in a tight loop
                ended_early = time.monotonic() - began < HEALTHY_AFTER
                self._failures = self._failures + 1 if ended_early else 0
            except Gone as error:
                _log.debug("%s: %s; listing again", self.kind, error)
                self._stale, reason = True, "gone"
                self._failures += 1
            except Silent as error:
                _log.debug("%s: %s; connecting again", self.kind, error)
                self._failures, reason = 0, "silent"
            except ApiError as error:
                reason = "error"
                self._note(error)
            except Exception as error:
                reason = "error"
                _log.exception("watching %s failed", self.kind)
                self._note(ApiError(f"{type(error).__name__}: {error}"))
            self._client.on_watch_restart(self.kind.plural, reason)
            if self._failures and not (reason == "gone" and self._failures == 1):
                await self._sleep(min(BACKOFF_CAP, BACKOFF_FIRST * 2 ** min(self._failures - 1, 10)) * random.uniform(0.75, 1.25))

    def _note(self, error: ApiError) -> None:
        self._failures += 1
        if self.problem is None or str(self.problem) != str(error):
            _log.warning("watching %s: %s", self.kind, error)
        self.problem = error

    async def list_again(self) -> None:
        """Read everything anew, beside the watch that goes on: for what it may have missed. Raises ApiError."""
        await self._list()

    async def _list(self) -> None:
        pages = self._client.pages(
            self.kind,
            self._namespace,
            label_selector=self._label_selector,
            field_selector=self._field_selector,
            metadata_only=self._metadata_only,
        )
        await self.cache.fill(pages)
        self._stale = False
        self.problem = None
        self._heard()
        self.synced.set()

    async def _follow(self) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self.cache.version,
            # spread, so that hundreds of watches do not end in the same second
            "timeoutSeconds": str(int(SERVER_TIMEOUT * random.uniform(1, 2))),
        }
        query |= {"labelSelector": self._label_selector} if self._label_selector else {}
        query |= {"fieldSelector": self._field_selector} if self._field_selector else {}
        accept = METADATA if self._metadata_only else JSON
        async with self._client.stream(self.kind.path(self._namespace), query=query, accept=accept, silence=self._silence) as lines:
            self._heard()
            self.problem = None
            async for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    status = event.get("object") or {}
                    raise error_from(int(status.get("code") or 500), status)
                self._heard()
                self.cache.event(event["type"], event["object"])
                self._failures = 0


def key_of(obj: Mapping[str, Any]) -> Key:
    """The key of an object, or of anything that has its metadata."""
    return Key(str(obj["metadata"].get("namespace") or ""), str(obj["metadata"]["name"]))


def _uid(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("uid") or "")

