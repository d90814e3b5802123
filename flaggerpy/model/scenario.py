"""A release played in the model world with a cast of the user's own: names, images, containers, start-up times, and faults. Pure.

`Stage` is the model world with the user's Canary in it; `play` brings a release from its first second to its end and gives a look after
every change. Everything that is decided is decided by the real core; the seed varies only how long pods take to start and what is measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flaggerpy.api.canary import Canary, Metric
from flaggerpy.api.names import primary_name
from flaggerpy.api.status import IDLE, Phase, from_timestamp
from flaggerpy.model import fates
from flaggerpy.model.faults import Fault
from flaggerpy.model.workloads import Pod, Side
from flaggerpy.model.world import World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import Answer, ContainerFacts, Facts, ImageAnswer, Measurement, PodFacts, RouteFacts, WorkloadFacts

Trouble = Literal["", "errors", "latency", "no-data", "unreachable"]
Measure = Callable[[Metric, Trouble, float], Measurement]
"""What a metric says: the metric, what troubles the canary, and a number within 0 and 1 that varies it."""

LOST_SECONDS = 30.0
QUICK, SLOW = 0.5, 5.0
CALM = 30.0
"""Seconds without a change after which the model looks more seldom."""
PATIENCE = 300.0
"""Seconds without a change after which nobody need look on."""


@dataclass(frozen=True)
class Actor:
    """A container of the target: its image before the release and in it."""

    name: str
    before: str
    image: str
    role: Literal["init", "sidecar", "main"] = "main"


@dataclass(frozen=True)
class Cast:
    """What is released, and in what world.

    `ready_after`: age in seconds at which a pod is ready at the earliest, `jitter` what the seed may add; `min_ready`: the Deployment's
    minReadySeconds. `judges`: the provider's controller reports whether it accepted the route.
    """

    actors: tuple[Actor, ...] = (Actor("app", "app:before", "app:next"),)
    replicas: int = 2
    ready_after: float = 2.0
    jitter: float = 2.0
    min_ready: float = 0.0
    weights: bool = True
    mirror: bool = True
    judges: bool = True
    problem: str = ""
    """Why the target cannot be released at all, in the controller's words."""


@dataclass(frozen=True)
class Told:
    """An event or an alert; `at` in epoch seconds."""

    at: float
    kind: str
    message: str


def _hash(text: str) -> str:
    """Like a pod-template-hash."""
    letters = "bcdfghjklmnpqrstvwxz2456789"
    return "".join(letters[byte % len(letters)] for byte in hashlib.sha256(text.encode()).digest()[:9])


@dataclass
class _Faults:
    """The faults of a release, and since when those that begin at a weight are there."""

    wanted: Sequence[Fault]
    began: dict[str, float] = field(default_factory=dict)

    def find(self, name: str) -> Fault | None:
        return next((fault for fault in self.wanted if fault.kind.name == name), None)


