"""The course of a release: its stages in order, which are done and how long they took, and how long those to come are estimated to take.

Pure. Stages are those of the forecast (`rollout/forecast.py`), short enough for a line; where the release stands is read from the status,
when stages began from the status and from events, and from what a watch saw itself (`seen`). Times in epoch seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

from flaggerpy.api.canary import Canary, Webhook
from flaggerpy.api.status import IDLE, CanaryStatus, HistoryEntry, Phase, from_timestamp
from flaggerpy.cli import estimates
from flaggerpy.cli.views import age, event_time
from flaggerpy.rollout.forecast import LISTED, Circumstances, steps
from flaggerpy.rollout.traffic import DRAIN

Obj = Mapping[str, Any]
Kind = Literal["gate", "start", "settle", "check", "step", "promotion", "finish"]
State = Literal["done", "now", "ahead"]

START, SETTLE, CHECKS, PROMOTION, FINISH, BACK = "pods start", "settle", "checks", "promotion", "traffic back", "rollback"
MIRROR, ALL = "mirror", "100%"
NAMED = 8
"""Stages to come that a sentence names; of more it counts those in the middle."""


@dataclass(frozen=True)
class Stage:
    """One stage. `weight` is the canary's share in it (percent); `left` seconds to its end, None: as long as somebody takes."""

    kind: Kind
    name: str
    weight: int = 0
    times: int = 1
    """How many rounds a step stands for."""
    state: State = "ahead"
    began: float | None = None
    took: float | None = None
    left: float | None = 0.0


def count(stages: Iterable[Stage]) -> int:
    """How many there are, each as often as it stands for."""
    return sum(stage.times for stage in stages)


@dataclass(frozen=True)
class Course:
    """A release under way at epoch second `now`."""

    stages: tuple[Stage, ...]
    now: float
    held: str = ""
    """What a person has to do before it goes on: the name of a closed gate, or "resume"; "" when nothing."""
    failing: bool = False
    """It is being rolled back."""

    @property
    def at(self) -> int:
        """The number of the stage under way."""
        return next((i for i, stage in enumerate(self.stages) if stage.state == "now"), len(self.stages))

    @property
    def current(self) -> Stage | None:
        return self.stages[self.at] if self.at < len(self.stages) else None

    @property
    def steps(self) -> tuple[Stage, ...]:
        """The steps of the analysis alone."""
        return tuple(stage for stage in self.stages if stage.kind == "step")

    @property
    def step_number(self) -> int:
        """The number of the step of the analysis that is under way, counted from 1; of how many, `count(steps)` tells."""
        return count(stage for stage in self.stages[: self.at] if stage.kind == "step") + 1

    @property
    def left(self) -> float:
        """Seconds to the end, as far as they are known."""
        return estimates.total(stage.left for stage in self.stages[self.at :])[0]

    @property
    def gates_ahead(self) -> tuple[str, ...]:
        """Gates that are still to be asked; the estimate takes them to be open."""
        return tuple(stage.name for stage in self.stages[self.at :] if stage.kind == "gate" and stage.state == "ahead")


@dataclass(frozen=True)
class World:
    """What the Canary does not say: what its provider can do, and the least seconds in which a pod of the target is available."""

    weights: bool = True
    mirror: bool = False
    least_start: float = 0.0


def course(canary: Canary, status: CanaryStatus, now: float, *, seen: Mapping[str, float], world: World) -> Course | None:
    """The course of the release under way, None between releases. `seen` has when stages began, by name: see `beginnings`."""
    run = status.run
    if run is None or status.phase in IDLE or status.phase in (Phase.NONE, Phase.INITIALIZING, Phase.TERMINATING, Phase.TERMINATED):
        return None
    stages = list(planned(canary, world))
    stages, at = _apart(stages, standing(status, stages), status)
    begun = {**_from_status(status, stages[at].name), **seen}
    held = run.closed_gate.partition(" gate ")[2]
    held = "resume" if run.paused else held
    if run.verdict is not None and status.phase in (Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION):
        back = run.drain_since if run.drain_since is not None else now
        way = Stage("finish", BACK, state="now", began=back, left=estimates.left(DRAIN + 1.0, now - back) if run.carried_weight else 1.0)
        return Course((*_dated(stages[:at], begun), way), now, failing=True)
    past = [each for each in map(_past, status.history) if each is not None]
    dated = _timed(stages, at, begun, canary, status, now, least=world.least_start, past=past)
    return Course(tuple(dated), now, held=held or _gate_under_way(dated[at], status))


