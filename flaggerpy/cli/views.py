"""View models: what a person wants to know about a Canary, as plain values made from the objects of the API. Pure.

Nothing here fails on a Canary that cannot be read: a person looks at exactly those. What cannot be read is told in `problem`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.api import names
from flaggerpy.api.canary import CanarySpec, Metric, Webhook
from flaggerpy.api.commanding import ANNOTATIONS, Unfit, unfit
from flaggerpy.api.lenient import read_spec, read_status
from flaggerpy.api.status import IDLE, CanaryStatus, HistoryEntry, Measured, Order, Phase, from_timestamp

Obj = dict[str, Any]

GATES = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
EVENTS_SHOWN = 8


@dataclass(frozen=True)
class PodCount:
    """Pods of one side: ready ones of all that are not being deleted."""

    ready: int
    total: int

    def __str__(self) -> str:
        return f"{self.ready}/{self.total}"


@dataclass(frozen=True)
class Waiting:
    """What is waited for; `since` and `until` in epoch seconds, None where there is none."""

    sentence: str
    since: float | None = None
    until: float | None = None
    then: str = ""
    advice: str = ""


@dataclass(frozen=True)
class FailureLine:
    """A container that fails. `pods` counts those in which it fails for the same reason."""

    pod: str
    container: str
    reason: str
    message: str
    diagnosis: str
    pods: int = 1


@dataclass(frozen=True)
class GateLine:
    """A gate of the analysis, and where the present run stands with it ("" between releases)."""

    name: str
    role: str
    state: str


@dataclass(frozen=True)
class ConditionLine:
    type: str
    status: str
    reason: str
    message: str
    since: float | None


@dataclass(frozen=True)
class EventLine:
    """An event; `at` is its last occurrence in epoch seconds."""

    at: float
    type: str
    message: str
    count: int = 1


@dataclass(frozen=True)
class MetricLine:
    """A metric of the analysis with its bounds, and what it said last in this run; `value` None: nothing yet, or no value."""

    name: str
    bounds: str
    over: str = ""
    value: float | None = None
    step: str = ""
    missed: bool = False
    """The value is out of bounds."""
    low: float | None = None
    high: float | None = None
    values: tuple[tuple[str, float | None], ...] = ()
    """The last value of each step, as (step, value)."""

    @property
    def used(self) -> float | None:
        """How much of its room the last value has used: 0 none, 1 all of it, more is a miss; None without value or bound.

        Of a floor near 100 (a rate of success) the room is what may be missing; of any other floor the value itself is the measure.
        """
        if self.value is None:
            return None
        shares = []
        if self.high is not None:
            shares.append(self.value / self.high if self.high > 0 else float(self.value > self.high) * 2)
        if self.low is not None and 50 <= self.low < 100 and self.value <= 100:
            shares.append((100 - self.value) / (100 - self.low))
        elif self.low is not None:
            shares.append(2.0 if self.value <= 0 < self.low else self.low / self.value if self.value > 0 else 0.0)
        return max(shares, default=None)


@dataclass(frozen=True)
class OrderLine:
    """A command of a person that was taken up; `at` in epoch seconds."""

    command: str
    by: str
    at: float
    detail: str


@dataclass(frozen=True)
class HistoryLine:
    """A release that ended; times in epoch seconds. `measured` has a metric's values by step, as (name, ((step, value), ...))."""

    revision: str
    images: tuple[str, ...]
    started: float
    ended: float
    outcome: str
    cause: str
    forced: bool
    orders: tuple[OrderLine, ...] = ()
    measured: tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...] = ()


@dataclass(frozen=True)
class CanaryView:
    """One Canary at one moment. Weights in percent, times in epoch seconds."""

    namespace: str
    name: str
    phase: str
    now: float
    kind: str = ""
    target: str = ""
    provider: str = ""
    strategy: str = ""
    weight: int = 0
    """The canary's share of the traffic that is in force."""
    planned_weight: int = 0
    """The share of the present step: above `weight` while lost pods have it cut."""
    failed_checks: int = 0
    failure_limit: int = 1
    iterations: int = 0
    suspended: bool = False
    pending_commands: tuple[str, ...] = ()
    unfit: Mapping[str, Unfit] = field(default_factory=dict)
    """The commands that make no sense now, and why."""
    revision: str = ""
    images: tuple[str, ...] = ()
    promoted_revision: str = ""
    promoted_images: tuple[str, ...] = ()
    attempt: int = 1
    started: float | None = None
    verdict: str = ""
    forced: bool = False
    paused: bool = False
    skip: bool = False
    orders: tuple[OrderLine, ...] = ()
    """Commands of people in the present run."""
    reverting: str = ""
    """The revision that the target is being given back."""
    promoted_revisions: tuple[str, ...] = ()
    """Promoted revisions whose templates are kept, the newest first."""
    primary_pods: PodCount | None = None
    canary_pods: PodCount | None = None
    waiting: Waiting | None = None
    failures: tuple[FailureLine, ...] = ()
    metrics: tuple[MetricLine, ...] = ()
    gates: tuple[GateLine, ...] = ()
    conditions: tuple[ConditionLine, ...] = ()
    events: tuple[EventLine, ...] = ()
    history: tuple[HistoryLine, ...] = ()
    problem: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    last_transition: str = ""
    """When the status was last written, as it says."""
    created: float | None = None

    @property
    def changed(self) -> float | None:
        """The same in epoch seconds."""
        return _time(self.last_transition)

    @property
    def idle(self) -> bool:
        """True when no release is under way."""
        return self.phase in IDLE

    @property
    def step(self) -> int:
        """The present step, as `skip` names it."""
        return self.iterations or self.planned_weight

    @property
    def waiting_for(self) -> str:
        """The sentence for one table cell; "" when nothing is waited for."""
        return self.problem or (self.waiting.sentence if self.waiting else "")


