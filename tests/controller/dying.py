"""Releases on the API server in memory whose controller dies at a chosen write, and what is left of them at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from kubernetes.aio.client.configuration import Configuration

from e2e.disorder.dying import DyingClient, Fate, When
from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, OutboxItem
from flaggerpy.cluster import kinds
from flaggerpy.cluster.clock import ServerClock
from flaggerpy.controller.run import Controller
from flaggerpy.controller.settings import Settings
from flaggerpy.rollout.effects import AskHook, Measure, RecordEvent
from flaggerpy.rollout.facts import Answer, ImageAnswer, Measurement
from tests.cluster.fake_apiserver import CERTIFICATE, FakeApiServer, eventually
from tests.controller.living import Living, canary, deployment

Obj = dict[str, Any]
SHOP, NAME = "shop", "podinfo"
QUIET = 0.4
"""Seconds without a write of the release after which it is over."""
WEIGHTS = {"interval": "1s", "threshold": 2, "stepWeight": 30, "maxWeight": 60}
CHECKED = [{"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}}]
GATEWAY = {"port": 9898, "gatewayRefs": [{"name": "gw", "namespace": "infra"}]}
INSIDER = [{"headers": {"x-insider": {"exact": "yes"}}}]


@dataclass(frozen=True)
class Strategy:
    """A way to release. `writes` is how many API writes it takes at most, as counted in a run that nobody disturbs:
    on a machine so slow that every change of words stands long enough to be written."""

    name: str
    writes: int
    spec: Obj
    image: str = "podinfo:2"
    outcome: str = "Succeeded"
    bad_from: int = 101
    """The canary's weight from which its requests fail."""
    initialised: bool = True
    """False: what is watched is the initialisation, from a Deployment and a Canary on."""


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("initialisation", 15, {"provider": "gatewayapi:v1", "service": GATEWAY, "analysis": WEIGHTS}, "podinfo:1", "Initialized",
                 initialised=False),
        Strategy("weighted", 22, {"provider": "gatewayapi:v1", "service": GATEWAY, "analysis": WEIGHTS}),
        Strategy("blue-green", 22, {"provider": "gatewayapi:v1", "service": GATEWAY,
                                    "analysis": {"interval": "1s", "threshold": 2, "iterations": 2}}),
        Strategy("ab-testing", 20, {"provider": "gatewayapi:v1", "service": GATEWAY,
                                    "analysis": {"interval": "1s", "threshold": 2, "iterations": 2, "match": INSIDER}}),
        Strategy("mirrored", 25, {"provider": "contour", "service": {"port": 9898}, "analysis": {**WEIGHTS, "mirror": True}}),
        Strategy("by Services", 15, {"provider": "kubernetes", "analysis": {"interval": "1s", "threshold": 2, "iterations": 2}}),
        Strategy("skipped", 11, {"provider": "gatewayapi:v1", "service": GATEWAY, "analysis": WEIGHTS, "skipAnalysis": True}),
        Strategy("image missing", 9, {"provider": "gatewayapi:v1", "service": GATEWAY, "analysis": WEIGHTS}, "podinfo:missing", "Failed"),
        Strategy("failing checks", 21, {"provider": "gatewayapi:v1", "service": GATEWAY, "analysis": {**WEIGHTS, "metrics": CHECKED}},
                 outcome="Failed", bad_from=60),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Story:
    """What can be told of a release afterwards, without times and names of its own."""

    end: Obj
    moves: tuple[tuple[int, str], ...]
    """Each change of the route: the canary's weight, and `match` or `mirror` where requests reach it so."""
    gaps: tuple[float, ...] = field(compare=False)
    """Seconds between a raise of the weight and the next."""
    writes: tuple[str, ...] = field(compare=False)
    died: bool = field(default=False, compare=False)


