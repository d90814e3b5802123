"""What a release meets at its edges: things that are missing, unknown, unfit, late; each holds, says so, and goes on when mended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.status import CanaryStatus, Phase, from_timestamp
from flaggerpy.model.begins import BEGINS, befall, go, initialised
from flaggerpy.model.scene import Scene
from flaggerpy.model.strategies import STRATEGIES
from flaggerpy.model.workloads import GOOD, MISSING_IMAGE
from flaggerpy.model.world import World, ended, in_phase
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.effects import ForgetRevisions, RecordEvent, ScaleTarget
from flaggerpy.rollout.facts import UNKNOWN, Facts, Measurement, RouteFacts, Split, WorkloadFacts
from flaggerpy.rollout.phases import TABLE, Cause, legal
from flaggerpy.rollout.traffic import complete, serving_count


def waits_for(world: World, **facts: Any) -> str:
    """The sentence of a decision over the world's facts with some of them changed."""
    decision = decide(world.canary, world.typed, replace(world.facts(), **facts), world.now)
    assert decision.status.progress is not None
    return decision.status.progress.waiting_for


def running(weight: int = 20) -> World:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(weight))
    return world


def test_a_missing_target_is_named_and_taken_up_when_it_comes() -> None:
    world = World()
    side, world.target = world.target, None
    world.run_for(3)
    assert any("Deployment app.test not found" in text for text in world.texts())
    assert world.is_in(Phase.INITIALIZING)
    world.target = side
    world.settle(in_phase(Phase.INITIALIZED))


def test_a_target_that_goes_between_releases_is_told_once() -> None:
    world = World().initialised()
    world.target = None
    world.run_for(5)
    assert sum("the primary keeps serving" in text for text in world.texts()) == 1


def test_a_target_that_goes_during_a_run_ends_it() -> None:
    world = running()
    world.target = None
    world.settle(in_phase(Phase.FAILED))
    assert "is gone" in world.typed.history[0].cause


@pytest.mark.parametrize("phase", [Phase.INITIALIZED, Phase.PROGRESSING, Phase.PROMOTING])
@pytest.mark.fault("Q-65")
def test_what_cannot_be_read_changes_nothing(phase: Phase) -> None:
    world = World().initialised()
    if phase is not Phase.INITIALIZED:
        world.release("v2")
        world.settle(in_phase(phase))
    facts = world.facts()
    for unknown in (
        replace(facts, target=UNKNOWN),
        replace(facts, primary=UNKNOWN),
        replace(facts, kept=UNKNOWN),
        replace(facts, configs=UNKNOWN),
        replace(facts, route=UNKNOWN),
    ):
        decision = decide(world.canary, world.typed, unknown, world.now)
        assert decision.status.phase is phase
        assert decision.status.canary_weight == world.typed.canary_weight


def test_an_unfit_target_is_stalled() -> None:
    world = World()
    target = world.facts().target
    assert isinstance(target, WorkloadFacts)
    assert waits_for(world, target=replace(target, problem="no label of app, name")) == "no label of app, name"
    initialised = World().initialised()
    assert waits_for(initialised, target=replace(target, problem="no label of app, name")) == "no label of app, name"


def test_a_controller_of_the_cluster_that_lags_is_waited_for() -> None:
    world = running()
    target = world.facts().target
    assert isinstance(target, WorkloadFacts)
    assert "has not observed it yet" in waits_for(world, target=replace(target, fresh=False))
    assert "ReplicaSet is not there yet" in waits_for(world, target=replace(target, revision=""))
    assert "cannot be read" in waits_for(world, configs=UNKNOWN)


def test_a_route_that_is_refused_holds_the_weight_and_is_named() -> None:
    world = running()
    refused = RouteFacts(split=Split(20), accepted=False, refusal="no such parent")
    assert "no such parent" in waits_for(world, route=refused)
    world.run_for(2)
    assert world.typed.canary_weight == 20


