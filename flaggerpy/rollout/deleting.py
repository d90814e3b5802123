"""A Canary that is being deleted with `revertOnDeletion`: pods for the target, then its traffic step by step, then the finalizer goes.

While the target gets ready its traffic is the primary's: what was being analysed gets none. Then the apex Service leads to the target, then
the route, which learns of the backends it will lead to before it does (as in `traffic.announced`, and for the same reason); then a drain.
What goes on carrying traffic and is ours (the apex Service, the route) is left behind without an owner, the rest goes with the Canary.

A target that does not get ready is no reason to stop what serves: the primary is left behind as it is, with all that it needs. Objects that
are gone already are passed over, and so, after a deadline, is what cannot be written: no order of deletions hangs (Q-28).
"""

from __future__ import annotations

from flaggerpy.api.names import FINALIZER
from flaggerpy.api.status import Phase, RunState
from flaggerpy.rollout import handover, health
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import AddFinalizer, LeaveBehind, RemoveFinalizer, RestoreRouting, ScaleTarget
from flaggerpy.rollout.facts import UNKNOWN, RouteFacts, WorkloadFacts
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.traffic import DRAIN, complete, ensure_route, followed, serving_count

UNREADABLE = 30.0
"""Seconds after which what cannot be read is not waited for any more: an autoscaler stays as it is; a route may need the primary, so that
stays."""
SIZED = "sized"
"""In `run.gates_passed`: the target was given its size; from then on it is its scaler's or its owner's to change."""
TOLD = "told"
"""In `run.gates_passed`: it was told that nothing serves."""


def finalizer(d: Draft) -> None:
    """The finalizer is there exactly while the spec asks for the revert."""
    held = FINALIZER in d.canary.finalizers
    if d.canary.spec.revert_on_deletion and not held:
        d.do(AddFinalizer())
    elif held and not d.canary.spec.revert_on_deletion:
        d.do(RemoveFinalizer())


def deleting(d: Draft) -> None:
    """See the module."""
    if FINALIZER not in d.canary.finalizers:
        return
    if not d.canary.spec.revert_on_deletion:
        d.do(RemoveFinalizer())
        return
    if d.status.phase is not Phase.TERMINATING:
        d.enter(Phase.TERMINATING, Cause.DELETED)
        d.event("Normal", f"Terminating canary {d.canary.key}")
        size = d.status.run.replicas if d.status.run else None
        d.set(run=RunState(id=d.canary.uid, revision="", started_at=d.now, replicas=size))
    if not d.status.last_applied_spec and (d.primary is None or d.facts.problems):
        # it never touched anything: a rival of the Canary that leads this target must not take down what serves
        _gone(d)
        return
    if d.facts.target is UNKNOWN or d.facts.primary is UNKNOWN:
        d.wait(f"the state of {d.canary.target}, which cannot be read")
        return
    if d.facts.scaler is UNKNOWN and d.now < d.run.started_at + UNREADABLE:
        until = d.run.started_at + UNREADABLE
        d.wait("the state of the autoscaler that autoscalerRef names", until=until, then="the Canary goes, and leaves it as it is")
        return
    if d.target is None:
        _without_target(d)
    else:
        _with_target(d, d.target)


def _with_target(d: Draft, target: WorkloadFacts) -> None:
    name, alone = f"{d.canary.target}.{d.canary.namespace}", serving_count(d.primary) == 0
    _size(d, target)
    verdict = health.judge_canary(d, stopped=False)
    ready = _ready(d, target)
    failed = verdict.cause if not ready else None
    if d.run.progressing_at is None and not ready and not alone:
        _primary_serves(d)
        if failed:
            _leave_primary(d, f"{name} is not ready ({failed})")
            return
        d.wait(
            f"{name} to serve again: {verdict.waiting}",
            until=verdict.until,
            then=f"{d.canary.target}-primary goes on serving and stays",
            advice=verdict.advice,
        )
        return
    if alone and failed:
        _tell(d, f"{name} is not ready ({failed}), and {d.canary.target}-primary neither: nothing serves")
    if not alone and _is_unreadable(d):
        _leave_primary(d, f"the route of {d.canary.apex} cannot be read")
        return
    restored = _restored(d)
    if not (ready or _overdue(d) or (failed and (alone or serving_count(target) > 0))):
        d.wait(f"{name} to serve again: {verdict.waiting}", until=_deadline(d), then="the Canary goes all the same", advice=verdict.advice)
    elif restored:
        _go(d)


def _leave_primary(d: Draft, why: str) -> None:
    d.event(
        "Warning",
        f"{why}: {d.canary.target}-primary goes on serving, and stays when the Canary goes, with its Services and routes",
    )
    d.do(LeaveBehind(primary=True))
    _go(d)