def planned(canary: Canary, world: World) -> tuple[Stage, ...]:
    """All stages of a release of this Canary, in order, none begun."""
    spec, plan = canary.spec, canary.spec.plan
    stages = [*_gates(plan.hooks("confirm-rollout")), Stage("start", START)]
    if spec.pod_health.settle_seconds:
        stages.append(Stage("settle", SETTLE))
    last = _gates(plan.hooks("confirm-promotion"))
    if not spec.skips_analysis:
        if plan.hooks("pre-rollout"):
            stages.append(Stage("check", CHECKS))
        for name, weight, times in steps(canary, Circumstances(weights=world.weights, mirror=world.mirror)):
            if name.startswith("all traffic"):
                # blue/green: the gates are asked before all traffic moves
                stages += last
                last = []
            stages.append(Stage("step", _label(name, weight), weight, times))
        stages += last
    stages.append(Stage("promotion", PROMOTION))
    stages.append(Stage("finish", FINISH))
    return tuple(stages)


def standing(status: CanaryStatus, stages: Sequence[Stage]) -> int:
    """The number of the stage that a release under way is in. Total: what was edited by hand counts as the nearest stage."""
    run = status.run
    kinds = [stage.kind for stage in stages]
    if status.phase == Phase.FINALISING or (status.phase == Phase.PROMOTING and run is not None and run.primary_weight_step_at is not None):
        return len(stages) - 1
    if status.phase == Phase.PROMOTING:
        return len(stages) - 2
    if status.phase == Phase.WAITING or run is None:
        return 0
    if status.phase == Phase.WAITING_PROMOTION:
        gates = [i for i, kind in enumerate(kinds) if kind == "gate" and i > kinds.index("start")]
        waited = [i for i in gates if run.closed_gate.endswith(f" {stages[i].name}")]
        return (waited or gates or [len(stages) - 2])[0]
    here = present(status)
    if here is None:
        if not run.settled:
            return kinds.index("settle") if run.settled_since is not None and "settle" in kinds else kinds.index("start")
        return next((i for i, kind in enumerate(kinds) if kind in ("check", "step")), len(stages) - 2)
    numbered = [i for i, kind in enumerate(kinds) if kind == "step"]
    exact = [i for i in numbered if stages[i].name == here]
    nearest = [i for i in numbered if stages[i].weight <= status.canary_weight]
    return (exact or nearest[-1:] or numbered or [len(stages) - 2])[0]


def _apart(stages: list[Stage], at: int, status: CanaryStatus) -> tuple[list[Stage], int]:
    """The stages, and the number of the present one: where it stands for many iterations, it is taken apart at the present iteration."""
    many, number = stages[at], status.iterations
    if many.times == 1:
        return stages, at
    last = LISTED + many.times - 1
    now = min(max(number, LISTED), last)
    parts = [
        replace(many, name=_numbers(first, end), times=end - first + 1)
        for first, end in ((LISTED, now - 1), (now, now), (now + 1, last))
        if first <= end
    ]
    return [*stages[:at], *parts, *stages[at + 1 :]], at + (now > LISTED)


def _numbers(first: int, last: int) -> str:
    return f"#{first}" if first == last else f"#{first}..#{last}"


def present(status: CanaryStatus) -> str | None:
    """The name of the step of the analysis that a release is in (20%, #3, mirror), None before the first one."""
    run = status.run
    if run is None:
        return None
    if status.iterations and not (run.routed_to_canary and status.canary_weight):
        return f"#{status.iterations}"
    if status.canary_weight:
        return f"{status.canary_weight}%"
    return MIRROR if run.mirrored else None


def upcoming(course: Course) -> str:
    """What is to come, as a sentence for a page."""
    about = f"about {age(course.left)}"
    if course.failing:
        return f"all traffic on the primary, the canary drained and scaled to zero, then Failed: {about}"
    ahead = [f"gate {stage.name}" if stage.kind == "gate" else stage.name for stage in course.stages[course.at + 1 :]]
    if len(ahead) > NAMED:
        ahead = [*ahead[:2], f"{len(ahead) - 4} more", *ahead[-2:]]
    told = ", ".join(ahead) or "the end"
    if course.held == "resume":
        return f"after the pause {told}: {about}"
    if course.held:
        return f"after gate {course.held} opens {told}: {about}"
    gates = " (gates taken to be open)" if course.gates_ahead else ""
    return f"{told}: {about} to the end{gates}"


_SAID = (
    (re.compile(r"^New revision detected! "), START),
    (re.compile(r"^Starting canary analysis for "), ""),
    (re.compile(r"^Advance \S+ canary weight (\d+)$"), "{}%"),
    (re.compile(r"^Advance \S+ canary iteration (\d+)/"), "#{}"),
    (re.compile(r"^(?:Stop traffic mirroring and route|Routing) all traffic to canary$"), ALL),
    (re.compile(r"^Copying \S+ template spec to "), PROMOTION),
    (re.compile(r"^(?:Routing all traffic to primary$|Advance \S+ primary weight )"), FINISH),
)


def beginnings(events: Iterable[Obj], since: float) -> dict[str, float]:
    """When stages of the run that began at `since` began, as its events tell: the last time that each is told of counts."""
    found: dict[str, float] = {}
    for event in events:
        message = str(event.get("message") or "")
        when = event_time(event)
        # events are stamped in whole seconds
        if when < since - 1.0:
            continue
        for pattern, form in _SAID:
            match = pattern.match(message)
            if match and form:
                name = MIRROR if form == "{}%" and match.group(1) == "0" else form.format(*match.groups())
                # of the weights of the primary on its way back the first one counts
                keep = min if name == FINISH else max
                found[name] = keep(found.get(name, when), when)
    return found


