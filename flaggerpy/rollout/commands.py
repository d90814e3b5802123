"""What a person orders by annotation: abort, retry, promote, skip, rollback-to; a pause holds as long as it is there (docs/adr: commands).

A command names the revision it is meant for, or "*"; one for another revision is refused, told, and taken off. `skip` may name the step
as well (REVISION@STEP), and `rollback-to` names the revision that the target is to have. Each is safe to repeat: what was taken up is not
taken up again.
"""

from __future__ import annotations

from flaggerpy.api.commanding import LATE, UNDER_WAY
from flaggerpy.api.status import Phase, Reverting
from flaggerpy.rollout import orders, starting
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import ClearCommand, RestoreTarget
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.phases import IDLE, Cause
from flaggerpy.rollout.rollback import begin_rollback
from flaggerpy.rollout.traffic import complete


def carry_out(d: Draft) -> bool:
    """Look at the commands first. True when one of them was this decision."""
    for name, handler in (("abort", _abort), ("retry", _retry), ("promote", _promote), ("skip", _skip)):
        value = d.facts.commands.get(name)
        if value is None:
            continue
        d.do(ClearCommand(name))
        revision = d.status.run.revision if d.status.run else d.status.last_applied_spec
        wanted = value.partition("@")[0]
        if wanted not in orders.ANY and wanted != revision:
            d.event("Warning", f"Refused to {name} {d.canary.key}: asked for revision {wanted}, this one is {revision}")
            continue
        if handler(d):
            return True
    return _rollback_to(d)


def _nothing(d: Draft, command: str, why: str = "") -> bool:
    d.event("Warning", f"Nothing to {command}: {d.canary.key} is {d.status.phase or 'new'}{f', {why}' if why else ''}")
    return False


def _abort(d: Draft) -> bool:
    if d.status.phase not in UNDER_WAY:
        late = d.status.phase in LATE
        return _nothing(d, "abort", "too late for it: release another revision, or roll back to an earlier one" if late else "")
    if d.run.verdict is not None:
        return False
    cause = f"aborted by {orders.giver(d, 'abort')}"
    orders.remember(d, "abort", f"at step {orders.step_of(d.status)}")
    begin_rollback(
        d, Cause.ABORTED, cause, told=f"Rolling back {d.canary.key} {cause}", alert="Rolling back, aborted by a person",
        severity="warn", outcome="Aborted",
    )  # fmt: skip
    return True


def _retry(d: Draft) -> bool:
    target, revision, run = d.target, d.target_revision, d.status.run
    if run is not None and run.revision == revision and (run.attempt > 1 or orders.repeated(d, "retry")):
        return False
    if d.status.phase is not Phase.FAILED or not d.status.last_promoted_spec:
        return _nothing(d, "retry")
    if target is None or not revision or revision == d.status.last_promoted_spec:
        d.event("Warning", f"Nothing to retry: {d.canary.target}.{d.canary.namespace} holds the promoted revision, or cannot be read")
        return False
    starting.prepare(d, target, revision)
    d.event("Normal", f"Revision {revision} of {d.canary.key} is tried again, asked by {orders.giver(d, 'retry')}")
    orders.remember(d, "retry")
    starting.gates(d, Cause.RETRIED)
    return True


def _promote(d: Draft) -> bool:
    if d.status.phase not in UNDER_WAY or d.run.verdict is not None:
        done = d.status.phase in LATE and d.run.verdict is None
        return False if done else _nothing(d, "promote")
    if d.run.forced:
        return False
    d.event("Warning", f"Promotion of {d.canary.key} forced by {orders.giver(d, 'promote')}: the analysis is waived")
    orders.remember(d, "promote", f"at step {orders.step_of(d.status)}")
    d.set_run(forced=True)
    if d.status.phase is Phase.WAITING:
        starting.begin(d, Cause.FORCED)
        return True
    return False


