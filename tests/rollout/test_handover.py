"""Handover: a side has the pods that the demand needs before traffic moves to it, and the primary keeps them while it is idle (P-2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.status import Phase, timestamp
from flaggerpy.model.workloads import GOOD, NEVER_READY, Autoscaler
from flaggerpy.model.world import World, in_phase
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.facts import UNKNOWN, ScalerFacts, Split
from flaggerpy.rollout.handover import SETTLED, YIELD

ALL_AT_ONCE = {"interval": "10s", "threshold": 2, "iterations": 1}
HALVES = {"interval": "10s", "threshold": 2, "stepWeight": 50, "maxWeight": 100}


def world(demand: int = 10, least: int = 3, most: int = 30, *, pauses: bool = False, **spec: Any) -> World:
    """A target with an autoscaler, as large as its demand."""
    scaler = Autoscaler(demand, least, most, pauses=pauses)
    return World(scaler=scaler, replicas=demand, **{"analysis": ALL_AT_ONCE, **spec})


def sizes(world: World) -> tuple[int, int]:
    """Target and primary, in pods."""
    assert world.target is not None
    assert world.primary is not None
    return world.target.replicas, world.primary.replicas


def floor(world: World) -> int | None:
    assert world.scaler is not None
    return world.scaler.floor


def to(world: World, weight: int) -> World:
    world.settle(lambda w: w.route == Split(weight), limit=300)
    return world


def test_the_bootstrap_gives_the_primary_the_target_s_size_and_keeps_it_there() -> None:
    begun = world().initialised()
    assert sizes(begun) == (0, 10)
    assert floor(begun) == 10


def test_a_target_that_shrinks_in_the_bootstrap_leaves_the_floor_as_it_was() -> None:
    begun = world(demand=4)
    begun.behaviour["v1"] = replace(GOOD, ready_after=20.0)
    begun.settle(lambda w: w.typed.run is not None and w.typed.run.floor == 4)
    assert begun.target is not None
    assert begun.scaler is not None
    begun.scaler = replace(begun.scaler, demand=7)
    begun.target.replicas = 7
    begun.look()
    begun.scaler = replace(begun.scaler, demand=4)
    begun.target.replicas = 4
    begun.settle(in_phase(Phase.INITIALIZED))
    assert floor(begun) == 7


def test_pods_of_a_canary_without_traffic_are_no_demand() -> None:
    begun = world(demand=2, least=2).initialised()
    begun.release("v2", GOOD)
    begun.settle(lambda w: w.target is not None and w.target.replicas > 0)
    assert begun.target is not None
    begun.target.replicas = 9
    to(begun, 100)
    assert begun.typed.run is not None
    assert begun.typed.run.demand == 2


def test_pods_that_are_asked_for_are_told_with_the_times() -> None:
    begun = world(analysis=ALL_AT_ONCE).initialised()
    begun.release("v2", replace(GOOD, ready_after=20.0))
    begun.settle(lambda w: w.typed.run is not None and w.typed.run.capacity_since is not None)
    assert begun.typed.run is not None
    since = begun.typed.run.capacity_since
    assert since is not None
    told = begun.typed.progress
    assert told is not None
    assert told.waiting_for == "10 pods of app.test before 100% of the traffic comes; it has 3"
    assert (told.since, told.until) == (timestamp(since), timestamp(since + YIELD))
    assert told.then == "the step goes on with what autoscaler app leaves of them"


def test_a_primary_that_is_made_small_again_gets_no_traffic_and_is_named() -> None:
    begun = world(analysis=ALL_AT_ONCE).initialised()
    begun.release("v2", GOOD)
    begun.settle(in_phase(Phase.PROMOTING), limit=300)
    assert begun.primary is not None
    for _ in range(30):
        begun.look()
        begun.primary.replicas = 3
        begun.now += 1
    assert (begun.phase, begun.route) == (Phase.PROMOTING, Split(100))
    told = begun.typed.progress
    assert told is not None
    assert told.waiting_for == "10 pods of app-primary.test, which the demand needs; it has 3"


def test_what_an_a_b_test_makes_the_canary_grow_to_counts() -> None:
    analysis = {"interval": "10s", "threshold": 2, "iterations": 1, "match": [{"headers": {"x": {"exact": "y"}}}]}
    begun = world(analysis=analysis).initialised()
    begun.release("v2", GOOD)
    begun.settle(lambda w: w.typed.iterations == 1)
    assert begun.target is not None
    begun.target.replicas = 12
    begun.settle(lambda w: w.route is not None and not w.route.match and w.phase is not Phase.PROGRESSING, limit=300)
    assert floor(begun) == 12


def test_a_daemonset_is_not_resized() -> None:
    idle = World(targetRef={"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "app"}).initialised()
    assert idle.target is not None
    idle.target.replicas = 5
    idle.run_for(5)
    assert sizes(idle) == (5, 2)


def test_the_floor_is_taken_off_when_the_primary_has_settled() -> None:
    begun = world().initialised()
    begun.run_for(SETTLED - 5)
    assert floor(begun) == 10
    begun.run_for(10)
    assert floor(begun) is None
    assert begun.typed.floor_since is None


@pytest.mark.parametrize(("pauses", "size"), [(False, 3), (True, 0)])
def test_a_primary_at_zero_is_its_autoscaler_s_wish_only_where_that_can_scale_it_up_again(pauses: bool, size: int) -> None:
    begun = world(pauses=pauses).initialised()
    begun.run_for(SETTLED + 10)
    assert begun.primary is not None
    begun.primary.replicas = 0
    effects = decide(begun.canary, begun.typed, begun.facts(), begun.now).effects
    assert [effect.replicas for effect in effects if isinstance(effect, fx.ScalePrimary)] == ([size] if size else [])


def test_the_canary_begins_at_the_lower_bound_and_gets_its_share_before_the_traffic() -> None:
    begun = world().initialised()
    begun.release("v2", GOOD)
    begun.settle(lambda w: w.target is not None and w.target.replicas > 0)
    assert sizes(begun)[0] == 3
    to(begun, 100)
    assert sizes(begun)[0] == 10
    assert any("Scaling app.test to 10 before 100% of the traffic comes" in text for text in begun.texts())


def test_each_weight_asks_for_its_share() -> None:
    begun = world(analysis=HALVES).initialised()
    begun.release("v2", GOOD)
    assert sizes(to(begun, 50))[0] == 5
    assert sizes(to(begun, 100))[0] == 10


def test_a_primary_without_traffic_does_not_shrink_below_what_it_was() -> None:
    begun = world(analysis={**HALVES, "stepWeight": 100, "interval": "60s"}).initialised()
    begun.run_for(SETTLED + 20)
    begun.release("v2", GOOD)
    to(begun, 100)
    begun.run_for(50)
    assert sizes(begun)[1] == 10
    begun.settle(in_phase(Phase.SUCCEEDED), limit=300)
    assert sizes(begun) == (0, 10)


def test_the_primary_gets_what_the_demand_grew_to_before_the_traffic_comes_back() -> None:
    begun = world(analysis={**HALVES, "stepWeight": 100, "interval": "60s"}).initialised()
    begun.release("v2", GOOD)
    to(begun, 100)
    assert begun.scaler is not None
    begun.scaler = replace(begun.scaler, demand=25)
    begun.settle(in_phase(Phase.PROMOTING), limit=300)
    assert sizes(begun)[0] == 25
    to(begun, 0)
    assert sizes(begun)[1] == 25
    assert floor(begun) == 25


def test_a_growth_seen_by_part_of_the_traffic_counts_for_all_of_it() -> None:
    begun = world(analysis={"interval": "60s", "threshold": 2, "stepWeight": 40, "maxWeight": 40}).initialised()
    begun.release("v2", GOOD)
    to(begun, 40)
    assert begun.scaler is not None
    begun.scaler = replace(begun.scaler, demand=20)
    begun.settle(in_phase(Phase.PROMOTING), limit=300)
    to(begun, 0)
    assert 18 <= sizes(begun)[1] <= 20


def test_a_rollback_waits_for_nothing_and_finds_the_size_of_before() -> None:
    begun = world(analysis={**ALL_AT_ONCE, "iterations": 1, "interval": "30s"}).initialised()
    begun.run_for(SETTLED + 20)
    begun.release("v2", GOOD)
    to(begun, 100)
    begun.commands["abort"] = "*"
    began = begun.now
    to(begun, 0)
    assert begun.now - began < 2
    assert sizes(begun)[1] == 10


def test_a_size_beyond_the_upper_bound_is_not_waited_for() -> None:
    begun = world(demand=10, most=4)
    begun.target = replace(begun.target, replicas=4) if begun.target else None
    begun.initialised()
    assert floor(begun) == 4
    begun.release("v2", GOOD)
    begun.settle(in_phase(Phase.SUCCEEDED), limit=300)


def test_an_autoscaler_that_takes_pods_away_has_the_last_word() -> None:
    begun = world(analysis=ALL_AT_ONCE).initialised()
    begun.release("v2", GOOD)
    began = None
    for _ in range(400):
        begun.look()
        if begun.target is not None and begun.target.replicas > 3:
            began = began or begun.now
            begun.target.replicas = 3
        begun.now += 0.5
        if begun.route == Split(100):
            break
    assert began is not None
    assert YIELD <= begun.now - began <= YIELD + 5
    kept = "autoscaler app keeps app.test at 3 of 10 pods: 100% of the traffic comes all the same"
    assert begun.texts().count(kept) == 1


def test_pods_that_no_metric_asks_for_yet_come_back_after_the_raise_until_the_autoscaler_has_the_last_word() -> None:
    begun = world(analysis={**HALVES, "interval": "150s"}).initialised()
    begun.release("v2", GOOD)
    to(begun, 50)
    assert begun.target is not None
    assert begun.scaler is not None
    begun.scaler = replace(begun.scaler, demand=6)
    began, given = begun.now, []
    while begun.now < began + 120:
        begun.target.replicas = 3
        begun.look()
        if begun.target.replicas == 5:
            given.append(begun.now - began)
        begun.now += 5
    assert given == [float(at) for at in range(0, int(YIELD), 5)]
    # for the next step it is asked anew
    begun.target.replicas = 3
    begun.run_for(40)
    assert sizes(begun)[0] == 10


def test_pods_that_the_autoscaler_takes_and_gives_are_not_lost() -> None:
    begun = world(analysis={**HALVES, "interval": "60s"}).initialised()
    begun.release("v2", GOOD)
    to(begun, 50)
    assert begun.target is not None
    begun.target.replicas = 3
    begun.run_for(3)
    begun.target.replicas = 6
    begun.look()
    begun.run_for(3)
    assert not any(text.startswith("Cut") for text in begun.texts())


def test_keda_is_paused_while_the_target_is_idle_and_let_go_for_a_release() -> None:
    begun = world(pauses=True).initialised()
    assert begun.scaler is not None
    assert begun.scaler.paused
    begun.release("v2", GOOD)
    begun.settle(lambda w: w.scaler is not None and not w.scaler.paused)
    begun.settle(in_phase(Phase.SUCCEEDED), limit=300)
    assert begun.scaler.paused
    assert sizes(begun)[0] == 0


def test_a_pause_that_somebody_takes_off_is_put_back() -> None:
    begun = world(pauses=True).initialised()
    assert begun.scaler is not None
    begun.scaler = replace(begun.scaler, paused=False)
    begun.run_for(20)
    assert begun.scaler.paused
    assert sizes(begun)[0] == 0


def test_keda_is_paused_again_when_the_release_fails() -> None:
    begun = world(pauses=True).initialised()
    begun.release("v2", NEVER_READY)
    begun.settle(in_phase(Phase.FAILED), limit=300)
    assert begun.scaler is not None
    assert begun.scaler.paused
    begun.run_for(SETTLED + 5)
    assert floor(begun) is None


def facts(**changes: Any) -> ScalerFacts:
    return replace(ScalerFacts("HorizontalPodAutoscaler app", least=3, most=30, primary_most=30, twin=True), **changes)


def asked(world: World, **changes: Any) -> list[fx.Effect]:
    decision = decide(world.canary, world.typed, replace(world.facts(), scaler=facts(**changes)), world.now)
    return [effect for effect in decision.effects if isinstance(effect, fx.EnsureScaler | fx.HoldScaler)]


def test_between_releases_a_twin_follows_only_where_asked() -> None:
    idle = world().initialised()
    idle.run_for(SETTLED + 20)
    assert asked(idle, follows=False) == []
    assert asked(idle, twin=False) == [fx.EnsureScaler(None, follow=True)]
    assert asked(idle, sound=False) == [fx.EnsureScaler(None, follow=False)]
    idle.spec["autoscalerRef"] = {**idle.spec["autoscalerRef"], "sync": "always"}
    assert asked(idle, follows=False) == [fx.EnsureScaler(None, follow=True)]
    assert asked(idle) == []


def test_a_promotion_takes_the_twin_along() -> None:
    begun = world(analysis={**ALL_AT_ONCE, "iterations": 1}).initialised()
    begun.release("v2", GOOD)
    to(begun, 100)
    assert asked(begun, floor=10, follows=False) == []
    begun.settle(in_phase(Phase.PROMOTING), limit=300)
    assert asked(begun, floor=10, follows=False) == [fx.EnsureScaler(10, follow=True)]


@pytest.mark.parametrize("phase", [Phase.INITIALIZING, Phase.INITIALIZED])
def test_an_autoscaler_that_is_not_there_stops_what_would_begin_and_says_so(phase: Phase) -> None:
    begun = world()
    if phase is Phase.INITIALIZED:
        begun.initialised()
        begun.release("v2", GOOD)
    broken = replace(begun.facts(), scaler=facts(problem="spec.autoscalerRef: HorizontalPodAutoscaler app is not there", twin=False))
    decision = decide(begun.canary, begun.typed, broken, begun.now)
    assert decision.status.phase is phase
    stalled = next(condition for condition in decision.status.conditions if condition.type == "Stalled")
    assert (stalled.status, stalled.reason) == ("True", "ScalerUnfit")
    assert not any(isinstance(effect, fx.ScaleTarget | fx.EnsurePrimary | fx.EnsureScaler) for effect in decision.effects)


def test_an_autoscaler_that_cannot_be_read_holds_the_next_step() -> None:
    begun = world(analysis=HALVES).initialised()
    begun.release("v2", GOOD)
    to(begun, 50)
    begun.now += 60
    for _ in range(5):
        decision = decide(begun.canary, begun.typed, replace(begun.facts(), scaler=UNKNOWN), begun.now)
        assert decision.status.canary_weight == 50
    assert decision.status.progress is not None
    assert "autoscaler" in decision.status.progress.waiting_for


def test_a_deletion_gives_the_target_the_primary_s_size_and_lets_its_autoscaler_go() -> None:
    begun = world(pauses=True, revertOnDeletion=True).initialised()
    begun.look()
    begun.deleting = True
    begun.settle(lambda w: w.gone)
    assert begun.scaler is not None
    assert not begun.scaler.paused
    assert sizes(begun)[0] == 10


# without an autoscaler


def test_a_replica_edit_between_releases_reaches_the_primary() -> None:
    idle = World().initialised()
    assert idle.target is not None
    idle.target.replicas = 5
    idle.run_for(5)
    assert sizes(idle) == (0, 5)
    assert idle.texts().count("Scaling app-primary.test to 5, as its target was") == 1


def test_the_same_size_applied_again_is_no_edit() -> None:
    idle = World(replicas=2).initialised()
    assert idle.target is not None
    idle.target.replicas = 2
    idle.run_for(5)
    assert sizes(idle) == (2, 2)


def test_a_replica_edit_in_a_run_comes_with_the_promotion() -> None:
    begun = World().initialised()
    begun.release("v2", GOOD)
    begun.settle(lambda w: w.route == Split(20))
    assert begun.target is not None
    begun.target.replicas = 4
    begun.settle(in_phase(Phase.SUCCEEDED), limit=300)
    assert sizes(begun) == (0, 4)
