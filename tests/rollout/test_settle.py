"""No traffic before the canary's pods stayed ready without a restart for podHealth.settle seconds."""

from __future__ import annotations

from flaggerpy.api.status import Phase
from flaggerpy.model.workloads import Behaviour
from flaggerpy.model.world import World, ended, weights_of


def test_pods_that_restart_between_two_looks_get_no_traffic_though_they_are_ready_at_each() -> None:
    world = World(podHealth={"maxRestarts": 5}).initialised()
    world.release("v2", Behaviour(ready_after=0.0, crash_every=6.0))
    world.settle(ended)
    assert world.is_in(Phase.FAILED)
    assert set(weights_of(world.route_writes)) == {0}


def test_the_first_traffic_comes_settle_seconds_after_the_pods_were_ready() -> None:
    world = World(podHealth={"settle": "17s"}).initialised()
    world.release("v2", Behaviour(ready_after=4.0))
    began = world.now
    world.settle(lambda w: w.status.get("canaryWeight", 0) > 0)
    assert 4 + 17 <= world.now - began <= 4 + 17 + 3
