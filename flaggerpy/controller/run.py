"""The controller as a process: checks, caches, election, workers, and the way out.

Order of the start: HTTP server, checks (repeated until they pass; we say why we do not lead), caches, kopf, election. Order of the end:
workers, Lease, deliveries, events, kopf, watches. A replica that does not lead has warm caches and no workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from flaggerpy import __version__, lean
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError, NotConfigured
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.cluster.lease import LeaderElection
from flaggerpy.cluster.tasks import failure
from flaggerpy.controller import checks, rbac
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.background import Background, Outside
from flaggerpy.controller.claims import Claims
from flaggerpy.controller.configs import ConfigReader
from flaggerpy.controller.conflicts import Conflicts
from flaggerpy.controller.executor import Executor
from flaggerpy.controller.exporting import Exporting
from flaggerpy.controller.farewell import Farewell
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.keeping import Keeping
from flaggerpy.controller.namespaces import Namespaces
from flaggerpy.controller.outside import Beyond
from flaggerpy.controller.promoted import Finder
from flaggerpy.controller.seeing import Seeing
from flaggerpy.controller.settings import Settings, SettingsError, parse, usage
from flaggerpy.controller.shards import mine
from flaggerpy.controller.tracing import Traced, TracedOutside
from flaggerpy.controller.watching import Watching
from flaggerpy.controller.worker import Decide, Parts, Worker
from flaggerpy.controller.world import World
from flaggerpy.http import Http
from flaggerpy.metrics.lookups import Lookups
from flaggerpy.metrics.measuring import Measurer
from flaggerpy.rollout.decide import decide as decide_release
from flaggerpy.telemetry import tracing
from flaggerpy.telemetry.lag import LoopLag
from flaggerpy.telemetry.logs import about, configure
from flaggerpy.telemetry.metrics import Metrics
from flaggerpy.telemetry.server import ProbeServer

if TYPE_CHECKING:
    from flaggerpy.controller.dashboard import Dashboard

CHECK_AGAIN_SECONDS = 10.0
SWEEP_SECONDS = 300.0
TIDY_SECONDS = 30.0
SETTLED_SECONDS = 5.0
KOPF_SECONDS = 2.0
IN_A_ROW = 20
LEADER_SECONDS = 30.0
"""How long `-check` waits for a leader: a replica that has just started fills its caches first."""

_log = logging.getLogger(__name__)


class Controller:
    """One replica. `start`, then `stop`; the HTTP server is beside it (`serve`). `warmed` is called once, when the caches are warm."""

    def __init__(
        self,
        settings: Settings,
        client: Client,
        *,
        decide: Decide = decide_release,
        outside: Outside | None = None,
        identity: str = "",
        warmed: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.client = client
        self.metrics = Metrics()
        self.exporting = Exporting(settings, self.metrics)
        client.on_request, client.on_watch_restart = self.metrics.api_request, self.metrics.watch_restarted
        self.inbox = Inbox(self._arrived)
        shard = settings.own_shard
        keep = shard.owns if shard.count > 1 else None
        self.world = World(client, self.inbox, keep)
        wanted = mine(settings.namespaces, shard) if settings.namespaces else None
        self.namespaces = Namespaces(client, self.world, wanted, _providers(settings), changed=self._namespaces_changed)
        self.http = Http(egress=settings.egress, on_request=self.metrics.outside_request)
        self.registries = Http(egress=settings.egress, on_request=self.metrics.outside_request)
        self.recorder = EventRecorder(client)
        self.recorder.on_dropped = self.metrics.event_dropped
        beyond: Outside = outside or Beyond(
            client, self.world, self.http, Measurer(self.http, Lookups(self.http)), settings, self.exporting, self.recorder, self.registries
        )
        self.tracer = tracing.from_environment()
        self.traced = None if self.tracer is None else Traced(self.tracer, self.exporting, client.now, lambda: self.parts.started_at)
        if self.tracer is not None and self.traced is not None:
            beyond = TracedOutside(beyond, self.tracer, self.traced.steps, client.now)
        self.background = Background(beyond, self.inbox)
        configs = ConfigReader(client, self.world)
        applier = Applier(client, self.world)
        finder = Finder(client, configs, settings)
        conflicts = Conflicts(client.now)
        self.keeping = Keeping(
            client, self.world, self.background, applier, configs, self.recorder, conflicts, settings, finder
        )  # fmt: skip
        self.seeing = Seeing(client, self.world, self.background, configs, settings, self.keeping, conflicts, finder)
        executor = Executor(
            client, self.world, self.seeing, self.background, applier, self.keeping, self.recorder, self.exporting, conflicts
        )
        self.parts = Parts(
            client=client,
            world=self.world,
            inbox=self.inbox,
            background=self.background,
            eyes=self.seeing,
            hands=executor,
            decide=decide,
            witness=self.traced or self.exporting,
            kstatus=settings.kstatus_conditions,
            revert_by_default=settings.revert_on_deletion,
            holds=lambda: self.election.holds(),
        )
        if self.traced is not None:
            self.parts.stamp = self.traced.stamp
        self.farewell = Farewell(client, self.recorder)
        self.watching = Watching(client.configuration, self.world.scopes, self.world.feed, self._kopf_restarted, shard.owns)
        self.lag = LoopLag(self.metrics.lagged)
        self.claims = Claims(client, settings.lease_namespace, shard, grew=self._attend, told=self.metrics.shard)
        self.election = LeaderElection(
            client,
            settings.lease_namespace,
            shard.lease,
            identity or None,
            annotations=self.claims.annotations,
            on_started=self._lead,
            on_stopped=self._stand_down,
        )
        self.dashboard = self._dashboard() if settings.ui else None
        self._loop = asyncio.get_running_loop()
        self._sweep_now = asyncio.Event()
        self.warm = False
        self._warmed = warmed
        self.problems: list[str] = ["starting"]
        self._workers: dict[Key, asyncio.Task[None]] = {}
        self.metrics.waiting, self.metrics.workers = self.inbox.waiting, lambda: len(self._workers)
        self._sweeper: asyncio.Task[None] | None = None
        self._tidier: asyncio.Task[None] | None = None
        self._starter: asyncio.Task[None] | None = None
        self._claimant: asyncio.Task[None] | None = None
        self._others: asyncio.Task[None] | None = None

    def _dashboard(self) -> Dashboard:
        # imported only where it is wanted: a controller without the page does not carry it
        from flaggerpy.controller.dashboard import Dashboard

        return Dashboard(self.settings, self.client, self.world, self.recorder, self.election.holds)

    async def start(self) -> None:
        """Return when the caches are warm and the campaign for the Lease has begun."""
        await self._check()
        await asyncio.gather(self._until_answered(lambda: self.world.start(self.namespaces.open)), self.registries.warm())
        self._tell_namespaces()
        self.watching.start()
        self.namespaces.start()
        self.recorder.start()
        self.parts.started_at = self.client.now()
        self.election.start()
        self._others = asyncio.create_task(self.claims.watch(), name="the other shards")
        self.warm = True
        self._warmed()
        self.lag.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep")
        self._tidier = asyncio.create_task(self._tidy(), name="tidy")

    async def _until_answered(self, work: Callable[[], Awaitable[None]]) -> None:
        """An API server that has a bad minute when we start is no reason to end."""
        while True:
            try:
                return await work()
            except ApiError as error:
                _log.warning("the API server cannot be asked: %s", error)
                await asyncio.sleep(CHECK_AGAIN_SECONDS)

    async def _check(self) -> None:
        providers = _providers(self.settings)
        while True:
            try:
                self.problems = await checks.problems(
                    self.client,
                    self.settings.lease_namespace,
                    providers,
                    clusterwide=not self.settings.namespaces,
                    lease=self.settings.own_shard.lease,
                )
                self.problems += await self.namespaces.check()
            except ApiError as error:
                self.problems = [f"the API server cannot be asked: {error}"]
            if not self.problems:
                return
            for sentence in self.problems:
                _log.error("not leading: %s", sentence)
            await asyncio.sleep(CHECK_AGAIN_SECONDS)

    async def stop(self) -> None:
        """See the module for the order."""
        self.namespaces.stop()
        for task in (self._sweeper, self._tidier, self._starter, self._claimant, self._others):
            if task:
                task.cancel()
        if self.dashboard:
            await self.dashboard.stop()
        await self.lag.stop()
        await self._end_workers()
        await self.election.stop()
        await self.background.stop()
        await self.farewell.stop()
        await self.recorder.stop()
        # kopf takes 5 s to end when it has only just begun; it writes nothing, so the process need not wait
        await self.watching.stop(KOPF_SECONDS)
        await self.world.stop()
        await self.http.aclose()
        await self.registries.aclose()
        if self.tracer is not None:
            await asyncio.to_thread(self.tracer.close)

    # --- workers -----------------------------------------------------------------------------------------------------------------------

    def _lead(self) -> None:
        self.metrics.leading(True)
        self._claimant = asyncio.create_task(self.claims.hold(self.election), name="claims")

    def _attend(self) -> None:
        """There is more to act on than before: all that is ours, or what was left to another shard."""
        if self._starter:
            self._starter.cancel()
        self._starter = asyncio.create_task(self._start_workers(), name="start of the workers")

    def _is_ours(self, key: Key) -> bool:
        return self.election.leading.is_set() and self.claims.attends(key.namespace)

    async def _start_workers(self) -> None:
        """The loop has its turn between them, for what comes in meanwhile is more urgent. Who looks first is told by their turns."""
        keys = [key for key in (Key(*at) for at in self.world.canaries) if key not in self._workers and self._is_ours(key)]
        _log.info("leading with %d canaries", len(keys))
        for number, key in enumerate(keys):
            self._begin(key)
            if number % IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _begin(self, key: Key) -> None:
        self.inbox.put(key)
        self._arrived(key)

    def _stand_down(self) -> None:
        self.metrics.leading(False)
        for task in (self._starter, self._claimant):
            if task:
                task.cancel()
        self.claims.let_go()
        self.background.stand_down()
        for worker in self._workers.values():
            worker.cancel()
        self.exporting.stand_down()

    def _arrived(self, key: Key) -> None:
        if not self._is_ours(key):
            # nobody takes it now, and a key that stays in the inbox is not announced again; whoever leads begins with all there are
            self.inbox.close(key)
        elif key not in self._workers:
            task = asyncio.create_task(self._work(key), name=f"worker of {key}")
            # not in a `finally` of the task: one that is ended before it has begun comes to none
            task.add_done_callback(lambda _: self._worked(key))
            self._workers[key] = task

    async def _work(self, key: Key) -> None:
        with about(canary=str(key)):
            worker = Worker(key, self.parts)
            await worker.run()
        last = self.world.departed(key)
        if last is not None and self.world.sees(key.namespace):
            self.farewell.gone(last, worker.size)
        self._forget(key)

    def _worked(self, key: Key) -> None:
        del self._workers[key]
        self.inbox.close(key)
        self.world.let_pods_be(key)
        # it may have been made anew while its worker ended
        if key in self.world.canaries:
            self.inbox.put(key)

    def _forget(self, key: Key) -> None:
        self.background.forget(key)
        self.world.forget(key)
        self.seeing.forget(key)
        self.exporting.forget(key)
        if self.traced is not None:
            self.traced.forget(key)
        self.keeping.forget_canary(key)

    async def _end_workers(self) -> None:
        self.inbox.on_arrival = lambda key: None
        tasks = list(self._workers.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- housekeeping ------------------------------------------------------------------------------------------------------------------

    def _kopf_restarted(self) -> None:
        """Called in kopf's thread: what was deleted while it was down, it will never tell."""
        self.metrics.restarted("kopf")
        self._loop.call_soon_threadsafe(self._sweep_now.set)
        self._loop.call_soon_threadsafe(self.namespaces.suspect)

    def _namespaces_changed(self) -> None:
        self._tell_namespaces()
        self.watching.again()
        self._sweep_now.set()

    def _tell_namespaces(self) -> None:
        for name in self.namespaces.wanted:
            self.metrics.attended(name, name in self.world.scopes)

    async def _sweep(self) -> None:
        """A list of our kinds now and then finds ghosts; and our CRDs may have been replaced by Flagger's, or by older ones."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sweep_now.wait(), SWEEP_SECONDS)
                # kopf lists anew first
                await asyncio.sleep(SETTLED_SECONDS)
            self._sweep_now.clear()
            with contextlib.suppress(ApiError):
                await self.world.find_ghosts()
                self.problems = await checks.crd_problems(self.client)
                for sentence in self.problems:
                    _log.error("%s", sentence)

    async def _tidy(self) -> None:
        """Memory that a start or many releases at once needed does not stay ours."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            self.world.unlearn()
            await asyncio.to_thread(lean.give_back)

    # --- what is told over HTTP --------------------------------------------------------------------------------------------------------

    def alive(self) -> str | None:
        """Why the process should be restarted: what ends only by a fault of ours has ended, and nobody would do its work."""
        if self.warm and not self.watching.alive:
            return "kopf's thread has ended"
        if error := self.election.failure:
            return f"the election has failed: {error!r}"
        tasks = (self._claimant, self._starter, self._others, self._sweeper, self._tidier)
        return next((f"the task {task.get_name()} has failed: {error!r}" for task in tasks if task and (error := failure(task))), None)

    def ready(self) -> str | None:
        """Why this replica can neither lead nor take over."""
        if not self.warm:
            return "; ".join(self.problems) or "the caches are being filled"
        lease = [f"the lease: {self.election.problem}"] if self.election.problem else []
        return "; ".join([*self.problems, *self.namespaces.broken(), *lease]) or None


