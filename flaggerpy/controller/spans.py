"""The spans of a release, derived from what was decided: pure. One for the run, one for each step of it.

All memory is in the cluster: since when a run is in its step is written into its status with the decision that began the step (only where
traces are on), so that the span of a step is told when its end is known, by whoever leads then.
"""

from __future__ import annotations

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, HistoryEntry, Phase, RunState, from_timestamp
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import RecordEvent
from flaggerpy.rollout.revision import run_id
from flaggerpy.telemetry.tracing import ROOT, Attributes, Span

GOOD = frozenset({"Initialized", "Succeeded"})
STEPS = {
    Phase.INITIALIZING: "initialise",
    Phase.WAITING: "wait for approval",
    Phase.WAITING_PROMOTION: "wait for promotion approval",
    Phase.PROMOTING: "promote",
    Phase.FINALISING: "finalise",
}


def step_of(status: CanaryStatus) -> str:
    """The step that a run is in, for people; few words, so that traces can be compared. "" without a run."""
    run = status.run
    if run is None:
        return ""
    if run.verdict is not None:
        return "roll back"
    if status.phase is not Phase.PROGRESSING:
        return STEPS.get(status.phase, str(status.phase).lower())
    if status.canary_weight and not (status.iterations and not run.routed_to_canary):
        return f"weight {status.canary_weight}%"
    if status.iterations:
        return f"iteration {status.iterations}"
    if run.mirrored:
        return "mirror"
    return "check before traffic" if run.settled else "start pods"


def stamped(before: CanaryStatus, decided: CanaryStatus, now: float) -> CanaryStatus:
    """What was decided, with the step that its run is in and since when (epoch seconds)."""
    run, step = decided.run, step_of(decided)
    if run is None or (run.step == step and run.step_since is not None):
        return decided
    return decided.model_copy(update={"run": run.model_copy(update={"step": step, "step_since": now})})


def step_key(run: RunState) -> str:
    """The key of the span of the present step: the run's own before one is known."""
    return f"step/{run.step}/{run.step_since:.3f}" if run.step_since is not None else ROOT


def ended(canary: Canary, before: CanaryStatus, decision: Decision, now: float) -> list[Span]:
    """The spans whose end a stored decision tells: the step that it ends, and the run."""
    run, after = before.run, decision.status
    if run is None:
        return []
    over = after.run is None or after.run.id != run.id
    spans = []
    entry = _entry(canary, run, after) if over else None
    if run.step_since is not None and (over or (after.run is not None and step_key(after.run) != step_key(run))):
        told = tuple(effect.message for effect in decision.effects if isinstance(effect, RecordEvent))
        turned = after.run is not None and after.run.verdict is not None and run.verdict is None
        bad = turned or (over and entry is not None and entry.outcome not in GOOD and run.verdict is None)
        reason = (after.run.verdict or "") if turned and after.run is not None else entry.cause if bad and entry else ""
        attributes = {**_attributes(canary, run), "flagger.phase": str(before.phase), "flagger.weight": before.canary_weight}
        spans.append(
            Span(
                run.id, step_key(run), ROOT, run.step, run.step_since, now, ok=not bad, reason=reason, attributes=attributes, events=told
            )
        )
    if over:
        began = run.started_at or now
        spans.append(root(canary, run.id, began, now, entry, {**_attributes(canary, run), "flagger.failed_checks": before.failed_checks}))
    return spans


def last_run(canary: Canary, status: CanaryStatus) -> str:
    """The id of the run that ended last, "" when there was none."""
    return run_id(canary.uid, status.history[0].revision, status.history[0].attempt) if status.history else ""


def root_again(canary: Canary, status: CanaryStatus, since: float) -> Span | None:
    """The span of a run that ended after `since` (epoch seconds), from the history alone: for a leader that died with it in its hands."""
    if status.run is not None or not status.history:
        return None
    entry = status.history[0]
    end = from_timestamp(entry.ended)
    if end < since:
        return None
    attributes = {**_of(canary), "flagger.revision": entry.revision, "flagger.attempt": entry.attempt}
    return root(canary, last_run(canary, status), from_timestamp(entry.started), end, entry, attributes)


def root(canary: Canary, run: str, start: float, end: float, entry: HistoryEntry | None, attributes: Attributes) -> Span:
    """The span of a whole run."""
    outcome = entry.outcome if entry else "Superseded"
    told = {**attributes, "flagger.outcome": outcome, "flagger.strategy": canary.spec.strategy}
    return Span(run, ROOT, None, "release", start, end, ok=outcome in GOOD, reason=entry.cause if entry else "", attributes=told)


def _entry(canary: Canary, run: RunState, after: CanaryStatus) -> HistoryEntry | None:
    return next((each for each in after.history[:2] if run_id(canary.uid, each.revision, each.attempt) == run.id), None)


def _of(canary: Canary) -> dict[str, str | int | float | bool]:
    return {"k8s.namespace.name": canary.namespace, "flagger.canary": canary.name, "flagger.target": canary.target}


def _attributes(canary: Canary, run: RunState) -> dict[str, str | int | float | bool]:
    return {**_of(canary), "flagger.revision": run.revision, "flagger.attempt": run.attempt}
