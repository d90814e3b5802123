"""A model of the world around a Canary: workloads, route, hooks, metrics and a clock, for the core without a cluster.

`World.look()` gathers facts, decides, stores the status and carries the effects out, as the controller does. `World.settle(...)`
lets time pass until a condition holds. Pods behave by their revision's `Behaviour`. A `fault` may cut a round off between its
writes, as the death of the controller would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Literal

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.names import FINALIZER, primary_name
from flaggerpy.api.status import CanaryStatus, Phase, parse_status
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE, Autoscaler, Behaviour, Pod, Side
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import (
    UNKNOWN,
    Answer,
    Facts,
    Found,
    Giver,
    ImageAnswer,
    Measurement,
    PodFacts,
    RouteFacts,
    ScalerFacts,
    Split,
    Unknown,
    WorkloadFacts,
)
from flaggerpy.rollout.revision import release_revision

START = 1_800_000_000.0
ROUTE_LAG = 0.2


class Killed(Exception):
    """The controller died here."""


class World:
    def __init__(
        self, *, name: str = "app", namespace: str = "test", weights: bool = True, mirror: bool = True, replicas: int = 2,
        foreign: bool = False, scaler: Autoscaler | None = None, **spec: Any,
    ) -> None:  # fmt: skip
        body: dict[str, Any] = {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80},
            "progressDeadlineSeconds": 60,
            "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60},
        }
        if scaler is not None:
            kind = "ScaledObject" if scaler.pauses else "HorizontalPodAutoscaler"
            body["autoscalerRef"] = {"apiVersion": "keda.sh/v1alpha1" if scaler.pauses else "autoscaling/v2", "kind": kind, "name": name}
        body.update(spec)
        self.scaler = scaler
        self.spec: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
        self.name, self.namespace = name, namespace
        self.now = START
        self.generation = 1
        self.deleting = False
        self.finalizers: list[str] = []
        self.commands: dict[str, str] = {}
        self.givers: dict[str, Giver] = {}
        self.status: dict[str, Any] = {}
        self.weights, self.mirror = weights, mirror
        self.behaviour: dict[str, Behaviour] = {}
        self.broken_pods: str | tuple[str, ...] = ""
        self.target: Side | None = Side(self.spec["targetRef"]["name"], replicas, "v1")
        self.primary: Side | None = None
        self.configs: dict[str, str] | Unknown | None = None
        self.copied: dict[str, str] | Unknown | None = None
        """What Flagger's copies of the configs hold."""
        self.primary_stale = False
        """The primary is not as its revision wants it: somebody edited it, or a config that it follows has changed."""
        self.services = False
        self.apex = False
        self.apex_exists = foreign
        self.foreign = foreign
        """A route of the user's, to a Service of the user's, is there."""
        self.announced_at: float | None = None
        self.leads_at: float | None = None
        self.announcements = 0
        self.users = foreign
        """Whose the route will be when the Canary is gone."""
        self.back = 0
        """How far the route is on the way back: 1 it was told, 2 it leads to the target, 3 it is as it was."""
        self.back_at: float | None = None
        self.left = False
        """The primary was left behind."""
        self.refused = False
        self.route: Split | None = None
        self.route_at = self.now
        self.route_writes: list[tuple[float, Split]] = []
        self.kept: dict[str, str] = {}
        self.hooks: dict[str, Callable[[float], bool]] = {}
        self.metrics: dict[str, Callable[[float], Measurement]] = {}
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[float, str, str]] = []
        self.measurements: dict[str, Measurement] = {}
        self.images: dict[str, tuple[ImageAnswer, ...]] = {}
        """What the registries say of a template, where it does not follow from its behaviour."""
        self.registry_answers = True
        self.image_answers: dict[str, tuple[ImageAnswer, ...]] = {}
        self.delivered: set[str] = set()
        self.alerts: list[tuple[str, str]] = []
        self.posted: list[str] = []
        self.events: list[tuple[str, str]] = []
        self.phases: list[Phase] = []
        self.counted: list[bool] = []
        self.gone = False
        self.problems: tuple[str, ...] = ()
        self.quiet_since = 0.0
        self.born: dict[str, float] = {"v1": START}
        """When the ReplicaSets of the target's templates were made."""
        self.fault: Callable[[], None] = lambda: None
        self.checks: list[Callable[[World, Decision], None]] = []
        self.reconcile()

    # the cluster's own controllers

    def reconcile(self) -> None:
        """What autoscalers do, and the deployment controller: pods for templates, old ones gone once the new are ready."""
        self._autoscale()
        for side in (self.target, self.primary):
            if side is not None:
                side.roll(self.now, self.is_ready)

    def _autoscale(self) -> None:
        scaler = self.scaler
        if scaler is None:
            return
        served = self.apex or (self.route is not None and not self.foreign)
        share = (self.route.canary if self.route else 0) if served else 100
        if self.target is not None:
            if scaler.problem:
                self.target.missized = None
            elif scaler.paused:
                self.target.replicas, self.target.missized = 0, None
            elif self.target.replicas > 0 or scaler.pauses:
                self.target.follow_load(scaler, share, scaler.least, self.now)
        if self.primary is not None and scaler.twin and (self.primary.replicas > 0 or scaler.pauses):
            self.primary.follow_load(scaler, 100 - share, max(scaler.floor or 0, scaler.least), self.now)

    def _behaves(self, pod: Pod) -> Behaviour:
        return self.behaviour.get(pod.revision, GOOD)

    def is_ready(self, pod: Pod) -> bool:
        """True when the pod answers its readiness probe now."""
        if pod.lost or (self.broken_pods and pod.name.startswith(self.broken_pods)):
            return False
        return self._behaves(pod).is_ready(self.now - pod.born)

    def _pod_facts(self, pod: Pod) -> PodFacts:
        return self._behaves(pod).pod_facts(pod, self.is_ready(pod), self.now)

    def _facts_of(self, side: Side | None) -> WorkloadFacts | None:
        if side is None:
            return None
        return side.facts(self.born.get(side.template, 0.0), self.is_ready, self._pod_facts)

    # the controller

    @property
    def canary(self) -> Canary:
        meta: dict[str, Any] = {
            "name": self.name, "namespace": self.namespace, "uid": "u-1", "generation": self.generation, "resourceVersion": "1",
            "finalizers": self.finalizers,
        }  # fmt: skip
        if self.deleting:
            meta["deletionTimestamp"] = "now"
        return parse_canary({"metadata": meta, "spec": self.spec})

    @property
    def typed(self) -> CanaryStatus:
        return parse_status({"status": self.status})

    @property
    def phase(self) -> Phase:
        return self.typed.phase

    def is_in(self, phase: Phase) -> bool:
        return self.phase is phase

    def facts(self) -> Facts:
        self.reconcile()
        accepted = not self.refused and self.now >= self.route_at + ROUTE_LAG - 1e-6
        return Facts(
            target=self._facts_of(self.target),
            primary=self._facts_of(self.primary),
            scaler=self._scaler_facts(),
            configs=self.configs,
            primary_stale=self.primary_stale and self.primary is not None,
            services_ready=self.services,
            apex_ready=self.apex,
            apex_exists=self.apex_exists,
            apex_back=not self.deleting or not self.apex,
            route=self._route(accepted) if self.weights else UNKNOWN,
            route_back=self._next_step_back() if self.deleting and self.weights else "",
            kept=frozenset(self.kept),
            found=self._found(),
            quiet_since=self.quiet_since,
            answers=dict(self.answers),
            measurements=dict(self.measurements),
            images=dict(self.image_answers),
            delivered=frozenset(self.delivered),
            commands=dict(self.commands),
            givers={name: giver for name, giver in self.givers.items() if name in self.commands},
            providers=(),
            problems=self.problems,
            supports_weights=self.weights,
            supports_mirror=self.mirror,
        )

    def _scaler_facts(self) -> ScalerFacts | None:
        scaler = self.scaler
        if scaler is None:
            return None
        there = not scaler.problem
        return ScalerFacts(
            name="autoscaler app", problem=scaler.problem, least=scaler.least if there else 1, most=scaler.most if there else None,
            primary_most=scaler.most, paused=scaler.paused if scaler.pauses and there else None, twin=scaler.twin, floor=scaler.floor,
            sound=scaler.sound, follows=scaler.follows or not there,
        )  # fmt: skip

    @property
    def reverted(self) -> bool:
        """Nothing leads to the primary any more."""
        return not self.apex and (not self.weights or self._next_step_back() == "")

    def _next_step_back(self) -> Literal["", "announce", "lead", "end"]:
        if self.foreign and self.leads_at is None:
            return "end" if self.announced_at is not None else ""
        if self.back == 3 or (self.route is None and not self.foreign):
            return ""
        if self.back == 0:
            return "lead" if self.foreign else "announce"
        return "lead" if self.back == 1 else "end"

    def _route(self, accepted: bool) -> RouteFacts:
        return RouteFacts(
            split=Split() if self.foreign and self.leads_at is not None else self.route,
            accepted=accepted,
            in_shape=not self.foreign,
            written_at=self.route_at,
            foreign=self.foreign,
            announced=not self.foreign or self.announced_at is not None,
            leads=not self.foreign or self.leads_at is not None,
        )

    def _found(self) -> Found | None:
        """What a primary without our mark runs, where its template is not kept."""
        primary = self.primary
        if primary is None or primary.source_revision or self.typed.last_promoted_spec in self.kept:
            return None
        configs = self.copied if isinstance(self.copied, dict) else None
        return Found(release_revision(primary.template, configs), (f"r/app:{primary.template}",), configs)

    def look(self) -> Decision:
        """One round of the controller. Raises what `fault` raises, leaving everything as it is at that moment."""
        decision = self.look_and_die()
        for effect in decision.effects:
            self.carry_out(effect, decision)
        return decision

    def look_and_die(self) -> Decision:
        """A round of which only the status is stored: the controller dies before the first effect."""
        decision = decide(self.canary, self.typed, self.facts(), self.now)
        for check in self.checks:
            check(self, decision)
        stored = decision.status.to_obj()
        if stored != self.status:
            self.fault()
            before = self.phase
            self.status = stored
            if decision.status.phase is not before:
                self.phases.append(decision.status.phase)
        return decision

    def settle(self, until: Callable[[World], bool], *, limit: float = 600.0, pace: float = 1.0) -> float:
        """Look again and again while time passes, until the condition holds; returns the seconds that took. Fails at `limit`."""
        began = self.now
        while True:
            wake: float | None = None
            for _ in range(50):
                before = self._everything()
                wake = self.look().wake
                if until(self):
                    return self.now - began
                if self._everything() == before:
                    break
            if self.now - began > limit:
                raise AssertionError(f"not within {limit} s: {self.status}")
            following = self.now + pace
            if wake is not None and self.now < wake < following:
                following = wake
            self.now = following

    def run_for(self, seconds: float) -> None:
        """Let that time pass."""
        end = self.now + seconds
        self.settle(lambda world: world.now >= end, limit=seconds + 5)

    def _everything(self) -> tuple[Any, ...]:
        brought = (len(self.answers), len(self.measurements), len(self.image_answers), len(self.delivered))
        counts = (*brought, len(self.kept), self.services, self.apex)
        sides = tuple((s.replicas, s.source_revision, s.flagger_id) if s else None for s in (self.target, self.primary))
        route = (self.route, self.scaler, self.foreign, self.announced_at, self.leads_at, self.back, self.left)
        return (repr(self.status), *route, *counts, len(self.finalizers), sides)

    def carry_out(self, effect: fx.Effect, decision: Decision) -> None:
        """What the executor does."""
        match effect:
            case fx.EnsureServices(apex=apex):
                self.fault()
                self.services, self.apex, self.apex_exists = True, self.apex or apex, self.apex_exists or apex
            case fx.KeepRevision(revision=revision):
                self.fault()
                configs = self.configs if isinstance(self.configs, dict) else None
                if self.target is not None and release_revision(self.target.template, configs) == revision:
                    self.kept[revision] = self.target.template
                elif (found := self._found()) is not None and found.revision == revision:
                    self.kept[revision] = revision.partition("-")[0]
            case fx.ForgetRevisions(but=but):
                self.fault()
                self.kept = {revision: template for revision, template in self.kept.items() if revision in but}
            case fx.EnsurePrimary():
                self._ensure_primary(effect)
            case fx.ScaleTarget(replicas=replicas):
                self.fault()
                if self.target is not None:
                    self.target.replicas = replicas
            case fx.ScalePrimary(replicas=replicas):
                self.fault()
                if self.primary is not None:
                    self.primary.replicas = replicas
            case fx.EnsureScaler(floor=floor, follow=follow):
                self.fault()
                if self.scaler is not None and (self.scaler.twin or not self.scaler.problem):
                    follows = self.scaler.follows or (follow and not self.scaler.problem)
                    self.scaler = replace(self.scaler, twin=True, floor=floor, sound=True, follows=follows)
            case fx.HoldScaler(paused=paused):
                self.fault()
                if self.scaler is not None:
                    self.scaler = replace(self.scaler, paused=paused)
            case fx.RestoreTarget(revision=revision):
                self.fault()
                if self.target is not None:
                    self.target.template = self.kept[revision]
            case fx.SetSplit(split=split):
                self.fault()
                self.foreign, self.back = False, 0
                if self.route != split:
                    self.route, self.route_at = split, self.now
                    self.route_writes.append((self.now, split))
            case fx.AnnounceBackends(lead=lead):
                self.fault()
                self.announcements += 1
                self.route_at, self.back = self.now, 0
                self.announced_at = self.announced_at or self.now
                self.leads_at = self.leads_at or (self.now if lead else None)
            case fx.AskHook():
                self._ask(effect)
            case fx.Measure(key=key, metric=metric):
                if key not in self.measurements:
                    measure = self.metrics.get(metric.name)
                    self.measurements[key] = measure(self.now) if measure else Measurement("value", 100.0, at=self.now)
            case fx.CheckImages(key=key):
                if self.registry_answers and key not in self.image_answers:
                    self.image_answers[key] = self.registries_say()
            case fx.Deliver(id=id):
                if id not in self.delivered:
                    self.delivered.add(id)
                    item = next(item for item in decision.status.outbox if item.id == id)
                    if item.kind == "alert":
                        self.alerts.append((item.severity, item.message))
                    else:
                        self.posted.append(item.phase)
            case fx.RecordEvent(type=type, message=message):
                self.events.append((type, message))
            case fx.AddFinalizer():
                self.fault()
                self.finalizers = [FINALIZER]
            case fx.RemoveFinalizer():
                self.fault()
                self.finalizers = []
                self.gone = self.deleting
            case fx.ClearCommand(name=name):
                self.commands.pop(name, None)
            case fx.RestoreRouting(step=step):
                self._restore_routing(step)
            case fx.LeaveBehind(primary=primary):
                self.fault()
                self.left = self.left or primary
            case fx.CountRelease(success=success):
                self.counted.append(success)
            case fx.CheckProviders():
                pass

    def _restore_routing(self, step: str) -> None:
        self.fault()
        if step == "apex":
            self.apex = False
        else:
            self.back, self.back_at = {"announce": 1, "lead": 2, "end": 3}[step], self.now
            self.route_at = self.now
        if step == "end":
            # what stands there now is somebody's route again
            self.route, self.foreign, self.announced_at, self.leads_at = None, self.users, None, None

    def _ask(self, effect: fx.AskHook) -> None:
        last = self.answers.get(effect.key)
        if last is None or (effect.every is not None and self.now - last.at >= effect.every):
            self.asked.append((self.now, effect.key, effect.hook.role))
            answers = self.hooks.get(effect.hook.name)
            ok = answers(self.now) if answers else effect.hook.role != "rollback"
            self.answers[effect.key] = Answer(ok=ok, text="" if ok else "denied", at=self.now)

    def _ensure_primary(self, effect: fx.EnsurePrimary) -> None:
        self.fault()
        template = self.kept[effect.revision]
        if self.primary is None:
            self.primary = Side(primary_name(self.spec["targetRef"]["name"]), effect.replicas or 1, template)
        self.primary.replicas = effect.replicas or self.primary.replicas or 1
        self.primary_stale = False
        if (self.primary.source_revision, self.primary.flagger_id) != (effect.revision, effect.run_id):
            self.primary.template = template
            for pod in self.primary.pods:
                # another flagger-id is another template: the pods roll even where the rest is the same
                plain = pod.revision.rstrip("~")
                pod.revision = plain if (plain, pod.flagger_id) == (template, effect.run_id) else f"{plain}~"
            self.primary.source_revision, self.primary.flagger_id = effect.revision, effect.run_id
        self.reconcile()

    # what people do

    def registries_say(self) -> tuple[ImageAnswer, ...]:
        """What is answered now of the images of the target's template."""
        template = self.target.template if self.target is not None else ""
        missing = self.behaviour.get(template) == MISSING_IMAGE
        image = ImageAnswer(f"r/app:{template}", "exists", container="app")
        gone = replace(image, kind="missing", cause="image-missing", detail="it answers 404 (MANIFEST_UNKNOWN)")
        return self.images.get(template, (gone if missing else image,))

    def release(self, template: str, behaviour: Behaviour = GOOD) -> None:
        """Somebody applies a new template."""
        self.behaviour[template] = behaviour
        self.born.setdefault(template, self.now)
        assert self.target is not None
        self.target.template = template
        self.reconcile()

    def lose_pods(self, side: Side | None, count: int | None = None) -> None:
        """Pods of a side turn unready."""
        assert side is not None
        for pod in side.pods[: count if count is not None else len(side.pods)]:
            pod.lost = True

    def heal_pods(self, side: Side | None) -> None:
        """And ready again."""
        assert side is not None
        for pod in side.pods:
            pod.lost = False

    def initialised(self) -> World:
        """Through the bootstrap, for tests that begin after it."""
        self.settle(lambda world: world.phase is Phase.INITIALIZED)
        return self

    def texts(self) -> list[str]:
        return [message for _, message in self.events]


def in_phase(*phases: Phase) -> Callable[[World], bool]:
    return lambda world: world.phase in phases


def ended(world: World) -> bool:
    return world.phase in (Phase.SUCCEEDED, Phase.FAILED)


def weights_of(writes: Iterable[tuple[float, Split]]) -> list[int]:
    return [split.canary for _, split in writes]