class Stage:
    """One server with a living cluster; `strategy` is what is released on it."""

    def __init__(self, server: FakeApiServer, strategy: Strategy) -> None:
        self.server, self.strategy = server, strategy
        self.routes: list[tuple[float, tuple[int, str]]] = []
        self.notes: list[str] = []
        # A Date header tells whole seconds, so what a controller takes for the server's time is at first up to half a second off. That is
        # nothing to an interval of ten seconds, and too much for one of one second: here an heir knows what its predecessor knew.
        self.clock = ServerClock()
        Living(server)
        server.reactors += [self._accept, lambda type_, obj: self.note_route(obj)]

    def _accept(self, type_: str, route: Obj) -> None:
        """What a gateway's controller does."""
        generation = route["metadata"].get("generation")
        if route["kind"] == "HTTPRoute":
            conditions = [{"type": name, "status": "True", "observedGeneration": generation} for name in ("Accepted", "ResolvedRefs")]
            status: Obj = {"parents": [{"parentRef": ref, "conditions": conditions} for ref in route["spec"]["parentRefs"]]}
            kind = kinds.HTTP_ROUTE
        elif route["kind"] == "HTTPProxy":
            status = {"currentStatus": "valid", "conditions": [{"type": "Valid", "status": "True", "observedGeneration": generation}]}
            kind = kinds.kind_of(route)
        else:
            return
        if route.get("status") != status:
            self.server.patch(kind, SHOP, route["metadata"]["name"], {"status": status})

    def note_route(self, route: Obj) -> None:
        if route["kind"] in ("HTTPRoute", "HTTPProxy"):
            move = split_of(route)
            if not self.routes or self.routes[-1][1] != move:
                self.routes.append((time.monotonic(), move))

    def get(self, kind: kinds.Kind, name: str = NAME) -> Obj:
        return self.server.get(kind, SHOP, name) or {}

    def status(self) -> Obj:
        found: Obj = self.get(kinds.CANARY).get("status") or {}
        return found

    def over(self) -> bool:
        """The release has its outcome, and owes nothing."""
        status = self.status()
        images = [image for entry in (status.get("history") or [])[:1] for image in entry.get("images") or ()]
        return status.get("phase") == self.strategy.outcome and self.strategy.image in images and not status.get("outbox")

    async def rested(self, within: float = 60) -> None:
        """Wait until the release is over and nothing is written any more."""
        try:
            await eventually(self.over, within)
        except TimeoutError:
            raise AssertionError(f"not {self.strategy.outcome} but {self.status()}") from None
        count = -1
        while count != len(self.server.writes):
            count = len(self.server.writes)
            await asyncio.sleep(QUIET)

    def story(self, *, died: bool = False) -> Story:
        target, primary, status = self.get(kinds.DEPLOYMENT), self.get(kinds.DEPLOYMENT, f"{NAME}-primary"), self.status()
        named = (NAME, f"{NAME}-primary", f"{NAME}-canary")
        services = {name: self.get(kinds.SERVICE, name).get("spec", {}).get("selector") for name in named}
        kept = self.server.objects.get(("apps", "controllerrevisions"), {})
        end = {
            "phase": status.get("phase"),
            "weight": status.get("canaryWeight"),
            "failed checks": status.get("failedChecks"),
            "waiting for": (status.get("progress") or {}).get("waitingFor"),
            "run": status.get("run"),
            "history": [(entry["images"], entry["outcome"], entry.get("cause")) for entry in status.get("history") or ()],
            "promoted": status.get("promotedImages"),
            "target": target["spec"]["replicas"],
            "primary": (primary["spec"]["replicas"], primary["spec"]["template"]["spec"]),
            "services": services,
            "kept": len(kept),
        }
        moves = [move for _, move in self.routes]
        raises = [at for (_, before), (at, move) in pairwise(self.routes) if move[0] > before[0]]
        gaps = tuple(later - earlier for earlier, later in pairwise(raises))
        return Story(end, tuple(moves), gaps, tuple(self.notes), died)


class Life:
    """A replica from now until it is `ended`, or dies at a write. All have one identity: an heir need not wait for the Lease."""

    def __init__(self, stage: Stage, at: int = 0, when: When = "before", *, through: tuple[str, str] | None = None) -> None:
        """`through` is another way to the server: its URL and the file of its authority."""
        self.stage, self.dead = stage, asyncio.Event()
        self._before = asyncio.all_tasks()
        url, authority = through or (stage.server.url, str(CERTIFICATE))
        configuration = Configuration(host=url, ssl_ca_cert=authority)
        self.client = DyingClient(configuration, clock=stage.clock)
        self.client.fate = Fate(at, when, die=self.dead.set, note=stage.notes.append)
        outside = Script(stage)
        self.controller = Controller(Settings(mesh_provider="kubernetes"), self.client, outside=outside, identity="the-one")
        self._start = asyncio.create_task(self.controller.start())

    async def leads(self) -> None:
        """Return once it is the leader."""
        await self.controller.election.leading.wait()

    async def ended(self) -> None:
        await self._start
        await self.controller.stop()
        await self.client.close()

    async def killed(self, *spared: asyncio.Task[Any]) -> None:
        """Nothing more is sent by it, and nothing is given back."""
        own = [task for task in asyncio.all_tasks() - self._before if task is not asyncio.current_task() and task not in spared]
        for task in own:
            task.cancel()
        await asyncio.gather(*own, return_exceptions=True)
        await self.controller.watching.stop(0.2)
        await self.client.close()


