"""Deletion with `revertOnDeletion`: who serves at which moment, what is left behind, and that nothing hangs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from flaggerpy.api.status import Phase, timestamp
from flaggerpy.model.events import CRASHING
from flaggerpy.model.invariants import CHECKS
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE, NEVER_READY, Autoscaler
from flaggerpy.model.world import World, in_phase
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.facts import UNKNOWN, Split
from flaggerpy.rollout.traffic import DRAIN


def a_world(**spec: object) -> World:
    world = World(**{"revertOnDeletion": True, **spec})  # type: ignore[arg-type]
    world.checks = list(CHECKS)
    return world.initialised()


def deleted(world: World, limit: float = 90) -> float:
    """The Canary is deleted and goes; the seconds that took."""
    world.deleting = True
    return world.settle(lambda w: w.gone, limit=limit)


def effects_of(world: World) -> list[fx.Effect]:
    """What one look asks for."""
    return list(world.look().effects)


@pytest.mark.fault("Q-61")
@pytest.mark.parametrize("foreign", [False, True])
def test_the_route_is_led_back_in_steps_and_drained(foreign: bool) -> None:
    world = a_world(foreign=foreign)
    steps: list[str] = []
    carry_out = world.carry_out

    def noted(effect: fx.Effect, decision: object) -> None:
        if isinstance(effect, fx.RestoreRouting):
            steps.append(effect.step)
        carry_out(effect, decision)  # type: ignore[arg-type]

    world.carry_out = noted  # type: ignore[method-assign]
    deleted(world)
    assert steps == ["apex", "announce", "lead", "end"]
    assert world.back_at is not None
    assert world.now >= world.back_at + DRAIN
    assert world.target is not None
    assert world.target.replicas == 2


def test_the_target_gets_as_many_pods_as_the_primary_has_by_now() -> None:
    world = a_world()
    assert world.primary is not None
    world.primary.replicas = 5
    world.reconcile()
    deleted(world)
    assert world.target is not None
    assert world.target.replicas == 5


def test_a_size_that_somebody_sets_meanwhile_is_left_alone() -> None:
    world = a_world()
    world.behaviour["v1"] = replace(GOOD, ready_after=20.0)
    world.deleting = True
    world.settle(in_phase(Phase.TERMINATING))
    assert world.target is not None
    world.look()
    world.target.replicas = 1
    world.settle(lambda w: w.gone, limit=60)
    assert world.target.replicas == 1


def test_the_drain_of_what_was_restored_is_told_with_its_times() -> None:
    world = a_world()
    world.deleting = True
    world.settle(lambda w: w.back == 3)
    restored = world.now
    world.run_for(2)
    told = world.typed.progress
    assert told is not None
    assert told.waiting_for == "the restored routes to take effect"
    assert (told.since, told.until) == (timestamp(restored), timestamp(restored + DRAIN))


@pytest.mark.parametrize("there", [True, False])
def test_an_autoscaler_is_let_go_whether_its_target_is_there_or_not(there: bool) -> None:
    world = a_world(scaler=Autoscaler(pauses=True))
    world.settle(lambda w: w.scaler is not None and w.scaler.paused)
    if not there:
        world.target = None
    deleted(world)
    assert world.scaler is not None
    assert not world.scaler.paused


@pytest.mark.parametrize("pauses", [True, False])
def test_an_autoscaler_that_cannot_be_read_is_waited_for_half_a_minute(pauses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world = a_world(scaler=Autoscaler(pauses=pauses))
    world.settle(lambda w: w.scaler is not None and w.scaler.paused == pauses)
    monkeypatch.setattr(world, "_scaler_facts", lambda: UNKNOWN)
    took = deleted(world, limit=100)
    assert took >= 30
    # what is still held at zero cannot serve, so that the primary does
    assert world.left if pauses else world.reverted and took < 60


def test_a_canary_in_its_analysis_gets_no_more_requests_until_it_serves_alone() -> None:
    world = a_world()
    world.release("v2", replace(GOOD, ready_after=1.0))
    world.settle(lambda w: w.route is not None and w.route.canary == 20)
    world.lose_pods(world.target)
    world.deleting = True
    world.settle(lambda w: w.route == Split(0), limit=5)
    assert not world.gone
    world.heal_pods(world.target)
    world.settle(lambda w: w.gone, limit=30)
    assert "app.test takes all traffic with revision v2, which was not promoted" in world.texts()


@pytest.mark.parametrize("behaviour", [MISSING_IMAGE, NEVER_READY, CRASHING])
@pytest.mark.fault("Q-61", "Q-28")
def test_a_target_that_does_not_serve_leaves_the_primary_behind(behaviour: object) -> None:
    world = a_world()
    world.release("v2", behaviour)  # type: ignore[arg-type]
    world.settle(in_phase(Phase.FAILED), limit=120)
    took = deleted(world, limit=90)
    assert took <= 66
    assert world.left
    assert not world.back
    assert world.apex
    assert world.route == Split(0)
    [told] = [text for kind, text in world.events if kind == "Warning" and "stays when the Canary goes" in text]
    assert "app.test is not ready (" in told


def test_a_target_that_does_not_serve_while_nothing_else_does_goes_with_a_warning() -> None:
    world = a_world()
    world.release("v2", NEVER_READY)
    world.broken_pods = "app-primary"
    deleted(world)
    assert world.reverted
    assert not world.left
    assert any("and app-primary neither: nothing serves" in text for kind, text in world.events if kind == "Warning")


def test_a_primary_that_goes_first_makes_nobody_wait_for_pods_before_the_traffic_is_led_back() -> None:
    world = a_world()
    world.behaviour["v1"] = replace(GOOD, ready_after=30.0)
    world.deleting, world.primary = True, None
    world.settle(lambda w: w.reverted, limit=12)
    assert not world.gone
    world.settle(lambda w: w.gone, limit=40)


@pytest.mark.fault("Q-28")
def test_without_its_target_a_canary_goes_at_once_and_says_that_nothing_serves() -> None:
    world = a_world(foreign=True)
    world.target = None
    assert deleted(world) <= 1
    assert world.reverted
    assert any("Deployment app.test is gone: nothing serves" in text for kind, text in world.events if kind == "Warning")


@pytest.mark.fault("Q-28")
def test_a_route_that_cannot_be_read_keeps_the_primary_as_it_may_lead_there() -> None:
    world = a_world()
    facts = world.facts
    world.facts = lambda: replace(facts(), route=UNKNOWN)  # type: ignore[method-assign]
    assert 30 <= deleted(world) <= 40
    assert world.left
    assert any("the route of app cannot be read: app-primary goes on serving" in text for text in world.texts())


@pytest.mark.fault("Q-28")
def test_a_route_that_was_seen_to_be_restored_needs_no_primary_though_it_cannot_be_read_any_more() -> None:
    world = a_world()
    world.deleting = True
    world.settle(lambda w: w.typed.run is not None and w.typed.run.drain_since is not None, limit=60)
    world.run_for(1)
    facts = world.facts
    world.facts = lambda: replace(facts(), route=UNKNOWN)  # type: ignore[method-assign]
    world.lose_pods(world.target)
    world.run_for(40)
    assert not world.gone
    assert not any(isinstance(effect, fx.LeaveBehind) for effect in effects_of(world))
    world.heal_pods(world.target)
    assert world.settle(lambda w: w.gone, limit=20) <= 20
    assert not world.left


def test_a_target_that_breaks_while_it_is_given_its_traffic_back_holds_the_canary() -> None:
    world = a_world()
    world.deleting = True
    world.settle(lambda w: w.back == 3, limit=30)
    world.lose_pods(world.target)
    world.run_for(20)
    assert not world.gone
    world.heal_pods(world.target)
    world.settle(lambda w: w.gone, limit=10)


def test_a_target_that_fails_for_good_while_it_is_given_its_traffic_back_holds_the_canary_until_the_deadline() -> None:
    world = a_world()
    world.deleting = True
    world.settle(lambda w: w.back == 3, limit=30)
    world.behaviour["v1"] = MISSING_IMAGE
    world.broken_pods = "app-v1"
    world.run_for(20)
    assert not world.gone
    world.settle(lambda w: w.gone, limit=60)


@pytest.mark.fault("Q-28")
@pytest.mark.parametrize("hide", [{"apex_back": False}, {"route_back": "end"}])
def test_what_cannot_be_written_is_passed_over_after_the_deadline_and_tried_once_more(hide: dict[str, object]) -> None:
    world = a_world()
    facts = world.facts
    world.facts = lambda: replace(facts(), **hide)  # type: ignore[method-assign, arg-type]
    asked: list[fx.RestoreRouting] = []
    world.checks = [lambda w, decision: asked.extend(each for each in decision.effects if isinstance(each, fx.RestoreRouting))]
    assert 55 <= deleted(world, limit=120) <= 80
    assert asked[-2:] == [fx.RestoreRouting("apex", lenient=True), fx.RestoreRouting("end", lenient=True)]


def test_without_a_target_what_cannot_be_written_is_tried_once_more_leniently() -> None:
    world = a_world()
    world.target = None
    facts = world.facts
    world.facts = lambda: replace(facts(), apex_back=False, route_back="end")  # type: ignore[method-assign]
    world.checks = []
    asked: list[fx.RestoreRouting] = []
    world.checks.append(lambda w, decision: asked.extend(each for each in decision.effects if isinstance(each, fx.RestoreRouting)))
    assert 60 <= deleted(world, limit=120) <= 62
    assert asked[:2] == [fx.RestoreRouting("apex", lenient=False), fx.RestoreRouting("end", lenient=False)]
    assert asked[-2:] == [fx.RestoreRouting("apex", lenient=True), fx.RestoreRouting("end", lenient=True)]


def test_a_canary_that_never_touched_anything_leaves_the_target_of_its_rival_alone() -> None:
    world = a_world()
    rival = World(revertOnDeletion=True)
    rival.problems = ("spec.targetRef: Deployment app is already released by the Canary app",)
    rival.primary, rival.target = world.primary, world.target
    rival.settle(lambda w: bool(w.finalizers), limit=5)
    rival.deleting = True
    decision = decide(rival.canary, rival.typed, rival.facts(), rival.now)
    assert [effect for effect in decision.effects if not isinstance(effect, fx.RecordEvent)] == [fx.RemoveFinalizer()]


@pytest.mark.parametrize("moment", [lambda w: w.primary is not None, lambda w: w.services, lambda w: w.route is not None])
@pytest.mark.parametrize("foreign", [False, True])
def test_a_deletion_in_the_bootstrap_gives_back_what_was_taken(moment: Callable[[World], bool], foreign: bool) -> None:
    world = World(revertOnDeletion=True, foreign=foreign)
    world.checks = list(CHECKS)
    world.settle(moment)
    deleted(world)
    assert not world.apex
    assert world.target is not None
    assert world.target.replicas == 2
    assert world.reverted or world.back == 0


@pytest.mark.parametrize("write", range(12))
def test_a_death_before_any_write_of_the_deletion_changes_nothing_about_its_end(write: int) -> None:
    world = a_world(foreign=True)
    left = write

    class Death(Exception):
        pass

    def fault() -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise Death

    world.fault = fault
    world.deleting = True
    try:
        world.settle(lambda w: w.gone, limit=60)
    except Death:
        world.settle(lambda w: w.gone, limit=60)
    assert world.reverted
    assert world.target is not None
    assert world.target.replicas == 2


def test_a_primary_that_was_left_behind_is_had_again_without_new_pods() -> None:
    world = a_world()
    world.status, owned = {}, False
    facts, carry_out = world.facts, world.carry_out

    def seen() -> object:
        now = facts()
        assert now.primary is not None
        return replace(now, primary=replace(now.primary, owned=owned))  # type: ignore[type-var]

    def had(effect: fx.Effect, decision: object) -> None:
        nonlocal owned
        owned = owned or isinstance(effect, fx.EnsurePrimary)
        carry_out(effect, decision)  # type: ignore[arg-type]

    world.facts, world.carry_out = seen, had  # type: ignore[method-assign, assignment]
    assert world.primary is not None
    before = [pod.name for pod in world.primary.pods]
    world.settle(in_phase(Phase.INITIALIZED))
    assert owned
    assert [pod.name for pod in world.primary.pods] == before
