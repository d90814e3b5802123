"""What must hold in every reachable state, whatever happened: one list, for the exhaustive exploration and for the random histories.

`CHECKS` look at one decision before it is carried out, `AT_REST` at a state in which nothing changes any more until an event or the
clock, `at_the_end` at a release that ended after all was mended. A check raises `Violation` with a sentence. Source: design.md.
"""

from __future__ import annotations

from collections.abc import Callable

from flaggerpy.api.status import Phase, from_timestamp
from flaggerpy.model.scene import Scene, Violation
from flaggerpy.model.world import ROUTE_LAG, World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import UNKNOWN, RouteFacts, Split, WorkloadFacts
from flaggerpy.rollout.phases import ACTIVE, IDLE, Cause
from flaggerpy.rollout.safety import MAX_RELAPSES
from flaggerpy.rollout.traffic import DRAIN, WARM, ready_count, serving_count
from flaggerpy.rollout.weights import plan


def must(holds: bool, sentence: str) -> None:
    """Raise Violation with the sentence unless it holds."""
    if not holds:
        raise Violation(sentence)


def carries(split: Split | None) -> bool:
    """True when requests of people (not mirrored ones) reach the canary."""
    return split is not None and (split.canary > 0 or split.match)


def splits(decision: Decision) -> list[Split]:
    return [effect.split for effect in decision.effects if isinstance(effect, fx.SetSplit)]


def traffic_goes_only_to_ready_pods_of_the_run(world: World, decision: Decision) -> None:
    for split in splits(decision):
        if split.canary <= (world.route.canary if world.route else 0):
            continue
        target, run, status = world.facts().target, decision.status.run, decision.status
        primary = world.facts().primary
        alone = isinstance(primary, WorkloadFacts | None) and serving_count(primary) == 0
        if alone and split.canary <= world.typed.canary_weight:
            continue  # a foreign edit is put right; no side has pods that it could be better led to
        must(isinstance(target, WorkloadFacts), "weight rises while the target cannot be read")
        assert isinstance(target, WorkloadFacts)
        must(ready_count(target) > 0, "weight rises for a canary without a ready pod")
        stays = run is None or run.verdict is not None or status.canary_weight == 100
        must(stays or (run is not None and run.revision == decision_revision(world, target)), "weight rises for pods of another revision")


def decision_revision(world: World, target: WorkloadFacts) -> str:
    from flaggerpy.rollout.revision import release_revision

    return release_revision(target.revision, world.configs if isinstance(world.configs, dict) else None)


def nothing_that_is_routed_to_is_scaled_down(world: World, decision: Decision) -> None:
    if fx.ScaleTarget(0) in decision.effects:
        must(not carries(world.route), "the canary is scaled down while the route leads to it")
        must(world.apex, "the target is scaled down while the apex Service leads to it")


def the_last_ready_side_is_never_scaled_down(world: World, decision: Decision) -> None:
    if fx.ScaleTarget(0) not in decision.effects:
        return
    facts = world.facts()
    target, primary = facts.target, facts.primary
    must(target is not UNKNOWN and primary is not UNKNOWN, "the target is scaled down while a side cannot be read")
    primary_serves = isinstance(primary, WorkloadFacts) and serving_count(primary) > 0
    target_serves = isinstance(target, WorkloadFacts) and ready_count(target) > 0
    must(primary_serves or not target_serves, "the only side with ready pods is scaled down")


def a_side_is_drained_before_it_is_scaled_down(world: World, decision: Decision) -> None:
    run = world.typed.run
    if fx.ScaleTarget(0) not in decision.effects or run is None or not world.weights or not run.carried_weight:
        return
    left = left_canary_at(world)
    must(left is None or world.now >= left + DRAIN - 1e-6, "the canary is scaled down before requests under way had their time to end")


def left_canary_at(world: World) -> float | None:
    """When the route left the canary last (epoch seconds), None when it never led to it or still does."""
    return None if carries(world.route) else last_left(world)


def last_left(world: World) -> float | None:
    """When a write of ours took the canary its requests last (epoch seconds), None when none did."""
    left = None
    for (_, before), (at, after) in zip(world.route_writes, world.route_writes[1:], strict=False):
        if carries(before) and not carries(after):
            left = at
    return left