class Script:
    """The world outside of the cluster: requests fail from a weight on, and whatever is sent arrives."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        return Answer(ok=True, at=time.time())

    async def measure(self, canary: Canary, effect: Measure) -> Measurement:
        bad = self._stage.routes[-1][1][0] >= self._stage.strategy.bad_from
        return Measurement("value", 50.0 if bad else 100.0, "Halt advancement success rate 50.00% < 99%" if bad else "", time.time())

    async def check_providers(self, canary: Canary) -> tuple[str, ...]:
        return ()

    async def check_images(self, canary: Canary, status: CanaryStatus, pod_spec: Mapping[str, Any]) -> tuple[ImageAnswer, ...]:
        return ()

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        return None

    async def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        return None


def split_of(route: Obj) -> tuple[int, str]:
    """The canary's weight in an HTTPRoute or HTTPProxy, and how else requests reach it."""
    rules = route["spec"].get("rules") or route["spec"].get("routes") or []
    weights = [
        (backend["name"], int(backend.get("weight") or 0), bool(backend.get("mirror")))
        for rule in rules
        for backend in rule.get("backendRefs") or rule.get("services") or ()
    ]
    last = rules[-1].get("backendRefs") or rules[-1].get("services")
    weight = next((int(ref.get("weight") or 0) for ref in last if ref["name"].endswith("-canary") and not ref.get("mirror")), 0)
    mirrored = any(mirror for name, _, mirror in weights if name.endswith("-canary"))
    matched = len(rules) > 1 and any(weight == 100 and name.endswith("-canary") for name, weight, _ in weights)
    return weight, "mirror" if mirrored else "match" if matched else ""


_initialised: dict[str, Any] = {}
_undisturbed: dict[str, Story] = {}


async def staged(server: FakeApiServer, strategy: Strategy) -> Stage:
    """A stage on which the release has just been asked for. What comes before is played once in a process."""
    if not strategy.initialised:
        return _applied(server, strategy)
    if strategy.name not in _initialised:
        async with FakeApiServer() as other:
            before = _applied(other, replace(strategy, image="podinfo:1", outcome="Initialized"))
            life = Life(before)
            await before.rested()
            await life.ended()
            _initialised[strategy.name] = other.saved()
    server.restore(_initialised[strategy.name])
    stage = Stage(server, strategy)
    for kind in (kinds.HTTP_ROUTE, kinds.HTTP_PROXY):
        if found := stage.get(kind):
            stage.note_route(found)
    container = {"name": "app", "image": strategy.image, "ports": [{"containerPort": 9898, "name": "http"}]}
    server.patch(kinds.DEPLOYMENT, SHOP, NAME, {"spec": {"template": {"spec": {"containers": [container]}}}})
    return stage


def _applied(server: FakeApiServer, strategy: Strategy) -> Stage:
    stage = Stage(server, strategy)
    release = canary(**strategy.spec)
    # ids of runs come from it, and what is left of two releases is compared
    release["metadata"]["uid"] = "0b5e7a52-0000-4000-8000-000000000001"
    server.add(deployment())
    server.add(release)
    return stage


async def undisturbed(strategy: Strategy) -> Story:
    """The release with nobody dying; played once in a process."""
    if strategy.name not in _undisturbed:
        async with FakeApiServer() as server:
            stage = await staged(server, strategy)
            life = Life(stage)
            await stage.rested()
            await life.ended()
            _undisturbed[strategy.name] = stage.story()
    return _undisturbed[strategy.name]


async def with_a_death(server: FakeApiServer, strategy: Strategy, at: int, when: When) -> Story:
    """The release with a controller that dies at its `at`-th write, and an heir that ends it."""
    stage = await staged(server, strategy)
    victim = Life(stage, at, when)
    end, death = asyncio.create_task(stage.rested()), asyncio.create_task(victim.dead.wait())
    await asyncio.wait({end, death}, return_when=asyncio.FIRST_COMPLETED)
    await victim.killed(end, death)
    heir = Life(stage)
    await end
    death.cancel()
    await heir.ended()
    return stage.story(died=victim.dead.is_set())


async def with_a_death_at_every_write(server: FakeApiServer, strategy: Strategy, when: When) -> tuple[Story, int]:
    """The release by controllers that each die at their first write, until one finds nothing to write; and how many died.

    Before it is carried out, no write would ever happen: there each dies at its second.
    """
    stage = await staged(server, strategy)
    end = asyncio.create_task(stage.rested(400))
    for deaths in range(200):
        life = Life(stage, 2 if when == "before" else 1, when)
        death = asyncio.create_task(life.dead.wait())
        await asyncio.wait({end, death}, return_when=asyncio.FIRST_COMPLETED)
        await life.killed(end, death)
        if end.done():
            await end
            return stage.story(died=True), deaths
    raise AssertionError(f"not over after 200 deaths: {stage.status()}")
