"""Adoption: a Canary whose status Flagger wrote last becomes ours where it stands, and nothing begins anew.

A status is Flagger's when it has a phase and no `observedGeneration`: we always write that, and Flagger's own writes drop every field that
is not Flagger's. What it lacks is made up from what is true: the route tells the weight (Flagger's status says 0 at a promotion gate),
the target's ReplicaSet the revision that is applied, and the templates of both sides which revision the primary runs. A target counts as
changed only where its ReplicaSet is younger than Flagger's last write.

Flagger's hashes stay in the status until the target changes (`CanaryStatus.flagger_applied`): a Flagger that is started again, or that is
still there, finds nothing new.
"""

from __future__ import annotations

from collections.abc import Mapping

from flaggerpy.api.status import CanaryStatus, FlaggerHash, Phase, from_timestamp
from flaggerpy.rollout import starting
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import KeepRevision
from flaggerpy.rollout.facts import UNKNOWN, Found, RouteFacts, Split, WorkloadFacts
from flaggerpy.rollout.phases import ACTIVE
from flaggerpy.rollout.revision import release_revision
from flaggerpy.rollout.traffic import ready_count
from flaggerpy.rollout.weights import FULL, iterations

LATE = frozenset({Phase.PROMOTING, Phase.FINALISING})
"""Phases in which the next move is not an interval away: a Flagger that lives is given the time to show itself."""
SHORTEST = 10.0
LONGEST = 60.0
"""Seconds between which that time lies; it is the Canary's interval, as Flagger's looks are one interval apart and never below 10 s."""
AGAIN = 5.0
"""Seconds after which what could not be read is read again: no event tells that it can be."""
_NOT_YET = frozenset({Phase.NONE, Phase.INITIALIZING, Phase.TERMINATING, Phase.TERMINATED})


def is_flaggers(status: CanaryStatus) -> bool:
    """True for a status that Flagger wrote last, of a Canary that it had initialised."""
    return status.observed_generation is None and status.run is None and status.phase not in _NOT_YET


def adopt(d: Draft) -> bool:
    """Make the status ours. False while what that needs is not known: the status then stays Flagger's, and nothing is touched."""
    facts = d.facts
    if UNKNOWN in (facts.target, facts.primary, facts.kept, facts.configs, facts.found):
        d.wait(f"the state of {d.canary.target}, to take it over from Flagger")
        d.wake_at(d.now + AGAIN)
        return False
    target = d.fit_target(": it cannot be taken over from Flagger")
    if target is None:
        return False
    if not d.target_revision:
        d.wait(f"the newest state of {d.canary.target}, to take it over from Flagger")
        return False
    split = _present_split(d)
    if split is None:
        d.wait(f"the route of {d.canary.apex} to be read, to take it over from Flagger")
        return False
    if d.status.phase in LATE:
        until = facts.quiet_since + min(max(d.canary.spec.plan.interval_seconds, SHORTEST), LONGEST)
        if d.now < until:
            d.wait("Flagger to be silent for an interval", until=until, then=f"the run goes on from {d.status.phase}")
            return False
    _take_over(d, target, split)
    return True


def _present_split(d: Draft) -> Split | None:
    """What the route says; what the status says where there is no route, and None while the route cannot be read."""
    if not d.facts.supports_weights:
        return Split()
    if not isinstance(d.facts.route, RouteFacts):
        return None
    return d.facts.route.split or Split(canary=d.status.canary_weight)


def _take_over(d: Draft, target: WorkloadFacts, split: Split) -> None:
    status, phase = d.status, d.status.phase
    found = d.facts.found if isinstance(d.facts.found, Found) else None
    configs = _seen_configs(d)
    seen = "" if _changed(d, target) else release_revision(target.revision, configs)
    revision = seen or status.last_applied_spec
    if phase in (Phase.INITIALIZED, Phase.SUCCEEDED):
        promoted = found.revision if found else (seen or status.last_promoted_spec)
    elif found and not (phase in LATE and found.revision == revision) and not (phase is Phase.FAILED and split.canary):
        promoted = found.revision
    else:
        # its template is not to be had: a promotion under way or one that failed has put another one in its place
        promoted = status.last_promoted_spec
    idle = phase not in ACTIVE
    # before its first gate the release is not applied yet: what Flagger's hash stands for is what was applied before
    applied = promoted if phase is Phase.WAITING else revision
    d.set(
        last_applied_spec=applied,
        last_promoted_spec=promoted,
        flagger_applied=_hash(applied, status.last_applied_spec),
        flagger_promoted=_hash(promoted, status.last_promoted_spec),
        iterations=max(status.iterations, 0),
        canary_weight=split.canary if not idle or phase is Phase.FAILED else 0,
        applied_images=list(target.images) if seen else [],
        promoted_images=list(target.images) if promoted == seen else list(found.images) if found else [],
        promoted_configs=configs if promoted == seen else dict(found.configs) if found and found.configs is not None else None,
    )
    if not idle:
        _run(d, target, split, revision)
    keep_promoted(d)
    d.event("Normal", f"{d.canary.key} is taken over from Flagger: {phase}, {split.canary}% of the traffic on the canary")


def _changed(d: Draft, target: WorkloadFacts) -> bool:
    """Whether the target's template came after Flagger's last look, by the ReplicaSet that was made for it."""
    try:
        last = from_timestamp(d.status.last_transition_time or "")
    except ValueError:
        return False
    return target.revision_born > last


def _seen_configs(d: Draft) -> dict[str, str] | None:
    """The configs as Flagger saw them; as they are now where it did not track any."""
    now = d.facts.configs
    if not isinstance(now, Mapping):
        return None
    seen = d.status.tracked_configs
    return dict(now) if seen is None else dict(seen)


def _hash(ours: str, theirs: str) -> FlaggerHash | None:
    return FlaggerHash(revision=ours, hash=theirs) if theirs and ours != theirs else None


def _run(d: Draft, target: WorkloadFacts, split: Split, revision: str) -> None:
    """The memory of the run under way, as far as it can be told: what was reached counts as reached, and the step's time begins now."""
    status, primary = d.status, d.primary
    run = starting.new_run(d, target, revision)
    reached = status.phase not in (Phase.WAITING, Phase.PROGRESSING)
    started = reached or split.canary > 0 or split.mirror or status.iterations > 0
    total = iterations(d.canary.spec.plan, d.facts.supports_weights)
    changes: dict[str, object] = {"progressing_at": d.now}
    if status.phase in LATE and primary is not None and primary.flagger_id and not primary.source_revision:
        # the primary has the run's template from Flagger: what carries this id is not written once more, which would roll its pods
        changes["id"] = primary.flagger_id
    if started:
        changes |= {
            "settled": True,
            "pre_rollout_done": True,
            "gates_passed": ["started"],
            "carried_weight": True,
            "step_ready_pods": ready_count(target),
            "mirrored": split.mirror,
            "routed_to_canary": bool(total) and split.canary == FULL,
        }
    d.set(run=run.model_copy(update=changes))
    d.do(KeepRevision(revision))


def keep_promoted(d: Draft) -> None:
    """The promoted template is kept wherever it can still be had: the target holds it, or the primary's twin among its ReplicaSets."""
    promoted, kept = d.status.last_promoted_spec, d.facts.kept
    if not promoted or not isinstance(kept, frozenset) or promoted in kept:
        return
    found = d.facts.found
    if found is UNKNOWN:
        d.wake_at(d.now + AGAIN)
    if promoted == d.target_revision or (isinstance(found, Found) and found.revision == promoted):
        d.do(KeepRevision(promoted))
