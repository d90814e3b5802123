"""What a person orders by annotation: abort, retry, promote; `pause` holds for as long as it is there (docs/adr: commands).

A command names the revision it is meant for, or "*"; one for another revision is refused, told, and taken off.
"""

from __future__ import annotations

from flaggerpy.api.status import Phase
from flaggerpy.rollout import starting
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import ClearCommand
from flaggerpy.rollout.phases import ANALYSING, IDLE, Cause
from flaggerpy.rollout.rollback import begin_rollback

ANY = "*"


def carry_out(d: Draft) -> bool:
    """Look at the commands first. True when one of them was this decision."""
    commands = d.facts.commands
    for name, handler in (("abort", _abort), ("retry", _retry), ("promote", _promote)):
        value = commands.get(name)
        if value is None:
            continue
        d.do(ClearCommand(name))
        revision = d.status.run.revision if d.status.run else d.status.last_applied_spec
        if value not in (ANY, "", "true", revision):
            d.event("Warning", f"Refused to {name} {d.canary.key}: asked for revision {value}, this one is {revision}")
            continue
        if handler(d):
            return True
    return False


def _abort(d: Draft) -> bool:
    if d.status.phase not in ANALYSING | {Phase.WAITING}:
        d.event("Warning", f"Nothing to abort: {d.canary.key} is {d.status.phase or 'new'}")
        return False
    if d.run.verdict is not None:
        return False
    begin_rollback(
        d, Cause.ABORTED, "aborted by a person", told=f"Rolling back {d.canary.key} aborted by a person",
        alert="Rolling back, aborted by a person", severity="warn", outcome="Aborted",
    )  # fmt: skip
    return True


def _retry(d: Draft) -> bool:
    target, revision = d.target, d.target_revision
    if d.status.phase not in IDLE or not d.status.last_promoted_spec:
        d.event("Warning", f"Nothing to retry: {d.canary.key} is {d.status.phase or 'new'}")
        return False
    if target is None or not revision or revision == d.status.last_promoted_spec:
        d.event("Warning", f"Nothing to retry: {d.canary.target}.{d.canary.namespace} holds the promoted revision, or cannot be read")
        return False
    starting.detect(d, target, revision, Cause.RETRIED)
    return True


def _promote(d: Draft) -> bool:
    if d.status.phase not in ANALYSING | {Phase.WAITING} or d.run.verdict is not None:
        d.event("Warning", f"Nothing to promote: {d.canary.key} is {d.status.phase or 'new'}")
        return False
    if d.run.forced:
        return False
    d.event("Warning", f"Promotion of {d.canary.key} forced by a person: the analysis is waived")
    d.set_run(forced=True)
    if d.status.phase is Phase.WAITING:
        starting.begin(d, Cause.FORCED)
        return True
    return False
