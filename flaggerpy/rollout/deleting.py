"""A Canary that is being deleted with `revertOnDeletion`: the target gets its size back, then the traffic, then the finalizer goes.

Objects that are gone already are passed over, so that no order of deletions hangs (Q-28).
"""

from __future__ import annotations

from flaggerpy.api.names import FINALIZER
from flaggerpy.api.status import Phase, RunState
from flaggerpy.rollout import handover
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import AddFinalizer, RemoveFinalizer, RestoreRouting
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.traffic import DRAIN, complete, shortfall


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
    if d.facts.target is UNKNOWN or d.facts.primary is UNKNOWN:
        d.wait(f"the state of {d.canary.target}, which cannot be read")
        return
    if _target_serves(d) and _restored(d):
        d.event("Normal", f"Terminated canary {d.canary.key}")
        d.do(RemoveFinalizer())


def _target_serves(d: Draft) -> bool:
    target = d.target
    if target is None:
        return True
    deadline = d.run.started_at + d.canary.spec.progress_deadline_seconds
    if target.replicas == 0 or handover.is_paused(d):
        handover.scale_up(d, handover.size_alone(d))
    if complete(target, d.canary.spec.plan.canary_ready_threshold):
        return True
    if d.now >= deadline:
        if "overdue" not in d.run.gates_passed:
            d.event("Warning", f"{d.canary.target}.{d.canary.namespace} is not ready: the Canary goes all the same")
            d.set_run(gates_passed=["overdue"])
        return True
    d.wait(
        f"{d.canary.target}.{d.canary.namespace} to serve again: {shortfall(target, 100)}",
        since=d.run.started_at,
        until=deadline,
        then="the Canary goes all the same",
    )
    return False


def _restored(d: Draft) -> bool:
    """Routing was restored and had its time to take effect before the primary's pods go with the Canary."""
    d.do(RestoreRouting())
    since = d.run.drain_since
    if since is None:
        since = d.now
        d.set_run(drain_since=since)
    if d.now < since + DRAIN:
        d.wait("the restored routes to take effect", since=since, until=since + DRAIN)
        return False
    return True
