"""Taking over from Flagger: in every phase it goes on where it stands, nothing begins anew, and Flagger's hashes stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.status import Phase, timestamp
from flaggerpy.model.flagger import flagger_hash, under_flagger
from flaggerpy.model.workloads import NEVER_READY
from flaggerpy.model.world import World, ended, in_phase
from flaggerpy.rollout.adopting import is_flaggers
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.effects import EnsurePrimary, ScaleTarget, SetSplit
from flaggerpy.rollout.facts import UNKNOWN, Split, WorkloadFacts
from flaggerpy.rollout.traffic import DRAIN


def released(*, until: Phase | None = None, weight: int | None = None, **spec: object) -> World:
    """A release of v2 at that phase or weight."""
    world = World(**spec).initialised()  # type: ignore[arg-type]
    world.run_for(5)
    world.release("v2")
    world.settle(
        in_phase(until)
        if until
        else lambda w: w.route == Split(weight or 0) and w.typed.run is not None and w.typed.run.analysed_at is not None
    )
    return world


def pods(world: World) -> dict[str, float]:
    return {pod.name: pod.born for side in (world.target, world.primary) if side for pod in side.pods}


def failed() -> World:
    world = World().initialised()
    world.run_for(5)
    world.release("v2", NEVER_READY)
    world.settle(in_phase(Phase.FAILED), limit=900)
    world.run_for(5)
    return world


def test_an_idle_canary_stays_what_it_is_with_flaggers_hashes_and_a_kept_template() -> None:
    world = under_flagger(World().initialised())
    assert is_flaggers(world.typed)
    before, writes = pods(world), list(world.route_writes)
    world.run_for(30)
    assert world.phases[-1] is Phase.INITIALIZED
    assert (pods(world), world.route_writes) == (before, writes)
    assert set(world.kept) == {"v1"}
    assert world.status["lastAppliedSpec"] == world.status["lastPromotedSpec"] == flagger_hash("v1")
    assert (world.typed.last_applied_spec, world.typed.last_promoted_spec) == ("v1", "v1")
    assert any("is taken over from Flagger" in text for text in world.texts())


def test_the_next_release_is_found_analysed_and_promoted_and_flaggers_hashes_go() -> None:
    world = under_flagger(World().initialised())
    world.run_for(30)
    world.release("v2")
    world.settle(ended)
    assert world.phase is Phase.SUCCEEDED
    assert world.primary is not None
    assert world.primary.template == "v2"
    assert world.status["lastPromotedSpec"] == "v2"
    assert not {"flaggerApplied", "flaggerPromoted"} & world.status.keys()


def test_a_release_that_came_while_nobody_looked_is_analysed() -> None:
    world = World().initialised()
    world.run_for(5)
    under_flagger(world)
    world.now += 30
    world.release("v2")
    world.settle(ended)
    assert world.phases[-4:] == [Phase.PROGRESSING, Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED]


def test_a_failed_canary_is_not_tried_again_and_knows_what_its_primary_runs() -> None:
    world = under_flagger(failed())
    before = pods(world)
    world.run_for(30)
    assert (world.phase, pods(world)) == (Phase.FAILED, before)
    assert (world.typed.last_applied_spec, world.typed.last_promoted_spec) == ("v2", "v1")
    assert (world.status["lastAppliedSpec"], world.status["lastPromotedSpec"]) == (flagger_hash("v2"), flagger_hash("v1"))
    assert set(world.kept) == {"v1"}
    # back to what runs is never a release, and the failed one is when it comes again
    world.release("v1")
    world.run_for(10)
    assert world.phase is Phase.FAILED
    world.release("v2")
    world.settle(in_phase(Phase.PROGRESSING))


@pytest.mark.parametrize("weight", [20, 40])
def test_an_analysis_goes_on_at_its_weight_after_a_full_interval(weight: int) -> None:
    world = under_flagger(released(weight=weight))
    before, writes = pods(world), len(world.route_writes)
    world.status["canaryWeight"] = 0  # at a gate Flagger says so: the route is to be believed
    took = world.settle(lambda w: w.route == Split(weight + 20))
    assert took >= 10
    assert len(world.route_writes) == writes + 1
    assert pods(world) == before
    assert "Starting canary analysis" not in " ".join(world.texts()[-3:])
    world.settle(ended)
    assert world.phase is Phase.SUCCEEDED
    assert world.typed.history[0].revision == "v2"


def test_a_target_that_moved_on_meanwhile_restarts_the_run() -> None:
    world = under_flagger(released(weight=20))
    world.now += 20
    world.release("v3")
    world.settle(lambda w: w.typed.run is not None and w.typed.run.revision == "v3")
    assert world.route == Split(0)
    world.settle(ended)
    assert world.status["lastPromotedSpec"] == "v3"


@pytest.mark.parametrize("phase", [Phase.PROMOTING, Phase.FINALISING])
def test_a_promotion_is_finished_without_a_second_roll_of_the_primary(phase: Phase) -> None:
    world = released(until=Phase.PROMOTING)
    world.settle(lambda w: w.phase is phase and w.primary is not None and w.primary.template == "v2")
    under_flagger(world)
    before = pods(world)
    looks: list[object] = []
    world.checks.append(lambda w, decision: looks.extend(effect for effect in decision.effects if isinstance(effect, EnsurePrimary)))
    early = world.look()
    assert early.status.phase is phase
    assert early.status.progress is not None
    assert early.status.progress.waiting_for == "Flagger to be silent for an interval"
    assert (early.status.progress.until, early.status.progress.then) == (timestamp(world.now + 10), f"the run goes on from {phase}")
    assert not [effect for effect in early.effects if isinstance(effect, (SetSplit, ScaleTarget))]
    world.settle(ended)
    assert world.phase is Phase.SUCCEEDED
    assert not looks
    assert {name: born for name, born in pods(world).items() if "primary" in name}.items() <= before.items()
    assert set(world.kept) == {"v2"}
    assert world.typed.last_promoted_spec == "v2"


def test_a_mirror_that_flagger_had_begun_goes_on_and_is_not_begun_anew() -> None:
    analysis = {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "mirror": True}
    world = World(analysis=analysis).initialised()
    world.run_for(5)
    world.release("v2")
    world.settle(lambda w: w.route is not None and w.route.mirror)
    under_flagger(world)
    world.settle(lambda w: w.route == Split(20))
    assert sum(text.startswith("Starting canary analysis") for text in world.texts()) == 1
    assert sum(split.mirror for _, split in world.route_writes) == 1


def test_all_traffic_that_flagger_had_led_to_the_canary_is_not_led_there_once_more() -> None:
    world = released(weight=100, analysis={"interval": "10s", "threshold": 2, "iterations": 1})
    under_flagger(world)
    writes = len(world.route_writes)
    world.settle(in_phase(Phase.PROMOTING))
    assert world.route == Split(100)
    assert len(world.route_writes) == writes
    assert world.texts().count("Routing all traffic to canary") == 1


def test_a_finalising_canary_is_drained_and_scaled_down() -> None:
    world = under_flagger(released(until=Phase.FINALISING))
    world.settle(lambda w: w.typed.run is not None)
    taken = world.now
    world.settle(ended)
    assert world.now - taken >= DRAIN
    assert world.phase is Phase.SUCCEEDED
    assert world.target is not None
    assert world.target.replicas == 0


def test_a_canary_that_waits_for_its_first_gate_goes_on_waiting() -> None:
    gate = {"name": "gate", "type": "confirm-rollout", "url": "http://gate"}
    world = World(analysis={"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "webhooks": [gate]}).initialised()
    world.run_for(5)
    world.hooks["gate"] = lambda now: False
    world.release("v2")
    world.settle(in_phase(Phase.WAITING))
    under_flagger(world)
    world.run_for(30)
    assert world.is_in(Phase.WAITING)
    # Flagger notes a release as applied when its gate has opened
    assert (world.typed.last_applied_spec, world.status["lastAppliedSpec"]) == ("v1", flagger_hash("v1"))
    world.hooks["gate"] = lambda now: True
    world.settle(ended)
    assert world.phase is Phase.SUCCEEDED
    assert (world.status["lastAppliedSpec"], world.status["lastPromotedSpec"]) == ("v2", "v2")


def test_what_is_not_known_yet_leaves_the_status_to_flagger() -> None:
    world = under_flagger(released(weight=20))
    for unknown in ("target", "primary", "kept", "configs", "found", "route"):
        changed: dict[str, Any] = {unknown: UNKNOWN}
        decision = decide(world.canary, world.typed, replace(world.facts(), **changed), world.now)
        assert is_flaggers(decision.status), unknown
        assert not [effect for effect in decision.effects if isinstance(effect, (SetSplit, ScaleTarget, EnsurePrimary))], unknown


def test_a_release_that_came_after_flagger_s_last_look_is_not_taken_for_what_it_applied() -> None:
    gate = {"name": "gate", "type": "confirm-rollout", "url": "http://gate"}
    world = World(analysis={"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "webhooks": [gate]}).initialised()
    world.run_for(5)
    under_flagger(world)
    world.now += 30
    world.hooks["gate"] = lambda now: False
    world.release("v2")
    world.settle(in_phase(Phase.WAITING))
    assert (world.status["lastAppliedSpec"], world.status["lastPromotedSpec"]) == (flagger_hash("v1"), flagger_hash("v1"))
    assert world.typed.promoted_images == ["r/app:v1"]
    assert "app.test is taken over from Flagger: Initialized, 0% of the traffic on the canary" in world.texts()


def test_configs_that_changed_meanwhile_are_a_release_and_those_that_did_not_are_none() -> None:
    world = World()
    world.configs = {"configmap/app": "1"}
    world.initialised()
    under_flagger(world)
    world.status["trackedConfigs"] = {"configmap/app": "1"}
    world.run_for(10)
    assert world.phase is Phase.INITIALIZED
    under_flagger(world)
    world.status["trackedConfigs"] = {"configmap/app": "1"}
    world.configs = {"configmap/app": "2"}
    world.settle(in_phase(Phase.PROGRESSING))


def test_an_older_replica_set_is_nothing_new_whatever_the_hashes_say() -> None:
    world = under_flagger(World().initialised())
    world.status["lastAppliedSpec"] = "another-version-of-flagger"
    world.status["lastTransitionTime"] = timestamp(world.now)
    target = world.facts().target
    assert isinstance(target, WorkloadFacts)
    assert 0 < target.revision_born < world.now
    world.run_for(10)
    assert world.phase is Phase.INITIALIZED
    assert world.status["lastAppliedSpec"] == "another-version-of-flagger"


def test_a_primary_that_went_with_flagger_s_template_is_not_made_of_another_until_a_person_promotes_that() -> None:
    world = under_flagger(released(weight=20))
    world.primary = None
    asked: list[str] = []
    world.checks.append(lambda w, decision: asked.extend(each.revision for each in decision.effects if isinstance(each, EnsurePrimary)))
    world.run_for(30)
    assert asked == []
    assert world.typed.progress is not None
    assert world.typed.progress.waiting_for == "app-primary.test not ready: it is not there"
    world.commands["promote"] = "*"
    world.settle(ended)
    assert world.phase is Phase.SUCCEEDED
    assert set(asked) == {"v2"}
    assert world.primary is not None
    assert world.primary.template == "v2"
