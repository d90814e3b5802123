"""Handover: before traffic moves to a side, that side has the pods that the demand needs (P-2). For targets with an autoscaler.

- The *demand* is counted in pods: what carried all traffic when the run began, and what it grew to since, told from how many pods either
  side has for its share.
- The **primary** has a floor from the first look of a run on: its own autoscaler, which sees it idle while the canary serves, does not
  shrink it below what the run found. The floor rises to the demand before the traffic comes back, and is taken off `SETTLED` seconds after
  the run.
- The **canary** is scaled to its share of the demand before each raise of its weight. The target's autoscaler is the user's and may take
  those pods away, before the raise and after it, as no metric tells of their load yet: they are asked for anew at once. It has the last
  word after `YIELD` seconds, and the step goes on.
- In an emergency nothing waits: the primary has its floor.

Without an autoscaler sizes are the user's: an edit of the target's replicas reaches the primary.
"""

from __future__ import annotations

from flaggerpy.api.status import IDLE, Phase, from_timestamp, timestamp
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import EnsureScaler, HoldScaler, ScalePrimary, ScaleTarget
from flaggerpy.rollout.facts import UNKNOWN, ScalerFacts, WorkloadFacts
from flaggerpy.rollout.traffic import has_match, ready_count, routed, serving_count
from flaggerpy.rollout.weights import FULL

SETTLED = 60.0
"""Seconds that the primary's floor outlives its run: until the metrics that its autoscaler looks at tell of the traffic that came back."""
YIELD = 60.0
"""Seconds of a step in which pods are asked for anew that the target's autoscaler takes away again: four rounds of an HPA."""


def scaled(d: Draft) -> bool:
    """True when an autoscaler sizes the target."""
    return d.canary.spec.autoscaler_ref is not None


def is_paused(d: Draft) -> bool:
    """True while the target's autoscaler is held at zero."""
    return d.scaler is not None and d.scaler.paused is True


def may_begin(d: Draft) -> bool:
    """False while the autoscaler cannot be read, or can not be followed: then nothing begins, and why is told."""
    if d.facts.scaler is UNKNOWN:
        d.wait("the state of the autoscaler that autoscalerRef names")
        return False
    if d.scaler is not None and d.scaler.problem:
        d.stall("ScalerUnfit", d.scaler.problem)
        return False
    return True


# sizes


def first_size(d: Draft) -> int:
    """The size of a canary that begins at zero: its autoscaler's lower bound; without one the primary's size."""
    if scaled(d):
        return d.scaler.least if d.scaler else 1
    return (d.primary.replicas if d.primary else 0) or 1


def primary_size(d: Draft) -> int | None:
    """What a template brings along for the primary: the run's size; with an autoscaler none but for a primary that is made anew."""
    if not scaled(d):
        return d.run.replicas
    return None if d.primary is not None else d.run.floor


def let_go(d: Draft) -> None:
    """The target's autoscaler may scale it up from zero again."""
    if is_paused(d):
        d.do(HoldScaler(paused=False))


def scale_up(d: Draft, replicas: int) -> None:
    """Let the target's autoscaler go, and give the target this size where it has none."""
    let_go(d)
    if d.target is None or d.target.replicas == 0:
        d.do(ScaleTarget(replicas))


def to_zero(d: Draft) -> None:
    """Scale the target to zero, and hold an autoscaler there that would not leave it so."""
    if d.scaler is not None and d.scaler.paused is False:
        d.do(HoldScaler(paused=True))
    d.do(ScaleTarget(0))


# the demand