def _skip(d: Draft) -> bool:
    """The next step without what is left of the wait for it: interval and closed gates are waived, checks and readiness are not."""
    if d.status.phase not in UNDER_WAY or d.run.verdict is not None:
        return _nothing(d, "skip")
    if d.run.skip or orders.repeated(d, "skip"):
        return False
    at, asked = orders.step_of(d.status), d.facts.commands["skip"].partition("@")[2]
    why = ""
    if asked and asked != str(at):
        why = f"asked for step {asked}, it is at {at}"
    elif "pause" in d.facts.commands:
        why = f"it is paused, first: flaggerpy resume {d.canary.name} -n {d.canary.namespace}"
    elif d.status.phase is not Phase.WAITING and not _fit_to_advance(d):
        why = "the canary's pods are not ready and settled, and that is never skipped"
    if why:
        d.event("Warning", f"Refused to skip a step of {d.canary.key}: {why}")
        return False
    gate = "approval by the confirm-rollout gate" if d.status.phase is Phase.WAITING else f"the wait at step {at}"
    d.event("Warning", f"Skipped by {orders.giver(d, 'skip')}: {gate} of {d.canary.key}")
    orders.remember(d, "skip", f"at step {at}")
    if d.status.phase is Phase.WAITING:
        starting.begin(d, Cause.WAIVED)
        return True
    d.set_run(skip=True)
    return False


def _fit_to_advance(d: Draft) -> bool:
    return d.run.settled and d.run.cut is None and complete(d.target, d.canary.spec.plan.canary_ready_threshold)


def _rollback_to(d: Draft) -> bool:
    """The target gets an earlier template back. The order is taken off last, so that it outlives whoever carries it out."""
    wanted, going, present = d.facts.commands.get("rollback-to"), d.status.reverting, d.target_revision
    if wanted is None:
        if going is not None and present == going.before:
            d.set(reverting=None)  # somebody took the annotation off before it was carried out
        return False
    if d.facts.kept is UNKNOWN or (d.target is not None and not present):
        return False  # asked again when it can be told
    again = going is not None and going.revision == wanted
    if again and going is not None and present in (wanted, ""):
        d.do(ClearCommand("rollback-to"))
        return False
    why = _no_way_back(d, wanted, present, going if again else None)
    if why:
        d.do(ClearCommand("rollback-to"))
        d.event("Warning", f"Refused to roll {d.canary.key} back to {wanted}: {why}")
        d.set(reverting=None)
        return False
    if not again:
        given = orders.order(d, "rollback-to")
        d.set(reverting=Reverting(revision=wanted, before=present, by=given.by, at=given.at))
        d.event(
            "Warning",
            f"Rolling {d.canary.target}.{d.canary.namespace} back from revision {present} to {wanted}, asked by "
            f"{orders.giver(d, 'rollback-to')}: a run of it begins; what keeps the target in Git will put its own template back",
        )
    d.do(RestoreTarget(wanted))
    d.do(ClearCommand("rollback-to"))
    d.wait(f"{d.canary.target} to have the template of {wanted} again")
    return True


def _no_way_back(d: Draft, wanted: str, present: str, going: Reverting | None) -> str:
    """Why the target cannot be given that template; "" when it can."""
    kept = d.facts.kept if isinstance(d.facts.kept, frozenset) else frozenset()
    if d.target is None:
        return f"{d.canary.kind} {d.canary.target} is not there"
    if going is not None and present != going.before:
        return f"the target was changed to {present} meanwhile"
    if wanted == present:
        retry = f", to run it once more: flaggerpy retry {d.canary.name} -n {d.canary.namespace}" if d.status.phase is Phase.FAILED else ""
        return f"the target has this revision{retry}"
    if wanted not in kept:
        there = ", ".join(each for each in d.status.promoted_revisions if each in kept and each != present)
        return f"its template is not kept{f'; there are {there}' if there else ''}"
    busy = d.status.phase not in IDLE | UNDER_WAY or (d.status.run is not None and d.status.run.verdict is not None)
    if busy or not d.status.last_promoted_spec:
        return f"it is {d.status.phase}; ask again when that has ended"
    return ""
