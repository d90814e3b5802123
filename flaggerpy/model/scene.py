"""A world that can be forked, with the switches that outside events flip: what an exploration of the core moves through.

A `Scene` is a World whose hooks and metrics answer by its switches, whose facts may be unreadable or lag, and whose time can be led from
one instant at which something happens to the next. `fork` copies it in microseconds, so that every event can be tried from every state.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, Phase
from flaggerpy.model.workloads import GOOD, SYNC, Pod, Side
from flaggerpy.model.world import ROUTE_LAG, Killed, World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import UNKNOWN, Answer, Facts, Measurement, PodFacts, WorkloadFacts
from flaggerpy.rollout.phases import IDLE, Cause
from flaggerpy.rollout.revision import release_revision

GATES = [
    {"name": name, "type": name, "url": f"http://{name}/"}
    for name in ("confirm-rollout", "pre-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion", "rollback", "post-rollout")
]
MOST_CRASHES = 4
"""After so many the kubelet's back-off is longer than any release: the container is not started again."""
MOST_PODS = 5000
MOST_LOOKS = 50
"""Looks at one instant after which a world that still changes is one that never rests."""
_TALES = frozenset({"alerts", "posted", "events", "phases", "counted", "asked"})
"""What a world tells its reader and never looks at itself: a fork begins without."""


class Violation(AssertionError):
    """The core did what it must never do; the message says what."""


