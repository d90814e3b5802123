"""Health of a side in a run: pods and progress deadline together, their memory kept in the run.

`podhealth` judges pods, `deadline` counts time; this file joins them for the canary and for a primary that is being rolled out.
"""

from __future__ import annotations

from dataclasses import dataclass

from flaggerpy.api.status import DeadlineState, FailureState
from flaggerpy.rollout import deadline, podhealth
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.facts import WorkloadFacts
from flaggerpy.rollout.traffic import complete, needed, ready_count, shortfall


@dataclass(frozen=True)
class Verdict:
    """`cause` is set when the side has failed for good; `waiting` says what it still lacks, `advice` what a person can do about it;
    `until` is the deadline's end (epoch seconds)."""

    cause: str | None
    waiting: str
    until: float | None = None
    advice: str | None = None


def judge_canary(d: Draft, *, stopped: bool) -> Verdict:
    """The canary's side. `stopped`: a person holds the run (suspend, pause, gates), which stops the deadline while it is complete."""
    target = d.target
    if target is None:
        return Verdict(None, "", None)
    threshold = d.canary.spec.plan.canary_ready_threshold
    health = _pods(d, target, d.run.failures, threshold)
    state = deadline.observe(
        d.run.deadline,
        available=min(target.available, ready_count(target)),
        desired=target.replicas or d.run.replicas or 1,
        complete=complete(target, threshold),
        settle=d.canary.spec.pod_health.settle_seconds,
        now=d.now,
        stopped=stopped,
    )
    d.set_run(failures=list(health.failures), deadline=state)
    d.set(pod_failures=list(health.shown))
    storm = podhealth.storm(target.pods, d.primary.pods, d.canary.spec.pod_health) if d.primary else ""
    return _join(d, target, health, state, threshold, storm)


def judge_primary(d: Draft) -> Verdict:
    """The primary's side while its template is being rolled out."""
    primary = d.primary
    if primary is None:
        return Verdict(None, "", None)
    threshold = d.canary.spec.plan.primary_ready_threshold
    health = _pods(d, primary, d.run.primary_failures, threshold)
    done = rolled_out(d)
    state = deadline.observe(
        d.run.primary_deadline,
        available=min(primary.available, ready_count(primary)),
        desired=primary.replicas or 1,
        complete=done,
        settle=0.0,
        now=d.now,
        stopped=False,
    )
    d.set_run(primary_failures=list(health.failures), primary_deadline=state)
    d.set(pod_failures=list(health.shown))
    return _join(d, primary, health, state, threshold, "")


def _pods(d: Draft, side: WorkloadFacts, memory: list[FailureState], threshold: int) -> podhealth.Health:
    """The pods of a side judged. While the watch of the pods has not synced nothing is judged and nothing is forgotten."""
    if not side.pods_known:
        return podhealth.Health(None, memory, list(d.status.pod_failures), "", None)
    return podhealth.judge(
        side.pods,
        memory,
        d.canary.spec.pod_health,
        now=d.now,
        ready_threshold=threshold,
        desired=side.replicas,
        namespace=d.canary.namespace,
    )


def settled(d: Draft, target: WorkloadFacts) -> bool:
    """True once all pods were ready without a restart for `podHealth.settle`, before their first traffic; remembered in the run."""
    restarts = sum(container.restarts for pod in target.pods for container in pod.containers)
    since = d.run.settled_since
    if since is None or restarts != d.run.settled_restarts:
        since = d.now
    d.set_run(settled_since=since, settled_restarts=restarts)
    until = since + d.canary.spec.pod_health.settle_seconds
    if d.now < until:
        d.wait("the canary's pods to stay ready without a restart (podHealth.settle)", since=since, until=until)
        return False
    d.set_run(settled=True)
    return True


def rolled_out(d: Draft) -> bool:
    """The primary is complete at its present template and no pod of another one is left."""
    primary = d.primary
    return primary is not None and complete(primary, d.canary.spec.plan.primary_ready_threshold) and primary.old == 0


def _join(
    d: Draft, side: WorkloadFacts, health: podhealth.Health, state: DeadlineState, threshold: int, storm: str
) -> Verdict:
    """`storm`: the same failure on pods that ran before stops the verdict, not the deadline."""
    limit = float(d.canary.spec.progress_deadline_seconds)
    until = deadline.expires_at(state, limit)
    refused = podhealth.judge_creation(side.pod_creation_error, namespace=d.canary.namespace)
    lacking = refused.text if refused else health.waiting or shortfall(side, threshold)
    if side.available >= needed(side.replicas, threshold) and side.old:
        lacking = health.waiting or f"waiting for rollout to finish: {side.old} old replicas are pending termination"
    d.wake_at(health.wake)
    if until is not None and until > d.now:
        d.wake_at(until)  # one that is over is acted upon, or the run is held: to wake for it would never end
    advice = f"{health.advice} {health.command}".strip() or (refused.advice if refused else None)
    if storm:
        lacking = storm
    elif health.verdict:
        return Verdict(health.verdict, lacking)
    if until is not None and d.now >= until:
        means = f": {health.means}" if health.means and lacking == health.waiting else ""
        return Verdict(f"progress deadline of {limit:g}s exceeded: {lacking}{means}", lacking, until, advice)
    return Verdict(None, lacking, until, advice)
