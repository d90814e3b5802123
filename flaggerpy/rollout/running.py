"""A run under analysis: Progressing and WaitingPromotion.

Each look goes from the most urgent to the least: has the run failed, has the target moved on, are pods lost, is the canary ready
and settled, is the route as wanted, is a round due. Only a look that gets to the end of that list moves the canary forward.
"""

from __future__ import annotations

from flaggerpy.api.canary import Webhook
from flaggerpy.api.status import Phase
from flaggerpy.rollout import adopting, handover, health, imagecheck, orders, rounds, safety, starting
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import EnsurePrimary, KeepRevision, RecordEvent
from flaggerpy.rollout.facts import UNKNOWN, WorkloadFacts
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.promoting import promote
from flaggerpy.rollout.rollback import asked_back, begin_rollback, roll_back
from flaggerpy.rollout.traffic import complete, ensure_route, ensure_services, has_match, ready_count, routed, shortfall
from flaggerpy.rollout.upkeep import mend_primary
from flaggerpy.rollout.weights import FULL, iterations, next_weight


def running(d: Draft) -> None:
    """See the module."""
    if d.run.verdict is not None:
        roll_back(d)
        return
    if not _target_stands(d):
        return
    target = d.target
    assert target is not None
    held = orders.held(d)
    verdict = health.judge_canary(d, stopped=held or d.status.phase is Phase.WAITING_PROMOTION)
    if verdict.cause:
        begin_rollback(d, Cause.PODS_FAILED, verdict.cause)
        return
    relapsed = safety.guard(d)
    if relapsed:
        begin_rollback(d, Cause.PODS_LOST_AGAIN, relapsed)
        return
    ensure_route(d)
    may_scale, missing = imagecheck.look(d)
    if missing:
        begin_rollback(d, Cause.IMAGE_MISSING, missing)
        return
    _keep_up(d, target, may_scale=may_scale)
    if asked_back(d):
        return
    if not _ready(d, target, verdict):
        return
    if held:
        d.wait("a person, who paused the run", advice=f"flaggerpy resume {d.canary.name} -n {d.canary.namespace}")
        return
    if d.run.forced or d.canary.spec.skips_analysis:
        promote(d, Cause.FORCED if d.run.forced else Cause.SKIPPED)
        return
    _analyse(d)


def _target_stands(d: Draft) -> bool:
    """False when the target is gone, cannot be read, or has moved on to another revision (which is then acted upon)."""
    if d.facts.target is UNKNOWN:
        d.wait(f"the state of {d.canary.target}, which cannot be read")
        return False
    target = d.target
    if target is None:
        begin_rollback(d, Cause.TARGET_GONE, f"{d.canary.kind} {d.canary.target} is gone")
        return False
    revision = d.target_revision
    if not revision:
        # The guard must not wait for a controller of the workload that lags.
        safety.guard(d)
        ensure_route(d)
        d.wait(f"the newest state of {d.canary.target}: {_unknown_why(d, target)}")
        return False
    if revision == d.run.revision:
        return True
    if revision == d.status.last_promoted_spec:
        begin_rollback(d, Cause.WENT_BACK, "the target went back to the promoted revision", severity="warn", outcome="Superseded")
    else:
        starting.restart(d, target, revision)
    return False


def _unknown_why(d: Draft, target: WorkloadFacts) -> str:
    if d.facts.configs is UNKNOWN:
        return "its ConfigMaps and Secrets cannot be read"
    return "its controller has not observed it yet" if not target.fresh else "its ReplicaSet is not there yet"


def _keep_up(d: Draft, target: WorkloadFacts, *, may_scale: bool) -> None:
    """What must stand during a run: the kept template, Services, the canary's size (once its images were looked at), the primary."""
    run = d.run
    # until it settled also where the template is kept from an earlier release: the copies of its configs may be gone
    if isinstance(d.facts.kept, frozenset) and (run.revision not in d.facts.kept or not run.settled):
        d.do(KeepRevision(run.revision))
    adopting.keep_promoted(d)
    ensure_services(d)
    handover.hold_floor(d)
    if target.replicas == 0 or handover.is_paused(d):
        if may_scale:
            handover.scale_up(d, run.replicas or 1)
    else:
        if target.replicas != run.replicas:
            d.set_run(replicas=target.replicas)
        handover.keep_pods(d, target)
    promoted, kept = d.status.last_promoted_spec, d.facts.kept
    # of what Flagger promoted there may be no template any more
    if d.facts.primary is None and promoted and (kept is UNKNOWN or promoted in kept):
        d.do(EnsurePrimary(promoted, promoted, handover.primary_size(d)))
    mend_primary(d)