def demand(d: Draft) -> int:
    """How many pods all traffic needs, as far as it can be told from the pods that serve it now; it never falls in a run.

    A side with more pods than it was given was scaled for its load: of a demand of N pods a share of w percent needs N * w / 100,
    rounded up. The least such N counts, and never more than there are pods on both sides.
    """
    floor, scaler = d.run.floor or 1, d.scaler
    canary, primary = ready_count(d.target), serving_count(d.primary)
    share = FULL if has_match(d) else d.status.canary_weight
    asked = max(d.run.capacity, scaler.least if scaler else canary)
    grown = [_whole(canary, share)] if share > 0 and canary > asked else []
    if primary > floor and share < FULL:
        grown.append(_whole(primary, FULL - share))
    served = [canary] if share > 0 else []
    return max([floor, d.run.demand, *served, *(min(pods, canary + primary) for pods in grown)])


def _whole(pods: int, share: int) -> int:
    """The least demand of which `share` percent need that many pods."""
    return max(pods - 1, 0) * FULL // share + 1


def _capped(d: Draft, pods: int) -> int:
    most = d.scaler.primary_most if d.scaler else None
    return pods if most is None else min(pods, most)


# the canary's side


def canary_has_pods(d: Draft, weight: int) -> bool:
    """True once the target is made for that weight; asked where it is complete, so that what it is made for is ready."""
    target, scaler = d.target, d.scaler
    if target is None or scaler is None:
        return True
    d.set_run(demand=demand(d))
    need = -(-d.run.demand * weight // FULL)
    need = need if scaler.most is None else min(need, scaler.most)
    # what was asked for in vain at the present weight says nothing about more
    asked = d.run.capacity_since if d.run.capacity == need else None
    d.set_run(capacity=need)
    if target.replicas >= need:
        d.set_run(capacity_since=None)
        return True
    since = d.now if asked is None else asked
    name = f"{d.canary.target}.{d.canary.namespace}"
    if d.now >= since + YIELD:
        mark = f"pods/{weight}"
        if mark not in d.run.gates_passed:
            d.set_run(gates_passed=[*d.run.gates_passed, mark])
            kept = f"{scaler.name} keeps {name} at {target.replicas} of {need} pods"
            d.event("Warning", f"{kept}: {weight}% of the traffic comes all the same")
        return True
    if asked is None:
        d.event("Normal", f"Scaling {name} to {need} before {weight}% of the traffic comes")
    d.set_run(capacity_since=since)
    d.do(ScaleTarget(need))
    d.wait(
        f"{need} pods of {name} before {weight}% of the traffic comes; it has {target.replicas}",
        since=since,
        until=since + YIELD,
        then=f"the step goes on with what {scaler.name} leaves of them",
    )
    return False


def keep_pods(d: Draft, target: WorkloadFacts) -> None:
    """What the target's autoscaler takes from a canary with traffic is asked for anew, until it has the last word on this step."""
    if d.scaler is None or d.status.canary_weight == 0 or target.replicas >= d.run.capacity:
        return
    since = d.now if d.run.capacity_since is None else d.run.capacity_since
    d.set_run(capacity_since=since)
    if d.now < since + YIELD:
        d.do(ScaleTarget(d.run.capacity))


# the primary's side


def take_over(d: Draft) -> None:
    """At the beginning the target's size is what the primary needs; it may grow until the traffic has moved."""
    if scaled(d) and d.facts.scaler is not UNKNOWN:
        target = d.target.replicas if d.target else 0
        d.set_run(floor=_capped(d, max(d.run.floor or 1, d.run.replicas or 1, target)))
        hold_floor(d)


def raise_floor(d: Draft) -> None:
    """The traffic is about to come back: the floor rises to the demand, and never falls."""
    if scaled(d) and d.run.floor is not None and d.target is not None and d.facts.primary is not UNKNOWN:
        d.set_run(floor=max(d.run.floor, _capped(d, demand(d))))


def hold_floor(d: Draft, *, promoted: bool = False) -> None:
    """The primary's autoscaler has the run's floor, and the primary that size. `promoted`: the twin follows the user's words with it."""
    primary, scaler = d.primary, d.scaler
    if primary is None or scaler is None:
        return
    if d.run.floor is None:
        d.set_run(floor=_capped(d, max(primary.replicas, 1)))
        d.set(floor_since=None)
    floor = d.run.floor
    _ensure(d, scaler, floor, follow=promoted or _always(d))
    if floor is not None and primary.replicas < floor:
        d.do(ScalePrimary(floor))


def floor_stands(d: Draft) -> bool:
    """True once the primary has the size that the demand needs (asked where it is complete), and its autoscaler leaves it so."""
    if not scaled(d):
        return True
    if d.facts.scaler is UNKNOWN:
        d.wait("the state of the autoscaler that autoscalerRef names")
        return False
    floor, scaler, primary = d.run.floor, d.scaler, d.primary
    if scaler is None or primary is None or floor is None:
        return True
    name = f"{d.canary.target}-primary.{d.canary.namespace}"
    if primary.replicas < floor:
        d.wait(f"{floor} pods of {name}, which the demand needs; it has {primary.replicas}")
        return False
    if scaler.floor != floor and (scaler.twin or not scaler.problem):
        d.wait(f"the autoscaler of {name} to keep it at {floor} pods or more")
        return False
    return True


def _ensure(d: Draft, scaler: ScalerFacts, floor: int | None, *, follow: bool) -> None:
    lags = follow and not scaler.follows
    if scaler.problem and not scaler.twin:
        return
    if not scaler.twin or not scaler.sound or scaler.floor != floor or lags:
        d.do(EnsureScaler(floor, follow=(follow or not scaler.twin) and not scaler.problem))


def _always(d: Draft) -> bool:
    ref = d.canary.spec.autoscaler_ref
    return ref is not None and ref.sync == "always"


# between releases


def keep(d: Draft) -> None:
    """The primary's autoscaler stands, and the target's is held at zero unless the target still carries traffic."""
    scaler = d.scaler
    if scaler is None or d.primary is None:
        return
    _ensure(d, scaler, scaler.floor, follow=_always(d))
    if d.primary.replicas == 0 and scaler.paused is None and not scaler.problem:
        # an HPA leaves zero alone, so that it was somebody else who scaled it there
        d.do(ScalePrimary(max(scaler.floor or 0, scaler.least)))
    if scaler.paused is False and not scaler.problem and d.status.canary_weight == 0:
        d.do(HoldScaler(paused=True))


def release(d: Draft) -> None:
    """Take the floor off once the primary has settled with all traffic."""
    scaler = d.scaler
    if scaler is None or d.status.phase not in IDLE | {Phase.WAITING} or d.status.canary_weight > 0:
        return
    if scaler.floor is None:
        if d.status.floor_since is not None:
            d.set(floor_since=None)
        return
    since = from_timestamp(d.status.floor_since) if d.status.floor_since else d.now
    d.set(floor_since=timestamp(since))
    if d.now < since + SETTLED:
        d.wake_at(since + SETTLED)
    else:
        d.effects = [effect for effect in d.effects if not isinstance(effect, EnsureScaler)]
        d.do(EnsureScaler(None, follow=_always(d) and not scaler.problem))


def follow_size(d: Draft) -> None:
    """Without an autoscaler: a size that somebody gives the target between releases is the primary's, and the target goes back to zero."""
    target, primary, size = d.target, d.primary, d.status.resizing
    if scaled(d) or d.canary.kind != "Deployment" or target is None or primary is None or d.status.canary_weight > 0:
        return
    if target.replicas not in (0, size, primary.replicas) and serving_count(primary) > 0 and d.facts.apex_ready and routed(d):
        size = target.replicas
        d.event("Normal", f"Scaling {d.canary.target}-primary.{d.canary.namespace} to {size}, as its target was")
    if size is not None and primary.replicas != size:
        d.do(ScalePrimary(size))
    if size is not None and target.replicas > 0:
        d.do(ScaleTarget(0))
        d.wait(f"{d.canary.target}-primary to have {size} pods, and {d.canary.target} none")
    elif size == primary.replicas:
        size = None
    if size != d.status.resizing:
        d.set(resizing=size)
