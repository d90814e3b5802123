"""The first steps: primary from the target, Services and route around it, target to zero. The target's traffic is never left alone.

Order: primary made and ready; the route leads to it; then the apex Service does, for those who ask it directly; drain; and only then is
the target scaled down. A route of the user that is taken over under load learns of our backends a moment before it leads to them
(`traffic.announced`). The apex Service comes last as its change moves the traffic of all who use it; where there is none yet it comes
first, as a route may need it for its parent and nobody can be using it.
"""

from __future__ import annotations

from flaggerpy.api.status import Phase, RunState
from flaggerpy.rollout import handover, health
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import CheckProviders, EnsurePrimary, EnsureServices, KeepRevision
from flaggerpy.rollout.facts import UNKNOWN, Found, WorkloadFacts
from flaggerpy.rollout.phases import Cause
from flaggerpy.rollout.revision import run_id
from flaggerpy.rollout.traffic import announced, drained, routed


def initialising(d: Draft) -> None:
    """See the module."""
    if d.status.phase is Phase.NONE:
        d.enter(Phase.INITIALIZING, Cause.SEEN)
    if d.facts.target is UNKNOWN or d.facts.primary is UNKNOWN or d.facts.kept is UNKNOWN or d.facts.found is UNKNOWN:
        d.wait(f"the state of {d.canary.target}")
        return
    target = d.fit_target()
    if target is None or not handover.may_begin(d):
        return
    revision = d.target_revision
    if not revision:
        d.wait(f"the newest state of {d.canary.target}")
        return
    _remember(d, target, revision)
    if not d.facts.services_ready:
        d.do(EnsureServices(apex=False))
    _providers(d)
    if d.run.revision not in d.facts.kept:
        d.do(KeepRevision(d.run.revision))
        d.wait(f"the template of {d.run.revision} to be kept")
        return
    if not _primary_ready(d):
        return
    if not d.facts.services_ready or not d.facts.apex_exists:
        d.do(EnsureServices(apex=not d.facts.apex_exists))
        d.wait(f"the Services of {d.canary.apex} to be made")
        return
    if not handover.floor_stands(d) or not announced(d) or not routed(d):
        return
    if not d.facts.apex_ready:
        d.do(EnsureServices(apex=True))
        d.wait(f"the Service {d.canary.apex} to lead to the primary")
        return
    if not drained(d):
        return
    if target.replicas > 0:
        handover.to_zero(d)
        d.wait(f"{d.canary.target} to be scaled to zero")
        return
    _initialised(d)


def _remember(d: Draft, target: WorkloadFacts, revision: str) -> None:
    """The bootstrap is remembered as a run of number 0; a target that changes meanwhile begins it anew (Q-17)."""
    primary, kept = d.primary, d.facts.kept
    if isinstance(kept, frozenset) and d.status.last_promoted_spec in kept:
        # A Canary that was there before, back from its deletion: the target's newer template must be analysed.
        revision = d.status.last_promoted_spec
    elif primary is not None and isinstance(kept, frozenset) and primary.source_revision in kept:
        # A primary of ours from before: what it runs is what is promoted.
        revision = primary.source_revision if d.status.run is None else revision
    if d.status.run is not None and (d.status.run.revision == revision or _is_older_primary(d)):
        return
    d.set(
        run=RunState(
            id=run_id(d.canary.uid, revision, 0), revision=revision, attempt=0, images=list(target.images), started_at=d.now,
            replicas=target.replicas or (primary.replicas if primary else 0) or 1, carried_weight=target.replicas > 0,
        ),
        last_applied_spec=revision,
        applied_images=list(target.images),
    )  # fmt: skip


def _made_by_flagger(d: Draft) -> bool:
    """The primary runs this very revision, from a Flagger that had begun with it: its pods need not be made anew."""
    found = d.facts.found
    return isinstance(found, Found) and found.revision == d.run.revision


def _is_older_primary(d: Draft) -> bool:
    """The bootstrap took a primary of before at its own template: it stays at it."""
    run, primary = d.run, d.primary
    return primary is not None and primary.source_revision == run.revision and primary.flagger_id not in ("", run.id)


def _providers(d: Draft) -> None:
    spec = d.canary.spec
    if spec.skips_analysis or not spec.plan.metrics or "providers" in d.run.gates_passed:
        return
    if d.facts.providers is None:
        d.do(CheckProviders())
        return
    d.set_run(gates_passed=[*d.run.gates_passed, "providers"])
    if d.facts.providers:
        d.event("Warning", f"Error checking metric providers: {'; '.join(d.facts.providers)}")
    else:
        d.event("Normal", "all the metrics providers are available!")


def _primary_ready(d: Draft) -> bool:
    run, primary = d.run, d.primary
    if primary is None or (primary.source_revision != run.revision and not _made_by_flagger(d)):
        d.do(EnsurePrimary(run.revision, run.id, run.replicas))
        d.wait(f"{d.canary.target}-primary to be made")
        return False
    if not primary.owned:
        # an earlier Canary left it behind
        d.do(EnsurePrimary(run.revision, primary.flagger_id or run.id, primary.replicas or run.replicas or 1))
        d.wait(f"{d.canary.target}-primary to belong to this Canary")
        return False
    if primary.replicas == 0:
        d.do(EnsurePrimary(run.revision, primary.flagger_id or run.id, run.replicas or 1))
    handover.take_over(d)
    verdict = health.judge_primary(d)
    if health.rolled_out(d):
        return True
    if verdict.cause:
        d.event("Warning", f"{d.canary.target}-primary.{d.canary.namespace} not ready: {verdict.cause}")
        d.alert("error", f"Initialization failed: {verdict.cause}", with_facts=True)
        d.set_run(verdict=verdict.cause)
        d.record("Failed", verdict.cause)
        d.enter(Phase.FAILED, Cause.BOOTSTRAP_FAILED)
        d.set(run=None)
        return False
    d.wait(
        f"{d.canary.target}-primary.{d.canary.namespace} not ready: {verdict.waiting}",
        until=verdict.until,
        then="initialisation fails; the target and its Service stay as they are",
        advice=verdict.advice,
    )
    return False


def _initialised(d: Draft) -> None:
    run, configs = d.run, d.facts.configs
    tracked = dict(configs) if isinstance(configs, dict) else None
    d.record("Initialized")
    d.enter(Phase.INITIALIZED, Cause.INITIALISED)
    d.set(
        tracked_configs=tracked, promoted_configs=tracked,
        promoted_images=run.images, pod_failures=[], failed_checks=0, canary_weight=0, iterations=0,
    )  # fmt: skip
    d.event("Normal", f"Initialization done! {d.canary.key}")
    d.alert("info", f"New {d.canary.kind} detected, initialization completed.", with_facts=True)
    d.promoted(run.revision)
    d.set(run=None)
