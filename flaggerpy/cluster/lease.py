"""Leader election by a Lease, by client-go's rules: of several replicas at most one leads.

Clocks are never compared. A candidate notes by its own monotonic clock when it last saw the Lease *change*, and takes it when it stood
still for the holder's duration. The leader renews every `retry` seconds and stands down when the last renewal that succeeded was *begun*
`renew` seconds ago, so it has stood down before anybody may take over. Every request has a time limit below that. On `stop` the Lease is
given back; candidates watch it, so that one takes over at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import random
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from flaggerpy.cluster.client import MANAGER, Client, Manifest
from flaggerpy.cluster.errors import AlreadyExists, ApiError, Conflict, NotFound
from flaggerpy.cluster.kinds import LEASE
from flaggerpy.cluster.tasks import end, failure
from flaggerpy.cluster.watch import Key, Watcher

NAME = "flagger-leader-election"
"""Flagger's name of the Lease."""
DURATION_SECONDS = 15.0
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
LATEST_LOOK = 0.2
"""Seconds after the end of the Lease within which a candidate takes it: not all of them in the same moment."""
RELEASE_SECONDS = 5.0
NOISE = 3.0
"""Seconds by which the time in a Lease and the API server's note of its writing differ anyway: whole seconds, and a slow answer."""

_log = logging.getLogger(__name__)