def test_what_keeps_a_route_from_being_made_is_named() -> None:
    world = running()
    barred = RouteFacts(split=None, accepted=False, refusal="the Ingress is not there")
    assert waits_for(world, route=barred) == "the route of app to carry 20% for the canary: the Ingress is not there"
    assert "Ingress" not in waits_for(world, route=replace(barred, foreign=True))


def test_a_route_that_nobody_judges_gets_five_seconds() -> None:
    world = running()
    told = RouteFacts(split=Split(20), accepted=None, written_at=world.now - 1)
    assert "to take effect" in waits_for(world, route=told)
    assert "to take effect" not in waits_for(world, route=replace(told, written_at=world.now - 6))


def test_a_route_of_the_user_that_nobody_judges_is_taken_over_five_seconds_after_a_write() -> None:
    world = World(foreign=True)
    world.settle(lambda w: w.announced_at is not None)
    told = RouteFacts(split=None, accepted=None, foreign=True, announced=True, leads=False, written_at=world.now - 4)
    assert waits_for(world, route=told) == "the gateway to follow the route of app"
    assert waits_for(world, route=replace(told, written_at=world.now - 6)) == "the route of app to lead to the primary"


@pytest.mark.fault("Q-9")
def test_a_foreign_edit_of_the_route_is_put_right() -> None:
    world = running()
    world.route = Split(90)
    world.look()
    assert world.route == Split(20)


def test_a_primary_that_is_not_ready_halts_the_run_without_failing_it() -> None:
    world = running()
    world.lose_pods(world.primary, 1)
    world.run_for(30)
    assert world.typed.canary_weight == 20
    assert world.typed.failed_checks == 0
    world.heal_pods(world.primary)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_both_sides_bad_traffic_stays_where_a_pod_is_left() -> None:
    world = running(40)
    world.lose_pods(world.primary)
    world.commands["abort"] = "*"
    world.run_for(10)
    assert world.route == Split(40)
    assert world.is_in(Phase.PROGRESSING)
    world.heal_pods(world.primary)
    world.settle(in_phase(Phase.FAILED), limit=30)
    assert world.route == Split(0)


@pytest.mark.fault("Q-1")
def test_a_promotion_that_cannot_be_undone_leaves_the_traffic_and_heals_later() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    world.broken_pods = "app-primary"
    world.settle(in_phase(Phase.FAILED), limit=300)
    assert world.typed.canary_weight == 100
    assert world.route == Split(100)
    assert world.target is not None
    assert world.target.replicas == 2
    assert "its last promoted template is not ready either" in world.typed.history[0].cause
    world.broken_pods = ""
    world.settle(lambda w: w.route == Split(0), limit=60)
    assert world.primary is not None
    assert world.primary.source_revision == "v1"


def test_a_primary_lost_while_finalising_gets_the_canary_back() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(in_phase(Phase.FINALISING))
    world.lose_pods(world.primary)
    world.settle(lambda w: w.route == Split(100), limit=3)
    assert world.is_in(Phase.PROMOTING)
    world.heal_pods(world.primary)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_canary_pods_lost_while_promoting_give_the_traffic_to_the_primary() -> None:
    world = World(analysis={"interval": "10s", "stepWeight": 50, "maxWeight": 50, "stepWeightPromotion": 10}).initialised()
    world.release("v2")
    world.settle(lambda w: w.phase is Phase.PROMOTING and w.route == Split(40))
    world.lose_pods(world.target)
    world.look()
    assert world.route == Split(0)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_a_rollout_that_is_held_by_a_config_that_changed_is_named() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    primary = world.facts().primary
    assert isinstance(primary, WorkloadFacts)
    decision = decide(
        world.canary, world.typed, replace(world.facts(), primary=replace(primary, flagger_id="x"), config_problem="configmap/c changed"),
        world.now,
    )  # fmt: skip
    assert any(condition.type == "Stalled" and condition.message == "configmap/c changed" for condition in decision.status.conditions)


