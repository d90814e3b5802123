"""Faults of Flagger that need a story to show: each is played in the modelled world, and does not happen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import MISSING_IMAGE, NEVER_READY, Behaviour
from flaggerpy.model.world import World, ended, in_phase, weights_of
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import Measurement, Split
from flaggerpy.rollout.traffic import ready_count

MATCH = [{"headers": {"x": {"exact": "y"}}}]
OLD_PRIMARY = ("app-primary-v1", "app-primary-v2")


def analysis(**changes: Any) -> dict[str, Any]:
    return {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60} | changes


def gate(kind: str) -> dict[str, Any]:
    return {"name": "gate", "type": kind, "url": "http://gate/"}


def the_traffic_stays_where_it_is_served(world: World, _: Decision) -> None:
    """While the canary has pods that serve and the primary has none, all weight is with the canary."""
    primary, target = world._facts_of(world.primary), world._facts_of(world.target)
    if target is not None and target.serving and not (primary and primary.serving):
        assert world.route == Split(100)


def left_on_the_canary(**changes: Any) -> World:
    """After a promotion that failed and could not be undone: all traffic on v2, no pod of the primary ready."""
    world = World(analysis=analysis(**changes)).initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    world.broken_pods = "app-primary"
    world.settle(in_phase(Phase.FAILED), limit=300)
    assert world.route == Split(100)
    world.checks.append(the_traffic_stays_where_it_is_served)
    return world


@pytest.mark.fault("Q-1")
def test_a_release_after_a_failed_promotion_mends_the_primary_and_loses_no_traffic_on_the_way() -> None:
    world = left_on_the_canary()
    world.broken_pods = OLD_PRIMARY
    world.release("v3")
    world.settle(in_phase(Phase.SUCCEEDED), limit=300)
    assert world.primary is not None
    assert world.primary.source_revision == "v3"
    assert world.route == Split(0)


@pytest.mark.fault("Q-1")
@pytest.mark.parametrize("bad", [MISSING_IMAGE, NEVER_READY], ids=["missing image", "never ready"])
def test_a_bad_release_after_a_failed_promotion_leaves_the_traffic_with_who_serves_it(bad: Behaviour) -> None:
    world = left_on_the_canary()
    world.release("v3", bad)
    world.settle(in_phase(Phase.PROGRESSING))
    world.settle(in_phase(Phase.FAILED), limit=200)
    assert world.route == Split(100)
    target = world._facts_of(world.target)
    assert target is not None
    assert target.serving
    world.release("v4")
    world.broken_pods = OLD_PRIMARY
    world.settle(in_phase(Phase.SUCCEEDED), limit=300)
    assert world.route == Split(0)


@pytest.mark.fault("Q-1")
@pytest.mark.parametrize(("kind", "phase"), [("confirm-rollout", Phase.WAITING), ("confirm-promotion", Phase.WAITING_PROMOTION)])
def test_a_release_that_is_aborted_after_a_failed_promotion_leaves_the_traffic_where_it_is(kind: str, phase: Phase) -> None:
    world = left_on_the_canary(webhooks=[gate(kind)])
    world.hooks["gate"] = lambda _: False
    world.release("v3")
    world.settle(in_phase(phase), limit=200)
    world.commands["abort"] = "*"
    world.settle(in_phase(Phase.FAILED), limit=20)
    assert world.route == Split(100)
    assert world.typed.history[0].outcome == "Aborted"


@pytest.mark.fault("Q-1", "Q-60")
@pytest.mark.parametrize("way", ["skipAnalysis", "promote"])
def test_a_primary_that_is_broken_for_good_is_mended_by_who_waives_the_analysis(way: str) -> None:
    world = World().initialised()
    world.broken_pods = "app-primary-v1"
    if way == "skipAnalysis":
        world.spec["skipAnalysis"] = True
    world.release("v2")
    world.settle(in_phase(Phase.PROGRESSING))
    if way == "promote":
        world.run_for(30)
        assert world.is_in(Phase.PROGRESSING)
        world.commands["promote"] = "*"
    world.settle(in_phase(Phase.SUCCEEDED), limit=100)
    assert world.primary is not None
    assert world.primary.source_revision == "v2"


@pytest.mark.fault("Q-4")
def test_a_promotion_in_steps_goes_on_from_a_weight_of_nought() -> None:
    world = World(analysis=analysis(stepWeightPromotion=30)).initialised()
    world.release("v2")
    world.settle(lambda w: w.phase is Phase.PROMOTING and w.route == Split(30))
    # as after a death between the two writes, or after somebody reset the route
    world.status["canaryWeight"] = 0
    world.route = Split(0)
    world.settle(ended, limit=60)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.fault("Q-7")
def test_one_pod_of_four_that_never_gets_ready_fails_at_the_deadline() -> None:
    world = World(replicas=4).initialised()
    world.broken_pods = "app-v2-5"
    world.release("v2")
    took = world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert 60 <= took <= 70
    assert set(weights_of(world.route_writes)) == {0}


@pytest.mark.fault("Q-8")
def test_a_revision_that_comes_during_a_rollback_is_released_after_it() -> None:
    world = World().initialised()
    world.release("v2", MISSING_IMAGE)
    world.settle(lambda w: w.typed.run is not None and w.typed.run.verdict is not None)
    world.release("v3")
    world.settle(in_phase(Phase.SUCCEEDED))
    assert world.primary is not None
    assert world.primary.source_revision == "v3"


@pytest.mark.fault("Q-8")
def test_a_revision_that_comes_while_failed_and_the_primary_is_away_is_released_when_it_is_back() -> None:
    world = World().initialised()
    world.release("v2", MISSING_IMAGE)
    world.settle(in_phase(Phase.FAILED))
    world.lose_pods(world.primary)
    world.release("v3")
    world.run_for(20)
    world.heal_pods(world.primary)
    world.settle(in_phase(Phase.SUCCEEDED))
    assert world.primary is not None
    assert world.primary.source_revision == "v3"


@pytest.mark.fault("Q-17")
def test_a_target_that_changes_while_it_is_initialised_is_what_the_primary_runs() -> None:
    world = World()
    world.settle(lambda w: w.primary is not None)
    world.release("v1b")
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.primary is not None
    assert world.primary.source_revision == world.typed.last_promoted_spec == world.typed.last_applied_spec == "v1b"
    assert world.primary.template == "v1b"


@pytest.mark.fault("Q-22")
def test_step_weights_that_are_edited_in_a_run_go_on_with_the_next_higher_one() -> None:
    world = World(analysis=analysis(stepWeight=None, maxWeight=None, stepWeights=[10, 50])).initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(10))
    world.spec["analysis"]["stepWeights"] = [5, 20, 60]
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert weights_of(world.route_writes) == [0, 10, 20, 60, 0]


@pytest.mark.fault("Q-23")
def test_a_promotion_gate_that_closes_again_does_not_leave_the_traffic_on_the_canary() -> None:
    world = World(analysis={"interval": "10s", "threshold": 2, "iterations": 2, "webhooks": [gate("confirm-promotion")]}).initialised()
    world.checks.append(lambda w, d: _sane(d))
    world.hooks["gate"] = lambda _: world.route != Split(100)
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert weights_of(world.route_writes) == [0, 100, 0]


@pytest.mark.fault("Q-23")
@pytest.mark.parametrize("strategy", [{"iterations": 1}, {"iterations": 1, "match": MATCH}, {"stepWeight": 50}])
def test_while_a_promotion_gate_is_closed_the_status_tells_the_split_as_it_is(strategy: dict[str, Any]) -> None:
    world = World(analysis={"interval": "10s", "threshold": 2, **strategy, "webhooks": [gate("confirm-promotion")]}).initialised()
    world.hooks["gate"] = lambda _: False
    world.checks.append(lambda w, d: _sane(d))
    world.release("v2")
    world.settle(in_phase(Phase.WAITING_PROMOTION))
    world.run_for(120)
    assert world.route is not None
    assert world.route.canary == world.typed.canary_weight
    assert world.texts().count("Starting canary analysis for app.test") == 1


def _sane(decision: Decision) -> None:
    assert decision.status.iterations >= 0
    assert 0 <= decision.status.canary_weight <= 100


@pytest.mark.fault("Q-25")
def test_a_rollback_at_the_deadline_sends_an_alert_that_names_it() -> None:
    world = World().initialised()
    world.release("v2", NEVER_READY)
    world.settle(ended)
    severity, message = world.alerts[-1]
    assert severity == "error"
    assert "progress deadline of 60s exceeded" in message


@pytest.mark.fault("Q-30")
def test_another_interval_is_followed_by_one_loop_only() -> None:
    world = World(analysis=analysis(interval="60s")).initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    world.spec["analysis"]["interval"] = "15s"
    world.run_for(2)
    world.spec["analysis"]["interval"] = "30s"
    world.settle(ended)
    at = {split.canary: when for when, split in world.route_writes if split.canary}
    assert 30 <= at[40] - at[20] <= 33
    assert 30 <= at[60] - at[40] <= 33


@pytest.mark.fault("Q-56")
def test_checks_that_failed_are_forgotten_after_a_success() -> None:
    world = World(analysis=analysis(threshold=3, metrics=[{"name": "m"}])).initialised()
    said = iter([Measurement("value", 50.0, text="Halt")])
    world.metrics["m"] = lambda at: replace(next(said, Measurement("value", 100.0)), at=at)
    world.release("v2")
    world.settle(lambda w: w.typed.failed_checks == 1)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert world.typed.failed_checks == 0


@pytest.mark.fault("Q-59")
def test_a_primary_that_was_scaled_to_nought_by_hand_comes_back_with_its_size() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    assert world.primary is not None
    world.primary.replicas = 0
    world.run_for(3)
    assert world.primary.replicas == 2
    assert world.typed.canary_weight == 20
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.fault("Q-59")
def test_a_primary_that_was_scaled_to_nought_by_hand_is_not_ready_where_its_template_is_lost() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    assert world.primary is not None
    del world.kept["v1"]
    world.primary.replicas = 0
    world.run_for(100)
    assert world.is_in(Phase.PROGRESSING)
    assert world.typed.canary_weight == 20
    assert world.target is not None
    assert world.target.replicas == 2
    world.primary.replicas = 2
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.fault("Q-60")
@pytest.mark.parametrize("when", ["from the start", "while promoting"])
def test_a_skipped_analysis_waits_for_the_primary(when: str) -> None:
    world = World(skipAnalysis=when == "from the start").initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    world.spec["skipAnalysis"] = True
    world.broken_pods = "app-primary-v2"
    world.run_for(40)
    assert world.is_in(Phase.PROMOTING)
    assert world.target is not None
    assert world.target.replicas == 2
    world.broken_pods = ""
    world.settle(in_phase(Phase.SUCCEEDED))
    assert world.target.replicas == 0
    assert ready_count(world._facts_of(world.primary)) == 2