def default_identity() -> str:
    """The host's (pod's) name and a part that no earlier process had, as client-go's users form it."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


class LeaderElection:
    """Campaigns from `start` to `stop`; `leading` is set while this process leads.

    `on_started` and `on_stopped` are called in the event loop at each change. `duration`, `renew` and `retry` are seconds, each smaller
    than the one before. `annotations` are written into the Lease with each claim and renewal. Guard what must not be done twice by
    `holds`, which is right also when the event loop was blocked.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str = NAME,
        identity: str | None = None,
        duration: float = DURATION_SECONDS,
        renew: float = RENEW_SECONDS,
        retry: float = RETRY_SECONDS,
        *,
        annotations: Callable[[], Mapping[str, str]] = dict,
        on_started: Callable[[], None] | None = None,
        on_stopped: Callable[[], None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < retry < renew < duration:
            raise ValueError("a Lease needs retry < renew < duration")
        self.identity = identity or default_identity()
        self.leading = asyncio.Event()
        self.stood_down = asyncio.Event()
        self.stood_down.set()
        self.problem: ApiError | None = None
        self._client = client
        self._namespace = namespace
        self._name = name
        self._duration = duration
        self._renew = renew
        self._retry = retry
        self._annotations = annotations
        self._on_started = on_started
        self._on_stopped = on_stopped
        self._monotonic = monotonic
        self._lease: Manifest | None = None
        self._seen: tuple[object, ...] = ()
        self._seen_at = monotonic()
        self._renewed_at = float("-inf")
        self._changed = asyncio.Event()
        self._claiming = False
        self._early = asyncio.Event()
        self._readers: list[asyncio.Future[bool]] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def failure(self) -> BaseException | None:
        """The fault of ours that ended the campaign; None while it goes on."""
        return failure(self._task)

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty when nobody did."""
        return str(self._spec.get("holderIdentity") or "")

    @property
    def _spec(self) -> Manifest:
        return (self._lease or {}).get("spec") or {}

    def holds(self) -> bool:
        """True while nobody else can lead: we lead and the last renewal was begun less than `duration` ago."""
        return self.leading.is_set() and self._monotonic() < self._renewed_at + self._duration

    async def publish(self) -> bool:
        """Renew at once: true when the annotations as they are now stand in the Lease, false when we do not lead any more."""
        if not self.leading.is_set():
            return False
        reader: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._readers.append(reader)
        self._early.set()
        return await reader

    def start(self) -> None:
        """Begin to campaign."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="leader election")

    async def stop(self) -> None:
        """End the campaign; give the Lease back if we hold it. Call it when nothing writes any more."""
        task, self._task = self._task, None
        if task is None:
            return
        await end(task)
        # not only what we lead by: a claim may have been carried out a moment before its answer was noticed, or known
        held = self._claiming or self.holder == self.identity
        if held:
            try:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await self._release()
            except (ApiError, TimeoutError) as error:
                _log.warning("the lease could not be given back, it runs out in %g s: %s", self._duration, error)

    async def __aenter__(self) -> LeaderElection:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _run(self) -> None:
        while True:
            await self._acquire()
            self._turn(True)
            try:
                await self._hold()
            finally:
                self._turn(False)

    def _turn(self, leads: bool) -> None:
        if leads:
            self.stood_down.clear()
            self.leading.set()
        else:
            self.leading.clear()
            self.stood_down.set()
            self._answer(self._readers, False)
            self._readers = []
        _log.info("%s: %s", self.identity, "leading" if leads else "not leading any more")
        tell = self._on_started if leads else self._on_stopped
        if tell:
            try:
                tell()
            except Exception:
                _log.exception("a listener to the leader election failed")

    @staticmethod
    def _answer(readers: list[asyncio.Future[bool]], written: bool) -> None:
        for reader in readers:
            if not reader.done():
                reader.set_result(written)

    async def _acquire(self) -> None:
        # the watch only wakes us early; without it (no access to watch) the poll finds the free Lease
        watcher = Watcher(
            self._client, LEASE, self._namespace, field_selector=f"metadata.name={self._name}", on_change=self._wake, project=_spec_of
        )
        async with watcher:
            while not await self._attempt(self._renew):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next_look()):
                        await self._changed.wait()
                self._changed.clear()

    def _until_next_look(self) -> float:
        """Seconds: to the next poll, or to the moment when the Lease has run out, unless somebody renews it until then."""
        pause, left = self._retry * random.uniform(1, 1.2), self._seen_at + self._lasts - self._monotonic()
        return min(pause, left + random.uniform(0, LATEST_LOOK)) if left > 0 else pause

    def _wake(self, key: Key, new: Manifest | None, old: Manifest | None) -> None:
        if new is None or not new["spec"].get("holderIdentity"):
            self._changed.set()
        else:
            # a renewal is known when it is told, not only at the next poll
            self._notice(new["spec"])

    async def _hold(self) -> None:
        while (left := self._renewed_at + self._renew - self._monotonic()) > 0:
            renewed = await self._attempt(left)
            if not renewed and self.holder != self.identity:
                return
            left = self._renewed_at + self._renew - self._monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(self._retry, left))):
                    await self._early.wait()

    async def _attempt(self, within: float) -> bool:
        """Take or renew the Lease, in at most `within` seconds; true when we hold it afterwards."""
        began = self._monotonic()
        self._early.clear()
        # those who wait for what is written now; who comes later waits for the next time
        readers, self._readers = self._readers, []
        try:
            async with asyncio.timeout(within):
                held = await self._take_or_renew(within)
        except (ApiError, TimeoutError) as error:
            problem = error if isinstance(error, ApiError) else ApiError(f"no answer within {within:.3g} s")
            if str(problem) != str(self.problem):
                _log.warning("the lease %s/%s: %s", self._namespace, self._name, problem)
            self.problem = problem
            self._readers += readers
            return False
        self.problem = None
        self._answer(readers, held)
        if held:
            self._renewed_at = began
        return held

    async def _take_or_renew(self, within: float) -> bool:
        # the leader writes straight away: nobody else may have changed the Lease, and if so the version tells
        if self.leading.is_set() and self.holder == self.identity:
            try:
                await self._write(within)
                return True
            except (Conflict, NotFound):
                pass
        try:
            self._note(await self._ask("GET", LEASE.path(self._namespace, self._name), within))
        except NotFound:
            self._lease = None
            return await self._create(within)
        if self.holder not in ("", self.identity) and self._monotonic() < self._seen_at + self._lasts:
            return False
        if not self.leading.is_set():
            self._go_on_with_time()
        try:
            await self._write(within)
        except Conflict:
            return False
        return True

    def _go_on_with_time(self) -> None:
        """Where the predecessor's clock was not the API server's (that had been set, and is followed slowly), go on with the former."""
        ahead = predecessor_ahead(self._lease or {})
        if abs(ahead) > NOISE:
            _log.warning("the API server's clock was set: it is followed slowly, from %+.0f s", ahead)
            self._client.clock.resume(ahead)

    @property
    def _lasts(self) -> float:
        return float(self._spec.get("leaseDurationSeconds") or self._duration)

    def _note(self, lease: Manifest) -> None:
        self._notice(lease.get("spec") or {})
        self._lease = lease

    def _notice(self, spec: Manifest) -> None:
        """Whoever tells first of a change, the poll or the watch, tells when it was seen."""
        seen = tuple(spec.get(field) for field in ("holderIdentity", "renewTime", "leaseTransitions", "leaseDurationSeconds"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._monotonic()

    async def _create(self, within: float) -> bool:
        lease = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace, **self._annotated({})},
            "spec": self._claim({}),
        }
        self._claiming = True
        try:
            self._note(await self._ask("POST", LEASE.path(self._namespace), within, lease))
        except AlreadyExists:
            self._claiming = False
            return False
        self._claiming = False
        return True

    async def _write(self, within: float) -> None:
        assert self._lease
        lease = {**self._lease, "metadata": {**self._lease["metadata"], **self._annotated(self._lease)}, "spec": self._claim(self._spec)}
        self._claiming = True
        try:
            self._note(await self._ask("PUT", LEASE.path(self._namespace, self._name), within, lease))
        except (Conflict, NotFound):
            self._claiming = False
            raise
        self._claiming = False

    def _annotated(self, lease: Manifest) -> Manifest:
        wanted = self._annotations()
        return {"annotations": {**((lease.get("metadata") or {}).get("annotations") or {}), **wanted}} if wanted else {}

    def _claim(self, spec: Manifest) -> Manifest:
        moment = self._moment()
        claimed = {
            **spec,
            "holderIdentity": self.identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "renewTime": moment,
        }
        if spec.get("holderIdentity") != self.identity:
            claimed["acquireTime"] = moment
            claimed["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + (1 if spec else 0)
        return claimed

    async def _release(self) -> None:
        # a claim or renewal that was cancelled may have reached the server: then our version is old, or we have none
        if self._claiming:
            try:
                self._note(await self._ask("GET", LEASE.path(self._namespace, self._name), RELEASE_SECONDS))
            except NotFound:
                return
        for _ in range(2):
            lease = copy.deepcopy(self._lease)
            if not lease or lease["spec"].get("holderIdentity") != self.identity:
                return
            moment = self._moment()
            del lease["spec"]["holderIdentity"]
            lease["spec"] |= {"leaseDurationSeconds": 1, "renewTime": moment, "acquireTime": moment}
            try:
                self._note(await self._ask("PUT", LEASE.path(self._namespace, self._name), RELEASE_SECONDS, lease))
                return
            except Conflict:
                self._note(await self._ask("GET", LEASE.path(self._namespace, self._name), RELEASE_SECONDS))

    async def _ask(self, method: str, path: str, within: float, body: Manifest | None = None) -> Manifest:
        answer: Any = await self._client.request(method, path, body=body, within=within, attempts=1, throttled=False)
        found: Manifest = answer
        return found

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._client.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def predecessor_ahead(lease: Manifest) -> float:
    """Seconds by which the clock of the flaggerpy that wrote this Lease last was before the API server's then; 0 if that cannot be told.

    `renewTime` is the writer's time, that of the managedFields entry the server's. Other programs' clocks are of no interest.
    """
    entries = (lease.get("metadata") or {}).get("managedFields") or ()
    renewed = (lease.get("spec") or {}).get("renewTime")
    for entry in entries:
        if entry.get("manager") == MANAGER and "f:renewTime" in ((entry.get("fieldsV1") or {}).get("f:spec") or {}):
            with contextlib.suppress(TypeError, ValueError):
                written, server = (datetime.fromisoformat(str(text).replace("Z", "+00:00")) for text in (renewed, entry.get("time")))
                # the server's note is of whole seconds
                return (written - server).total_seconds() - 0.5
    return 0.0


def _spec_of(lease: Manifest) -> Manifest:
    return {"spec": lease.get("spec") or {}}