def test_unreachable_providers_are_told_at_the_start() -> None:
    world = World(analysis={"interval": "10s", "stepWeight": 50, "metrics": [{"name": "m"}]})
    facts = replace(world.facts(), providers=("prometheus cannot be reached",))
    decision = decide(world.canary, world.typed, facts, world.now)
    assert any("Error checking metric providers: prometheus cannot be reached" in getattr(e, "message", "") for e in decision.effects)
    asked = decide(world.canary, world.typed, replace(facts, providers=None), world.now)
    assert any(type(effect).__name__ == "CheckProviders" for effect in asked.effects)


def test_warnings_about_legacy_forms_are_told_once_a_generation() -> None:
    world = World().initialised()
    world.generation = 2
    facts = replace(world.facts(), warnings=("spec.canaryAnalysis: write spec.analysis",))
    first = decide(world.canary, world.typed, facts, world.now)
    assert any(getattr(effect, "message", "").startswith("spec.canaryAnalysis") for effect in first.effects)
    world.status = first.status.to_obj()
    assert not any(hasattr(effect, "message") for effect in decide(world.canary, world.typed, facts, world.now).effects)


@pytest.mark.parametrize("command", ["abort", "promote", "retry"])
def test_a_command_that_does_not_fit_is_refused_and_taken_off(command: str) -> None:
    world = World().initialised()
    world.commands[command] = "*"
    world.run_for(2)
    assert world.commands == {}
    assert any(text.startswith(f"Nothing to {command}") for text in world.texts())


def test_a_new_revision_while_waiting_is_the_one_that_is_approved_and_the_old_one_ends_it() -> None:
    hook = {"name": "gate", "type": "confirm-rollout", "url": "http://gate/"}
    world = World(analysis={"interval": "10s", "stepWeight": 50, "webhooks": [hook]}).initialised()
    world.hooks["gate"] = lambda _: False
    world.release("v2")
    world.settle(in_phase(Phase.WAITING))
    world.release("v3")
    world.run_for(3)
    assert world.typed.run is not None
    assert world.typed.run.revision == "v3"
    world.commands["abort"] = "*"
    world.settle(in_phase(Phase.FAILED), limit=10)
    world.release("v4")
    world.settle(in_phase(Phase.WAITING))
    world.release("v1")
    world.settle(in_phase(Phase.SUCCEEDED), limit=5)
    world.release("v5")
    world.settle(in_phase(Phase.WAITING))
    world.commands["promote"] = "*"
    world.settle(ended)
    assert world.primary is not None
    assert world.primary.source_revision == "v5"


def test_suspended_and_new_nothing_is_made() -> None:
    world = World(suspend=True)
    world.run_for(10)
    assert world.primary is None
    world.spec["suspend"] = False
    world.settle(in_phase(Phase.INITIALIZED))


def test_a_refused_spec_from_the_start_makes_nothing() -> None:
    world = World()
    world.problems = ("spec.a: no", "spec.b: no")
    world.run_for(5)
    assert world.primary is None
    assert world.is_in(Phase.INITIALIZING)
    assert "spec.a: no; spec.b: no" in world.texts()


def test_the_finalizer_follows_the_spec() -> None:
    world = World(revertOnDeletion=True).initialised()
    assert world.finalizers
    world.spec["revertOnDeletion"] = False
    world.run_for(2)
    assert world.finalizers == []
    world.deleting = True
    assert world.look().effects == ()


def test_deletion_after_the_wish_to_revert_was_taken_back() -> None:
    world = World(revertOnDeletion=True).initialised()
    world.spec["revertOnDeletion"] = False
    world.deleting = True
    world.settle(lambda w: w.gone, limit=3)
    assert not world.reverted