def _providers(settings: Settings) -> list[str]:
    """Whose routes we must be able to write from the start."""
    return [settings.mesh_provider] if settings.mesh_provider in rbac.ROUTES else []


async def _connect(settings: Settings) -> Client:
    client = await Client.connect(
        settings.kubeconfig or None, settings.kube_context or None, qps=settings.kubeconfig_qps, burst=settings.kubeconfig_burst
    )
    if settings.master:
        client.configuration.host = settings.master.rstrip("/")
    return client


async def check(settings: Settings, client: Client | None = None, within: float = LEADER_SECONDS) -> list[str]:
    """`-check`: what an installation with these settings lacks, in sentences. Raises NotConfigured."""
    own = client is None
    client = client or await _connect(settings)
    try:
        providers = _providers(settings)
        lease = settings.own_shard.lease
        found = await checks.problems(client, settings.lease_namespace, providers, clusterwide=not settings.namespaces, lease=lease)
        for name in settings.namespaces:
            found += await checks.namespace_problems(client, name, providers)
        leader = None if found else await checks.leadership(client, settings.lease_namespace, lease, within)
        return [*found, leader] if leader else found
    except NotConfigured:
        raise
    except ApiError as error:
        return [f"the API server cannot be asked: {error}"]
    finally:
        if own:
            await client.close()


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event,
    decide: Decide = decide_release,
    outside: Outside | None = None,
    client: Client | None = None,
    warmed: Callable[[], None] = lambda: None,
) -> None:
    """Run one replica until `stop` is set; for `warmed` see Controller. Raises NotConfigured when there is no cluster to talk to."""
    own = client is None
    client = client or await _connect(settings)
    controller = Controller(settings, client, decide=decide, outside=outside, warmed=warmed)
    pages = ProbeServer(
        settings.port,
        settings.address or None,
        healthz={"controller": controller.alive},
        readyz={"controller": controller.ready},
        metrics=controller.metrics.render,
        notes=lambda: [*controller.namespaces.notes(), *controller.claims.notes()],
        rooms={"/ui": controller.dashboard.pages} if controller.dashboard else {},
    )
    await pages.start()
    starting = asyncio.create_task(controller.start())
    try:
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
        await stopping
    finally:
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        await controller.stop()
        await pages.stop()
        if own:
            await client.close()


