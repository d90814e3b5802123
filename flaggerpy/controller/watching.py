"""kopf as the watch engine of our three kinds: it lists and watches Canaries, MetricTemplates and AlertProviders, and nothing else.

kopf runs in a thread and an event loop of its own. Its handlers only hand objects over: no finalizers, annotations, events or status come
from kopf (every switch is in `kopf_settings`, and a test asserts each). When kopf ends, for whatever reason, it is started again with fresh
objects; workers and Lease live on meanwhile. Objects that were seen unchanged are dropped on kopf's side, because it replays everything
after each relist.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import aiohttp

from flaggerpy import lean
from flaggerpy.api.names import GROUP, VERSION
from flaggerpy.cluster.aio import Configuration, RESTClientObject
from flaggerpy.cluster.following import EVERYWHERE

with lean.without("kubernetes.client", "kubernetes_asyncio", "pykube"):
    import kopf

PLURALS = ("canaries", "metrictemplates", "alertproviders")
FINALIZER = "flaggerpy.flagger.app/never-set"
LONGEST_PAUSE = 15.0

Obj = dict[str, Any]
Feed = Callable[[str, str, Obj], None]
"""Called in the loop that made the Watching with plural, event type (ADDED, MODIFIED or DELETED) and object."""

_log = logging.getLogger(__name__)


class EndlessBackoffs:
    """1, 2, 4, 8, 15, 15, ... seconds, anew at each iteration. kopf ends for good when its back-offs run out; these do not."""

    def __iter__(self) -> Iterator[float]:
        pause = 1.0
        while True:
            yield pause
            pause = min(LONGEST_PAUSE, pause * 2)


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps nothing and copies nothing: we have no change handlers, and the default copies every object twice per event."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        return {}

    def fetch(self, *, body: Any) -> Any:
        return None

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        return None


class NoProgress(kopf.ProgressStorage):
    """Keeps nothing: handlers of ours have no progress, and users' objects carry no annotations of kopf."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        return None

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        return None

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        return None

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def kopf_settings() -> kopf.OperatorSettings:
    """Everything that kopf does by itself, switched off in one place; and watches that notice when they are dead."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    # kopf takes this finalizer off whatever it watches, so it must be one that nobody sets
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = 1
    settings.queueing.worker_limit = None
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = EndlessBackoffs()
    # kopf would SIGKILL the process ten minutes after it was restarted within it
    settings.process.ultimate_exiting_timeout = None
    return settings


def kopf_registry(hand_over: Feed, login: Callable[..., Awaitable[Any]]) -> kopf.OperatorRegistry:
    """The handlers: one `on.event` per kind and the login; no other decorator of kopf is used anywhere."""
    registry = kopf.OperatorRegistry()
    for plural in PLURALS:
        kopf.on.event(GROUP, VERSION, plural, id=plural, registry=registry)(_handler(plural, hand_over))
    kopf.on.login(registry=registry)(login)
    return registry


def _handler(plural: str, hand_over: Feed) -> Callable[..., Awaitable[None]]:
    # what a handler returns is written into the object's status, so it returns nothing
    async def seen(event: Any, **_: Any) -> None:
        hand_over(plural, event["type"] or "ADDED", event["object"])

    return seen


class Watching:
    """kopf, supervised. `start` and `stop` are called in the loop that `feed` is to be called in."""

    def __init__(
        self,
        configuration: Configuration,
        scopes: Sequence[str],
        feed: Feed,
        on_restart: Callable[[], None] = lambda: None,
        keep: Callable[[str], bool] = lambda namespace: True,
    ) -> None:
        """`scopes` are the namespaces, or EVERYWHERE alone; looked at when kopf is started, so that they may change before `again`.

        Canaries of namespaces that `keep` says no to are not handed over."""
        self._keep = keep
        self.restarts = 0
        self._on_restart = on_restart
        self._configuration = configuration
        self._scopes = scopes
        self._anew = False
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._own_loop: asyncio.AbstractEventLoop | None = None
        self._stop_flag: asyncio.Event | None = None
        self._versions: dict[str, str] = {}

    @property
    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._supervise()), name="kopf", daemon=True)
        self._thread.start()

    async def stop(self, patience: float = 8.0) -> None:
        """Ask kopf to end and wait for its thread, so many seconds at most: it dies with the process anyway."""
        self._stopping.set()
        if self._thread is None:
            return
        self._end_run()
        await asyncio.to_thread(self._thread.join, patience)

    def again(self) -> None:
        """Let kopf begin anew, with the scopes as they are now."""
        self._anew = True
        self._end_run()

    def _end_run(self) -> None:
        def end() -> None:
            if self._stop_flag is not None:
                self._stop_flag.set()

        if self._own_loop is not None:
            with contextlib.suppress(RuntimeError):
                self._own_loop.call_soon_threadsafe(end)

    async def _supervise(self) -> None:
        logging.getLogger("kopf").setLevel(logging.ERROR)
        self._own_loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            self._stop_flag = asyncio.Event()
            self._anew = False
            try:
                await self._run_once(self._stop_flag)
            except Exception as error:
                _log.warning("kopf ended: %s: %s", type(error).__name__, error)
            if not self._stopping.is_set() and not self._anew:
                self.restarts += 1
                self._on_restart()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop_flag.wait(), min(LONGEST_PAUSE, self.restarts))

    async def _run_once(self, stop_flag: asyncio.Event) -> None:
        scopes = tuple(self._scopes)
        if not scopes:
            await stop_flag.wait()
            return
        async with self._session() as session:

            async def login(**_: Any) -> kopf.AiohttpSession:
                return kopf.AiohttpSession(server=self._configuration.host, aiohttp_session=session)

            await kopf.operator(
                registry=kopf_registry(self._hand_over, login),
                settings=kopf_settings(),
                clusterwide=EVERYWHERE in scopes,
                namespaces=[scope for scope in scopes if scope != EVERYWHERE],
                stop_flag=stop_flag,
            )

    def _session(self) -> aiohttp.ClientSession:
        configuration = self._configuration

        async def authenticate(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            # asked per request: a projected token changes every hour
            token = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
            if token:
                request.headers["Authorization"] = token
            return await handler(request)

        tls = RESTClientObject(configuration).ssl_context
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0),
            headers={"User-Agent": "flaggerpy"},
            middlewares=[authenticate],
            trust_env=False,
        )

    def _hand_over(self, plural: str, type_: str, obj: Obj) -> None:
        metadata = obj.get("metadata") or {}
        if plural == "canaries" and not self._keep(str(metadata.get("namespace") or "")):
            return
        uid, version = str(metadata.get("uid")), str(metadata.get("resourceVersion"))
        if type_ == "DELETED":
            self._versions.pop(uid, None)
        elif self._versions.get(uid) == version:
            return
        else:
            self._versions[uid] = version
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._feed, plural, type_, dict(obj))