@pytest.mark.fault("Q-28")
def test_deletion_does_not_wait_for_ever_for_a_broken_target() -> None:
    world = World(revertOnDeletion=True).initialised()
    world.release("v2", MISSING_IMAGE)
    world.deleting = True
    world.settle(lambda w: w.gone, limit=90)
    assert any("app-primary goes on serving, and stays when the Canary goes" in text for text in world.texts())
    assert world.left
    assert world.apex
    assert not world.reverted


def test_a_canary_restored_with_the_phase_of_a_deletion_starts_anew() -> None:
    world = World().initialised()
    world.status["phase"] = "Terminating"
    world.settle(in_phase(Phase.INITIALIZED))


def test_a_recreated_canary_does_not_promote_what_its_primary_does_not_run() -> None:
    world = World().initialised()
    world.status = {}
    world.release("v2", GOOD)
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.primary is not None
    assert world.primary.source_revision == "v1"
    world.settle(in_phase(Phase.PROGRESSING), limit=10)
    world.settle(ended)
    assert world.primary.source_revision == "v2"


def test_a_draft_refuses_a_move_that_is_not_in_the_table() -> None:
    draft = Draft(World().canary, CanaryStatus(phase=Phase.INITIALIZED), Facts(), 0.0)
    with pytest.raises(ValueError, match="no move from Initialized to Succeeded"):
        draft.enter(Phase.SUCCEEDED, Cause.DRAINED)
    with pytest.raises(LookupError, match="no run in phase Initialized"):
        _ = draft.run


def test_the_table_of_moves_knows_every_phase_and_says_what_each_row_waits_for() -> None:
    assert {move.before for move in TABLE} == set(Phase)
    assert {move.cause for move in TABLE} == set(Cause)
    assert all(move.waits for move in TABLE)
    assert all(legal(phase, Cause.DELETED, Phase.TERMINATING) for phase in Phase if phase is not Phase.TERMINATING)
    assert len(set(TABLE)) == len({(move.before, move.cause, move.after) for move in TABLE})


def test_a_template_that_the_end_of_a_run_did_not_live_to_forget_is_forgotten_later() -> None:
    world = World().initialised()
    kept = world.facts().kept
    assert isinstance(kept, frozenset)
    left = decide(world.canary, world.typed, replace(world.facts(), kept=kept | {"left"}), world.now)
    forgotten = [effect for effect in left.effects if isinstance(effect, ForgetRevisions)]
    assert [set(effect.but) for effect in forgotten] == [set(kept)]
    # of a Canary taken over from Flagger, whose hashes are of another kind, nothing is known to be in vain
    unknown = decide(world.canary, world.typed, replace(world.facts(), kept=frozenset({"left"})), world.now)
    assert not [effect for effect in (*unknown.effects, *decide(world.canary, world.typed, world.facts(), world.now).effects)
                if isinstance(effect, ForgetRevisions)]  # fmt: skip


def test_an_unfit_target_is_a_reason_of_its_own() -> None:
    world = World().initialised()
    target = world.facts().target
    assert isinstance(target, WorkloadFacts)
    decision = decide(world.canary, world.typed, replace(world.facts(), target=replace(target, problem="no label of app, name")), world.now)
    told = {condition.type: (condition.status, condition.reason) for condition in decision.status.conditions}
    assert told["Stalled"] == ("True", "TargetUnfit")
    assert told["Ready"][0] == "False"


def test_a_primary_that_is_scaled_to_zero_before_it_is_initialised_gets_its_size() -> None:
    world = World()
    world.settle(lambda w: w.primary is not None)
    assert world.primary is not None
    world.primary.replicas = 0
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.primary.replicas == 2


def test_a_bootstrap_ends_without_the_weight_that_somebody_wrote() -> None:
    world = World()
    world.status = {"phase": "Initializing", "canaryWeight": 40, "iterations": 3, "failedChecks": 1}
    world.settle(in_phase(Phase.INITIALIZED))
    assert (world.typed.canary_weight, world.typed.iterations, world.typed.failed_checks) == (0, 0, 0)


