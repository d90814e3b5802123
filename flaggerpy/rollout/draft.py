"""A decision in the making: the status so far, the effects so far, the earliest time to look again.

The phase modules write to a Draft and to nothing else. `finish` adds what follows from the whole: deliveries that are owed,
conditions, and the sentence about what is waited for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from flaggerpy.api.canary import Canary
from flaggerpy.api.conditions import set_conditions
from flaggerpy.api.status import CanaryStatus, HistoryEntry, OutboxItem, Phase, Progress, RunState, timestamp
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import Deliver, Effect, ForgetRevisions, RecordEvent
from flaggerpy.rollout.facts import UNKNOWN, Facts, ScalerFacts, WorkloadFacts
from flaggerpy.rollout.phases import ACTIVE, Cause, legal
from flaggerpy.rollout.revision import release_revision

HISTORY_LENGTH = 10
VALUES_KEPT = 600
"""How many values of metrics the history holds at most: some 4 kB; the oldest releases lose theirs first."""
PROMOTED_KEPT = 5
"""Of how many promoted revisions the templates are kept, the present one included."""

Severity = Literal["info", "warn", "error"]


class Draft:
    """See the module. `now` in epoch seconds."""

    def __init__(self, canary: Canary, status: CanaryStatus, facts: Facts, now: float) -> None:
        self.canary = canary
        self.facts = facts
        self.now = now
        self.before = status
        self.status = status
        self.effects: list[Effect] = []
        self.moves: list[tuple[Phase, Cause, Phase]] = []
        self.wake: float | None = None
        self.progress: Progress | None = None
        self.stalled: tuple[str, str] | None = None
        self.pending_revision = False
        self.flaggers = False
        """The status is still as Flagger wrote it: what would make it ours is not known yet."""

    # what is true

    @property
    def run(self) -> RunState:
        """The run under way. Raises LookupError when there is none: a bug of the caller."""
        if self.status.run is None:
            raise LookupError(f"no run in phase {self.status.phase}")
        return self.status.run

    @property
    def target(self) -> WorkloadFacts | None:
        """The target when it is known to exist."""
        return self.facts.target if isinstance(self.facts.target, WorkloadFacts) else None

    @property
    def primary(self) -> WorkloadFacts | None:
        """The primary when it is known to exist."""
        return self.facts.primary if isinstance(self.facts.primary, WorkloadFacts) else None

    @property
    def scaler(self) -> ScalerFacts | None:
        """The target's autoscaler where it has one that is known."""
        return self.facts.scaler if isinstance(self.facts.scaler, ScalerFacts) else None

    @property
    def target_revision(self) -> str:
        """The release revision of the target as it stands; "" while it cannot be told."""
        target = self.target
        if target is None or not target.fresh or self.facts.configs is UNKNOWN:
            return ""
        configs = self.facts.configs
        return release_revision(target.revision, configs if isinstance(configs, dict) else dict(configs or {}))

    # what changes

    def set(self, **changes: Any) -> None:
        """Change fields of the status."""
        self.status = self.status.model_copy(update=changes)

    def set_run(self, **changes: Any) -> None:
        """Change fields of the run."""
        self.set(run=self.run.model_copy(update=changes))

    def enter(self, phase: Phase, cause: Cause) -> None:
        """Go to a phase. Raises ValueError for a move that is not in `phases.TABLE`."""
        before = self.status.phase
        if not legal(before, cause, phase):
            raise ValueError(f"no move from {before or 'none'} to {phase or 'none'}: {cause}")
        self.moves.append((before, cause, phase))
        self.set(phase=phase)

    def turn(self, cause: Cause) -> None:
        """Take a turn within the phase. Raises ValueError for one that is not in `phases.TABLE`."""
        self.enter(self.status.phase, cause)

    def do(self, effect: Effect) -> None:
        """Ask for an effect, once per decision."""
        if effect not in self.effects:
            self.effects.append(effect)

    def event(self, type: Literal["Normal", "Warning"], message: str, phase: Phase | None = None) -> None:
        """Record an event on the Canary."""
        self.effects.append(RecordEvent(type=type, message=message, phase=str(phase if phase is not None else self.status.phase)))

    def alert(self, severity: Severity, message: str, *, with_facts: bool = False, phase: Phase | None = None) -> None:
        """Owe an alert, if anybody wants one: it stays in the outbox until it left."""
        if self.facts.alerts_wanted:
            self._owe("alert", severity, message, with_facts, phase)

    def post_rollout(self, phase: Phase) -> None:
        """Owe the post-rollout hooks, if there are any."""
        if self.canary.spec.plan.hooks("post-rollout"):
            self._owe("post-rollout", "info", "", False, phase)

    def _owe(self, kind: Literal["alert", "post-rollout"], severity: Severity, message: str, facts: bool, phase: Phase | None) -> None:
        at = self.status.run.id if self.status.run else self.canary.uid
        told = str(phase if phase is not None else self.status.phase)
        identity = hashlib.sha256(f"{at}/{kind}/{told}/{message}".encode()).hexdigest()[:16]
        item = OutboxItem(id=identity, kind=kind, phase=told, severity=severity, message=message, with_facts=facts)
        if all(owed.id != identity for owed in self.status.outbox):
            self.set(outbox=[*self.status.outbox, item])

    def wake_at(self, when: float | None) -> None:
        """Look again at that time at the latest."""
        if when is not None and (self.wake is None or when < self.wake):
            self.wake = when

    def wait(
        self, text: str, *, since: float | None = None, until: float | None = None, then: str | None = None, advice: str | None = None
    ) -> None:
        """Name what is waited for. The first sentence of a decision stands: callers go from the most urgent to the least."""
        if self.progress is None:
            previous = self.before.progress
            began = timestamp(since) if since is not None else None
            if began is None:
                began = previous.since if previous and previous.waiting_for == text else timestamp(self.now)
            self.progress = Progress(
                waiting_for=text, since=began, until=timestamp(until) if until is not None else None, then=then, advice=advice
            )
        self.wake_at(until)

    def stall(self, reason: str, message: str) -> None:
        """Nothing goes on without a person: Stalled=True, told once as a Warning."""
        if self.stalled is None:
            self.stalled = (reason, message)
            known = any(c.type == "Stalled" and c.status == "True" and c.message == message for c in self.before.conditions)
            if not known:
                self.event("Warning", message)
            self.wait(message)

    def fit_target(self, consequence: str = "") -> WorkloadFacts | None:
        """The target if it can be released; else None, with the reason told. `consequence` is added where it is missing."""
        if self.target is None:
            self.stall("TargetMissing", f"{self.canary.kind} {self.canary.target}.{self.canary.namespace} not found{consequence}")
            return None
        if self.target.problem:
            self.stall("TargetUnfit", self.target.problem)
            return None
        return self.target

    def record(self, outcome: Literal["Initialized", "Succeeded", "Failed", "Aborted", "Superseded"], cause: str = "") -> None:
        """Put the run that ends into the history, newest first."""
        run = self.run
        entry = HistoryEntry(
            revision=run.revision,
            attempt=run.attempt,
            images=run.images,
            started=timestamp(run.started_at),
            ended=timestamp(self.now),
            outcome=outcome,
            cause=cause,
            forced=run.forced,
            orders=run.orders,
            measured=run.measured,
        )
        self.set(history=_bounded([entry, *self.status.history][:HISTORY_LENGTH]))

    def promoted(self, revision: str) -> None:
        """This revision is what the primary has from now on; the templates of the last promoted ones are kept, all others go."""
        kept = self.facts.kept
        before = self.status.promoted_revisions or [self.status.last_promoted_spec]
        last = [revision, *(each for each in before if each != revision and (kept is UNKNOWN or each in kept))][:PROMOTED_KEPT]
        self.set(last_promoted_spec=revision, last_applied_spec=revision, promoted_revisions=last)
        self.do(ForgetRevisions(but=tuple(sorted(last)), configs_of=(revision,)))

    # the end

    def finish(self) -> Decision:
        """The decision, with deliveries, progress and conditions filled in."""
        owed = [item for item in self.status.outbox if item.id not in self.facts.delivered]
        self.set(outbox=owed)
        for item in owed:
            self.effects.append(Deliver(item.id))
        self.set(progress=self.progress, observed_generation=None if self.flaggers else self.canary.generation)
        phase = self.status.phase
        busy = phase in ACTIVE or phase in (Phase.NONE, Phase.INITIALIZING, Phase.TERMINATING) or self.pending_revision
        cause = self.status.history[0].cause if phase is Phase.FAILED and self.status.history else ""
        conditions = set_conditions(
            self.before.conditions,
            phase,
            self.canary.kind,
            now=self.now,
            generation=self.canary.generation,
            stalled=self.stalled,
            busy=busy,
            ready=phase in (Phase.INITIALIZED, Phase.SUCCEEDED),
            reconciling_message=self.progress.waiting_for if self.progress else "",
            cause=cause,
            canary_kept_up=phase is Phase.FAILED and self.status.canary_weight > 0,
        )
        self.set(conditions=conditions)
        if self._differs():
            self.set(last_transition_time=timestamp(self.now))
        return Decision(status=self.status, effects=tuple(self.effects), wake=self.wake, moves=tuple(self.moves))

    def _differs(self) -> bool:
        watched = ("phase", "failed_checks", "canary_weight", "iterations", "last_applied_spec", "last_promoted_spec")
        return any(getattr(self.before, name) != getattr(self.status, name) for name in watched)


def _bounded(history: Sequence[HistoryEntry]) -> list[HistoryEntry]:
    """The history, newest first, with as many measured values as there is room for."""
    room, bounded = VALUES_KEPT, []
    for entry in history:
        room -= sum(len(metric.values) for metric in entry.measured.metrics) if entry.measured else 0
        bounded.append(entry if room >= 0 else entry.model_copy(update={"measured": None}))
    return bounded
