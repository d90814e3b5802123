"""What a release will do and how long each part takes, at best and at worst, before anything is released. Pure.

The figures are the core's own: steps from `weights`, drain and proof of the route from `traffic`, graces, settle and deadline from the
spec. `tests/rollout/test_forecast.py` plays releases by the real core and holds them to what is forecast here.

*At best*: pods are ready as soon as their probes allow, every check passes, every gate is open. *At worst*, for a release that is promoted
all the same: pods take as long as the deadline lets them, hooks as long as their time-outs, and as many checks fail as are forgiven. What
has no limit (a gate that is closed) is told as such and counts for nothing in the sums. Not counted: pods of the canary that are lost in
the middle (the run begins again at its first step, at most twice), a metrics server that cannot be reached, a person's pause.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from flaggerpy.api.canary import Analysis, Canary, HookType, Webhook
from flaggerpy.api.durations import parse_duration
from flaggerpy.rollout import weights
from flaggerpy.rollout.imagecheck import ANSWERED_WITHIN
from flaggerpy.rollout.rounds import NO_DATA_PACE
from flaggerpy.rollout.traffic import DRAIN, UNTOLD

LISTED = 1000
"""Iterations that are told one by one."""
ROUTE_SLOW = 5.0
"""Seconds that a route's controller is given at worst to accept a change: assumed, the core itself waits for as long as it takes."""
ANSWER_SLOW = 10.0
"""Seconds that a metrics server takes at worst to answer: the time-out of a query."""
HOOK_TIMEOUT = 10.0
"""Seconds of a webhook's time-out that is not given (Flagger's default)."""
KUBELET_PAUSES = (0.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Seconds that the kubelet waits before it starts a container anew, from its first end on."""

Kind = Literal["gate", "pods", "wait", "check", "step", "promotion", "traffic"]


@dataclass(frozen=True)
class Circumstances:
    """What the Canary does not say.

    `start`: seconds from a pod's making to its being available at the earliest; `weights`, `mirror`: what the provider can do;
    `judges`: its controller reports whether it accepted the route.
    """

    start: float = 0.0
    weights: bool = True
    mirror: bool = False
    judges: bool = True


@dataclass(frozen=True)
class Part:
    """One part of a release. `best` and `worst` in seconds; `worst` None: no limit. `weight`: the canary's share in percent."""

    kind: Kind
    name: str
    best: float
    worst: float | None
    weight: int = 0
    note: str = ""
    times: int = 1
    """How many steps it stands for."""


@dataclass(frozen=True)
class Failure:
    """One way to fail: how long until the rollback begins, counted from `since`, and until it is over."""

    cause: str
    since: str
    best: float
    worst: float
    note: str = ""


@dataclass(frozen=True)
class Forecast:
    """A release: `parts` in their order, `failures` by how soon they are noticed, `rollback` seconds of the way back with traffic."""

    parts: tuple[Part, ...]
    failures: tuple[Failure, ...]
    rollback: tuple[float, float]

    @property
    def best(self) -> float:
        return sum(part.best for part in self.parts)

    @property
    def worst(self) -> float:
        """The sum of what has a limit."""
        return sum(part.worst for part in self.parts if part.worst is not None)

    @property
    def open_ended(self) -> tuple[Part, ...]:
        """The parts without a limit."""
        return tuple(part for part in self.parts if part.worst is None)


def forecast(canary: Canary, world: Circumstances) -> Forecast:
    """See the module."""
    spec, plan = canary.spec, canary.spec.plan
    deadline = float(spec.progress_deadline_seconds)
    parts = list(_gates(plan, "confirm-rollout", "before anything is scaled up"))
    if spec.pod_health.image_check == "Fail":
        parts.append(Part("check", "registries are asked for the images (podHealth.imageCheck)", 0.0, ANSWERED_WITHIN, note=_DOUBT))
    parts.append(Part("pods", f"{canary.target}: pods of the new revision start", world.start, max(deadline, world.start), note=_ANEW))
    settle = spec.pod_health.settle_seconds
    parts.append(Part("wait", "pods stay ready (podHealth.settle)", settle, settle, note="begins anew when a container restarts"))
    if not spec.skips_analysis:
        parts += _analysis(canary, world)
    parts += _promotion(canary, world, deadline)
    return Forecast(tuple(parts), tuple(_failures(canary, world)), _way_back(canary, world))


_DOUBT = "what cannot be told by then stops nothing"
_ANEW = "every pod that gets ready starts the deadline anew"


class Round(NamedTuple):
    """A round of the analysis: what it is called, the canary's weight in it (percent), and how many rounds it stands for."""

    name: str
    weight: int
    times: int = 1


def steps(canary: Canary, world: Circumstances) -> tuple[Round, ...]:
    """The rounds of the analysis. Of thousands of iterations those beyond LISTED are one entry."""
    plan = canary.spec.plan
    count = weights.iterations(plan, world.weights)
    if not count:
        shares = weights.plan(plan)
        mirrored = [Round("mirrored requests", 0)] if plan.mirror and world.mirror else []
        return (*mirrored, *(Round(f"weight {share} %", share) for share in shares))
    led = canary.spec.strategy == "ab-testing" and world.weights
    rounds = [Round(f"iteration {number} of {count}", 0) for number in range(1, min(count, LISTED) + 1)]
    if count > LISTED:
        rounds[-1] = Round(f"iterations {LISTED} to {count}", 0, count - LISTED + 1)
    if world.weights and not led:
        rounds.append(Round("all traffic on the canary", weights.FULL))
    return tuple(rounds)


def _analysis(canary: Canary, world: Circumstances) -> Iterator[Part]:
    plan, interval = canary.spec.plan, canary.spec.plan.interval_seconds
    rounds = steps(canary, world)
    before = plan.hooks("pre-rollout")
    if before:
        yield Part("check", f"pre-rollout checks: {_names(before)}", 0.0, _patience(plan, "pre-rollout"))
    yield from _gates(plan, "confirm-traffic-increase", "before each weight")
    quickest, slowest = _proof(world)
    asked = _patience(plan, "rollout") + (ANSWER_SLOW if plan.metrics else 0.0)
    # one more question before each weight, and the gates of the promotion once
    asked += _patience(plan, "confirm-traffic-increase")
    iterations = weights.iterations(plan, world.weights)
    seen = -1
    for name, weight, times in rounds:
        # iterations but the first change no route
        changed = seen != weight or not iterations
        seen = weight
        best, worst = times * interval + (quickest if changed else 0.0), times * (interval + asked) + (slowest if changed else 0.0)
        yield Part("step", name, best, worst, weight, _measured(plan), times)
    forgiven = plan.failure_limit - 1
    if forgiven and (plan.metrics or plan.hooks("rollout", "pre-rollout")):
        pace = interval + asked + _patience(plan, "pre-rollout")
        if plan.metrics and interval < NO_DATA_PACE:
            # missing data counts once in that time, and the rounds between are lost
            pace += NO_DATA_PACE + interval
        yield Part("check", f"up to {forgiven} failed {'check' if forgiven == 1 else 'checks'} forgiven", 0.0, forgiven * pace)
    yield from _gates(plan, "confirm-promotion", "before the promotion")


def _promotion(canary: Canary, world: Circumstances, deadline: float) -> Iterator[Part]:
    plan = canary.spec.plan
    yield Part("promotion", f"{canary.target}-primary: pods are replaced", world.start, max(deadline, world.start), note=_ANEW)
    if not world.weights:
        return
    quickest, slowest = _proof(world)
    shares = [] if canary.spec.skips_analysis else [each.weight for each in steps(canary, world)]
    last = shares[-1] if shares else 0
    if plan.step_weight_promotion and last:
        moves = 0
        while last > 0:
            last, moves = weights.promotion_weight(plan, last), moves + 1
        interval, between = plan.interval_seconds, moves - 1
        name = f"traffic goes back to the primary in {moves} {'step' if moves == 1 else 'steps'}"
        # here interval and proof of the route run side by side
        best, worst = between * max(interval, quickest) + quickest, between * (interval + slowest) + slowest
        yield Part("traffic", name, best, worst)
    else:
        yield Part("traffic", "traffic goes to the primary", quickest, slowest)
    if _carries(canary, world):
        yield Part("wait", "requests under way end (drain)", DRAIN, DRAIN + 1.0)


def _carries(canary: Canary, world: Circumstances) -> bool:
    """True when the canary has traffic in the analysis."""
    if not world.weights or canary.spec.skips_analysis:
        return False
    return canary.spec.strategy == "ab-testing" or any(each.weight for each in steps(canary, world))


def _way_back(canary: Canary, world: Circumstances) -> tuple[float, float]:
    if not world.weights:
        return 0.0, 1.0
    quickest, slowest = _proof(world)
    return quickest + DRAIN, slowest + DRAIN + 1.0


def _failures(canary: Canary, world: Circumstances) -> Iterator[Failure]:
    health, plan = canary.spec.pod_health, canary.spec.plan
    deadline = float(canary.spec.progress_deadline_seconds)
    if health.image_check == "Fail":
        yield Failure("an image that its registry says it has not", "the change, before a pod is made", 0.0, ANSWERED_WITHIN)
    if health.enabled:
        certain, doubtful = health.certain_seconds, health.doubtful_seconds
        yield Failure("no such image, missing config, a command that cannot start", "the report", certain, certain + 1.0)
        yield Failure("a registry that refuses, times out or limits", "the report", doubtful, doubtful + 1.0)
        pauses = [KUBELET_PAUSES[min(number, len(KUBELET_PAUSES) - 1)] for number in range(health.max_restarts)]
        times = health.max_restarts + 1
        note = "the kubelet's pauses; what the program lives comes on top"
        yield Failure(f"a container that crashes {times} {'time' if times == 1 else 'times'}", "its first end", sum(pauses), deadline, note)
    yield Failure("pods that do not get ready, or are not made", "the last new ready pod", deadline, deadline + 1.0)
    if not canary.spec.skips_analysis and (plan.metrics or plan.hooks("rollout")):
        interval, limit = plan.interval_seconds, plan.failure_limit
        asked = _patience(plan, "rollout") + (ANSWER_SLOW if plan.metrics else 0.0)
        slow = NO_DATA_PACE + interval if plan.metrics and interval < NO_DATA_PACE else 0.0
        checks = f"{limit} failed {'check' if limit == 1 else 'checks'}"
        yield Failure(checks, "the step's beginning", limit * interval, limit * (interval + asked + slow))


def _gates(plan: Analysis, role: HookType, when: str) -> Iterator[Part]:
    for hook in plan.hooks(role):
        yield Part("gate", f"gate {hook.name} ({role})", 0.0, None, note=f"{when}; as long as it is closed")


def _proof(world: Circumstances) -> tuple[float, float]:
    """Seconds until a changed route counts as taken, at best and at worst."""
    if not world.weights:
        return 0.0, 0.0
    return (0.0, ROUTE_SLOW) if world.judges else (UNTOLD, UNTOLD + 1.0)


def _patience(plan: Analysis, role: HookType) -> float:
    """Seconds that the hooks of a type take at worst, one after the other, with their retries."""
    return sum((parse_duration(hook.timeout) if hook.timeout else HOOK_TIMEOUT) * (hook.retries + 1) for hook in plan.hooks(role))


def _measured(plan: Analysis) -> str:
    names = [metric.name for metric in plan.metrics] + [hook.name for hook in plan.hooks("rollout")]
    return ", ".join(names) or "nothing is measured"


def _names(hooks: Sequence[Webhook]) -> str:
    return ", ".join(hook.name for hook in hooks)
