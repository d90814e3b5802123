"""Faults of the core that the exploration found, each as the shortest history that showed it."""

from __future__ import annotations

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.begins import BEGINS, befall, go
from flaggerpy.model.explore import end_of
from flaggerpy.model.invariants import CHECKS
from flaggerpy.model.scene import Scene
from flaggerpy.model.strategies import STRATEGIES
from flaggerpy.model.workloads import GOOD, NEVER_READY
from flaggerpy.model.world import World, ended, in_phase


def test_a_failed_bootstrap_goes_on_when_its_primary_is_taken_away() -> None:
    world = World()
    world.behaviour["v1"] = NEVER_READY
    world.settle(in_phase(Phase.FAILED))
    world.behaviour["v1"] = GOOD
    world.primary = None
    world.settle(in_phase(Phase.INITIALIZED))


def test_a_held_run_whose_deadline_is_over_does_not_wake_the_controller_for_ever() -> None:
    world = World().initialised()
    world.release("v2", NEVER_READY)
    world.settle(in_phase(Phase.PROGRESSING))
    world.spec["suspend"] = True
    world.run_for(120)
    wake = world.look().wake
    assert wake is None or wake > world.now
    world.spec["suspend"] = False
    world.settle(in_phase(Phase.FAILED), limit=10)


def test_a_held_promotion_takes_the_weight_off_a_canary_without_pods() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.phase is Phase.PROMOTING)
    assert world.route is not None
    assert world.route.canary == 60
    world.spec["suspend"] = True
    world.lose_pods(world.target)
    world.look()
    assert world.route.canary == 0


def test_a_route_that_the_rollback_could_not_write_any_more_is_written_while_the_run_is_held() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route is not None and w.route.canary == 20)
    world.commands = {"abort": "*"}
    world.look_and_die()
    assert world.typed.canary_weight == 0
    world.spec["suspend"] = True
    world.look()
    assert world.route is not None
    assert world.route.canary == 0


def test_a_held_run_whose_target_is_gone_gives_its_weight_back() -> None:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route is not None and w.route.canary == 20)
    world.spec["suspend"] = True
    world.target = None
    world.look()
    assert world.route is not None
    assert world.route.canary == 0


def test_a_rollback_that_cannot_move_yet_keeps_the_weight_that_was_cut() -> None:
    world = World(progressDeadlineSeconds=30).initialised()
    world.release("v2")
    world.settle(lambda w: w.route is not None and w.route.canary == 20)
    world.run_for(2)
    world.lose_pods(world.target, 1)
    world.settle(lambda w: w.route is not None and w.route.canary == 10, limit=5)
    world.lose_pods(world.primary)
    world.settle(lambda w: w.typed.run is not None and w.typed.run.verdict is not None, limit=60)
    world.run_for(2)
    assert world.route is not None
    assert world.typed.canary_weight == world.route.canary == 10


def undone_promotion() -> Scene:
    """A promotion that failed on the primary and is being undone."""
    scene = Scene(**STRATEGIES["weighted"])
    scene.checks = list(CHECKS)
    go(scene, lambda: scene.phase is Phase.INITIALIZED)
    befall(scene, "a good template")
    go(scene, lambda: scene.phase is Phase.PROGRESSING)
    befall(scene, "the template is unfit for the primary")
    go(scene, lambda: scene.typed.run is not None and scene.typed.run.undo_promotion)
    return scene


def test_a_canary_that_took_all_traffic_in_an_undone_promotion_is_drained_once_more() -> None:
    scene = undone_promotion()
    go(scene, lambda: scene.route is not None and scene.route.canary == 0)
    scene.primary = None
    scene.come_to_rest()
    assert scene.route is not None
    end_of(scene)


def test_all_traffic_on_a_canary_whose_pods_are_replaced_goes_to_the_primary_that_is_coming_back() -> None:
    scene = undone_promotion()
    befall(scene, "a good template")
    scene.come_to_rest()
    assert scene.route is not None
    assert scene.route.canary == 0
    end_of(scene)