def a_route_of_the_user_is_taken_over_step_by_step(world: World, decision: Decision) -> None:
    for effect in decision.effects:
        if isinstance(effect, fx.SetSplit) and world.foreign:
            must(world.leads_at is not None, "a route is taken over before it leads to the primary")
            must(world.now >= (world.leads_at or 0.0) + ROUTE_LAG + WARM, "a route is taken over before proxies followed")
        if effect == fx.AnnounceBackends(lead=True):
            must(world.announced_at is not None, "a route leads to backends that it did not name before")
            must(world.now >= (world.announced_at or 0.0) + ROUTE_LAG + WARM, "a route leads to backends before proxies know them")
        if effect == fx.EnsureServices(apex=True) and world.apex_exists and not world.apex and world.weights:
            must(world.route is not None, "the apex Service turns before there is a route")
            must(world.now >= world.route_at + ROUTE_LAG - 1e-6, "the apex Service turns before the route is accepted")


def the_primary_gets_only_the_run_s_template(world: World, decision: Decision) -> None:
    for effect in decision.effects:
        if not isinstance(effect, fx.EnsurePrimary) or effect.revision == world.typed.last_promoted_spec:
            continue
        phases, run = {world.phase, decision.status.phase}, decision.status.run or world.typed.run
        must(bool(phases & {Phase.INITIALIZING, Phase.PROMOTING, Phase.FINALISING}), f"the primary gets a template in {world.phase}")
        must(run is not None and effect.revision == run.revision, "the primary gets a template that is not the run's")


def only_what_passed_is_promoted(world: World, decision: Decision) -> None:
    passed = any(cause is Cause.PASSED for _, cause, _ in decision.moves)
    run = decision.status.run or world.typed.run
    if not passed or run is None or not world.weights:
        return
    written = written_in_run(world, run.progressing_at or run.started_at)
    steps = plan(world.canary.spec.plan)
    if world.canary.spec.plan.iterations or not steps:
        must(any(split.match or split.canary == 100 for split in written), "promoted without having had its requests")
    else:
        must(max((split.canary for split in written), default=0) >= steps[-1], "promoted before the last weight of its plan")


def written_in_run(world: World, began: float) -> list[Split]:
    """The splits that stood in the run: the one that it found, and those that it wrote."""
    found = [split for at, split in world.route_writes if at < began - 1][-1:]
    return found + [split for at, split in world.route_writes if at >= began - 1]


def no_weight_rises_twice_in_an_interval(world: World, decision: Decision) -> None:
    run, status = decision.status.run, decision.status
    if run is None or status.phase not in ACTIVE or run.undo_promotion or status.canary_weight == 100 or run.cut is not None:
        return
    raised, stored = raised_at(world), world.typed.run
    if raised is None or run.skip or (stored is not None and stored.skip):
        return  # a person may skip what is left of an interval
    at, weight = raised
    if any(order.command == "skip" and from_timestamp(order.at) >= at - 1 for order in run.orders):
        return  # and whoever died after having taken it up is followed by one who has only its memory
    for split in splits(decision):
        before = world.route.canary if world.route else 0
        if split.canary > max(before, weight) and at >= (run.progressing_at or run.started_at):
            interval = world.canary.spec.plan.interval_seconds
            must(world.now >= at + interval - 1e-6, "the weight rises twice in one interval")


def raised_at(world: World) -> tuple[float, int] | None:
    """When the weight rose last to a new step, and to what; a cut that is undone is no step."""
    found = None
    top = 0
    for at, split in world.route_writes:
        if split.canary > top:
            found = (at, split.canary)
        top = max(top, split.canary) if split.canary else 0
    return found


def the_status_is_written_before_the_route(world: World, decision: Decision) -> None:
    status = decision.status
    for split in splits(decision):
        told = {status.canary_weight, status.run.cut if status.run else None}
        must(split.canary in told, f"the route gets {split.canary}% while the status says {status.canary_weight}%")


