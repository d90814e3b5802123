"""Requests under way have their time to end: pods go after the route left them, its controller took it, and the drain passed."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import MISSING_IMAGE
from flaggerpy.model.world import ROUTE_LAG, World, ended
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.facts import Measurement
from flaggerpy.rollout.traffic import DRAIN

WEIGHTED = {"interval": "10s", "threshold": 2, "stepWeight": 30, "maxWeight": 60, "metrics": [{"name": "m"}]}
CARRYING: dict[str, dict[str, Any]] = {
    "weighted": WEIGHTED,
    "blue/green": {"interval": "10s", "threshold": 2, "iterations": 2, "metrics": [{"name": "m"}]},
    "A/B": {
        "interval": "10s", "threshold": 2, "iterations": 2, "metrics": [{"name": "m"}], "match": [{"headers": {"x": {"exact": "y"}}}],
    },
}  # fmt: skip


def seconds_before_scale_down(world: World) -> list[float]:
    """Filled with the seconds from the last write of the route to each scaling of the target to zero."""
    found: list[float] = []

    def check(at: World, decision: Decision) -> None:
        if fx.ScaleTarget(0) in decision.effects:
            found.append(at.now - at.route_at)

    world.checks.append(check)
    return found


@pytest.mark.parametrize("analysis", CARRYING.values(), ids=CARRYING)
def test_a_promoted_canary_is_drained_before_it_goes(analysis: dict[str, Any]) -> None:
    world = World(analysis=analysis).initialised()
    waits = seconds_before_scale_down(world)
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert waits
    assert min(waits) >= ROUTE_LAG + DRAIN


@pytest.mark.parametrize("analysis", [CARRYING["weighted"], CARRYING["A/B"]], ids=["weighted", "A/B"])
def test_a_rolled_back_canary_that_carried_traffic_is_drained_before_it_goes(analysis: dict[str, Any]) -> None:
    world = World(analysis=analysis).initialised()
    world.metrics["m"] = lambda _: Measurement("value", 10.0, text="Halt app.test advancement m 10 < 99", at=world.now)
    waits = seconds_before_scale_down(world)
    world.release("v2")
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert waits
    assert min(waits) >= ROUTE_LAG + DRAIN


def test_a_canary_that_carried_nothing_goes_without_a_drain() -> None:
    world = World(analysis=WEIGHTED).initialised()
    said: list[str] = []
    world.checks.append(lambda _, decision: said.append(decision.status.progress.waiting_for if decision.status.progress else ""))
    world.release("v2", MISSING_IMAGE)
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert not [text for text in said if "drain" in text]
