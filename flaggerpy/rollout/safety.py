"""Safety is not verdict: weight leaves pods that are lost at once; the release may still pass (design: "Safety is not verdict").

A cut above nothing keeps the step and is undone when the pods are back. When no pod is ready any more the run relapses: it
settles anew and resumes at its first step, at most twice.
"""

from __future__ import annotations

from flaggerpy.api.status import Phase
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.revision import template_of
from flaggerpy.rollout.traffic import has_match, ready_count, serving_count
from flaggerpy.rollout.weights import FULL, safe_weight

MAX_RELAPSES = 2
_TAKEN_AWAY = frozenset({"Evicted", "NodeShutdown", "Terminated", "Preempting", "NodeAffinity"})


def exposed(d: Draft) -> bool:
    """True while requests reach the canary's pods, mirrored ones included."""
    return d.status.canary_weight > 0 or has_match(d) or d.run.mirrored


def _moving(d: Draft) -> bool:
    """The target's newest template is not the run's, and which revision it will be cannot be told yet: its pods are not the run's."""
    target = d.target
    return not d.target_revision and target is not None and target.revision not in ("", template_of(d.run.revision))


def guard(d: Draft) -> str | None:
    """Cut the weight to what the canary's pods can carry. Returns the cause when the run has relapsed once too often."""
    if d.facts.target is not UNKNOWN and d.facts.supports_weights and exposed(d):
        _cut(d)
    return f"all pods of the canary became unready {d.run.relapses} times" if d.run.relapses > MAX_RELAPSES else None


def _cut(d: Draft) -> None:
    target = d.target
    ready, weight = ready_count(target), d.status.canary_weight
    if _moving(d):
        # the run's pods serve on until the first of the newer template is ready, which nobody has looked at
        ready = serving_count(target) if ready == 0 else 0
    base = min(d.run.step_ready_pods, target.replicas) if target is not None and target.replicas > 0 else d.run.step_ready_pods
    if base < d.run.step_ready_pods:
        d.set_run(step_ready_pods=base)  # who took pods away may give others back, which are not lost while they start
    if serving_count(d.primary) == 0:
        # Nobody else can take the traffic: the pods that are left must, be they those of an older template that is being replaced.
        return
    if ready == 0:
        _relapse(d)
        return
    allowed = safe_weight(weight, ready, base)
    if allowed < weight:
        if d.run.cut != allowed:
            d.event("Warning", f"Cut {d.canary.key} canary weight to {allowed}: {ready} of {base} pods are ready")
        d.set_run(cut=allowed)
    elif d.run.cut is not None:
        d.event("Normal", f"Restore {d.canary.key} canary weight {weight}: all pods are ready again")
        d.set_run(cut=None)


def keep_cut(d: Draft) -> None:
    """The run leaves its analysis with pods lost: the weight in force is the weight from now on."""
    if d.run.cut is not None:
        d.set(canary_weight=d.run.cut)
        d.set_run(cut=None)


def leave_unfit(d: Draft) -> None:
    """In a promotion, weight leaves a canary that has no ready pod, or whose template has moved on, if the primary can take it."""
    if (d.status.canary_weight == 0 and not has_match(d)) or d.facts.target is UNKNOWN:
        return
    moved = d.target_revision not in ("", d.run.revision)
    if moved:
        d.pending_revision = True
    moved = moved or _moving(d)
    if (ready_count(d.target) == 0 or moved) and serving_count(d.primary) > 0:
        _tell_cut(d, moved)
        d.set(canary_weight=0, iterations=0)


def all_to_canary(d: Draft) -> None:
    """No pod of the primary is ready: the canary takes its traffic, and is drained anew once that has left it."""
    d.event("Warning", f"Routing all traffic to canary: no pod of {d.canary.target}-primary is ready")
    d.set(canary_weight=FULL)
    d.set_run(carried_weight=True, drained=False, drain_since=None)


def _relapse(d: Draft) -> None:
    target = d.target
    pods = target.pods if target is not None else ()
    moved = _moving(d)
    taken = moved or (bool(pods) and all(pod.reason in _TAKEN_AWAY or pod.terminating for pod in pods))
    relapses = d.run.relapses + (0 if taken else 1)
    _tell_cut(d, moved)
    to_first_step(d, Cause.PODS_LOST)
    d.set_run(relapses=relapses)


def _tell_cut(d: Draft, moved: bool) -> None:
    why = "the target has moved on to another revision" if moved else f"no pod of {d.canary.target} is ready"
    d.event("Warning", f"Cut {d.canary.key} canary weight to 0: {why}")


def to_first_step(d: Draft, cause: Cause) -> None:
    """No traffic for the canary; the run settles anew and begins at its first step, its failed checks kept."""
    d.enter(Phase.PROGRESSING, cause)
    d.set(canary_weight=0, iterations=0)
    d.set_run(
        cut=None,
        settled=False,
        settled_since=None,
        analysed_at=None,
        mirrored=False,
        routed_to_canary=False,
        promotion_gate_open=False,
        closed_gate="",
        gate_closed_at=None,
        skip=False,
        asked_round=d.run.asked_round + 1,
    )
