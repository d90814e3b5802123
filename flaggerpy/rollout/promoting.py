"""Promoting and Finalising: the primary takes over the revision that was analysed, then the traffic, then the canary goes.

What is promoted is the kept template of the run's revision, whatever the target holds by now (Q-2, Q-3).
"""

from __future__ import annotations

from flaggerpy.api.status import Phase
from flaggerpy.rollout import handover, health
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import CountRelease, EnsurePrimary
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.rollback import begin_undo, expire_cookie
from flaggerpy.rollout.safety import all_to_canary, keep_cut, leave_unfit
from flaggerpy.rollout.traffic import drained, ensure_route, ready_count, routed, serving_count
from flaggerpy.rollout.weights import promotion_weight


def promote(d: Draft, cause: Cause) -> None:
    """Begin the promotion of the run's revision."""
    target, namespace = d.canary.target, d.canary.namespace
    d.event("Normal", f"Copying {target}.{namespace} template spec to {target}-primary.{namespace}")
    d.enter(Phase.PROMOTING, cause)
    d.set_run(primary_id=d.primary.flagger_id if d.primary else "")
    keep_cut(d)
    d.set_run(skip=False, capacity_since=None)
    promoting(d)


def promoting(d: Draft) -> None:
    """The primary is rolled out; the canary keeps its share of the traffic as long as it can carry it."""
    run = d.run
    leave_unfit(d)
    ensure_route(d)
    if d.run.primary_weight_step_at is None:
        handover.raise_floor(d)
    handover.hold_floor(d, promoted=True)
    if not _promoted_by_flagger(d):
        d.do(EnsurePrimary(run.revision, run.id, handover.primary_size(d)))
    if d.facts.primary is UNKNOWN:
        d.wait(f"the state of {d.canary.target}-primary, which cannot be read")
        return
    primary = d.primary
    if primary is None or primary.flagger_id != run.id:
        d.wait(f"{d.canary.target}-primary to get the template of {run.revision}")
        if d.facts.config_problem:
            d.stall("ConfigChanged", d.facts.config_problem)
        return
    verdict = health.judge_primary(d)
    if not health.rolled_out(d):
        if verdict.cause:
            begin_undo(d, verdict.cause)
            return
        d.wait(
            f"{d.canary.target}-primary: {verdict.waiting}",
            until=verdict.until,
            then="the promotion is undone: the primary gets its last promoted template back",
            advice=verdict.advice,
        )
        return
    if not handover.floor_stands(d):
        return
    _shift(d)


def _promoted_by_flagger(d: Draft) -> bool:
    """The primary had the run's template from Flagger before the run was taken over: written once more its pods would be made anew."""
    primary = d.primary
    return primary is not None and not primary.source_revision and primary.flagger_id == d.run.id


def finalising(d: Draft) -> None:
    """No traffic on the canary any more: proof, drain, scale to zero, Succeeded."""
    target = d.target
    if d.facts.primary is UNKNOWN:
        d.wait(f"the state of {d.canary.target}-primary, which cannot be read")
        return
    if target is not None and target.replicas > 0 and ready_count(target) > 0 and serving_count(d.primary) == 0:
        d.enter(Phase.PROMOTING, Cause.PRIMARY_LOST)
        d.set_run(primary_deadline=None)
        if d.facts.supports_weights:
            all_to_canary(d)
            ensure_route(d)
        else:
            d.event("Warning", f"No pod of {d.canary.target}-primary is ready: {d.canary.target} is kept until there is one")
        d.wait(f"{d.canary.target}-primary to have ready pods again")
        return
    if not routed(d) or not drained(d):
        return
    if d.facts.target is UNKNOWN:
        d.wait(f"the state of {d.canary.target}, which cannot be read")
        return
    if target is not None and target.replicas > 0:
        handover.to_zero(d)
        d.wait(f"{d.canary.target} to be scaled to zero")
        return
    _succeed(d)


def _shift(d: Draft) -> None:
    """The primary is ready: lead the traffic to it, in steps where asked."""
    if not d.facts.supports_weights:
        d.enter(Phase.FINALISING, Cause.PRIMARY_TOOK_OVER)
        finalising(d)
        return
    plan, weight = d.canary.spec.plan, d.status.canary_weight
    if not plan.step_weight_promotion or weight == 0:
        d.event("Normal", "Routing all traffic to primary")
        _to_primary(d)
        return
    if not routed(d):
        return
    last = d.run.primary_weight_step_at
    if last is not None and d.now < last + plan.interval_seconds:
        d.wait("the next step of the primary's weight", until=last + plan.interval_seconds)
        return
    left = promotion_weight(plan, weight)
    d.event("Normal", f"Advance {d.canary.key} primary weight {100 - left}")
    if left == 0:
        _to_primary(d)
        return
    d.set(canary_weight=left)
    d.set_run(primary_weight_step_at=d.now)
    ensure_route(d)
    d.wait("the next step of the primary's weight", until=d.now + plan.interval_seconds)


def _to_primary(d: Draft) -> None:
    d.set(canary_weight=0, iterations=0)
    d.enter(Phase.FINALISING, Cause.PRIMARY_TOOK_OVER)
    finalising(d)


def _succeed(d: Draft) -> None:
    run, canary = d.run, d.canary
    skipped = canary.spec.skips_analysis
    d.record("Succeeded", "promoted by a person, the analysis waived" if run.forced else "")
    d.enter(Phase.SUCCEEDED, Cause.DRAINED)
    d.set(
        promoted_configs=d.status.tracked_configs,
        promoted_images=run.images,
        applied_images=run.images,
        failed_checks=0,
        canary_weight=0,
        iterations=0,
        pod_failures=[],
    )
    expire_cookie(d)
    if skipped:
        d.event("Normal", f"Promotion completed! Canary analysis was skipped for {canary.target}.{canary.namespace}")
        d.alert("info", "Canary analysis was skipped, promotion finished.")
    else:
        d.event("Normal", f"Promotion completed! Scaling down {canary.target}.{canary.namespace}")
        d.alert("info", "Canary analysis completed successfully, promotion finished.")
    d.post_rollout(Phase.SUCCEEDED)
    d.do(CountRelease(success=True, skipped=skipped))
    d.promoted(run.revision)
    d.set(run=None)