def canary_view(
    obj: Mapping[str, Any],
    now: float,
    *,
    primary_pods: Sequence[Obj] | None = None,
    canary_pods: Sequence[Obj] | None = None,
    events: Iterable[Obj] = (),
) -> CanaryView:
    """The view of a Canary object at epoch second `now`; pods are None where they could not be read."""
    metadata: Mapping[str, Any] = obj.get("metadata") or {}
    raw_spec: Mapping[str, Any] = obj.get("spec") or {}
    spec, spec_problem = read_spec(raw_spec)
    status, status_problem = read_status(obj)
    run = status.run
    target = raw_spec.get("targetRef") or {}
    planned = status.canary_weight
    suspended, pending = bool(raw_spec.get("suspend")), commands_of(obj)
    return CanaryView(
        namespace=str(metadata.get("namespace") or ""),
        name=str(metadata.get("name") or ""),
        phase=str(status.phase),
        now=now,
        kind=str(target.get("kind") or ""),
        target=str(target.get("name") or ""),
        provider=str(raw_spec.get("provider") or ""),
        strategy=spec.strategy if spec else "",
        weight=planned if run is None or run.cut is None else run.cut,
        planned_weight=planned,
        failed_checks=status.failed_checks,
        failure_limit=spec.plan.failure_limit if spec else 1,
        iterations=status.iterations,
        suspended=suspended,
        pending_commands=pending,
        unfit={verb: why for verb in ANNOTATIONS if (why := unfit(verb, status, suspended=suspended, paused="pause" in pending))},
        revision=run.revision if run else status.last_applied_spec,
        images=tuple((run.images if run else []) or status.applied_images),
        promoted_revision=status.last_promoted_spec,
        promoted_images=tuple(status.promoted_images),
        attempt=run.attempt if run else 1,
        started=(run.started_at or None) if run else None,
        verdict=(run.verdict or "") if run else "",
        forced=run is not None and run.forced,
        paused=run is not None and run.paused,
        skip=run is not None and run.skip,
        orders=_orders(run.orders) if run else (),
        reverting=status.reverting.revision if status.reverting else "",
        promoted_revisions=tuple(status.promoted_revisions),
        primary_pods=count_pods(primary_pods),
        canary_pods=count_pods(canary_pods),
        waiting=_waiting(status),
        failures=_failures(status),
        metrics=tuple(metric_line(metric, run.measured if run else None) for metric in spec.plan.metrics) if spec else (),
        gates=_gates(spec, status) if spec else (),
        conditions=tuple(
            ConditionLine(condition.type, condition.status, condition.reason, condition.message, _time(condition.last_transition_time))
            for condition in status.conditions
        ),
        events=event_lines(events),
        history=history_lines(status.history),
        problem=spec_problem or status_problem,
        spec=raw_spec,
        last_transition=status.last_transition_time or "",
        created=_time(metadata.get("creationTimestamp")),
    )


def commands_of(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of a person's commands that stand on the Canary."""
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    return tuple(name for name, annotation in names.COMMANDS.items() if annotation in annotations)


def count_pods(pods: Sequence[Obj] | None) -> PodCount | None:
    """How many of these pods are ready; pods that are being deleted do not count."""
    if pods is None:
        return None
    alive = [pod for pod in pods if not (pod.get("metadata") or {}).get("deletionTimestamp")]
    return PodCount(ready=sum(map(is_ready, alive)), total=len(alive))


def is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)


def metric_line(metric: Metric, measured: Measured | None = None) -> MetricLine:
    """A metric, its bounds, and its last value."""
    low, high = metric.bounds
    bounds = [text for text in (low is not None and f">= {low:g}", high is not None and f"<= {high:g}") if text]
    columns = next((each.values for each in measured.metrics if each.name == metric.name), []) if measured else []
    value = columns[-1] if columns else None
    return MetricLine(
        metric.name,
        " and ".join(bounds) or "any value",
        metric.interval or "",
        value,
        measured.steps[-1] if measured and measured.steps and columns else "",
        value is not None and ((low is not None and value < low) or (high is not None and value > high)),
        low,
        high,
        tuple(zip(measured.steps, columns, strict=False)) if measured else (),
    )


