"""Rounds of the analysis: gates, hooks and metrics that are asked together, and what their answers come to.

Every question carries the run and the round in its key, so that an answer is never taken for another round's, and a controller
that starts anew asks again under the same Idempotency-Key.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from flaggerpy.api.canary import HookType, Webhook
from flaggerpy.rollout import measured
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import AskHook, Measure
from flaggerpy.rollout.facts import Answer

NO_DATA_PACE = 10.0
"""Seconds within which missing data counts once: Flagger's shortest interval."""
ROLLBACK_PACE = 2.0
"""Seconds between two questions to a rollback hook."""


class Result(Enum):
    """What a round came to."""

    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    HELD = "held"


def ask(d: Draft, hooks: Sequence[Webhook], about: str, phase: str, *, every: float | None = None) -> tuple[Webhook, Answer] | Result:
    """Ask hooks one after the other; PENDING, PASSED, or the first that said no with its answer."""
    for index, hook in enumerate(hooks):
        key = f"{d.run.id}/{about}/{index}-{hook.name}"
        if every or key not in d.facts.answers:
            d.do(AskHook(key=key, hook=hook, phase=phase, idempotency_key=key, every=every))
        answer = d.facts.answers.get(key)
        if answer is None:
            d.wait(f"the answer of {hook.role} hook {hook.name}")
            return Result.PENDING
        if not answer.ok:
            return hook, answer
    return Result.PASSED


def hooks_of(d: Draft, role: HookType) -> tuple[Webhook, ...]:
    """The analysis' hooks of a type."""
    return d.canary.spec.plan.hooks(role)


def rollback_wanted(d: Draft) -> str | None:
    """The name of a rollback hook that answered yes; they are asked every 2 s for as long as a run may still be rolled back."""
    for index, hook in enumerate(hooks_of(d, "rollback")):
        key = f"{d.run.id}/rollback/{index}-{hook.name}"
        d.do(AskHook(key=key, hook=hook, phase=str(d.status.phase), idempotency_key=key, every=ROLLBACK_PACE))
        answer = d.facts.answers.get(key)
        if answer is not None and answer.ok:
            return hook.name
    return None


def analyse(d: Draft) -> Result:
    """Rollout hooks in order, then all metrics; the first failure is told and counted. Moves on to the next round unless PENDING."""
    failure = _hooks_failure(d)
    if failure is Result.PENDING:
        return Result.PENDING
    if failure is None:
        failure = _metrics_failure(d, remembered=True)
    if failure is Result.PENDING or failure is Result.HELD or failure is Result.PASSED:
        return failure
    assert isinstance(failure, str)
    d.event("Warning", failure)
    count_failure(d)
    return Result.FAILED


def count_failure(d: Draft) -> None:
    """One more failed check, and the next round an interval later."""
    d.set(failed_checks=d.status.failed_checks + 1)
    next_round(d)


def next_round(d: Draft) -> None:
    """The next questions come an interval from now."""
    d.set_run(asked_round=d.run.asked_round + 1, analysed_at=d.now)
    d.wake_at(d.now + d.canary.spec.plan.interval_seconds)


def reachable(d: Draft) -> bool:
    """True once every metric was answered again after the server could not be reached; asks once an interval."""
    due = (d.run.analysed_at or 0.0) + d.canary.spec.plan.interval_seconds
    if d.now < due:
        d.wait("the metrics server, which cannot be reached", since=d.run.unmeasured_since, until=due, then="it is asked again")
        return False
    if _metrics_failure(d) in (Result.PENDING, Result.HELD):
        return False
    d.set_run(unmeasured_since=None, asked_round=d.run.asked_round + 1)
    return True


def _hooks_failure(d: Draft) -> str | Result | None:
    said = ask(d, hooks_of(d, "rollout"), f"{d.run.asked_round}/rollout", "Progressing")
    if said is Result.PENDING:
        return Result.PENDING
    if isinstance(said, tuple):
        hook, answer = said
        return f"Halt {d.canary.key} advancement external check {hook.name} failed {answer.text}"
    return None


def _metrics_failure(d: Draft, *, remembered: bool = False) -> str | Result:
    metrics = d.canary.spec.plan.metrics
    keys = [f"{d.run.id}/{d.run.asked_round}/metric/{index}-{metric.name}" for index, metric in enumerate(metrics)]
    for key, metric in zip(keys, metrics, strict=True):
        if key not in d.facts.measurements:
            d.do(Measure(key=key, metric=metric))
    missing = [metric.name for key, metric in zip(keys, metrics, strict=True) if key not in d.facts.measurements]
    if missing:
        d.wait(f"the measurement of {', '.join(missing)}")
        return Result.PENDING
    if remembered and metrics:
        measured.remember(d, {metric.name: d.facts.measurements[key] for key, metric in zip(keys, metrics, strict=True)})
    for key, metric in zip(keys, metrics, strict=True):
        told = d.facts.measurements[key]
        if told.kind == "unreachable":
            return _unmeasured(d, metric.name, told.text)
        if told.kind == "no-data":
            return _no_data(d, told.text)
        if told.text:
            d.set_run(unmeasured_since=None)
            return told.text
    d.set_run(unmeasured_since=None)
    return Result.PASSED


def _no_data(d: Draft, text: str) -> str | Result:
    last = d.run.no_data_at
    d.set_run(unmeasured_since=None)
    if d.canary.spec.plan.interval_seconds < NO_DATA_PACE and last is not None and d.now - last < NO_DATA_PACE:
        next_round(d)
        d.wait(f"data: {text}")
        return Result.HELD
    d.set_run(no_data_at=d.now)
    return text


def _unmeasured(d: Draft, name: str, text: str) -> Result:
    since = d.run.unmeasured_since if d.run.unmeasured_since is not None else d.now
    d.set_run(unmeasured_since=since)
    next_round(d)
    d.wait(
        f"the metrics server cannot be reached for {name}: {text}",
        since=since,
        until=since + d.canary.spec.progress_deadline_seconds,
        then="the canary's weight goes to 0 until the server is back",
    )
    return Result.HELD