def _ready(d: Draft, target: WorkloadFacts, verdict: health.Verdict) -> bool:
    """The canary is complete, settled before its first traffic, its template kept; and the primary is ready too."""
    plan = d.canary.spec.plan
    if not complete(target, plan.canary_ready_threshold):
        if not d.run.settled:
            d.set_run(settled_since=None)
        d.wait(
            f"canary {d.canary.kind.lower()} {d.canary.target}.{d.canary.namespace} not ready: {verdict.waiting}",
            until=verdict.until,
            then="the release is rolled back",
            advice=verdict.advice,
        )
        return False
    if not d.run.settled and not health.settled(d, target):
        return False
    if d.facts.kept is UNKNOWN or d.run.revision not in d.facts.kept:
        d.wait(f"the template of {d.run.revision} to be kept")
        return False
    if not _primary_is_waived(d) and (d.facts.primary is UNKNOWN or not complete(d.primary, plan.primary_ready_threshold)):
        lacking = shortfall(d.primary, plan.primary_ready_threshold) if d.primary else "it is not there"
        d.wait(f"{d.canary.target}-primary.{d.canary.namespace} not ready: {lacking}")
        return False
    return handover.floor_stands(d)


def _primary_is_waived(d: Draft) -> bool:
    """Nothing hangs on the present primary: it carries no traffic, or the promotion that mends it was asked for (Q-1)."""
    return d.status.canary_weight == FULL or d.run.forced or d.canary.spec.skips_analysis


def _analyse(d: Draft) -> None:
    if not _started(d):
        _start(d)
        return
    if d.run.cut is not None:
        d.wait(f"the canary's lost pods: its weight is cut to {d.run.cut}")
        return
    if not routed(d):
        return
    if d.run.analysed_at is None:
        d.set_run(analysed_at=d.now)
    if d.now < _due(d) and not orders.skipping(d):
        _wait_for_check(d)
        return
    result = rounds.analyse(d)
    if result is rounds.Result.FAILED:
        _failed_check(d)
    elif result is rounds.Result.HELD:
        d.set_run(skip=False)
        _unmeasured_too_long(d)
    elif result is rounds.Result.PASSED:
        _advance(d)


def _started(d: Draft) -> bool:
    return d.status.canary_weight > 0 or d.status.iterations > 0 or d.run.mirrored


def _due(d: Draft) -> float:
    """When the next round comes (epoch seconds)."""
    return (d.run.analysed_at or d.now) + d.canary.spec.plan.interval_seconds


def _wait_for_check(d: Draft) -> None:
    """The pause between two rounds: of the step, or for a gate that answered no. It reads the same until the answer is another."""
    command = "promote" if d.status.phase is Phase.WAITING_PROMOTION else "skip"
    advice = f"open the gate, or: flaggerpy {command} {d.canary.name} -n {d.canary.namespace}" if d.run.closed_gate else None
    d.wait(_step_text(d), since=d.run.gate_closed_at, until=_due(d), then="the next check of the analysis", advice=advice)


def _step_text(d: Draft) -> str:
    if d.run.closed_gate:
        return f"approval by the {d.run.closed_gate}"
    if not d.run.pre_rollout_done and not _started(d):
        return "the next try of the pre-rollout checks"
    if d.status.iterations:
        return f"iteration {d.status.iterations} of {_iterations(d)}"
    return f"the canary at weight {d.status.canary_weight}%"