def _time(text: str) -> float:
    try:
        return from_timestamp(text) if text else 0.0
    except ValueError:
        return 0.0


def _gates(hooks: Iterable[Webhook]) -> list[Stage]:
    return [Stage("gate", hook.name, left=None) for hook in hooks]


def _label(name: str, weight: int) -> str:
    """A step's name as `status.run.measured` has it."""
    if weight:
        return f"{weight}%"
    number = re.match(r"iterations? (\d+)(?: to (\d+))?", name)
    return _numbers(int(number.group(1)), int(number.group(2) or number.group(1))) if number else MIRROR


def _gate_under_way(stage: Stage, status: CanaryStatus) -> str:
    waiting = status.phase in (Phase.WAITING, Phase.WAITING_PROMOTION)
    return stage.name if stage.kind == "gate" and waiting else ""


def _from_status(status: CanaryStatus, here: str) -> dict[str, float]:
    run = status.run
    if run is None:
        return {}
    found = {START: run.progressing_at or run.started_at}
    if run.settled_since is not None:
        found[SETTLE] = run.settled_since
    if run.analysed_at is not None and status.phase == Phase.PROGRESSING and present(status):
        found[here] = run.analysed_at
    return found


def _dated(stages: Sequence[Stage], begun: Mapping[str, float]) -> list[Stage]:
    """Stages that are done, with how long they took where both ends are known."""
    dated = [replace(stage, state="done", began=begun.get(stage.name), left=0.0) for stage in stages]
    for i, (one, following) in enumerate(pairwise(dated)):
        if one.began is not None and following.began is not None and following.began >= one.began:
            dated[i] = replace(one, took=following.began - one.began)
    return dated


def _timed(
    stages: Sequence[Stage], at: int, begun: Mapping[str, float], canary: Canary, status: CanaryStatus, now: float, *,
    least: float, past: Sequence[estimates.Past],
) -> list[Stage]:  # fmt: skip
    """All stages with their times: those before `at` done, the others estimated."""
    plan, settle = canary.spec.plan, canary.spec.pod_health.settle_seconds
    done = _dated([*stages[:at], replace(stages[at], state="now")], begun)
    current = replace(done.pop(), state="now", took=None)
    # events are stamped in whole seconds: of a short stage they may tell nothing
    done = [replace(stage, took=settle) if stage.kind == "settle" and stage.took is None else stage for stage in done]
    took = [stage.took for stage in done if stage.kind == "step" and stage.took is not None and stage.times == 1]
    number = count(stage for stage in stages if stage.kind == "step")
    per_step = estimates.step(plan.interval_seconds, took)
    started = next((stage.took for stage in done if stage.kind == "start" and stage.took is not None), None)
    known = settle + number * plan.interval_seconds + DRAIN + estimates.AROUND
    gated = any(stage.kind == "gate" for stage in stages)
    guessed = estimates.start(least, () if gated else past, steps=number, known=known)
    expected: dict[Kind, float | None] = {
        "gate": None, "start": guessed, "settle": settle, "check": 1.0, "step": per_step,
        # the primary's pods are of the same template as the canary's were
        "promotion": guessed if started is None else started,
        "finish": DRAIN + 1.0,
    }  # fmt: skip
    ahead = [replace(stage, state="ahead", left=_open(stage, expected)) for stage in stages[at + 1 :]]
    whole = expected[current.kind]
    began = current.began
    if began is None and status.progress is not None and status.progress.since:
        began = _time(status.progress.since) or None
    until = _until(current, status, now, settle)
    rest = None if whole is None else estimates.left(whole, 0.0 if began is None else now - began, until)
    return [*done, replace(current, began=began, left=rest), *ahead]


def _open(stage: Stage, expected: Mapping[Kind, float | None]) -> float | None:
    # a gate that is still to come is taken to be open
    whole = 0.0 if stage.kind == "gate" else expected[stage.kind]
    return whole and whole * stage.times


def _until(stage: Stage, status: CanaryStatus, now: float, settle: float) -> float | None:
    """Seconds to the end of the present stage, where the controller has said when it is."""
    run, progress = status.run, status.progress
    if stage.kind == "settle" and run is not None and run.settled_since is not None:
        return run.settled_since + settle - now
    if stage.kind == "step" and run is not None and run.analysed_at is not None and progress is not None and progress.until:
        return _time(progress.until) - now
    return None


def _past(entry: HistoryEntry) -> estimates.Past | None:
    if entry.outcome != "Succeeded" or entry.forced or entry.orders or entry.measured is None:
        return None
    return estimates.Past(_time(entry.ended) - _time(entry.started), len(entry.measured.steps))
