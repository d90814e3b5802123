"""The way back: traffic to the primary, drain, canary to zero, Failed. In that order, whoever dies in between.

A rollback begins by writing its cause into the run (`verdict`); from then on every decision goes on with it until the phase is
Failed. After a failed promotion the primary first gets its last promoted template back.
"""

from __future__ import annotations

from typing import Literal

from flaggerpy.api.status import Phase
from flaggerpy.rollout import handover, health, rounds
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import CountRelease, EnsurePrimary, ForgetRevisions
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.safety import all_to_canary, keep_cut, leave_unfit
from flaggerpy.rollout.traffic import drained, ensure_route, ready_count, routed, serving_count
from flaggerpy.rollout.upkeep import mend_primary
from flaggerpy.rollout.weights import FULL

Outcome = Literal["Failed", "Aborted", "Superseded"]


def begin_rollback(
    d: Draft, why: Cause, cause: str, *, told: str | None = None, alert: str | None = None, severity: Literal["warn", "error"] = "error",
    outcome: Outcome = "Failed",
) -> None:  # fmt: skip
    """Decide that the run has failed, tell it, and take the first step back. `told` and `alert` replace the texts."""
    d.turn(why)
    handover.raise_floor(d)
    keep_cut(d)
    d.set_run(verdict=cause, verdict_severity=severity, outcome=outcome)
    d.event("Warning", told or f"Rolling back {d.canary.key} {cause}")
    d.alert(severity, alert or f"Canary failed: {cause}", with_facts=severity == "error")
    roll_back(d)


def asked_back(d: Draft) -> bool:
    """Ask the rollback hooks; True when one of them wanted the release back, which has then begun."""
    name = rounds.rollback_wanted(d)
    if name is None:
        return False
    d.event("Warning", f"Rollback check {name} passed")
    begin_rollback(
        d, Cause.HOOK_ASKED, f"rollback hook {name} asked for it", told=f"Rolling back {d.canary.key} manual webhook invoked",
        alert="Rolling back manual webhook invoked", severity="warn",
    )  # fmt: skip
    return True


def begin_undo(d: Draft, cause: str) -> None:
    """The promotion failed: traffic stays on the canary while the primary gets its last promoted template back (Q-1)."""
    d.turn(Cause.PROMOTION_FAILED)
    d.event("Warning", f"Promotion of {d.canary.target}.{d.canary.namespace} failed, primary not ready: {cause}")
    d.alert("error", f"Promotion failed, primary not ready: {cause}", with_facts=True)
    d.set_run(verdict=f"promotion failed: {cause}", undo_promotion=True, primary_deadline=None, primary_failures=[])
    roll_back(d)


def roll_back(d: Draft) -> None:
    """One step further back; safe to repeat. The primary has what carried all traffic before the run, and grows meanwhile if need be."""
    handover.hold_floor(d)
    if d.run.undo_promotion and not _primary_restored(d):
        return
    if d.primary is None or (serving_count(d.primary) == 0 and serving_count(d.target) > 0):
        if d.facts.primary is None:
            _primary_back(d)
        mend_primary(d)
        if d.status.canary_weight == FULL and serving_count(d.target) > 0 and d.facts.primary is not UNKNOWN:
            # What a failed promotion left: the traffic stays where it is served, and the next release is looked at.
            fail(d, Cause.NO_WAY_BACK, weight=FULL)
            return
        ensure_route(d)
        d.wait(
            f"a ready pod of the primary {d.canary.target}-primary: traffic stays on the canary until then",
            advice=f"kubectl -n {d.canary.namespace} get pods, and look why the primary's are not ready",
        )
        return
    d.set(canary_weight=0, iterations=0)
    if not routed(d) or not drained(d):
        return
    if d.facts.target is UNKNOWN:
        d.wait(f"the state of {d.canary.target}, which cannot be read")
        return
    if d.target is not None and d.target.replicas > 0:
        handover.to_zero(d)
        d.wait(f"{d.canary.target} to be scaled to zero")
        return
    fail(d, Cause.ROLLED_BACK)


def fail(d: Draft, cause: Cause, *, weight: int = 0) -> None:
    """End the run as Failed. `weight` above 0: the traffic had to stay on the canary, nothing was scaled down."""
    run = d.run
    d.record(run.outcome or "Failed", run.verdict or "")
    d.enter(Phase.FAILED, cause)
    d.set(failed_checks=0, canary_weight=weight, iterations=0, last_applied_spec=run.revision, applied_images=run.images)
    expire_cookie(d)
    if weight == 0:
        d.event("Warning", f"Canary failed! Scaling down {d.canary.key}")
    d.post_rollout(Phase.FAILED)
    d.do(CountRelease(success=False, skipped=d.canary.spec.skips_analysis))
    if d.status.last_promoted_spec:
        needed = {d.status.last_promoted_spec, run.revision}
        d.do(ForgetRevisions(but=tuple(sorted(needed | {*d.status.promoted_revisions})), configs_of=tuple(sorted(needed))))
    d.set(run=None)


def expire_cookie(d: Draft) -> None:
    """The run's cookie no longer pins anybody, and the next routes tell browsers to drop it."""
    if d.status.session_affinity_cookie:
        d.set(
            previous_session_affinity_cookie=d.status.session_affinity_cookie,
            session_affinity_cookie=None,
            primary_session_affinity_cookie=None,
        )


def _primary_back(d: Draft) -> None:
    """A primary that is gone comes back with what was last promoted, never with what the target holds (Q-18)."""
    promoted = d.status.last_promoted_spec
    if promoted and d.facts.primary is not UNKNOWN and isinstance(d.facts.kept, frozenset) and promoted in d.facts.kept:
        run = d.status.run
        identity = (run.primary_id or f"{run.id}-undo") if run else promoted
        d.do(EnsurePrimary(promoted, identity, handover.primary_size(d) if run else None))


def _primary_restored(d: Draft) -> bool:
    run, primary, promoted = d.run, d.primary, d.status.last_promoted_spec
    if d.facts.primary is UNKNOWN or d.facts.kept is UNKNOWN:
        d.wait(f"the state of {d.canary.target}-primary, which cannot be read")
        return False
    leave_unfit(d)
    if serving_count(primary) == 0 and ready_count(d.target) > 0 and d.status.canary_weight < 100 and d.facts.supports_weights:
        all_to_canary(d)
    if promoted not in d.facts.kept:
        fail(d, Cause.NO_WAY_BACK, weight=d.status.canary_weight)
        return False
    _primary_back(d)
    routed(d)
    if primary is None or primary.source_revision != promoted:
        d.wait(f"{d.canary.target}-primary to get its last promoted template back")
        return False
    verdict = health.judge_primary(d)
    if health.rolled_out(d):
        return True
    if verdict.cause:
        d.set_run(verdict=f"{run.verdict}; its last promoted template is not ready either: {verdict.cause}")
        fail(d, Cause.NO_WAY_BACK, weight=d.status.canary_weight)
        return False
    d.wait(
        f"{d.canary.target}-primary with its last promoted template: {verdict.waiting}",
        until=verdict.until,
        then="the release ends as Failed, with traffic on the side that is ready",
    )
    return False