def test_an_apex_service_that_no_longer_leads_to_the_primary_is_put_right_between_releases() -> None:
    world = World().initialised()
    world.apex = False
    world.look()
    assert world.apex


def test_pods_that_are_made_count_where_the_deployment_s_status_lags() -> None:
    target = running().facts().target
    assert isinstance(target, WorkloadFacts)
    assert complete(replace(target, updated=0), 100)
    assert complete(replace(target, created=0), 100)
    assert not complete(replace(target, updated=0, created=1), 100)


@pytest.mark.parametrize(("reason", "relapses"), [("Evicted", 0), ("", 1)])
def test_pods_that_were_taken_away_are_no_relapse_of_the_revision(reason: str, relapses: int) -> None:
    world = running()
    target = world.facts().target
    assert isinstance(target, WorkloadFacts)
    pods = tuple(replace(pod, ready=False, reason=reason) for pod in target.pods)
    lost = replace(target, pods=pods, ready=0, available=0, serving=0)
    decision = decide(world.canary, world.typed, replace(world.facts(), target=lost), world.now)
    assert decision.status.canary_weight == 0
    assert decision.status.run is not None
    assert decision.status.run.relapses == relapses


def test_configs_that_cannot_be_read_are_named() -> None:
    assert waits_for(running(), configs=UNKNOWN) == "the newest state of app: its ConfigMaps and Secrets cannot be read"


@pytest.mark.parametrize(("primary", "size"), [(None, 1), (3, 3)])
def test_the_bootstrap_of_a_target_at_zero_takes_the_size_of_its_primary_or_one(primary: int | None, size: int) -> None:
    world = World()
    assert world.target is not None
    world.target.replicas = 0
    if primary is not None:
        world.primary = replace(world.target, name="app-primary", replicas=primary)
    world.look()
    assert world.typed.run is not None
    assert world.typed.run.replicas == size


def test_a_release_at_its_very_end_does_not_turn_back_to_a_canary_without_ready_pods() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    initialised(scene)
    befall(scene, "a good template")
    go(scene, lambda: scene.phase is Phase.FINALISING)
    facts = scene.facts()
    assert isinstance(facts.target, WorkloadFacts)
    lost = replace(facts.target, pods=tuple(replace(pod, ready=False) for pod in facts.target.pods), ready=0, available=0, serving=0)
    assert isinstance(facts.primary, WorkloadFacts)
    pods = tuple(replace(pod, ready=False) for pod in facts.primary.pods)
    empty = replace(facts.primary, pods=pods, ready=0, available=0, serving=0)
    decision = decide(scene.canary, scene.typed, replace(facts, target=lost, primary=empty), scene.now)
    assert decision.status.phase is Phase.FINALISING


def test_an_undone_promotion_whose_former_template_is_lost_leaves_the_traffic_where_it_is() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    BEGINS["a promotion that is being undone"](scene)
    weight = scene.typed.canary_weight
    facts = scene.facts()
    assert isinstance(facts.route, RouteFacts)
    facts = replace(facts, kept=frozenset(), route=replace(facts.route, accepted=True, split=Split(weight)))
    decision = decide(scene.canary, scene.typed, facts, scene.now)
    assert (decision.status.phase, decision.status.canary_weight, decision.status.run) == (Phase.FAILED, weight, None)
    assert not [effect for effect in decision.effects if isinstance(effect, ScaleTarget)]


