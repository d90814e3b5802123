"""Kubernetes events (core/v1), written in the background: an event that fails, or one too many, blocks and breaks nothing.

- Series: an event equal to one of the last 10 minutes (object, type, reason, message, chapter) raises its `count` and `lastTimestamp` by a
  patch. A chapter is a release: the same thing said in two releases is two events, or kubectl would show the later one's beginning only.
- Order: kubectl sorts by `lastTimestamp`, which the API server keeps to the second, and leaves equal ones in the order of their names;
  these grow with time. `eventTime` has the microseconds, for `kubectl get events --sort-by=.eventTime` and our own views.
- Spam: each object has a token bucket, 25 at once (client-go's burst) and one more each 10 s; a canary with an analysis interval of 10 s
  says at most that in the long run. The last 5 tokens are kept for warnings. What finds no token is dropped and counted.
- The queue holds 1000 events; when it is full new ones are dropped and counted. A failed write is tried a few times, then dropped.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flaggerpy.api.texts import printable
from flaggerpy.cluster.client import Client, Manifest
from flaggerpy.cluster.errors import ApiError, NotFound
from flaggerpy.cluster.kinds import EVENT
from flaggerpy.cluster.tasks import end

SERIES_SECONDS = 600.0
BURST = 25
REFILL_SECONDS = 10.0
FOR_WARNINGS = 5
QUEUE = 1000
REMEMBERED = 4096
MESSAGE_BYTES = 1024
ACTION = "Reconcile"
"""What the API server demands of an event with microseconds: what was being done."""
REQUEST_SECONDS = 5.0

_log = logging.getLogger(__name__)


class _Happening(NamedTuple):
    involved: tuple[tuple[str, str], ...]
    type: str
    reason: str
    message: str
    chapter: str


@dataclass(frozen=True, slots=True)
class _Series:
    namespace: str
    name: str
    count: int
    at: float


class EventRecorder:
    """Writes events about objects as `component` (Flagger's events come from "flagger"); `stop` writes what is still queued."""

    def __init__(
        self,
        client: Client,
        component: str = "flagger",
        *,
        instance: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0
        self.on_record: Callable[[Mapping[str, Any], str, str], None] | None = None
        """Told of each event at once, also of those that are dropped: object, type, message."""
        self.on_dropped: Callable[[], None] = lambda: None
        self._client = client
        self._component = component
        self._instance = instance or socket.gethostname()
        self._monotonic = monotonic
        self._queue: asyncio.Queue[tuple[_Happening, float]] = asyncio.Queue(QUEUE)
        self._series: OrderedDict[_Happening, _Series] = OrderedDict()
        self._buckets: OrderedDict[tuple[tuple[str, str], ...], tuple[float, float]] = OrderedDict()
        self._serial = itertools.count()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write; events recorded earlier wait in the queue."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="events")

    async def stop(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - the word of the design
        """Write what is queued, for at most `timeout` seconds, and end."""
        await self.flush(timeout)
        task, self._task = self._task, None
        await end(task)

    async def flush(self, timeout: float = 5.0) -> bool:  # noqa: ASYNC109
        """Wait until all that was recorded is written or given up; False when `timeout` seconds did not suffice."""
        if self._task is None:
            return self._queue.empty()
        try:
            async with asyncio.timeout(timeout):
                await self._queue.join()
        except TimeoutError:
            return False
        return True

    def record(self, involved: Mapping[str, Any], message: str, *, type: str = "Normal", reason: str = "Synced", chapter: str = "") -> bool:
        """Queue an event about an object (its manifest, or anything with apiVersion, kind and metadata); `type` is Normal or Warning.

        `chapter`: what it is told in, such as a release's run; see the module. Never raises and never waits; False means dropped.
        """
        try:
            message = printable(message)
            if self.on_record:
                self.on_record(involved, type, message)
            happening = _Happening(_reference(involved), type, reason, _shortened(message), chapter)
            if not self._token(happening):
                self._drop()
                return False
            self._queue.put_nowait((happening, self._client.now()))
        except asyncio.QueueFull:
            self._drop()
            return False
        except Exception:
            _log.exception("an event could not be recorded: %s", message)
            return False
        return True

    def _drop(self) -> None:
        self.dropped += 1
        self.on_dropped()

    def _token(self, happening: _Happening) -> bool:
        key, now = happening.involved, self._monotonic()
        tokens, at = self._buckets.pop(key, (float(BURST), now))
        tokens = min(BURST, tokens + (now - at) / REFILL_SECONDS)
        granted = tokens >= 1 + (0 if happening.type == "Warning" else FOR_WARNINGS)
        self._buckets[key] = (tokens - 1 if granted else tokens, now)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return granted

    async def _run(self) -> None:
        while True:
            happening, moment = await self._queue.get()
            try:
                await self._write(happening, moment)
            except ApiError as error:
                self._drop()
                _log.warning("an event was not written: %s (%s: %s)", error, happening.reason, happening.message)
            except Exception:
                self._drop()
                _log.exception("an event was not written")
            finally:
                self._queue.task_done()

    async def _write(self, happening: _Happening, moment: float) -> None:
        known = self._series.pop(happening, None)
        now, stamp = self._monotonic(), _stamp(moment)
        if known and now - known.at < SERIES_SECONDS:
            body = {"count": known.count + 1, "lastTimestamp": stamp}
            try:
                await self._ask("PATCH", EVENT.path(known.namespace, known.name), body, "application/merge-patch+json")
                self._remember(happening, _Series(known.namespace, known.name, known.count + 1, now))
                return
            except NotFound:
                # events live for an hour at most, and people delete them: begin a new series
                pass
        event = self._event(happening, stamp, moment)
        namespace, name = event["metadata"]["namespace"], event["metadata"]["name"]
        await self._ask("POST", EVENT.path(namespace), event, "application/json")
        self._remember(happening, _Series(namespace, name, 1, now))

    def _remember(self, happening: _Happening, series: _Series) -> None:
        self._series[happening] = series
        while len(self._series) > REMEMBERED:
            self._series.popitem(last=False)

    async def _ask(self, method: str, path: str, body: Manifest, content_type: str) -> None:
        await self._client.request(method, path, body=body, content_type=content_type, within=REQUEST_SECONDS, attempts=3)

    def _event(self, happening: _Happening, stamp: str, moment: float) -> Manifest:
        involved = dict(happening.involved)
        # client-go's form; the serial keeps two events of one nanosecond apart
        name = f"{involved['name'][:220]}.{int(moment * 1e9) + next(self._serial):x}"
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": involved.get("namespace") or "default"},
            "involvedObject": involved,
            "type": happening.type,
            "reason": happening.reason,
            "message": happening.message,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": self._instance[:128],
            "action": ACTION,
            "eventTime": _micro_stamp(moment),
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }


def _reference(obj: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    # without the resourceVersion: the same thing said about two versions is one series
    metadata = obj["metadata"]
    parts = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "namespace": metadata.get("namespace"),
        "name": metadata["name"],
        "uid": metadata.get("uid"),
    }
    return tuple((key, str(value)) for key, value in parts.items() if value)


def _shortened(message: str) -> str:
    data = message.encode("utf-8", "replace")
    if len(data) <= MESSAGE_BYTES:
        return message
    return data[: MESSAGE_BYTES - 3].decode("utf-8", "ignore") + "…"


def _stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _micro_stamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