def test_a_promotion_that_is_undone_at_once_does_not_lead_all_traffic_to_the_canary_first() -> None:
    scene = Scene(**STRATEGIES["skipped"])
    scene.checks = list(CHECKS)
    BEGINS["a release held before its promotion without a primary"](scene)
    scene.blind = frozenset({"route"})
    go(scene, lambda: scene.typed.run is not None and scene.now > scene.typed.run.started_at + 30)
    end_of(scene)


def test_a_canary_that_comes_from_a_backup_begins_without_weight() -> None:
    world = World(revertOnDeletion=True).initialised()
    world.release("v2")
    world.settle(lambda w: w.route is not None and w.route.canary == 20)
    world.deleting = True
    world.settle(in_phase(Phase.TERMINATING))
    world.deleting = False
    world.settle(in_phase(Phase.INITIALIZED))
    assert world.route is not None
    assert world.route.canary == world.typed.canary_weight == 0


def test_relapses_count_while_a_run_is_held_and_end_it_afterwards() -> None:
    world = World(progressDeadlineSeconds=3600).initialised()
    world.release("v2")
    for _ in range(3):
        world.settle(lambda w: w.route is not None and w.route.canary > 0)
        world.spec["suspend"] = True
        world.lose_pods(world.target)
        world.look()
        world.heal_pods(world.target)
        world.spec["suspend"] = False
    world.settle(ended, limit=30)
    assert world.is_in(Phase.FAILED)
    assert "became unready 3 times" in world.typed.history[0].cause


def test_a_run_that_relapses_while_its_revision_cannot_be_told_is_judged_when_it_can() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    scene.checks = list(CHECKS)
    BEGINS["a release that relapsed twice"](scene)
    go(scene, lambda: scene.typed.canary_weight > 0)
    befall(scene, "the deployment controller lags")
    befall(scene, "the canary loses all pods")
    scene.come_to_rest()
    run = scene.typed.run
    assert run is not None
    assert (run.relapses, run.verdict, scene.typed.canary_weight) == (3, None, 0)
    befall(scene, "the deployment controller keeps up")
    end_of(scene)
    assert scene.phase is Phase.FAILED


def test_the_twelfth_retry_of_a_revision_is_a_run_of_its_own() -> None:
    world = World().initialised()
    world.release("v2")
    ids = []
    for _ in range(13):
        world.settle(in_phase(Phase.PROGRESSING))
        ids.append(world.typed.run.id if world.typed.run else "")
        world.commands = {"abort": "*"}
        world.settle(in_phase(Phase.FAILED))
        world.commands = {"retry": "*"}
    assert len(set(ids)) == 13


def test_a_canary_that_comes_back_from_its_deletion_does_not_promote_what_it_was_analysing() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    scene.checks = list(CHECKS)
    BEGINS["a release without image"](scene)
    go(scene, lambda: scene.phase is Phase.PROGRESSING)
    befall(scene, "the Canary is deleted")
    scene.come_to_rest()
    befall(scene, "the Canary comes from a backup")
    go(scene, lambda: scene.phase is Phase.FAILED)
    assert scene.primary is not None
    assert scene.primary.source_revision == "v1"


@pytest.mark.parametrize("strategy", ["weighted", "by Services"])
def test_a_primary_that_goes_before_the_canary_was_scaled_down_keeps_the_canary(strategy: str) -> None:
    scene = Scene(**STRATEGIES[strategy])
    scene.checks = list(CHECKS)
    BEGINS["a good release"](scene)
    go(scene, lambda: scene.phase is Phase.PROMOTING)
    befall(scene, "target cannot be read, or again")
    go(scene, lambda: scene.phase is Phase.FINALISING and scene.typed.run is not None and (scene.typed.run.drained or not scene.weights))
    befall(scene, "the primary is gone")
    befall(scene, "target cannot be read, or again")
    scene.come_to_rest()
    assert scene.phase is Phase.PROMOTING
    assert scene.target is not None
    assert scene.target.replicas > 0
    end_of(scene)