def _start(d: Draft) -> None:
    """Pre-rollout hooks, then the first weight or iteration."""
    run = d.run
    if run.unmeasured_since is not None and not rounds.reachable(d):
        return
    if run.analysed_at is not None and d.now < _due(d) and not orders.skipping(d):
        _wait_for_check(d)
        return
    if not run.pre_rollout_done:
        if "started" not in run.gates_passed:
            d.event("Normal", f"Starting canary analysis for {d.canary.target}.{d.canary.namespace}")
            d.set_run(gates_passed=[*run.gates_passed, "started"])
        said = rounds.ask(d, rounds.hooks_of(d, "pre-rollout"), f"{d.run.asked_round}/pre-rollout", "Progressing")
        if said is rounds.Result.PENDING:
            return
        if isinstance(said, tuple):
            hook, answer = said
            d.event("Warning", f"Halt {d.canary.key} advancement pre-rollout check {hook.name} failed {answer.text}")
            rounds.count_failure(d)
            _failed_check(d)
            return
        for hook in rounds.hooks_of(d, "pre-rollout"):
            d.event("Normal", f"Pre-rollout check {hook.name} passed")
        d.set_run(pre_rollout_done=True, asked_round=d.run.asked_round + 1)
    _advance(d)


def _failed_check(d: Draft) -> None:
    d.set_run(skip=False)
    limit = d.canary.spec.plan.failure_limit
    if d.status.failed_checks >= limit:
        reached = f"failed checks threshold reached {d.status.failed_checks}"
        # event and alert are Flagger's to the letter; condition and history also name the check that failed last
        halted = [effect.message for effect in d.effects if isinstance(effect, RecordEvent) and effect.message.startswith("Halt ")]
        last = halted[-1].partition(" advancement ")[2] if halted else ""
        begin_rollback(
            d, Cause.CHECKS_FAILED, f"{reached}: {last}" if last else reached, told=f"Rolling back {d.canary.key} {reached}",
            alert=f"Failed checks threshold reached {d.status.failed_checks}",
        )  # fmt: skip
    else:
        _wait_for_check(d)


def _unmeasured_too_long(d: Draft) -> None:
    since = d.run.unmeasured_since
    if since is not None and d.now >= since + d.canary.spec.progress_deadline_seconds and safety.exposed(d):
        d.event("Warning", f"Cut {d.canary.key} canary weight to 0: the metrics server cannot be reached")
        d.alert("error", "The metrics server cannot be reached: the canary's weight is 0 until it is back.")
        safety.to_first_step(d, Cause.UNMEASURED)
        d.set_run(analysed_at=d.now)
        ensure_route(d)


def _iterations(d: Draft) -> int:
    return iterations(d.canary.spec.plan, d.facts.supports_weights)


def _advance(d: Draft) -> None:
    if _iterations(d):
        _advance_iterations(d)
    else:
        _advance_weight(d)


def _advance_weight(d: Draft) -> None:
    plan, weight = d.canary.spec.plan, d.status.canary_weight
    if plan.mirror and weight == 0 and not d.run.mirrored and d.facts.supports_mirror:
        d.set_run(mirrored=True)
        _expose(d)
        d.event("Normal", f"Advance {d.canary.key} canary weight 0")
        return
    following = next_weight(plan, weight)
    if following is None:
        _finish(d)
        return
    if not handover.canary_has_pods(d, following):
        return
    if not d.run.mirrored and not _traffic_gates(d):
        return
    _expose(d)
    d.set(canary_weight=following)
    d.set_run(mirrored=False, carried_weight=True)
    _affinity(d)
    d.event("Normal", f"Advance {d.canary.key} canary weight {following}")
    ensure_route(d)
    d.wait(f"the route of {d.canary.apex} to carry {following}% for the canary")


