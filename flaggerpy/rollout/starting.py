"""How a run begins: from a changed target, through the confirm-rollout gates, to a canary that is being scaled up."""

from __future__ import annotations

from flaggerpy.api.status import Order, Phase, RunState
from flaggerpy.rollout import handover, imagecheck, rounds
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import KeepRevision
from flaggerpy.rollout.facts import WorkloadFacts
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.revision import run_id
from flaggerpy.rollout.traffic import ensure_route, has_match, serving_count
from flaggerpy.rollout.weights import DEFAULT_ITERATIONS

NEW_RUN_ALERT = "New revision detected, progressing canary analysis."


def new_run(d: Draft, target: WorkloadFacts, revision: str) -> RunState:
    """The memory of a run of this revision, numbered after the runs of it that the history knows; a person may have ordered it."""
    going = d.status.reverting
    orders = []
    if going is not None:
        orders = [Order(command="rollback-to", by=going.by, at=going.at, detail=f"from {going.before} to {going.revision}")]
        d.set(reverting=None)
    attempt = 1 + max((entry.attempt for entry in d.status.history if entry.revision == revision), default=0)
    replicas = target.replicas or handover.first_size(d)
    return RunState(
        id=run_id(d.canary.uid, revision, attempt),
        revision=revision,
        attempt=attempt,
        images=list(target.images),
        started_at=d.now,
        replicas=replicas,
        orders=orders,
    )


def detect(d: Draft, target: WorkloadFacts, revision: str, cause: Cause) -> None:
    """A revision that is neither applied nor promoted: ask the gates, or begin."""
    prepare(d, target, revision)
    gates(d, cause)


def prepare(d: Draft, target: WorkloadFacts, revision: str) -> None:
    """A run of this revision, which has not begun. The one that is being prepared already is kept."""
    if d.status.run is None or d.status.run.revision != revision:
        d.set(run=new_run(d, target, revision), failed_checks=0, pod_failures=[], resizing=None)


def gates(d: Draft, cause: Cause) -> None:
    """The confirm-rollout gates; while one is closed the phase is Waiting and nothing is scaled."""
    hooks = rounds.hooks_of(d, "confirm-rollout")
    interval = d.canary.spec.plan.interval_seconds
    said = rounds.ask(d, hooks, "confirm-rollout", str(d.status.phase), every=interval if hooks else None)
    if said is rounds.Result.PENDING:
        d.pending_revision = True
        return
    if isinstance(said, tuple):
        hook, _ = said
        if d.status.phase is not Phase.WAITING:
            d.enter(Phase.WAITING, Cause.RETRIED if cause is Cause.RETRIED else Cause.GATE_CLOSED)
            d.event("Warning", f"Halt {d.canary.key} advancement waiting for approval {hook.name}")
            if not hook.mute_alert:
                d.alert("warn", "Canary is waiting for approval.")
        d.wait(
            f"approval by the confirm-rollout gate {hook.name}",
            then="the canary is scaled up and analysed",
            advice=f"open the gate, or: flaggerpy abort {d.canary.name} -n {d.canary.namespace}",
        )
        return
    for hook in hooks:
        d.event("Normal", f"Confirm-rollout check {hook.name} passed")
    begin(d, cause)


def begin(d: Draft, cause: Cause) -> None:
    """Scale the canary up."""
    canary = d.canary
    d.enter(Phase.PROGRESSING, cause)
    d.event("Normal", f"New revision detected! Scaling up {canary.target}.{canary.namespace}")
    d.alert("info", NEW_RUN_ALERT, with_facts=True)
    _applied(d)
    if not d.facts.supports_weights and not canary.spec.skips_analysis and not canary.spec.plan.iterations:
        d.event("Warning", "Progressive traffic is not supported when using the kubernetes provider")
        d.event("Warning", f"Setting canaryAnalysis.iterations: {DEFAULT_ITERATIONS}")
    d.do(KeepRevision(d.run.revision))
    if imagecheck.holds(d):
        return
    if d.target is None:
        # ordered by a person while it cannot be read: it is scaled when it can
        d.wait(f"the state of {canary.target}, which cannot be read")
        return
    handover.scale_up(d, d.run.replicas or 1)
    d.wait(f"{canary.target} to be scaled up")


def restart(d: Draft, target: WorkloadFacts, revision: str) -> None:
    """The target moved on in the middle of a run: no weight for it, and a run of the newer revision from its beginning."""
    old = d.run
    d.record("Superseded", f"revision {revision} came before it ended")
    d.event("Normal", f"New revision detected! Restarting analysis for {d.canary.target}.{d.canary.namespace}")
    d.enter(Phase.PROGRESSING, Cause.SUPERSEDED)
    alone = serving_count(d.primary) == 0 and serving_count(target) > 0 and not has_match(d)
    # a primary without a ready pod gets nothing: what is left of the older canary serves until its pods are replaced
    weight = d.status.canary_weight if alone else 0
    d.set(run=new_run(d, target, revision), canary_weight=weight, iterations=0, failed_checks=0, pod_failures=[])
    d.set_run(carried_weight=old.carried_weight, floor=old.floor, demand=old.demand)
    _applied(d)
    ensure_route(d)
    d.do(KeepRevision(revision))
    d.wait(f"the pods of revision {revision}")
    d.wake_at(d.now)


def _applied(d: Draft) -> None:
    configs = d.facts.configs
    d.set(
        last_applied_spec=d.run.revision,
        applied_images=d.run.images,
        tracked_configs=dict(configs) if isinstance(configs, dict) else None,
    )
    d.set_run(progressing_at=d.now)