def history_lines(history: Iterable[HistoryEntry]) -> tuple[HistoryLine, ...]:
    """Releases that ended, the newest first, whatever the order they are stored in."""
    lines = [
        HistoryLine(
            revision=entry.revision,
            images=tuple(entry.images),
            started=_time(entry.started) or 0.0,
            ended=_time(entry.ended) or 0.0,
            outcome=entry.outcome,
            cause=entry.cause,
            forced=entry.forced,
            orders=_orders(entry.orders),
            measured=_by_metric(entry.measured),
        )
        for entry in history
    ]
    return tuple(sorted(lines, key=lambda line: (line.ended, line.started), reverse=True))


def _orders(orders: Iterable[Order]) -> tuple[OrderLine, ...]:
    return tuple(OrderLine(order.command, order.by, _time(order.at) or 0.0, order.detail) for order in orders)


def _by_metric(measured: Measured | None) -> tuple[tuple[str, tuple[tuple[str, float | None], ...]], ...]:
    if measured is None:
        return ()
    return tuple((metric.name, tuple(zip(measured.steps, metric.values, strict=False))) for metric in measured.metrics)


def event_lines(events: Iterable[Obj], limit: int = EVENTS_SHOWN) -> tuple[EventLine, ...]:
    """The last events, the oldest of them first, as a log reads."""
    lines = [
        EventLine(
            at=event_time(event),
            type=str(event.get("type") or "Normal"),
            message=str(event.get("message") or ""),
            count=int((event.get("series") or {}).get("count") or event.get("count") or 1),
        )
        for event in events
    ]
    return tuple(sorted(lines, key=lambda line: line.at)[-limit:])


def short_images(images: Iterable[str]) -> str:
    """Images for people: the registry and path left out, `sha256` digests cut."""
    return ", ".join(short_image(image) for image in images) or "-"


def short_image(image: str) -> str:
    tail = image.rsplit("/", 1)[-1]
    name, at, digest = tail.partition("@")
    return f"{name}@{digest.removeprefix('sha256:')[:12]}" if at else tail


def age(seconds: float) -> str:
    """A length of time as kubectl writes it: 12s, 3m20s, 2h5m, 4d."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 120:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"


def bar(percent: int, width: int = 20) -> str:
    """A bar of `width` cells; any share above 0 shows at least one cell, any below 100 leaves at least one."""
    cells = round(percent * width / 100)
    if 0 < percent < 100:
        cells = min(max(cells, 1), width - 1)
    return "█" * cells + "░" * (width - cells)


def _waiting(status: CanaryStatus) -> Waiting | None:
    progress = status.progress
    if progress is None or not progress.waiting_for:
        return None
    return Waiting(
        progress.waiting_for, _time(progress.since), _time(progress.until), then=progress.then or "", advice=progress.advice or ""
    )


def _failures(status: CanaryStatus) -> tuple[FailureLine, ...]:
    # not by the diagnosis: it has commands in it that name the pod
    grouped: dict[tuple[str, str], FailureLine] = {}
    for failure in status.pod_failures:
        key = (failure.container, failure.reason)
        seen = grouped.get(key)
        grouped[key] = FailureLine(
            pod=seen.pod if seen else failure.pod,
            container=failure.container,
            reason=failure.reason,
            message=seen.message if seen else failure.message,
            diagnosis=seen.diagnosis if seen else failure.diagnosis,
            pods=seen.pods + 1 if seen else 1,
        )
    return tuple(grouped.values())


def _gates(spec: CanarySpec, status: CanaryStatus) -> tuple[GateLine, ...]:
    waiting = status.progress.waiting_for if status.progress else ""

    def state(hook: Webhook) -> str:
        if status.phase in IDLE or status.run is None:
            return ""
        if f"gate {hook.name}" in waiting:
            return "closed: waited for"
        if hook.role == "confirm-traffic-increase":
            return "asked before each step"
        if hook.role == "confirm-rollout":
            return "passed" if status.phase != Phase.WAITING else "being asked"
        after = status.phase in (Phase.PROMOTING, Phase.FINALISING) or status.run.promotion_gate_open
        return "passed" if after else "asked before promotion"

    return tuple(GateLine(hook.name, hook.role, state(hook)) for hook in spec.plan.webhooks if hook.role in GATES)


def event_time(event: Mapping[str, Any]) -> float:
    """The last time that an event happened, in epoch seconds; 0.0 when it does not say."""
    series = event.get("series") or {}
    # of one that was told once, the microseconds keep those of one second in order
    exact = event.get("eventTime") if event.get("count") == 1 else None
    for text in (series.get("lastObservedTime"), exact, event.get("lastTimestamp"), event.get("eventTime"), event.get("firstTimestamp")):
        if text:
            return _time(str(text)) or 0.0
    return _time((event.get("metadata") or {}).get("creationTimestamp")) or 0.0


def _time(text: str | None) -> float | None:
    try:
        return from_timestamp(text) if text else None
    except ValueError:
        return None
