"""A primary between promotions stays what was promoted, whatever somebody did to it."""

from __future__ import annotations

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import NEVER_READY
from flaggerpy.model.world import World
from flaggerpy.rollout.effects import EnsurePrimary


def initialized() -> World:
    world = World()
    world.settle(lambda world: world.is_in(Phase.INITIALIZED))
    return world


def ensured(world: World) -> list[EnsurePrimary]:
    return [effect for effect in world.look().effects if isinstance(effect, EnsurePrimary)]


def test_an_idle_canary_leaves_its_primary_alone() -> None:
    assert ensured(initialized()) == []


def test_an_edited_primary_gets_its_own_revision_and_run_back() -> None:
    world = initialized()
    assert world.primary is not None
    before = world.primary.source_revision, world.primary.flagger_id
    world.primary_stale = True
    [effect] = ensured(world)
    # with its own run it is the template that it had, so that no pod rolls twice
    assert (effect.revision, effect.run_id, effect.replicas) == (*before, None)
    assert ensured(world) == []


def test_a_primary_scaled_to_zero_gets_its_size_back_but_no_other_size_is_touched() -> None:
    world = initialized()
    assert world.primary is not None
    world.primary.replicas = 0
    assert len(ensured(world)) == 1
    assert world.primary.replicas > 0
    world.primary.replicas = 7
    assert ensured(world) == []


def test_with_an_autoscaler_zero_may_be_its_wish() -> None:
    world = initialized()
    world.spec["autoscalerRef"] = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "app"}
    assert world.primary is not None
    world.primary.replicas = 0
    assert ensured(world) == []


@pytest.mark.parametrize("weight", [20, 40])
def test_in_a_run_the_primary_is_mended_and_the_weight_stays(weight: int) -> None:
    world = initialized()
    world.release("v2")
    world.settle(lambda world: world.typed.canary_weight == weight)
    world.primary_stale = True
    [effect] = ensured(world)
    assert effect.revision == world.typed.last_promoted_spec
    assert world.typed.canary_weight == weight


def test_a_primary_at_zero_does_not_hold_a_rollback_for_ever() -> None:
    world = initialized()
    world.release("v2")
    world.settle(lambda world: world.typed.canary_weight == 20)
    assert world.primary is not None
    world.primary.replicas = 0
    world.commands["abort"] = "*"
    world.settle(lambda world: world.is_in(Phase.FAILED))
    assert world.primary.replicas > 0


def test_a_primary_whose_template_is_not_kept_is_left_alone() -> None:
    world = initialized()
    world.primary_stale = True
    world.kept.clear()
    assert ensured(world) == []


def test_a_promotion_writes_the_run_s_template_whatever_was_edited() -> None:
    world = initialized()
    world.release("v2")
    world.settle(lambda world: world.is_in(Phase.PROMOTING))
    world.primary_stale = True
    assert {effect.revision for effect in ensured(world)} == {"v2"}
    world.release("v3", NEVER_READY)
    world.settle(lambda world: world.is_in(Phase.SUCCEEDED))