def _advance_iterations(d: Draft) -> None:
    total, done = _iterations(d), d.status.iterations
    if done < total:
        if d.canary.spec.plan.mirror and d.facts.supports_mirror and not has_match(d) and d.canary.spec.strategy == "blue-green":
            d.set_run(mirrored=True)
        _expose(d)
        d.set(iterations=done + 1)
        if has_match(d):
            d.set_run(carried_weight=True)
        d.event("Normal", f"Advance {d.canary.key} canary iteration {done + 1}/{total}")
        ensure_route(d)
        d.wait(_step_text(d))
        d.wake_at(d.now)
        return
    if d.canary.spec.strategy == "ab-testing" or not d.facts.supports_weights or d.run.routed_to_canary:
        _finish(d)
        return
    if not handover.canary_has_pods(d, FULL) or not _promotion_gates(d):
        return
    mirrored = d.run.mirrored
    _expose(d)
    d.set(canary_weight=FULL, iterations=total + 1)
    d.set_run(routed_to_canary=True, mirrored=False, carried_weight=True)
    d.event("Normal", "Stop traffic mirroring and route all traffic to canary" if mirrored else "Routing all traffic to canary")
    ensure_route(d)
    d.wait("all traffic to be routed to the canary")


def _expose(d: Draft) -> None:
    """A new step: its clock starts when the route is seen to carry it."""
    d.set_run(
        analysed_at=None, step_ready_pods=ready_count(d.target), cut=None, asked_round=d.run.asked_round + 1, drained=False,
        drain_since=None, skip=False, closed_gate="", gate_closed_at=None, capacity_since=None,
    )  # fmt: skip


def _affinity(d: Draft) -> None:
    affinity = d.canary.spec.plan.session_affinity
    if affinity is None or d.status.session_affinity_cookie:
        return
    value = d.run.id.replace("-", "")[:10]
    d.set(session_affinity_cookie=f"{affinity.cookie_name}={value}")
    if affinity.primary_cookie_name:
        d.set(primary_session_affinity_cookie=f"{affinity.primary_cookie_name}={value}")


def _traffic_gates(d: Draft) -> bool:
    """The confirm-traffic-increase gates: asked once a round, told once a step."""
    hooks = rounds.hooks_of(d, "confirm-traffic-increase")
    if orders.skipping(d):
        return True
    said = rounds.ask(d, hooks, f"{d.run.asked_round}/confirm-traffic-increase", "Progressing")
    if said is rounds.Result.PENDING:
        return False
    if isinstance(said, tuple):
        hook, _ = said
        mark = f"traffic/{d.status.canary_weight}"
        if mark not in d.run.gates_passed:
            d.set_run(gates_passed=[*d.run.gates_passed, mark])
            d.event("Warning", f"Halt {d.canary.key} advancement waiting for traffic increase approval {hook.name}")
            if not hook.mute_alert:
                d.alert("warn", "Canary traffic increase is waiting for approval.")
        _closed(d, hook)
        return False
    for hook in hooks:
        d.event("Normal", f"Confirm-traffic-increase check {hook.name} passed")
    return True


def _closed(d: Draft, gate: Webhook) -> None:
    """The gate is asked again with the next round, and named until then."""
    name = f"{gate.role} gate {gate.name}"
    if name != d.run.closed_gate:
        d.set_run(closed_gate=name, gate_closed_at=d.now)
    rounds.next_round(d)
    _wait_for_check(d)


def _promotion_gates(d: Draft) -> bool:
    """The confirm-promotion gates: asked once a round; a closed one is WaitingPromotion, with the analysis going on."""
    if d.run.promotion_gate_open or orders.skipping(d):
        return True
    hooks = rounds.hooks_of(d, "confirm-promotion")
    said = rounds.ask(d, hooks, f"{d.run.asked_round}/confirm-promotion", "Progressing")
    if said is rounds.Result.PENDING:
        return False
    if isinstance(said, tuple):
        hook, _ = said
        if d.status.phase is not Phase.WAITING_PROMOTION:
            d.enter(Phase.WAITING_PROMOTION, Cause.PROMOTION_HELD)
            d.event("Warning", f"Halt {d.canary.key} advancement waiting for promotion approval {hook.name}")
            if not hook.mute_alert:
                d.alert("warn", "Canary promotion is waiting for approval.")
        _closed(d, hook)
        return False
    for hook in hooks:
        d.event("Normal", f"Confirm-promotion check {hook.name} passed")
    d.set_run(promotion_gate_open=True, closed_gate="", gate_closed_at=None)
    return True


def _finish(d: Draft) -> None:
    if _promotion_gates(d):
        promote(d, Cause.PASSED)