class Scene(World):
    """See the module. `tally` counts the rows of the transition table that its decisions took; forks share it."""

    def __init__(self, **spec: Any) -> None:
        self.closed: frozenset[str] = frozenset({"rollback"})
        self.metric = "value"
        self.blind: frozenset[str] = frozenset()
        self.lagging = False
        self.unheld = False
        """It was deleted while it had no finalizer: the API server forgot it at once, and no controller could do anything."""
        self.unfit = ""
        """A template whose pods get ready as the canary and never as the primary."""
        self.revisions = 1
        self.tally: Counter[tuple[Phase, Cause, Phase]] = Counter()
        self._parsed: tuple[str, Canary] | None = None
        self._typed: tuple[dict[str, Any], CanaryStatus] | None = None
        self._seen: Facts | None = None
        self._pods: dict[tuple[Any, ...], PodFacts] = {}
        self.quiet = False
        self.decision: Decision | None = None
        super().__init__(**{"replicas": 2, "revertOnDeletion": True, **spec})

    def fork(self) -> Scene:
        """An independent copy, without the tales."""
        copy = object.__new__(type(self))
        for name, value in self.__dict__.items():
            copy.__dict__[name] = value
            if name in _TALES:
                copy.__dict__[name] = []
            elif name == "tally" or name.startswith("_"):
                continue
            elif isinstance(value, Side):
                copy.__dict__[name] = replace(value, pods=[replace(pod) for pod in value.pods])
            elif name != "status" and isinstance(value, dict | list | set):
                copy.__dict__[name] = value.copy()
        return copy

    # what the controller sees; parsed once per change, for most looks change nothing

    @property
    def canary(self) -> Canary:
        mark = f"{self.spec}{self.generation}{self.finalizers}{self.deleting}"
        if self._parsed is None or self._parsed[0] != mark:
            self._parsed = (mark, super().canary)
        return self._parsed[1]

    @property
    def typed(self) -> CanaryStatus:
        if self._typed is None or self._typed[0] is not self.status:
            self._typed = (self.status, super().typed)
        return self._typed[1]

    def facts(self) -> Facts:
        """What is true now. Within a look, and in a world at rest until it changes, it is gathered once."""
        if self._seen is None:
            self._seen = self._gathered()
        return self._seen

    def _gathered(self) -> Facts:
        facts = super().facts()
        if self.lagging and isinstance(facts.target, WorkloadFacts):
            facts = replace(facts, target=replace(facts.target, fresh=False))
        hidden: dict[str, Any] = dict.fromkeys(self.blind, UNKNOWN)
        return replace(facts, **hidden) if hidden else facts

    def is_ready(self, pod: Pod) -> bool:
        if pod.revision == self.unfit and pod.name.startswith("app-primary"):
            return False
        every = self.behaviour.get(pod.revision, GOOD).crash_every
        return (every is None or self.now - pod.born < MOST_CRASHES * every) and super().is_ready(pod)

    def _pod_facts(self, pod: Pod) -> PodFacts:
        behaviour = self.behaviour.get(pod.revision, GOOD)
        restarts = min(int((self.now - pod.born) // behaviour.crash_every), MOST_CRASHES) if behaviour.crash_every else 0
        mark = (pod.name, pod.revision, pod.born, self.is_ready(pod), restarts, behaviour)
        if mark not in self._pods:
            if len(self._pods) > MOST_PODS:
                self._pods.clear()
            facts = super()._pod_facts(pod)
            held = tuple(replace(told, restarts=restarts) for told in facts.containers)
            self._pods[mark] = replace(facts, containers=held)
        return self._pods[mark]

    # the controller and time

    def look(self) -> Decision:
        """One round of the controller; `quiet` tells afterwards whether it changed nothing at all."""
        before = self._traces()
        self.quiet, self._seen = False, None
        decision = super().look()
        self._seen = None
        self.tally.update(decision.moves)
        self.quiet = self._traces() == before
        self.decision = decision
        return decision

    def _traces(self) -> tuple[Any, ...]:
        sides = tuple((s.replicas, s.template, s.source_revision, s.flagger_id) if s else None for s in (self.target, self.primary))
        return (
            id(self.status), self.scaler, self.route, self.route_at, self.foreign, self.announced_at, self.leads_at, len(self.kept),
            self.services, self.apex, self.reverted, self.back, self.left, tuple(self.finalizers), tuple(self.commands), len(self.answers),
            len(self.measurements), len(self.delivered), len(self.image_answers), sides,
            tuple(answer.ok for answer in self.answers.values()),
        )  # fmt: skip

    def come_to_rest(self) -> Decision:
        """Look until nothing changes any more at this instant. Raises Violation when that does not come."""
        for _ in range(MOST_LOOKS):
            decision = self.look()
            if self.quiet:
                return decision
        raise Violation(f"changes for ever at one instant: {decision.status.progress}")

    def next_instant(self) -> float | None:
        """When something happens next by itself (epoch seconds): the controller wakes, a pod turns, a route is taken, a hook is asked."""
        times = [self.route_at + ROUTE_LAG]
        if self.decision is not None:
            times += [self.decision.wake] if self.decision.wake is not None else []
            for effect in self.decision.effects:
                if isinstance(effect, fx.AskHook) and effect.every is not None and effect.key in self.answers:
                    told = self.answers[effect.key]
                    if told.ok != self.opens(effect.hook.name):
                        times.append(told.at + effect.every)
        for side in (self.target, self.primary):
            times += [time for pod in (side.pods if side else []) for time in self._turns(pod)]
            times += [side.missized + SYNC] if side is not None and side.missized is not None else []
        return min((time for time in times if time > self.now + 1e-6), default=None)

    def _turns(self, pod: Pod) -> list[float]:
        behaviour = self.behaviour.get(pod.revision, GOOD)
        if pod.lost or behaviour.ready_after is None:
            return []
        if behaviour.crash_every is None:
            return [pod.born + behaviour.ready_after]
        if self.now - pod.born >= MOST_CRASHES * behaviour.crash_every - 1e-6:
            return []
        cycle = pod.born + (self.now + 1e-6 - pod.born) // behaviour.crash_every * behaviour.crash_every
        return [cycle + behaviour.ready_after, cycle + behaviour.crash_every]

    def advance(self) -> bool:
        """Let time pass to the next instant; False when nothing will ever happen by itself."""
        following = self.next_instant()
        if following is None:
            return False
        self.now = following
        self.quiet = False
        return True

    def dies_before(self, write: int) -> bool:
        """Come to rest, but for a death of the controller before its write of that number (from 0); False when it lived."""
        left = write

        def fault() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        self.fault = fault
        try:
            self.come_to_rest()
        except Killed:
            self.forget()
            return True
        finally:
            self.fault = _alive
        return False

    def forget(self) -> None:
        """What was only in the memory of a controller that died."""
        self.answers, self.measurements, self.delivered, self.image_answers = {}, {}, set(), {}
        self.decision = None
        self.quiet = False

    # hooks and metrics answer by the switches

    def opens(self, gate: str) -> bool:
        """What a hook of that name answers now."""
        return gate not in self.closed

    def _ask(self, effect: fx.AskHook) -> None:
        last = self.answers.get(effect.key)
        if last is None or (effect.every is not None and self.now - last.at >= effect.every - 1e-6):
            ok = self.opens(effect.hook.name)
            self.answers[effect.key] = Answer(ok=ok, text="" if ok else "denied", at=self.now)

    def carry_out(self, effect: fx.Effect, decision: Decision) -> None:
        if isinstance(effect, fx.Measure):
            self.measurements.setdefault(effect.key, self._measured())
        else:
            super().carry_out(effect, decision)

    def _measured(self) -> Measurement:
        if self.metric == "bad":
            return Measurement("value", 1.0, text="m is bad", at=self.now)
        return Measurement(self.metric, 100.0, text="" if self.metric == "value" else self.metric, at=self.now)  # type: ignore[arg-type]

    # the end

    def mend(self) -> None:
        """All that is broken is put right; what the target asks for stays, be it good or bad."""
        if self.gone:
            return
        self.closed, self.metric, self.blind, self.lagging = frozenset({"rollback"}), "value", frozenset(), False
        self.refused, self.unfit, self.registry_answers = False, "", True
        self.spec = {**self.spec, "suspend": False}
        self.problems, self.commands = (), {}
        if self.target is None:
            self.target = Side("app", 0, self.primary.template if self.primary else "v1")
        for revision in self.behaviour:
            if revision != self.target.template:
                self.behaviour[revision] = GOOD
        for side in (self.target, self.primary):
            for pod in side.pods if side else []:
                pod.lost = False
        self.quiet = False

    @property
    def at_rest(self) -> bool:
        """True when the release has come to its end and the target's template was seen."""
        if self.deleting:
            return self.gone
        status = self.typed
        return status.phase in IDLE and status.progress is None and self.wanted in (status.last_applied_spec, status.last_promoted_spec)

    @property
    def wanted(self) -> str:
        """The revision that the target asks for; "" without a target."""
        return release_revision(self.target.template, self.configs if isinstance(self.configs, dict) else None) if self.target else ""

    def truth(self) -> Facts:
        """What is true now, were nothing hidden."""
        return super().facts()


def _alive() -> None:
    """No death."""