def test_a_users_route_that_is_refused_leads_to_the_primary_before_it_is_taken_over() -> None:
    scene = Scene(**STRATEGIES["adopting"])
    scene.checks = list(CHECKS)
    befall(scene, "the route is refused")
    end_of(scene)
    assert not scene.foreign


def led_to(scene: Scene) -> int:
    """Percent of the traffic that the route leads to the canary."""
    return scene.route.canary if scene.route is not None else 0


def test_traffic_left_on_a_canary_that_dies_goes_to_whatever_pod_the_primary_has() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    BEGINS["a promotion that failed on both sides"](scene)
    scene.come_to_rest()
    assert led_to(scene) == 100
    befall(scene, "the canary loses all pods")
    scene.come_to_rest()
    befall(scene, "the primary is scaled")
    go(scene, lambda: led_to(scene) == 0)


def test_a_template_that_never_gets_ready_while_the_traffic_is_given_back_is_not_waited_for_beyond_the_deadline() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    BEGINS["a Canary that is being deleted"](scene)
    go(scene, lambda: scene.back == 3)
    befall(scene, "a template that is never ready")
    end_of(scene)
    assert scene.gone


def test_a_primary_scaled_to_zero_comes_back_while_the_canary_carries_all_traffic_and_its_autoscaler_would_leave_it_so() -> None:
    scene = Scene(**STRATEGIES["scaled"])
    scene.checks = list(CHECKS)
    BEGINS["a promotion that failed on both sides"](scene)
    scene.come_to_rest()
    assert led_to(scene) == 100
    befall(scene, "the primary is scaled to zero")
    end_of(scene)
    assert led_to(scene) == 0


@pytest.mark.parametrize(("moment", "blind"), [(Phase.PROMOTING, "target"), (Phase.PROGRESSING, "primary")])
def test_a_route_that_somebody_edits_is_not_put_right_towards_pods_that_nobody_knows_to_be_ready(moment: Phase, blind: str) -> None:
    scene = Scene(**STRATEGIES["weighted"])
    scene.checks = list(CHECKS)
    BEGINS["a good release" if moment is Phase.PROMOTING else "a release after that"](scene)
    go(scene, lambda: scene.phase is moment)
    befall(scene, f"{blind} cannot be read, or again")
    scene.come_to_rest()
    befall(scene, "somebody edits the route")
    scene.come_to_rest()
    end_of(scene)


def test_a_rollback_that_waits_for_the_primary_keeps_the_route_as_it_is() -> None:
    scene = Scene(**STRATEGIES["weighted"])
    scene.checks = list(CHECKS)
    BEGINS["a release held before its promotion without a primary"](scene)
    befall(scene, "a template without image")
    go(scene, lambda: scene.phase is Phase.PROGRESSING and scene.typed.run is not None and scene.typed.run.verdict is not None)
    wanted = scene.typed.canary_weight
    befall(scene, "somebody edits the route")
    scene.come_to_rest()
    assert led_to(scene) == wanted


def test_a_promotion_ordered_while_the_target_cannot_be_read_scales_it_when_it_can() -> None:
    scene = Scene(**STRATEGIES["gated"])
    scene.checks = list(CHECKS)
    BEGINS["a release at its first gate"](scene)
    go(scene, lambda: scene.phase is Phase.WAITING)
    befall(scene, "target cannot be read, or again")
    befall(scene, "command promote")
    scene.come_to_rest()
    assert scene.target is not None
    assert scene.target.replicas == 0
    befall(scene, "target cannot be read, or again")
    go(scene, lambda: scene.phase is Phase.SUCCEEDED)


def test_a_canary_from_a_backup_that_is_deleted_before_it_has_a_finalizer_is_gone_at_once() -> None:
    scene = Scene(**STRATEGIES["by Services"])
    scene.checks = list(CHECKS)
    scene.come_to_rest()
    for event in (
        "the Canary is deleted", "death before write 4", "the spec cannot be honoured", "the Canary comes from a backup",
        "revertOnDeletion turns", "death before write 2", "revertOnDeletion turns", "the Canary is deleted",
    ):  # fmt: skip
        befall(scene, event)
    assert scene.gone
    end_of(scene)
