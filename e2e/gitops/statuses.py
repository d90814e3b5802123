"""Statuses of Canaries as the core writes them, one of each kind: releases of every beginning are played by the model, and looked at in
every round. `recorded` has no cluster to itself; what a cluster writes is the same, as the core is the same."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from flaggerpy.model.begins import BEGINS, befall
from flaggerpy.model.events import EVENTS
from flaggerpy.model.scene import Scene
from flaggerpy.model.strategies import STRATEGIES
from flaggerpy.model.world import World
from flaggerpy.rollout.decision import Decision

Obj = dict[str, Any]
Mark = tuple[object, ...]

STRATEGY = "gated"
INSTANTS = 60
"""So far a release is followed; the longest ends before."""
TURNS = ("command pause", "suspend turns", "the spec cannot be honoured", "the Canary is deleted", "command abort")
"""What happens to a release under way, each to one of its own."""


class Recorder:
    """Keeps the first Canary of each kind: phase, conditions, and what holds it."""

    def __init__(self) -> None:
        self.found: dict[Mark, Obj] = {}

    def __call__(self, world: World, decision: Decision) -> None:
        status = decision.status.to_obj()
        conditions = tuple((told["type"], told["status"], told["reason"]) for told in status.get("conditions", ()))
        paused = "pause" in world.commands
        mark = (status.get("phase"), conditions, paused, world.spec.get("suspend"), world.deleting)
        self.found.setdefault(mark, canary(world, status))


def canary(world: World, status: Obj) -> Obj:
    """The object as the API server would give it."""
    metadata: Obj = {"name": world.name, "namespace": world.namespace, "uid": "1", "generation": world.generation, "annotations": {}}
    metadata["annotations"] |= {f"flagger.app/{name}": value for name, value in world.commands.items()}
    if world.deleting:
        metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(world.finalizers)}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": metadata, "spec": world.spec, "status": status}


def recorded() -> list[Obj]:
    """One Canary of each kind that the core writes in releases of every beginning."""
    recorder = Recorder()
    for begin in BEGINS:
        for _ in _followed(begin, recorder):
            pass
    for turn, begin in product(TURNS, ("a good release", "a release that failed")):
        seen: set[str] = set()
        for scene in _followed(begin, recorder):
            if scene.phase and scene.phase not in seen:
                seen.add(scene.phase)
                _turned(scene, turn)
    return list(recorder.found.values())


def _followed(begin: str, recorder: Recorder) -> Iterator[Scene]:
    """A release from its beginning on, at each of its instants."""
    scene = Scene(**STRATEGIES[STRATEGY])
    scene.checks = [recorder]
    BEGINS[begin](scene)
    for _ in range(INSTANTS):
        if scene.gone:
            return
        scene.come_to_rest()
        yield scene
        if scene.at_rest or not scene.advance():
            return


def _turned(scene: Scene, turn: str) -> None:
    if not next(event for event in EVENTS if event.name == turn).fits(scene):
        return
    other = scene.fork()
    befall(other, turn)
    for _ in range(INSTANTS):
        if other.gone:
            return
        other.come_to_rest()
        if other.at_rest or not other.advance():
            return
