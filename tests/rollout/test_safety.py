"""Weight leaves a canary that cannot carry it, and while its target moves on it leaves no pod that serves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.world import World, in_phase
from flaggerpy.rollout.decide import decide
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import RecordEvent
from flaggerpy.rollout.facts import UNKNOWN, PodFacts, Split, WorkloadFacts

MOVED = "the target has moved on to another revision"


def running() -> World:
    world = World().initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    return world


def looked(world: World, **target: object) -> Decision:
    """What is decided when the target is seen with other fields."""
    facts = world.facts()
    assert isinstance(facts.target, WorkloadFacts)
    return decide(world.canary, world.typed, replace(facts, target=replace(facts.target, **target)), world.now)  # type: ignore[arg-type]


def told(decision: Decision) -> list[str]:
    return [effect.message for effect in decision.effects if isinstance(effect, RecordEvent)]


def moving(ready: int = 0, serving: int = 2) -> dict[str, object]:
    """A newer template whose ReplicaSet was made, before the Deployment's status says so; `ready` of its pods are."""
    pods = tuple(PodFacts(name=f"new-{number}", ready=True) for number in range(ready))
    return {"revision": "v3", "fresh": False, "pods": pods, "ready": ready, "available": ready, "serving": serving}


def test_while_the_target_moves_on_its_pods_serve_and_nobody_calls_them_lost() -> None:
    decision = looked(running(), **moving())
    assert (decision.status.canary_weight, told(decision), decision.moves) == (20, [], ())
    assert decision.status.progress is not None
    assert decision.status.progress.waiting_for == "the newest state of app: its controller has not observed it yet"


def test_a_template_with_configs_is_still_the_same_one_while_they_cannot_be_read() -> None:
    world = World()
    world.configs = {"configmap/a": "1"}
    world.initialised()
    world.release("v2")
    world.settle(lambda w: w.route == Split(20))
    assert world.typed.run is not None
    assert world.typed.run.revision.startswith("v2-")
    facts = replace(world.facts(), configs=UNKNOWN)
    assert isinstance(facts.target, WorkloadFacts)
    pods = tuple(replace(pod, ready=False) for pod in facts.target.pods)
    lost = replace(facts.target, pods=pods, ready=0, available=0)
    decision = decide(world.canary, world.typed, replace(facts, target=lost), world.now)
    assert any("no pod of app is ready" in text for text in told(decision))


@pytest.mark.parametrize(("ready", "serving"), [(1, 2), (0, 0)])
def test_weight_never_gets_to_pods_that_nobody_looked_at(ready: int, serving: int) -> None:
    decision = looked(running(), **moving(ready, serving))
    assert decision.status.canary_weight == 0
    assert told(decision) == [f"Cut app.test canary weight to 0: {MOVED}"]
    assert decision.status.run is not None
    assert decision.status.run.relapses == 0


def test_a_promotion_says_for_what_the_weight_leaves() -> None:
    world = running()
    world.settle(in_phase(Phase.PROMOTING))
    assert told(looked(world, **moving())) == [f"Cut app.test canary weight to 0: {MOVED}"]
    lost = {"pods": (), "ready": 0, "available": 0}
    assert told(looked(world, **lost)) == ["Cut app.test canary weight to 0: no pod of app is ready"]
