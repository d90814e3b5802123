"""Releases from their beginning to their end, by the core alone, in a modelled world."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import Any

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import MISSING_IMAGE, NEVER_READY, Behaviour
from flaggerpy.model.world import ROUTE_LAG, Killed, World, ended, in_phase, weights_of
from flaggerpy.rollout import traffic
from flaggerpy.rollout.facts import Measurement, Split


def _said(state: dict[str, bool], _: float) -> bool:
    return state["at"]


def hook(name: str, type: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, "url": f"http://{name}/", **more}


def analysis(**changes: Any) -> dict[str, Any]:
    return {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60} | changes


BLUE_GREEN = {"interval": "10s", "threshold": 2, "iterations": 3}
AB = {**BLUE_GREEN, "match": [{"headers": {"x-canary": {"exact": "yes"}}}]}


def test_the_target_is_scaled_down_only_after_the_primary_serves() -> None:
    world = World()
    world.settle(lambda w: w.primary is not None)
    assert world.target is not None
    assert world.target.replicas == 2
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.target.replicas == 0
    assert world.apex
    assert world.typed.last_promoted_spec == world.typed.last_applied_spec == "v1"
    assert "Initialization done! app.test" in world.texts()
    assert ("info", "New Deployment detected, initialization completed.") in world.alerts


def test_a_good_revision_goes_through_its_steps_and_is_promoted() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert weights_of(world.route_writes) == [0, 20, 40, 60, 0]
    assert world.primary is not None
    assert world.primary.source_revision == "v2"
    assert world.target is not None
    assert world.target.replicas == 0
    texts = world.texts()
    for text in (
        "New revision detected! Scaling up app.test",
        "Starting canary analysis for app.test",
        "Advance app.test canary weight 20",
        "Copying app.test template spec to app-primary.test",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down app.test",
    ):
        assert texts.count(text) == 1, text
    assert world.typed.history[0].outcome == "Succeeded"
    assert world.phases[-5:] == [Phase.INITIALIZED, Phase.PROGRESSING, Phase.PROMOTING, Phase.FINALISING, Phase.SUCCEEDED]


@pytest.mark.fault("Q-27")
def test_a_run_of_three_steps_takes_little_more_than_its_intervals() -> None:
    world = World().initialised()
    world.release("v2")
    took = world.settle(ended)
    steps, interval, settle, drain, pod_starts = 3, 10, 10, 5, 2
    assert took <= (steps * interval + settle + drain + pod_starts) * 1.1 + 1


def test_each_weight_stands_for_an_interval() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(ended)
    at = {split.canary: when for when, split in world.route_writes if split.canary}
    assert at[40] - at[20] >= 10
    assert at[60] - at[40] >= 10


@pytest.mark.fault("Q-25")
def test_a_missing_image_fails_within_seconds_and_says_why() -> None:
    world = World().initialised()
    world.release("v2", MISSING_IMAGE)
    took = world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert took <= 8
    assert set(weights_of(world.route_writes)) == {0}
    cause = world.typed.history[0].cause
    assert "r/app:x" in cause or "r/app:v2" in cause
    assert any("Rolling back app.test" in text for text in world.texts())
    assert world.alerts[-1][0] == "error"


def test_the_same_failure_on_the_promoted_pods_is_a_storm_and_no_verdict_before_the_deadline() -> None:
    world = World().initialised()
    world.behaviour["v1"] = MISSING_IMAGE
    world.release("v2", MISSING_IMAGE)
    world.run_for(45)
    assert world.is_in(Phase.PROGRESSING)
    world.settle(lambda w: w.typed.run is not None and w.typed.run.verdict is not None, limit=30)


@pytest.mark.fault("Q-7")
def test_pods_that_never_get_ready_fail_at_the_deadline() -> None:
    world = World().initialised()
    world.release("v2", NEVER_READY)
    took = world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert 60 <= took <= 65
    assert "progress deadline of 60s exceeded" in world.typed.history[0].cause


def test_a_crash_loop_that_flaps_ready_never_gets_traffic() -> None:
    world = World().initialised()
    world.release("v2", Behaviour(crash_every=6.0, ready_after=1.0))
    took = world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert took <= 40
    assert set(weights_of(world.route_writes)) == {0}


def test_failed_checks_add_up_to_a_rollback() -> None:
    world = World(analysis=analysis(metrics=[{"name": "m", "thresholdRange": {"min": 99}}])).initialised()
    world.metrics["m"] = lambda at: Measurement("value", 50.0, text="Halt app.test advancement m 50.00 < 99", at=at)
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert world.texts().count("Halt app.test advancement m 50.00 < 99") == 2
    assert "Rolling back app.test failed checks threshold reached 2" in world.texts()
    assert ("error", "Failed checks threshold reached 2") in world.alerts
    assert world.typed.history[0].cause == "failed checks threshold reached 2: m 50.00 < 99"
    assert weights_of(world.route_writes) == [0, 20, 0]
    assert world.typed.failed_checks == 0


def test_an_unreachable_metrics_server_holds_and_later_takes_the_weight_away() -> None:
    world = World(analysis=analysis(metrics=[{"name": "m"}])).initialised()
    state = {"down": True}
    world.metrics["m"] = lambda at: Measurement("unreachable", text="refused", at=at) if state["down"] else Measurement("value", 100, at=at)
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 20)
    world.run_for(40)
    assert world.typed.canary_weight == 20
    assert world.typed.failed_checks == 0
    world.settle(lambda w: w.route == Split(0))
    assert world.is_in(Phase.PROGRESSING)
    world.run_for(60)
    assert world.route == Split(0)
    state["down"] = False
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_missing_data_counts_once_in_ten_seconds_at_short_intervals() -> None:
    world = World(analysis=analysis(interval="1s", threshold=3, metrics=[{"name": "m"}])).initialised()
    world.metrics["m"] = lambda at: Measurement("no-data", text="no values", at=at)
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 20)
    took = world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert took >= 20


def test_blue_green_routes_all_to_the_canary_before_the_promotion() -> None:
    world = World(analysis=BLUE_GREEN).initialised()
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert weights_of(world.route_writes) == [0, 100, 0]
    assert "Routing all traffic to canary" in world.texts()
    assert "Advance app.test canary iteration 3/3" in world.texts()


def test_blue_green_mirrors_where_asked() -> None:
    world = World(analysis={**BLUE_GREEN, "mirror": True}).initialised()
    world.release("v2")
    world.settle(ended)
    assert [split for _, split in world.route_writes] == [Split(0), Split(mirror=True), Split(100), Split(0)]


def test_ab_testing_routes_by_match_only() -> None:
    world = World(analysis=AB).initialised()
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert [split for _, split in world.route_writes] == [Split(0), Split(match=True), Split(0)]


def test_by_services_only_there_is_no_split() -> None:
    world = World(weights=False).initialised()
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert world.route_writes == []
    assert "Advance app.test canary iteration 10/10" in world.texts()


def test_the_way_back_in_steps() -> None:
    world = World(analysis=analysis(stepWeightPromotion=30)).initialised()
    world.release("v2")
    world.settle(ended)
    assert weights_of(world.route_writes) == [0, 20, 40, 60, 30, 0]
    assert "Advance app.test primary weight 70" in world.texts()


@pytest.mark.fault("Q-60")
def test_skip_analysis_promotes_what_is_ready() -> None:
    world = World(skipAnalysis=True).initialised()
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert set(weights_of(world.route_writes)) == {0}
    assert "Promotion completed! Canary analysis was skipped for app.test" in world.texts()


def test_a_closed_gate_is_waiting_and_scales_nothing() -> None:
    world = World(analysis=analysis(webhooks=[hook("gate", "confirm-rollout")])).initialised()
    opened = {"at": False}
    world.hooks["gate"] = lambda _: opened["at"]
    world.release("v2")
    world.settle(in_phase(Phase.WAITING))
    world.run_for(60)
    assert world.is_in(Phase.WAITING)
    assert world.target is not None
    assert world.target.replicas == 0
    assert world.texts().count("Halt app.test advancement waiting for approval gate") == 1
    opened["at"] = True
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert "Confirm-rollout check gate passed" in world.texts()


@pytest.mark.fault("Q-23")
def test_a_closed_promotion_gate_keeps_weight_and_analysis() -> None:
    world = World(analysis=analysis(webhooks=[hook("gate", "confirm-promotion")])).initialised()
    opened = {"at": False}
    world.hooks["gate"] = lambda _: opened["at"]
    world.release("v2")
    world.settle(in_phase(Phase.WAITING_PROMOTION))
    world.run_for(300)
    assert world.is_in(Phase.WAITING_PROMOTION)
    assert world.typed.canary_weight == 60
    assert world.route == Split(60)
    opened["at"] = True
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.fault("Q-26")
def test_a_closed_traffic_gate_holds_the_weight() -> None:
    world = World(analysis=analysis(webhooks=[hook("gate", "confirm-traffic-increase"), hook("pre", "pre-rollout")])).initialised()
    opened = {"at": False}
    world.hooks["gate"] = lambda _: opened["at"]
    world.release("v2")
    world.settle(lambda w: any("traffic increase" in text for text in w.texts()))
    world.run_for(100)
    assert world.typed.canary_weight == 0
    assert world.texts().count("Starting canary analysis for app.test") == 1
    assert sum(role == "pre-rollout" for _, _, role in world.asked) == 1
    assert sum("traffic increase" in message for _, message in world.alerts) == 1
    opened["at"] = True
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.parametrize(("role", "command"), [("confirm-traffic-increase", "skip"), ("confirm-promotion", "promote")])
def test_a_closed_gate_is_named_with_the_time_it_closed_for_as_long_as_it_holds(role: str, command: str) -> None:
    world = World(analysis=analysis(interval="10s", webhooks=[hook("manager", role)])).initialised()
    world.hooks["manager"] = lambda _: False
    world.release("v2")
    world.settle(lambda w: any(told.startswith("Halt ") for told in w.texts()))
    waited = set()
    for _ in range(200):
        world.run_for(1)
        told = world.typed.progress
        assert told is not None
        if not told.waiting_for.startswith(("the answer of", "the measurement of")):
            waited.add((told.waiting_for, told.since, told.advice))
    [(what, since, advice)] = waited
    assert (what, advice) == (f"approval by the {role} gate manager", f"open the gate, or: flaggerpy {command} app -n test")
    assert since is not None


def test_failing_pre_rollout_hooks_count_and_are_asked_once_an_interval() -> None:
    world = World(analysis=analysis(webhooks=[hook("pre", "pre-rollout")])).initialised()
    world.hooks["pre"] = lambda _: False
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert sum(role == "pre-rollout" for _, _, role in world.asked) == 2
    assert set(weights_of(world.route_writes)) == {0}


@pytest.mark.fault("Q-24")
def test_a_rollback_hook_rolls_back_from_any_active_phase() -> None:
    for gate in (None, "confirm-rollout", "confirm-promotion"):
        hooks = [hook("back", "rollback"), *([hook("gate", gate)] if gate else [])]
        world = World(analysis=analysis(webhooks=hooks)).initialised()
        wanted = {"at": False}
        world.hooks = {"back": partial(_said, wanted), "gate": lambda _: False}
        world.release("v2")
        world.settle(in_phase(Phase.WAITING, Phase.WAITING_PROMOTION, Phase.PROGRESSING))
        world.run_for(45 if gate else 20)
        wanted["at"] = True
        world.settle(in_phase(Phase.FAILED), limit=30)
        assert ("warn", "Rolling back manual webhook invoked") in world.alerts


def test_a_newer_revision_restarts_the_run_with_no_weight() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 40)
    world.release("v3")
    world.look()
    assert world.route == Split(0)
    assert "New revision detected! Restarting analysis for app.test" in world.texts()
    world.settle(ended)
    assert world.primary is not None
    assert world.primary.source_revision == "v3"
    assert [entry.outcome for entry in world.typed.history[:2]] == ["Succeeded", "Superseded"]


@pytest.mark.fault("Q-8")
def test_going_back_to_the_promoted_revision_is_no_release() -> None:
    world = World().initialised()
    world.release("v2", MISSING_IMAGE)
    world.settle(in_phase(Phase.FAILED))
    world.release("v1")
    world.run_for(30)
    assert world.is_in(Phase.FAILED)
    world.release("v2", MISSING_IMAGE)
    world.settle(in_phase(Phase.PROGRESSING))


@pytest.mark.fault("Q-2", "Q-3")
def test_a_target_that_moves_while_promoting_is_promoted_as_analysed_then_released_anew() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    world.release("v3")
    world.settle(in_phase(Phase.SUCCEEDED))
    assert world.primary is not None
    assert world.primary.source_revision == "v2"
    world.settle(in_phase(Phase.PROGRESSING))
    world.settle(ended)
    assert world.primary.source_revision == "v3"


@pytest.mark.fault("Q-1")
def test_a_primary_that_does_not_take_the_revision_gets_its_old_template_back() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(in_phase(Phase.PROMOTING))
    assert world.primary is not None
    # the primary's new pods cannot get ready, those of the canary can
    world.broken_pods = "app-primary-v2"
    before = [pod.name for pod in world.primary.pods if pod.name.startswith("app-primary-v1")]
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    # the pods that were there count again: where no new pod finds room (a quota, a full node) only they can serve
    assert [pod.name for pod in world.primary.pods] == before
    assert world.primary.source_revision == "v1"
    assert world.route == Split(0)
    assert any(text.startswith("Promotion of app.test failed, primary not ready") for text in world.texts())


def test_lost_pods_lose_their_share_at_once_and_get_it_back() -> None:
    world = World(replicas=4).initialised()
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 40)
    world.look()
    world.lose_pods(world.target, 1)
    world.look()
    assert world.route == Split(30)
    assert world.typed.canary_weight == 40
    world.heal_pods(world.target)
    world.settle(lambda w: w.route == Split(40), limit=5)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_a_run_relapses_twice_and_fails_the_third_time() -> None:
    world = World().initialised()
    world.release("v2")
    for _ in range(2):
        world.settle(lambda w: w.typed.canary_weight == 20)
        world.settle(lambda w: w.route == Split(20))
        world.lose_pods(world.target)
        world.look()
        assert world.route == Split(0)
        assert world.is_in(Phase.PROGRESSING)
        world.heal_pods(world.target)
    world.settle(lambda w: w.route == Split(20))
    world.lose_pods(world.target)
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert "unready 3 times" in world.typed.history[0].cause


def test_suspend_holds_everything_but_safety() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    world.spec["suspend"] = True
    world.run_for(100)
    assert world.typed.canary_weight == 20
    world.lose_pods(world.target)
    world.look()
    assert world.route == Split(0)


@pytest.mark.fault("Q-6")
def test_a_refused_spec_moves_nothing_and_recovers() -> None:
    world = World().initialised()
    world.problems = ("spec.autoscalerRef: not built yet",)
    world.release("v2")
    world.run_for(30)
    assert world.is_in(Phase.INITIALIZED)
    stalled = next(c for c in world.typed.conditions if c.type == "Stalled")
    assert stalled.message == "spec.autoscalerRef: not built yet"
    assert world.texts().count("spec.autoscalerRef: not built yet") == 1
    world.problems = ()
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


def test_abort_promote_and_retry() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 20)
    world.commands["abort"] = "v2"
    world.settle(in_phase(Phase.FAILED), limit=20)
    assert world.commands == {}
    assert world.typed.history[0].outcome == "Aborted"
    world.run_for(30)
    assert world.is_in(Phase.FAILED)
    world.commands["retry"] = "*"
    world.settle(in_phase(Phase.PROGRESSING), limit=5)
    world.settle(lambda w: w.typed.canary_weight == 20)
    world.commands["promote"] = "v2"
    world.settle(in_phase(Phase.SUCCEEDED), limit=20)
    assert world.typed.history[0].forced
    assert world.typed.history[0].revision == "v2"


def test_a_command_for_another_revision_is_refused() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 20)
    world.commands["abort"] = "v1"
    world.run_for(5)
    assert world.is_in(Phase.PROGRESSING)
    assert any("Refused to abort" in text for text in world.texts())
    assert world.commands == {}


def test_pause_holds_until_it_is_gone() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    world.commands["pause"] = "*"
    world.run_for(100)
    assert world.typed.canary_weight == 20
    del world.commands["pause"]
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)


@pytest.mark.fault("Q-61")
def test_deletion_gives_the_target_its_pods_back_before_the_finalizer_goes() -> None:
    world = World(revertOnDeletion=True).initialised()
    assert world.finalizers
    world.deleting = True
    world.settle(lambda w: w.gone, limit=60)
    assert world.target is not None
    assert world.target.replicas == 2
    assert world.reverted
    assert "Terminated canary app.test" in world.texts()


@pytest.mark.parametrize("missing", ["target", "primary"])
@pytest.mark.fault("Q-28")
def test_deletion_does_not_hang_on_what_is_gone(missing: str) -> None:
    world = World(revertOnDeletion=True).initialised()
    setattr(world, missing, None)
    world.deleting = True
    world.settle(lambda w: w.gone, limit=120)


@pytest.mark.fault("Q-16")
def test_a_failed_bootstrap_touches_nothing_and_goes_on_when_mended() -> None:
    world = World()
    world.behaviour["v1"] = MISSING_IMAGE
    world.settle(in_phase(Phase.FAILED))
    assert world.target is not None
    assert world.target.replicas == 2
    assert not world.apex
    world.release("v1b")
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.primary is not None
    assert world.primary.source_revision == "v1b"


def test_a_route_of_the_user_learns_of_the_primary_before_it_leads_to_it() -> None:
    world = World(foreign=True)
    orders: list[str] = []
    world.checks.append(lambda w, d: orders.extend(type(e).__name__ + str(getattr(e, "apex", getattr(e, "lead", ""))) for e in d.effects))
    world.initialised()
    assert world.announced_at is not None
    assert world.leads_at is not None
    assert world.announcements == 2
    [(at, split)] = world.route_writes
    assert split == Split(0)
    assert world.leads_at >= world.announced_at + ROUTE_LAG + traffic.WARM
    assert at >= world.leads_at + ROUTE_LAG + traffic.WARM
    wanted = ["AnnounceBackendsFalse", "AnnounceBackendsTrue", "SetSplit", "EnsureServicesTrue", "ScaleTarget"]
    assert [name for name in dict.fromkeys(orders) if name in wanted] == wanted


@pytest.mark.parametrize("writes", range(20))
def test_a_death_between_the_writes_to_a_route_of_the_user_is_made_up_for(writes: int) -> None:
    world = World(foreign=True)
    left = [writes]

    def fault() -> None:
        left[0] -= 1
        if left[0] == -1:
            raise Killed

    world.fault = fault
    with contextlib.suppress(Killed):
        world.initialised()
    world.initialised()
    assert world.announcements == 2
    assert world.announced_at is not None
    assert world.leads_at is not None
    [(at, _)] = world.route_writes
    assert world.leads_at >= world.announced_at + ROUTE_LAG + traffic.WARM
    assert at >= world.leads_at + ROUTE_LAG + traffic.WARM


def test_a_route_that_its_controller_refuses_is_taken_over_all_the_same_and_step_by_step() -> None:
    world = World(foreign=True)
    world.refused = True
    world.settle(lambda w: w.announced_at is not None)
    told = world.announced_at or 0.0
    world.settle(lambda w: w.leads_at is not None, limit=30)
    led = world.leads_at or 0.0
    assert traffic.REFUSED <= led - told <= traffic.REFUSED + 2
    world.settle(lambda w: not w.foreign, limit=30)
    assert traffic.REFUSED <= world.now - led <= traffic.REFUSED + 2
    world.run_for(20)
    assert not world.apex
    assert world.target is not None
    assert world.target.replicas == 2
    world.refused = False
    world.initialised()


@pytest.mark.fault("Q-18")
def test_a_primary_deleted_by_hand_comes_back_with_what_was_promoted() -> None:
    world = World().initialised()
    world.release("v2", MISSING_IMAGE)
    world.settle(in_phase(Phase.FAILED))
    world.primary = None
    world.settle(lambda w: w.primary is not None, limit=10)
    assert world.primary is not None
    assert world.primary.source_revision == "v1"


def test_config_changes_are_releases_of_their_own() -> None:
    world = World()
    world.configs = {"configmap/c": "aaaa"}
    world.initialised()
    world.configs = {"configmap/c": "bbbb"}
    world.settle(in_phase(Phase.PROGRESSING), limit=5)
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert world.typed.promoted_configs == {"configmap/c": "bbbb"}
    world.configs = {"configmap/c": "aaaa"}
    world.settle(in_phase(Phase.PROGRESSING), limit=5)


@pytest.mark.fault("Q-38")
def test_session_cookies_follow_the_run() -> None:
    world = World(analysis=analysis(sessionAffinity={"cookieName": "c"})).initialised()
    world.release("v2")
    world.settle(lambda w: w.typed.canary_weight == 20)
    cookie = world.typed.session_affinity_cookie
    assert cookie is not None
    assert cookie.startswith("c=")
    world.settle(ended)
    assert world.typed.session_affinity_cookie is None
    assert world.typed.previous_session_affinity_cookie == cookie


@pytest.mark.fault("Q-63")
def test_an_idle_canary_asks_for_nothing() -> None:
    world = World().initialised()
    world.run_for(30)
    decision = world.look()
    assert decision.effects == ()
    assert decision.wake is None
    assert decision.status.to_obj() == world.status