def _ready(d: Draft, target: WorkloadFacts) -> bool:
    """The target can take all traffic; pods of a template that was not promoted have to settle first, as before any first traffic."""
    if not complete(target, d.canary.spec.plan.canary_ready_threshold):
        if not d.run.settled:
            d.set_run(settled_since=None)
        return False
    promoted = d.status.last_promoted_spec in ("", d.target_revision)
    return promoted or d.run.settled or health.settled(d, target)


def _without_target(d: Draft) -> None:
    """There is nothing that could serve: what the user owns is given back, and nobody is waited for."""
    handover.let_go(d)
    _tell(d, f"{d.canary.kind} {d.canary.target}.{d.canary.namespace} is gone: nothing serves once the Canary is gone")
    if d.facts.apex_back and not d.facts.route_back:
        _go(d)
        return
    overdue = _overdue(d)
    if not d.facts.apex_back:
        d.do(RestoreRouting("apex", lenient=overdue))
    if d.facts.route_back:
        d.do(RestoreRouting("end", lenient=overdue))
    if overdue:
        _go(d)
    else:
        d.wait(f"the Service and the route of {d.canary.apex} to be given back", until=_deadline(d), then="the Canary goes all the same")


def _size(d: Draft, target: WorkloadFacts) -> None:
    """As many pods as the target had, or as the other side has by now: that is what the demand needs."""
    size = max(d.run.replicas or 0, d.primary.replicas if d.primary else 0) or 1
    handover.let_go(d)
    if target.replicas == 0 or (SIZED not in d.run.gates_passed and target.replicas < size):
        d.do(ScaleTarget(size))
    if SIZED not in d.run.gates_passed:
        d.set_run(gates_passed=[*d.run.gates_passed, SIZED])


def _primary_serves(d: Draft) -> None:
    d.set(canary_weight=0, iterations=0)
    if d.status.last_promoted_spec:
        ensure_route(d)


def _restored(d: Draft) -> bool:
    """Traffic is the target's again, by ways that were there before, and had its time to go there before the primary's pods end."""
    if d.run.progressing_at is None:
        d.set_run(progressing_at=d.now)
        if d.target_revision not in ("", d.status.last_promoted_spec) and d.status.last_promoted_spec:
            d.event("Warning", f"{d.canary.key} takes all traffic with revision {d.target_revision}, which was not promoted")
    if _overdue(d):
        d.do(RestoreRouting("apex", lenient=True))
        d.do(RestoreRouting("end", lenient=True))
        return True
    if not d.facts.apex_back:
        return _step(d, RestoreRouting("apex"), f"the Service {d.canary.apex} to lead to {d.canary.target}")
    if not _route_restored(d):
        return False
    since = d.run.drain_since
    if since is None:
        since = d.now
        d.set_run(drain_since=since)
    if d.now < since + DRAIN:
        d.wait("the restored routes to take effect", since=since, until=since + DRAIN)
        return False
    return True


def _route_restored(d: Draft) -> bool:
    if not d.facts.supports_weights:
        return True
    route, text = d.facts.route, f"the route of {d.canary.apex} to lead to {d.canary.target}"
    if not isinstance(route, RouteFacts):
        if d.run.drain_since is not None:
            return True
        until = (d.run.progressing_at or d.now) + UNREADABLE
        if d.now < until:
            d.wait(f"the route of {d.canary.apex}, which cannot be read", until=until, then=f"{d.canary.target}-primary stays")
        return d.now >= until
    match d.facts.route_back:
        case "":
            return True
        case "announce":
            return _step(d, RestoreRouting("announce"), text)
        case step:
            return followed(d, route) and _step(d, RestoreRouting(step), text)


def _is_unreadable(d: Draft) -> bool:
    """True once a route could not be read for so long that nobody may wait for it; whoever goes through it may need the primary.

    One that was seen to be restored (`drain_since`) leads to the target, whatever happens to it since.
    """
    since = d.run.progressing_at
    if since is None or d.run.drain_since is not None or not d.facts.supports_weights:
        return False
    return not isinstance(d.facts.route, RouteFacts) and d.now >= since + UNREADABLE


def _step(d: Draft, effect: RestoreRouting, text: str) -> bool:
    d.do(effect)
    d.set_run(announced_since=None, drain_since=None)
    d.wait(text, until=_deadline(d), then="the Canary goes all the same")
    return False


def _deadline(d: Draft) -> float:
    return (d.run.progressing_at or d.run.started_at) + d.canary.spec.progress_deadline_seconds


def _overdue(d: Draft) -> bool:
    return d.now >= _deadline(d)


def _tell(d: Draft, sentence: str) -> None:
    if TOLD not in d.run.gates_passed:
        d.event("Warning", sentence)
        d.set_run(gates_passed=[*d.run.gates_passed, TOLD])


def _go(d: Draft) -> None:
    if not any(isinstance(effect, LeaveBehind) for effect in d.effects):
        d.do(LeaveBehind(primary=False))
    _gone(d)


def _gone(d: Draft) -> None:
    d.event("Normal", f"Terminated canary {d.canary.key}")
    d.do(RemoveFinalizer())