def main(argv: Sequence[str]) -> int:
    """`flaggerpy run`: the exit code, 2 for a command line that cannot be used, 1 when there is no cluster."""
    if any(word in ("-h", "-help", "--help") for word in argv):
        sys.stdout.write(usage() + "\n")
        return 0
    try:
        settings = parse(argv)
    except SettingsError as error:
        sys.stderr.write(f"flaggerpy run: {error}\n")
        return 2
    if settings.version:
        sys.stdout.write(f"{__version__}\n")
        return 0
    configure(settings.log_level, settings.zap_encoding)
    lean.small_tls_buffers()
    if settings.ignored:
        _log.info("these flags have no effect here: %s", ", ".join(settings.ignored))
    try:
        if settings.check:
            found = asyncio.run(check(settings))
            sys.stdout.write("".join(f"{sentence}\n" for sentence in found or [f"flaggerpy {__version__}: complete, and led"]))
            return 1 if found else 0
        asyncio.run(_until_signal(settings))
    except NotConfigured as error:
        sys.stderr.write(f"flaggerpy run: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"flaggerpy run: cannot serve on port {settings.port}: {error.strerror or error}\n")
        return 1
    return 0


async def _until_signal(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # only a process that is nothing else may call what it has settled
    await serve(settings, stop=stop, warmed=lean.settle)