def test_a_metrics_server_that_is_back_lets_the_run_go_on_in_the_same_look() -> None:
    world = World(analysis={"interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 40, "metrics": [{"name": "m"}]}).initialised()
    down = {"m": True}
    world.metrics["m"] = lambda at: Measurement("unreachable" if down["m"] else "value", 100.0, "refused" if down["m"] else "", at)
    world.release("v2")
    sentence = "the metrics server, which cannot be reached"
    world.settle(lambda w: w.typed.progress is not None and w.typed.progress.waiting_for == sentence, limit=300)
    progress = world.typed.progress
    assert progress is not None
    assert progress.until is not None
    assert world.typed.run is not None
    assert from_timestamp(progress.until) == pytest.approx((world.typed.run.analysed_at or 0.0) + 10, abs=1.0)
    down["m"] = False
    world.settle(lambda w: w.typed.run is not None and w.typed.run.unmeasured_since is None, limit=30)
    assert world.typed.progress is not None
    assert "cannot be reached" not in world.typed.progress.waiting_for


def test_a_canary_whose_status_was_lost_takes_what_its_primary_runs_for_promoted() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(ended)
    world.status = {}
    world.release("v3")
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.typed.last_promoted_spec == "v2"
    assert world.primary is not None
    assert world.primary.template == "v2"
    world.settle(ended)
    assert world.typed.history[0].revision == "v3"


def test_traffic_that_is_left_on_a_canary_goes_back_though_it_is_one_percent() -> None:
    world = World().initialised()
    world.status = {**world.status, "canaryWeight": 1}
    world.look()
    assert world.typed.canary_weight == 0


def test_an_event_may_be_of_another_phase_than_the_canary() -> None:
    world = World().initialised()
    draft = Draft(world.canary, world.typed, world.facts(), world.now)
    draft.event("Normal", "one")
    draft.event("Normal", "two", phase=Phase.FAILED)
    draft.alert("info", "three", phase=Phase.FAILED)
    assert [effect.phase for effect in draft.effects if isinstance(effect, RecordEvent)] == ["Initialized", "Failed"]
    assert draft.status.outbox[-1].phase == "Failed"


def test_an_alert_that_nobody_wants_is_not_owed() -> None:
    world = World().initialised()
    draft = Draft(world.canary, world.typed, replace(world.facts(), alerts_wanted=False), world.now)
    draft.alert("error", "lost")
    assert draft.status.outbox == world.typed.outbox


def test_a_failed_canary_that_carries_one_percent_is_not_said_to_be_scaled_to_zero() -> None:
    failed = CanaryStatus(phase=Phase.FAILED, canary_weight=1)
    told = Draft(World().canary, failed, Facts(), 0.0).finish().status.conditions
    assert told[0].message == "Canary analysis failed, Deployment kept up and serving."


def test_a_primary_that_does_not_come_back_is_told_once() -> None:
    world = World().initialised()
    world.primary = None
    told = [effect for _ in range(3) for effect in world.look_and_die().effects if isinstance(effect, RecordEvent)]
    assert [effect.message for effect in told] == ["app-primary is gone: it comes back with its last promoted template"]


def test_pods_that_a_person_takes_away_are_not_lost() -> None:
    world = World(replicas=4, analysis={"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}).initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(40))
    assert world.target is not None
    world.target.replicas = 2
    world.settle(lambda w: w.route == Split(60))
    assert not any("Cut" in text for text in world.texts())


def test_a_pod_that_is_ready_serves_though_the_count_of_serving_pods_is_older() -> None:
    facts = World().facts().target
    assert isinstance(facts, WorkloadFacts)
    assert serving_count(replace(facts, serving=0, pods=tuple(replace(pod, ready=True) for pod in facts.pods))) == 2


def test_old_pods_that_are_left_when_just_enough_are_available_are_waited_for_by_name() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.is_in(Phase.PROMOTING) and w.primary is not None and w.primary.template == "v2")
    primary = world.facts().primary
    assert isinstance(primary, WorkloadFacts)
    pods = tuple(replace(pod, ready=True) for pod in primary.pods)
    left = replace(primary, ready=2, available=2, updated=2, created=2, old=1, serving=3, pods=pods)
    assert waits_for(world, primary=left).endswith("waiting for rollout to finish: 1 old replicas are pending termination")