def what_cannot_be_read_is_left_alone(world: World, decision: Decision) -> None:
    facts = world.facts()
    for effect in decision.effects:
        match effect:
            case fx.ScaleTarget():
                must(facts.target is not UNKNOWN or world.deleting, "the target is scaled though it cannot be read")
            case fx.SetSplit():
                must(isinstance(facts.route, RouteFacts), "the route is written though it cannot be read")
            case fx.EnsurePrimary(revision=revision):
                must(facts.kept is UNKNOWN or revision in facts.kept, "the primary gets a template that is not kept")


def a_held_release_is_not_moved_forward(world: World, decision: Decision) -> None:
    if world.deleting or not (world.problems or world.canary.spec.suspend):
        return
    before = world.typed
    must(decision.status.canary_weight <= before.canary_weight, "the weight rises while the release is held")
    held = (before.phase, Phase.INITIALIZING if before.phase is Phase.NONE else before.phase, Phase.PROGRESSING)
    must(decision.status.phase in held, f"a held release went from {before.phase} to {decision.status.phase}")
    for effect in decision.effects:
        must(not isinstance(effect, fx.ScaleTarget | fx.EnsurePrimary), "a held release is scaled or promoted")


def every_state_ends_or_says_what_it_waits_for(world: World, decision: Decision) -> None:
    if decision.status.phase not in IDLE and not (world.deleting and not world.finalizers):
        named = decision.status.progress is not None or decision.wake is not None or fx.RemoveFinalizer() in decision.effects
        must(named or decision.status.to_obj() != world.status, "nothing changes and nothing is waited for")


def conditions_are_consistent(world: World, decision: Decision) -> None:
    status = decision.status
    told = {condition.type: condition.status for condition in status.conditions}
    if status.phase is not Phase.NONE and not world.deleting:
        must(bool(status.conditions) and status.conditions[0].type == "Promoted", "Promoted is not the first condition")
        must((told["Promoted"] == "True") == (status.phase in (Phase.INITIALIZED, Phase.SUCCEEDED)), f"Promoted in {status.phase}")
    must(sum(told.get(name) == "True" for name in ("Ready", "Reconciling", "Stalled")) <= 1, f"conditions contradict: {told}")
    must(told.get("Ready") != "True" or status.phase in (Phase.INITIALIZED, Phase.SUCCEEDED), f"Ready in {status.phase}")


def the_status_stays_small(world: World, decision: Decision) -> None:
    status = decision.status
    must(0 <= status.canary_weight <= 100, f"weight {status.canary_weight}")
    must(len(status.history) <= 10 and len(status.pod_failures) <= 10 and len(status.outbox) <= 20, "the status grows")
    must(status.phase not in ACTIVE | {Phase.TERMINATING} or status.run is not None, f"no run in {status.phase}")
    held = bool(world.problems) or world.canary.spec.suspend
    ended = status.run is None or status.run.verdict is not None
    # While nobody can tell which revision the target has, no verdict is given: the run has no traffic, and is rolled back afterwards.
    target = world.facts().target
    untold = target is UNKNOWN or (target is not None and not target.fresh)
    bound = MAX_RELAPSES + (untold and status.canary_weight == 0)
    must(ended or held or (status.run is not None and status.run.relapses <= bound), "a run relapses for ever")


