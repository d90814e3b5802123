"""Between releases: Initialized, Succeeded, Failed, and Waiting for the first gate.

Nothing is written here while nothing changed: each effect is asked for only where the facts differ.
"""

from __future__ import annotations

from flaggerpy.api.status import IDLE, Phase
from flaggerpy.rollout import handover, starting
from flaggerpy.rollout.adopting import keep_promoted
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import EnsurePrimary, ForgetRevisions
from flaggerpy.rollout.facts import UNKNOWN
from flaggerpy.rollout.health import rolled_out
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.rollback import asked_back, roll_back
from flaggerpy.rollout.traffic import ensure_route, ensure_services, routed, serving_count
from flaggerpy.rollout.upkeep import mend_primary


def idle(d: Draft) -> None:
    """Keep what was generated, and look for a new revision."""
    _idle(d)
    handover.release(d)


def _idle(d: Draft) -> None:
    if d.status.phase is Phase.FAILED and not d.status.last_promoted_spec:
        _bootstrap_again(d)
        return
    _keep(d)
    if d.facts.target is UNKNOWN:
        return
    target = d.fit_target(": the primary keeps serving")
    if target is None or not handover.may_begin(d):
        return
    revision = d.target_revision
    if not revision:
        # The ReplicaSet of a changed template comes within the tenth of a second; a status write now would only stand before the run's.
        return
    if revision == d.status.last_promoted_spec:
        if d.status.run is not None or d.status.reverting is not None:
            d.set(run=None, reverting=None)
        if d.status.last_applied_spec != revision:
            # Back to what runs: never a release, and the revision that was given up counts as new when it comes again.
            d.set(last_applied_spec=revision, applied_images=d.status.promoted_images, tracked_configs=d.status.promoted_configs)
        handover.follow_size(d)
        return
    asked = d.status.run is not None and d.status.run.revision == revision
    if revision != d.status.last_applied_spec:
        starting.detect(d, target, revision, Cause.NEW_REVISION)
    elif asked:
        # a person retries, and the answer of the gates was not there at once
        starting.gates(d, Cause.RETRIED)


def waiting(d: Draft) -> None:
    """Before the confirm-rollout gate: nothing is scaled; the newest revision is the one that is approved."""
    _waiting(d)
    handover.release(d)


def _waiting(d: Draft) -> None:
    if d.run.verdict is not None:
        roll_back(d)
        return
    _keep(d)
    target, revision = d.target, d.target_revision
    if asked_back(d):
        return
    if target is None or not revision:
        d.wait(f"the newest state of {d.canary.target}")
        return
    if revision == d.status.last_promoted_spec:
        d.record("Superseded", "the target went back to the promoted revision")
        d.enter(Phase.SUCCEEDED, Cause.WENT_BACK)
        d.set(run=None, last_applied_spec=revision)
        return
    if revision != d.run.revision:
        starting.prepare(d, target, revision)
    starting.gates(d, Cause.GATE_PASSED)


def _keep(d: Draft) -> None:
    ensure_services(d)
    keep_promoted(d)
    _forget(d)
    handover.keep(d)
    promoted = d.status.last_promoted_spec
    kept = isinstance(d.facts.kept, frozenset) and promoted in d.facts.kept
    if d.facts.primary is None and kept:
        if _first(d):
            d.event("Warning", f"{d.canary.target}-primary is gone: it comes back with its last promoted template")
        d.do(EnsurePrimary(promoted, promoted))
    mend_primary(d)
    if d.status.canary_weight > 0:
        _back_to_primary(d, kept)
    if d.facts.supports_weights and d.facts.primary is not None:
        ensure_route(d)
        routed(d)  # names what the route waits for


def _forget(d: Draft) -> None:
    """What the end of a run forgets, where the controller did not live to see it done."""
    status, kept = d.status, d.facts.kept
    needed = {status.last_promoted_spec, status.last_applied_spec}
    wanted = needed | {*status.promoted_revisions}
    # of a Canary that was taken over from Flagger it is not known yet which of them runs
    if status.phase in IDLE and isinstance(kept, frozenset) and status.last_promoted_spec in kept and kept - wanted:
        d.do(ForgetRevisions(but=tuple(sorted(wanted)), configs_of=tuple(sorted(needed))))


def _first(d: Draft) -> bool:
    """True when the last decision did not wait for the primary already."""
    text = f"{d.canary.target}-primary to come back"
    known = d.before.progress is not None and d.before.progress.waiting_for == text
    d.wait(text)
    return not known


def _back_to_primary(d: Draft, kept: bool) -> None:
    """After a promotion that failed with the traffic left on the canary: heal as soon as the primary can hold it."""
    promoted, primary = d.status.last_promoted_spec, d.primary
    if kept and primary is not None and primary.source_revision != promoted:
        d.do(EnsurePrimary(promoted, promoted))
    restored = primary is not None and primary.source_revision == promoted and rolled_out(d)
    lost = d.facts.target is not UNKNOWN and serving_count(d.target) == 0
    if serving_count(primary) > 0 and (restored or lost):
        d.event("Normal", "Routing all traffic to primary")
        d.set(canary_weight=0)
        return
    d.wait(
        f"{d.canary.target}-primary, which is not ready: all traffic stays on the canary",
        advice=f"kubectl -n {d.canary.namespace} describe {d.canary.kind.lower()} {d.canary.target}-primary",
    )


def _bootstrap_again(d: Draft) -> None:
    """Initialising failed: it goes on when the target was mended, or its primary got ready after all (Q-16) or was taken away."""
    revision = d.target_revision
    changed = revision and revision != d.status.last_applied_spec
    if changed or d.facts.primary is None or rolled_out(d):
        d.enter(Phase.INITIALIZING, Cause.BOOTSTRAP_MENDED)
        d.set(run=None, pod_failures=[])
        d.wait("the primary to be initialised anew")
        d.wake_at(d.now)
