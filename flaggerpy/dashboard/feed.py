"""What changes, to whom it is told, and what is remembered of running releases. Lives in one event loop; does no I/O.

A reader has a set of keys that it has not seen in their present state, not a queue of changes: however slow it is, it costs at most one
key per Canary, and what it gets next is the present state. Rows are made once for all readers, and only while there are any; a minute
after the last one has left nothing is kept but the timelines of runs under way and of the last few that ended.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from flaggerpy.api.commanding import Order
from flaggerpy.dashboard.detail import detail, ordered, pod_counts
from flaggerpy.dashboard.rows import row
from flaggerpy.dashboard.timeline import Timeline

Obj = dict[str, Any]

ENDED_KEPT = 32
"""How many runs that ended keep their picture, the last ones of the whole cluster."""
ECHO_SECONDS = 30.0
"""How long after a run's end events still belong to it."""
GRACE_SECONDS = 60.0
MOST_CHANGES = 20_000


class Key(NamedTuple):
    """The identity of a Canary."""

    namespace: str
    name: str


class Source(Protocol):
    """The controller's caches."""

    def now(self) -> float:
        """The API server's time in epoch seconds."""

    def names(self) -> list[Key]:
        """All Canaries."""

    def canary(self, key: Key) -> Obj | None:
        """One Canary as it is cached, None when there is none. Not to be changed."""

    def workloads(self, key: Key, obj: Mapping[str, Any]) -> tuple[Obj | None, Obj | None]:
        """Its primary and its target, as far as they are cached."""

    def leads(self) -> bool:
        """Whether this replica does the work, and so hears the events."""


class Reader:
    """One open stream. `only` None: the list. Wait for `woken`, then ask the feed what is new."""

    def __init__(self, only: Key | None = None) -> None:
        self.only = only
        self.dirty: OrderedDict[Key, None] = OrderedDict()
        self.woken = asyncio.Event()

    def tell(self, key: Key) -> None:
        if self.only is None or self.only == key:
            self.dirty[key] = None
            self.woken.set()


class Feed:
    """See the module. `changed` and `heard` are called by the controller, the rest by what serves pages."""

    def __init__(self, source: Source, later: Callable[[float, Callable[[], None]], asyncio.TimerHandle] | None = None) -> None:
        self._source = source
        self._later = later or asyncio.get_running_loop().call_later
        self._running: dict[Key, Timeline] = {}
        self._ended: OrderedDict[Key, Timeline] = OrderedDict()
        self._readers: set[Reader] = set()
        self._rows: dict[Key, bytes] = {}
        self._changes: OrderedDict[Key, int] = OrderedDict()
        self._serial = 0
        self._epoch = ""
        self._forgetting: asyncio.TimerHandle | None = None

    # --- from the controller -----------------------------------------------------------------------------------------------------------

    def changed(self, key: Key, obj: Obj | None) -> None:
        """A Canary was written, or (None) is gone."""
        self._remember(key, obj)
        self._rows.pop(key, None)
        if not self._epoch:
            return
        self._serial += 1
        self._changes.pop(key, None)
        self._changes[key] = self._serial
        if len(self._changes) > MOST_CHANGES:
            self._changes.clear()
            self._epoch = secrets.token_hex(6)
        for reader in self._readers:
            reader.tell(key)

    def heard(self, key: Key, type_: str, message: str) -> None:
        """An event about a Canary was recorded."""
        now = self._source.now()
        line = self._running.get(key)
        if line is None:
            line = self._ended.get(key)
            if line is None or now - (line.ended or 0.0) > ECHO_SECONDS:
                return
        line.heard(type_, message, now)
        for reader in self._readers:
            if reader.only == key:
                reader.tell(key)

    def _remember(self, key: Key, obj: Obj | None) -> None:
        status: Mapping[str, Any] = (obj or {}).get("status") or {}
        run = status.get("run")
        now = self._source.now()
        line = self._running.get(key)
        if line is not None and (not run or run.get("id") != line.id):
            del self._running[key]
            if obj is not None:
                line.end(status, now)
                self._ended[key] = line
                self._ended.move_to_end(key)
                while len(self._ended) > ENDED_KEPT:
                    self._ended.popitem(last=False)
            line = None
        if obj is None:
            self._ended.pop(key, None)
        elif run:
            if line is None:
                line = self._running[key] = Timeline(run, now)
                self._ended.pop(key, None)
            line.saw(status, now, telling=self._source.leads())

    # --- to readers --------------------------------------------------------------------------------------------------------------------

    @property
    def readers(self) -> int:
        return len(self._readers)

    @property
    def moment(self) -> str:
        """The id of the present state: a reader that comes back with it gets only what changed since."""
        return f"{self._epoch}-{self._serial}"

    def join(self, reader: Reader, last: str = "") -> bool:
        """Begin to tell a reader. `last`: the moment it knows; True when it gets the changes since, False when it gets everything."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        if not self._epoch:
            self._epoch = secrets.token_hex(6)
        self._readers.add(reader)
        epoch, _, serial = last.partition("-")
        resumes = reader.only is None and epoch == self._epoch and serial.isdecimal() and len(serial) < 19
        if reader.only is not None:
            reader.tell(reader.only)
        elif resumes:
            for key, at in self._changes.items():
                if at > int(serial):
                    reader.dirty[key] = None
        else:
            reader.dirty = OrderedDict.fromkeys(self._source.names())
        reader.woken.set()
        return resumes

    def leave(self, reader: Reader) -> None:
        """A reader is gone; what only readers need follows a minute after the last one."""
        self._readers.discard(reader)
        if not self._readers and self._forgetting is None:
            self._forgetting = self._later(GRACE_SECONDS, self._forget)

    def _forget(self) -> None:
        self._forgetting = None
        if not self._readers:
            self._rows.clear()
            self._changes.clear()
            self._epoch = ""

    def row(self, key: Key) -> bytes | None:
        """A Canary's row as JSON, None when it is gone."""
        known = self._rows.get(key)
        if known is None:
            obj = self._source.canary(key)
            if obj is None:
                return None
            known = _json(row(obj))
            if self._readers:
                self._rows[key] = known
        return known

    def detail(self, key: Key) -> bytes | None:
        """The page of one Canary as JSON, None when it is gone."""
        obj = self._source.canary(key)
        if obj is None:
            return None
        primary, target = self._source.workloads(key, obj)
        counts = {side: count for side, each in (("primary", primary), ("canary", target)) if (count := pod_counts(each)) is not None}
        return _json(detail(obj, timeline=self._running.get(key) or self._ended.get(key), pods=counts))

    def ordered(self, verb: str, key: Key, revision: str, step: int) -> Order | str | None:
        """What a command writes, or why it makes no sense now; None when there is no such Canary."""
        obj = self._source.canary(key)
        return None if obj is None else ordered(verb, obj, revision, step)

    def now(self) -> float:
        """The API server's time."""
        return self._source.now()

    def namespaces(self) -> Iterator[str]:
        """Those that have a Canary, each once."""
        return iter(sorted({key.namespace for key in self._source.names()}))


def _json(value: Obj) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