def a_side_has_the_pods_for_what_is_led_to_it(world: World, decision: Decision) -> None:
    """With an autoscaler, and where the other side serves as well: what a run found, and never less, carries all traffic (P-2)."""
    run, scaler, facts = decision.status.run, world.scaler, world.facts()
    before = world.route.canary if world.route is not None else None
    if scaler is None or run is None or run.floor is None or before is None or run.verdict is not None:
        return
    target, primary = facts.target, facts.primary
    if not isinstance(target, WorkloadFacts) or not isinstance(primary, WorkloadFacts):
        return
    for split in splits(decision):
        raised = split.canary > max(before, world.typed.canary_weight)
        if raised and serving_count(primary) > 0 and f"pods/{split.canary}" not in run.gates_passed:
            need = min(-(-run.floor * split.canary // 100), scaler.most)
            must(ready_count(target) >= need, f"{split.canary}% is led to a canary of fewer than {need} pods")
        if split.canary < before and decision.status.phase is Phase.FINALISING and ready_count(target) > 0:
            need = min(max(run.floor, ready_count(target) if before == 100 else 0), scaler.most)
            must(serving_count(primary) >= need, f"all is led to a primary of fewer than {need} pods")


def a_floor_holds_as_long_as_its_run(world: World, decision: Decision) -> None:
    before, run = world.typed.run, decision.status.run
    if before is not None and run is not None and before.id == run.id and before.floor is not None:
        must(run.floor is not None and run.floor >= before.floor, "the primary's floor falls in a run")
    for effect in decision.effects:
        if isinstance(effect, fx.EnsureScaler) and effect.floor is None:
            must(world.phase in IDLE | {Phase.WAITING}, f"the primary's floor is taken off in {world.phase}")


def a_canary_goes_only_when_its_traffic_is_looked_after(world: World, decision: Decision) -> None:
    """With the finalizer go the primary and its Services: what they serve is the target's by then, or they stay."""
    reverts = world.deleting and world.canary.spec.revert_on_deletion and decision.status.phase is Phase.TERMINATING
    if fx.RemoveFinalizer() not in decision.effects or not reverts or not decision.status.last_applied_spec:
        return
    facts, run = world.facts(), decision.status.run
    target, primary = facts.target, facts.primary
    must(target is not UNKNOWN and primary is not UNKNOWN, "the Canary goes while a side cannot be read")
    if not isinstance(primary, WorkloadFacts) or serving_count(primary) == 0:
        return
    if fx.LeaveBehind(primary=True) in decision.effects:
        must(run is None or run.drain_since is None, "a primary is left behind whose route leads away already")
        return
    if target is None or (run is not None and world.now >= (run.progressing_at or world.now) + world.canary.spec.progress_deadline_seconds):
        return
    must(isinstance(target, WorkloadFacts) and serving_count(target) > 0, "the Canary goes while the target does not serve")
    must(world.reverted, "the Canary goes while its Service or route leads to what goes with it")
    must(world.now >= (world.back_at or 0.0) + DRAIN - 1e-6, "the Canary goes before requests under way had their time to end")


def a_route_is_given_back_step_by_step(world: World, decision: Decision) -> None:
    target, primary = world.facts().target, world.facts().primary
    alone = isinstance(primary, WorkloadFacts | None) and serving_count(primary) == 0
    for effect in decision.effects:
        if isinstance(effect, fx.SetSplit):
            must(not (world.deleting and world.back), "a route that is being given back is taken again")
        if not isinstance(effect, fx.RestoreRouting) or effect.lenient or target is None or alone:
            continue
        serves = isinstance(target, WorkloadFacts) and ready_count(target) > 0
        must(serves or world.back > 0 or not world.apex, "traffic is given to a target without pods")
        took_over = world.foreign and world.leads_at is not None
        if effect.step == "lead" and not took_over:
            must(world.back == 1 and world.now >= (world.back_at or 0.0) + WARM, "a route leads to backends before proxies know them")
        if effect.step == "end" and (took_over or not world.foreign):
            must(world.back == 2 and world.now >= (world.back_at or 0.0) + WARM, "a route forgets backends that proxies still lead to")


CHECKS: tuple[Callable[[World, Decision], None], ...] = (
    traffic_goes_only_to_ready_pods_of_the_run,
    nothing_that_is_routed_to_is_scaled_down,
    the_last_ready_side_is_never_scaled_down,
    a_side_is_drained_before_it_is_scaled_down,
    a_route_of_the_user_is_taken_over_step_by_step,
    the_primary_gets_only_the_run_s_template,
    only_what_passed_is_promoted,
    no_weight_rises_twice_in_an_interval,
    the_status_is_written_before_the_route,
    what_cannot_be_read_is_left_alone,
    a_held_release_is_not_moved_forward,
    a_canary_goes_only_when_its_traffic_is_looked_after,
    a_route_is_given_back_step_by_step,
    every_state_ends_or_says_what_it_waits_for,
    conditions_are_consistent,
    the_status_stays_small,
    a_side_has_the_pods_for_what_is_led_to_it,
    a_floor_holds_as_long_as_its_run,
)


def it_sleeps_until_something_happens(scene: Scene, decision: Decision) -> None:
    must(decision.wake is None or decision.wake > scene.now + 1e-6, "the controller wakes at once, and would do so for ever")
    progress = decision.status.progress
    if progress is not None and progress.until is not None:
        until = from_timestamp(progress.until)
        must(until > scene.now - 1, f"waits for a time that is over: {progress.waiting_for}")
        must(decision.wake is not None and decision.wake < until + 1.001, f"sleeps over the end of its wait: {progress.waiting_for}")


def no_request_is_left_with_pods_that_are_lost(scene: Scene, decision: Decision) -> None:
    """The canary's weight has left pods that are not there, if the primary has some and the facts can be read."""
    if not scene.weights or scene.blind or scene.lagging or scene.deleting or scene.route is None:
        return
    status = decision.status
    if status.phase in (Phase.NONE, Phase.INITIALIZING) or not status.last_promoted_spec:
        return  # an edit of the route is put right once the primary is there
    if status.phase in IDLE and (scene.problems or scene.canary.spec.suspend):
        return  # what is at rest and held is left to its people
    facts = scene.truth()
    target, primary = facts.target, facts.primary
    serves = isinstance(primary, WorkloadFacts) and serving_count(primary) > 0
    if serves and carries(scene.route) and not (isinstance(target, WorkloadFacts) and serving_count(target) > 0):
        raise Violation(f"the route leads {scene.route.canary}% to a canary without a ready pod, in {decision.status.phase}")


def the_route_is_as_the_status_says(scene: Scene, decision: Decision) -> None:
    if not scene.weights or "route" in scene.blind or scene.deleting or scene.foreign or scene.route is None:
        return
    status = decision.status
    if status.phase in ACTIVE and not scene.problems and not scene.canary.spec.suspend:
        cut = status.run.cut if status.run is not None and status.run.verdict is None else None
        # phase Waiting and a target that cannot be read write no route; the weight is 0 before a run and stays as it was
        expected = cut if cut is not None else status.canary_weight
        must(scene.route.canary == expected or bool(scene.blind) or scene.lagging or status.phase is Phase.WAITING,
             f"the route has {scene.route.canary}% and the status wants {expected}% in {status.phase}")  # fmt: skip


AT_REST: tuple[Callable[[Scene, Decision], None], ...] = (
    it_sleeps_until_something_happens,
    no_request_is_left_with_pods_that_are_lost,
    the_route_is_as_the_status_says,
)


def at_the_end(scene: Scene) -> None:
    """After a history, when all was mended and the release has ended."""
    if scene.deleting:
        asked = scene.phase is Phase.TERMINATING and scene.canary.spec.revert_on_deletion and not scene.unheld
        served = scene.target is None or scene.target.replicas > 0
        untouched = not scene.typed.last_applied_spec
        must(not asked or untouched or scene.left or (scene.reverted and served), "gone without having given the target back")
        return
    status = scene.typed
    must(scene.primary is not None, "there is no primary")
    assert scene.primary is not None
    bootstrapped = bool(status.last_promoted_spec) or status.phase is not Phase.FAILED
    must(not bootstrapped or not carries(scene.route), "the route leads to a canary that is idle")
    must(status.canary_weight == 0, f"an idle release has weight {status.canary_weight}")
    must(not bootstrapped or scene.primary.source_revision == status.last_promoted_spec, "the primary does not run what was promoted last")
    # KEDA goes up from zero by itself
    scales = scene.scaler is not None and scene.scaler.pauses
    must(not bootstrapped or scene.primary.replicas > 0 or scales, "the primary is left at zero")
    must(not bootstrapped or not scene.primary_stale, "the primary is left as somebody edited it")
    if scene.scaler is not None and bootstrapped:
        must(scene.scaler.twin, "the primary has no autoscaler")
        must(scene.scaler.paused == scene.scaler.pauses, "the target's autoscaler is not held at zero")
    again = scene.look()
    must(scene.quiet and again.status.to_obj() == scene.status, "an ended release changes")
    must(all(isinstance(effect, fx.Deliver) for effect in again.effects), f"an ended release acts: {again.effects}")
