"""From what the controller decides to what it exports: each stored decision becomes series, and those of deleted Canaries go."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import get_args

from pydantic import ValidationError

from flaggerpy import __version__
from flaggerpy.api.canary import Canary
from flaggerpy.api.conditions import PROMOTED, STALLED
from flaggerpy.api.status import IDLE, CanaryStatus, Condition, HistoryEntry, from_timestamp
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.look import RefusedError, StaleError
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.worker import Witness
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.phases import Cause
from flaggerpy.telemetry import logs
from flaggerpy.telemetry.metrics import Metrics

VERDICTS = (
    Cause.PASSED, Cause.SKIPPED, Cause.FORCED, Cause.ABORTED, Cause.HOOK_ASKED, Cause.PODS_FAILED, Cause.IMAGE_MISSING, Cause.PODS_LOST,
    Cause.PODS_LOST_AGAIN, Cause.TARGET_GONE, Cause.CHECKS_FAILED, Cause.UNMEASURED, Cause.WENT_BACK, Cause.SUPERSEDED,
    Cause.PROMOTION_FAILED, Cause.BOOTSTRAP_FAILED,
)  # fmt: skip
"""Causes that end an analysis, or set it back."""
FAILURES: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (ApiError, "api"), ((RefusedError, StaleError), "refused"), (ValidationError, "invalid"),
)  # fmt: skip


class Exporting(Witness):
    """Keeps count of which series belong to which Canary."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.metrics = metrics
        self._targets: dict[Key, str] = {}
        self._owners: dict[tuple[str, str], Key] = {}
        self._by_namespace: Counter[str] = Counter()
        metrics.canaries.info(__version__, settings.mesh_provider)
        metrics.expect("flagger_verdicts_total", (reason_of(cause) for cause in VERDICTS))
        metrics.expect("flagger_worker_failures_total", (*(word for _, word in FAILURES), "internal"))
        metrics.expect("flagger_releases_total", get_args(HistoryEntry.model_fields["outcome"].annotation))
        metrics.exemplar = under_way

    def decided(self, key: Key, canary: Canary, before: CanaryStatus, decision: Decision) -> None:
        """A decision was stored: phase and weights are as it says."""
        self._own(key, canary.target)
        status, told = decision.status, self.metrics.canaries
        since = _since(status)
        if self._owners.get((key.namespace, canary.target)) == key:
            told.phase(canary.target, key.namespace, str(status.phase), since)
            told.weight(canary.target, key.namespace, 100 - status.canary_weight, status.canary_weight)
            stalled = next((each for each in status.conditions if each.type == STALLED and each.status == "True"), None)
            checks = status.failed_checks if status.run else None
            told.state(canary.target, key.namespace, failed_checks=checks, stalled=stalled.reason if stalled else "")
            if status.run is not None and not before.run:
                told.expect(canary.target, key.namespace, strategy=canary.spec.strategy, analysis=_analysis(canary.spec.skips_analysis))
            told.keep_metrics(canary.target, key.namespace, (metric.name for metric in canary.spec.plan.metrics))
        for _, cause, _ in decision.moves:
            if cause in VERDICTS:
                self.metrics.judged(reason_of(cause))
        began = _since(before)
        if status.phase != before.phase and before.phase and before.phase not in IDLE and began:
            self.metrics.left_phase(str(before.phase), max(0.0, since - began))
        if before.run is not None and status.history and (entry := status.history[0]) not in before.history[:1]:
            self.metrics.released(entry.outcome, _lasted(entry))

    def waited(self, key: Key, seconds: float) -> None:
        """A Canary was looked at, so long after the news."""
        self.metrics.waited(seconds)

    def failed(self, key: Key, error: Exception) -> None:
        """A look failed and is tried again."""
        kind = next((word for types, word in FAILURES if isinstance(error, types)), "internal")
        self.metrics.worker_failed(kind)

    def blocked(self, key: Key) -> None:
        """Looks at a Canary fail for so long that its status tells it."""
        target = self._targets.get(key)
        if target is not None and self._owners.get((key.namespace, target)) == key:
            self.metrics.canaries.blocked(target, key.namespace)

    def carried_out(self, key: Key, canary: Canary, decision: Decision, seconds: float) -> None:
        """All effects of a decision are true, so long after the news that led to it."""
        if decision.moves:
            self.metrics.reacted(reason_of(decision.moves[-1][1]), seconds)

    def released(self, canary: Canary, *, success: bool, skipped: bool) -> None:
        """A release has ended."""
        self.metrics.canaries.finished(
            canary.target,
            canary.namespace,
            succeeded=success,
            strategy=canary.spec.strategy,
            analysis=_analysis(skipped),
        )

    def measured(self, canary: Canary, metric: str, value: float, seconds: float) -> None:
        """A metric was evaluated; the built-in duration is exported in seconds, as Flagger does."""
        told = value / 1000 if metric == "request-duration" else value
        self.metrics.canaries.measured(canary.target, canary.namespace, metric, told)
        self.metrics.canaries.analysed(canary.target, canary.namespace, seconds)

    def forget(self, key: Key) -> None:
        """A Canary is gone: its series go."""
        target = self._targets.pop(key, None)
        if target is not None:
            self._count(key, -1)
            self._disown(key, target)

    def stand_down(self) -> None:
        """Another replica leads, and tells of the Canaries: what stood here would be told beside it, and never change again."""
        self._targets.clear()
        self._owners.clear()
        self._by_namespace.clear()
        self.metrics.canaries.clear()

    def _own(self, key: Key, target: str) -> None:
        """The series of a target belong to the Canary that came first; a second one of the same target, which is refused, has none."""
        had = self._targets.get(key)
        if had is None:
            self._count(key, 1)
        elif had != target:
            self._disown(key, had)
        self._targets[key] = target
        self._owners.setdefault((key.namespace, target), key)

    def _disown(self, key: Key, target: str) -> None:
        if self._owners.get((key.namespace, target)) == key:
            del self._owners[key.namespace, target]
            self.metrics.canaries.forget(target, key.namespace)

    def _count(self, key: Key, change: int) -> None:
        self._by_namespace[key.namespace] += change
        self.metrics.canaries.count(key.namespace, self._by_namespace[key.namespace])


def _analysis(skipped: bool) -> str:
    return "skipped" if skipped else "completed"


def reason_of(cause: Cause) -> str:
    """A cause as a label: `pods_failed`."""
    return cause.name.lower()


def under_way() -> Mapping[str, str]:
    """The exemplar of whatever is observed now: the Canary that is looked at, and the trace of its release where there is one."""
    return {name: value for name, value in logs.fields().items() if name in ("canary", "trace_id")}


def _since(status: CanaryStatus) -> float:
    """When the phase was entered (epoch seconds): Flagger's condition is written with each phase, and so outlives a restart; 0: unknown."""
    promoted: Condition | None = next((each for each in status.conditions if each.type == PROMOTED), None)
    return _moment(promoted.last_update_time) if promoted else 0.0


def _lasted(entry: HistoryEntry) -> float:
    began, ended = _moment(entry.started), _moment(entry.ended)
    return max(0.0, ended - began) if began and ended else math.nan


def _moment(text: str | None) -> float:
    try:
        return from_timestamp(text or "")
    except ValueError:
        return 0.0