class Stage(World):
    """See the module. `spec` is the Canary's own; `seed` varies start-up times and measurements."""

    def __init__(
        self, canary: Mapping[str, Any], cast: Cast, *, measure: Measure | None = None, faults: Sequence[Fault] = (), seed: int = 0
    ) -> None:
        self.cast = cast
        self.seed = seed
        self.told: list[Told] = []
        self.faults = _Faults(faults)
        self.releasing = False
        self.released_at = 0.0
        identity = repr((canary.get("metadata"), cast.actors))
        self.old, self.new, self.newer = (_hash(when + identity) for when in ("before", "next", "newer"))
        self._measure = measure
        self._parsed: tuple[object, Canary] | None = None
        self._known: dict[object, tuple[ContainerFacts, ...]] = {}
        self._known_at = 0.0
        spec = dict(canary["spec"])
        defaults = {name: None for name in ("progressDeadlineSeconds", "analysis", "service") if name not in spec}
        meta = canary.get("metadata") or {}
        super().__init__(
            name=str(meta.get("name") or "app"), namespace=str(meta.get("namespace") or "default"), weights=cast.weights,
            mirror=cast.mirror, replicas=cast.replicas, **spec | defaults,
        )  # fmt: skip
        assert self.target is not None
        self.target.template, self.target.pods = self.old, []
        self.reconcile()

    # --- pods ---------------------------------------------------------------------------------------------------------------------------

    def draw(self, about: str) -> float:
        """A number within 0 and 1 that the seed and the subject fix."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{about}".encode()).digest()[:6], "big") / 2.0**48

    def is_ready(self, pod: Pod) -> bool:
        return not pod.lost and all(c.ready or c.role == "init" for c in self._containers(pod, self.now - pod.born))

    def _of_primary(self, pod: Pod) -> bool:
        return pod.name.startswith(primary_name(self.spec["targetRef"]["name"]) + "-")

    def _fate(self, pod: Pod, actor: Actor) -> fates.Fate:
        """How this container of this pod fares: the first fault that is about it, else it runs."""
        slowness = self.cast.ready_after + self.cast.jitter * self.draw(pod.name)
        healthy = fates.runs(slowness)
        if pod.revision.rstrip("~") != self.new:
            return healthy
        if self._of_primary(pod):
            return fates.runs(None) if self.faults.find("promotion-fails") else healthy
        first = next((a.name for a in self.cast.actors if a.role == "main"), "")
        for fault in self.faults.wanted:
            if fault.kind.fate is not None and actor.name == (fault.container or first):
                fate = fault.kind.fate()
                if fault.value is None:
                    return fate
                return fates.heals(fate, max(self.released_at + fault.value - pod.born, 0.0), healthy)
        return healthy

    def _containers(self, pod: Pod, age: float) -> tuple[ContainerFacts, ...]:
        key = (pod.name, pod.revision, age, self._lasts("unschedulable"))
        if self._known_at != self.now:
            self._known_at, self._known = self.now, {}
        if key not in self._known:
            self._known[key] = self._report(pod, age)
        return self._known[key]

    def _report(self, pod: Pod, age: float) -> tuple[ContainerFacts, ...]:
        fresh = pod.revision.rstrip("~") != self.old
        found = []
        for actor in self.cast.actors:
            bare = ContainerFacts(name=actor.name, role=actor.role, image=self._image(actor, pod.revision.rstrip("~")))
            if self._lasts("unschedulable") and fresh and not self._of_primary(pod):
                found.append(fates.creating(bare))
            elif actor.role == "init":
                found.append(replace(bare, state="terminated", reason="Completed", exit_code=0, ready=True))
            else:
                found.append(self._fate(pod, actor)(bare, age))
        return tuple(found)

    def _image(self, actor: Actor, revision: str) -> str:
        if revision == self.newer:
            return f"{actor.image}-again" if actor.role == "main" else actor.image
        return actor.before if revision == self.old else actor.image

    def _pod_facts(self, pod: Pod) -> PodFacts:
        containers = self._containers(pod, self.now - pod.born)
        placed = not (self._lasts("unschedulable") and pod.revision != self.old and not self._of_primary(pod))
        if pod.lost:
            containers = tuple(replace(container, ready=False) for container in containers)
        unready = [c for c in containers if c.state == "running" and not c.ready]
        probe = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        return PodFacts(
            name=pod.name,
            node="node-1" if placed else "",
            phase="Running" if all(c.state in ("running", "terminated") for c in containers) else "Pending",
            ready=self.is_ready(pod),
            created=pod.born,
            containers=containers,
            pull_secrets=("registry",),
            unschedulable="" if placed else "0/3 nodes are available: 3 Insufficient memory",
            events=(probe,) if unready and (pod.lost or self.now - pod.born > self.cast.ready_after + self.cast.jitter) else (),
        )

    def _facts_of(self, side: Side | None) -> WorkloadFacts | None:
        facts = super()._facts_of(side)
        if facts is None or side is None:
            return facts
        mine = [pod for pod in side.pods if pod.revision == side.template and self.is_ready(pod)]
        settled = [pod for pod in mine if all(c.ready for c in self._containers(pod, self.now - pod.born - self.cast.min_ready))]
        images = tuple(dict.fromkeys(self._image(actor, side.template.rstrip("~")) for actor in self.cast.actors))
        refused = ""
        if side is self.target and side.template == self.new and self._lasts("quota"):
            refused = f'pods "{side.name}-{side.template}" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=8'
        problem = self.cast.problem if side is self.target else ""
        return replace(facts, available=len(settled), images=images, pod_creation_error=refused, problem=problem)

    def reconcile(self) -> None:
        super().reconcile()
        if self.target is not None and self.target.template == self.new and self._lasts("quota"):
            self.target.pods = [pod for pod in self.target.pods if pod.revision != self.new]

    # --- the registry -------------------------------------------------------------------------------------------------------------------

    def registries_say(self) -> tuple[ImageAnswer, ...]:
        """The answer to the image check: a pull that fails for certain is known before the first pod, any other is a doubt."""
        revision = self.target.template.rstrip("~") if self.target else self.old
        first = next((actor.name for actor in self.cast.actors if actor.role == "main"), "")
        said = []
        for actor in self.cast.actors:
            answer = ImageAnswer(self._image(actor, revision), "exists", container=actor.name, role=actor.role)
            for fault in self.faults.wanted if revision == self.new else ():
                passes = fault.value is not None and self.now >= self.released_at + fault.value
                if fault.kind.pull and actor.name == (fault.container or first) and not passes:
                    answer = replace(answer, kind=fault.kind.pull, cause=fault.kind.cause)
                    break
            said.append(answer)
        return tuple(said)

    # --- faults -------------------------------------------------------------------------------------------------------------------------

    def progress(self) -> int:
        """How far the canary has come, in percent: its weight, or the share of the iterations."""
        total = self.canary.spec.plan.iterations or 0
        return min(100 * self.typed.iterations // total, 100) if total else self.typed.canary_weight

    def _lasts(self, name: str) -> bool:
        """True while a fault that lasts for good, or some seconds of the release, is there."""
        fault = self.faults.find(name)
        if fault is None or not self.releasing:
            return False
        began = self.faults.began.setdefault(name, self.now)
        return fault.value is None or self.now < began + fault.value

    def _reached(self, name: str) -> bool:
        """True once the weight of such a fault was reached."""
        fault = self.faults.find(name)
        if fault is None or not self.releasing:
            return False
        # a moment before the first weight is not "at 0": the canary has none of the traffic yet
        exposed = self.typed.canary_weight > 0 or self.typed.iterations > 0
        if name not in self.faults.began and exposed and self.progress() >= (fault.value or 0):
            self.faults.began[name] = self.now
        return name in self.faults.began

    def unseen_faults(self) -> list[Fault]:
        """The faults that the release ended without having met."""
        return [fault for fault in self.faults.wanted if fault.kind.takes == "percent" and fault.kind.name not in self.faults.began]

    def trouble(self) -> Trouble:
        """What the metrics see of the canary now."""
        if self._lasts("metrics-down"):
            return "unreachable"
        if self._lasts("no-data"):
            return "no-data"
        troubled = self.target is not None and self.target.template == self.new
        if troubled and self._reached("errors-at"):
            return "errors"
        return "latency" if troubled and self._reached("latency-at") else ""

    def _act(self) -> None:
        """What people and pods do of their own accord at this moment."""
        for name in ("abort", "promote", "skip"):
            if f"{name}-at" not in self.faults.began and self._reached(f"{name}-at"):
                self.commands[name] = "*"
        if "new-revision-at" not in self.faults.began and self._reached("new-revision-at") and self.target is not None:
            self.target.template = self.newer
        if self._reached("pods-lost-at") and self.target is not None:
            lost = self.now < self.faults.began["pods-lost-at"] + LOST_SECONDS
            for pod in self.target.pods:
                pod.lost = lost and pod.revision == self.new

    # --- the world's answers ------------------------------------------------------------------------------------------------------------

    @property
    def canary(self) -> Canary:
        key = (self.generation, tuple(self.finalizers), self.deleting)
        if self._parsed is None or self._parsed[0] != key:
            self._parsed = (key, super().canary)
        return self._parsed[1]

    def facts(self) -> Facts:
        self._act()
        return super().facts()

    def _route(self, accepted: bool) -> RouteFacts:
        route = super()._route(accepted)
        if self.route is not None and self.route.canary > 0 and self._lasts("route-refused"):
            return replace(route, accepted=False, refusal="BackendNotFound: the gateway does not know this backend (simulated)")
        return route if self.cast.judges else replace(route, accepted=None)

    def _ask(self, effect: fx.AskHook) -> None:
        closed = effect.hook.role.startswith("confirm-") and self._lasts("gate-closed")
        refused = effect.hook.role == "pre-rollout" and self._lasts("check-fails")
        back = effect.hook.role == "rollback" and self._reached("rollback-asked-at")
        self.hooks[effect.hook.name] = lambda now: back if effect.hook.role == "rollback" else not (closed or refused)
        super()._ask(effect)
        answer = self.answers[effect.key]
        if not answer.ok and answer.text == "denied":
            self.answers[effect.key] = Answer(ok=False, text="403 Forbidden" if closed else "500 the check failed", at=answer.at)

    def carry_out(self, effect: fx.Effect, decision: Decision) -> None:
        alerts = len(self.alerts)
        if isinstance(effect, fx.Measure) and self._measure is not None and effect.key not in self.measurements:
            self.measurements[effect.key] = replace(
                self._measure(effect.metric, self.trouble(), self.draw(effect.key)), at=self.now
            )  # fmt: skip
            return
        super().carry_out(effect, decision)
        if isinstance(effect, fx.RecordEvent):
            self.told.append(Told(self.now, effect.type, effect.message))
        self.told += [Told(self.now, f"alert ({severity})", message) for severity, message in self.alerts[alerts:]]

    # --- the play -----------------------------------------------------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Through the bootstrap, untold: the primary runs the revision of before. False when it fails; `told` then says why."""
        suspended = self.spec.pop("suspend", None)
        self.settle(lambda world: world.phase in (Phase.INITIALIZED, Phase.FAILED) or bool(self.cast.problem), limit=86400)
        if suspended is not None:
            self.spec["suspend"] = suspended
            self.generation += 1
        if self.phase is Phase.FAILED:
            return False
        self.told.clear()
        return True

    def play(self, *, limit: float) -> Iterator[Stage]:
        """Somebody changes the image now; a look after every change until the release has ended.

        It also ends after `limit` seconds, or when nothing has moved for `PATIENCE` seconds and nothing will by itself.
        """
        assert self.target is not None
        self.target.template, self.releasing, self.released_at = self.new, True, self.now
        seen: set[tuple[object, ...]] = set()
        changed_at, horizon = self.now, self.now
        yield self
        while self.now < self.released_at + limit:
            wake = self._look_until_quiet()
            state = self._gist()
            # a gate that is asked again and again moves between the same few states: that is no news
            if state not in seen:
                seen.add(state)
                changed_at, horizon = self.now, self._horizon()
                yield self
            if self.ended or (self.now > horizon and not self._passing()):
                return
            following = self.now + (QUICK if self.now - changed_at < CALM else SLOW)
            self.now = min(following, wake) if wake is not None and wake > self.now else following

    @property
    def ended(self) -> bool:
        """True once the controller has nothing left to do for what the target holds."""
        holds = self.target is not None and self.typed.last_applied_spec == self.target.template
        return self.phase in IDLE and self.typed.run is None and holds and not self.typed.outbox

    def _horizon(self) -> float:
        """Until when something may still happen that has not been announced yet."""
        progress = self.typed.progress
        announced = from_timestamp(progress.until) + 1 if progress and progress.until else 0.0
        return max(announced, self.now + PATIENCE + 3 * self.canary.spec.plan.interval_seconds)

    def _passing(self) -> bool:
        """True while a fault is there that will pass."""
        passing = [fault for fault in self.faults.wanted if fault.value is not None and fault.kind.takes == "seconds"]
        return any(self._lasts(fault.kind.name) for fault in passing)

    def _look_until_quiet(self) -> float | None:
        wake: float | None = None
        for _ in range(50):
            before = self._everything()
            wake = self.look().wake
            if self._everything() == before:
                break
        return wake

    def _gist(self) -> tuple[object, ...]:
        pods = [(pod.name, self.is_ready(pod)) for side in (self.target, self.primary) if side for pod in side.pods]
        now = self.typed
        waits = now.progress.waiting_for if now.progress else ""
        run = (now.run.cut, now.run.verdict, now.run.settled) if now.run else None
        counts = (now.phase, now.canary_weight, now.iterations, now.failed_checks, len(now.pod_failures))
        return (counts, waits, run, self.route, len(self.told), tuple(pods))
