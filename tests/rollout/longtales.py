"""Long releases to which anything happens, drawn by number: kept as marks, one per event, of all that was decided.

A story that is told line by line is read by a person; it cannot go everywhere. These go far, are not read, and show that a change of the
core changed something: `python -m tests.rollout.longtales 17` tells what happens in the one of that number, before the change and after.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from flaggerpy.model.begins import BEGINS, reaches
from flaggerpy.model.events import EVENTS, STRANGE, Event
from flaggerpy.model.scene import Scene, Violation
from flaggerpy.model.world import World
from flaggerpy.rollout.decision import Decision
from tests.rollout.telling import ALL, STORIES, Teller, keep

NUMBERS = range(560)
STRANGER = 400
"""From this number on there are more autoscalers and DaemonSets, a Flagger that had it until now, and more of what nobody looks for."""
EACH = 14
"""Events in one tale."""
RELEASES = [event for event in EVENTS if "template" in event.name and "unfit" not in event.name]
MENDS = [
    event for event in EVENTS
    if event.name in (
        "pods heal", "the target is there again", "the route is accepted", "the spec is put right", "the deployment controller keeps up",
        "command resume", "command retry", "the Canary comes from a backup", "metric: value",
    )
]  # fmt: skip
OTHERS = [event for event in EVENTS if event not in RELEASES and event not in MENDS and not event.name.startswith("death")]
SPECS: list[dict[str, Any]] = [
    {}, {}, {}, {"progressDeadlineSeconds": 25}, {"replicas": 1}, {"replicas": 3},
    {"podHealth": {"enabled": False}}, {"podHealth": {"imageCheck": "Fail"}}, {"podHealth": {"settle": "0s", "maxRestarts": 0}},
    {"podHealth": {"certainGrace": "40s", "maxRestarts": 5}}, {"revertOnDeletion": False},
]  # fmt: skip
ANALYSES: list[dict[str, Any]] = [
    {}, {}, {}, {"threshold": 1}, {"threshold": 4}, {"interval": "3s"}, {"interval": "90s"}, {"primaryReadyThreshold": 50},
    {"canaryReadyThreshold": 50},
]  # fmt: skip


class Marker:
    """Listens to a scene's decisions as a `Teller` does, and keeps a mark of all there is in them: every field, told or not."""

    def __init__(self, scene: Scene) -> None:
        self._digest = sha256()
        self._last: Any = None
        scene.checks = [self._listen]

    def _listen(self, world: World, decision: Decision) -> None:
        seen = (decision.status, decision.effects, decision.wake, decision.moves)
        if seen != self._last:
            told = f"{world.now} {decision.status.model_dump_json(exclude_defaults=True)} {seen[1:]}"
            self._digest.update(told.encode())
        self._last = seen

    def mark(self) -> str:
        """Of all decisions so far."""
        return self._digest.hexdigest()[:4]


def tale(number: int, listen: Callable[[Scene], object]) -> Iterator[str]:
    """The same for the same number: what happens, as soon as what comes of it has been decided."""
    chance = random.Random(number)
    strange = number >= STRANGER
    strategy = sorted(ALL)[number % len(ALL)]
    if strange:
        strategy = ("scaled", "scaled by KEDA")[number // 2 % 2] if number % 2 else sorted(ALL)[number // 2 % len(ALL)]
    spec = {**ALL[strategy], **chance.choice(SPECS), **(_strange(chance, strategy) if strange else {})}
    scene = Scene(**{**spec, "analysis": {**spec["analysis"], **chance.choice(ANALYSES)}})
    scene.mirror = chance.random() < 0.8
    listen(scene)
    begin = chance.choice([name for name in BEGINS if strategy in ("gated", "blue/green") or not ("gate" in name or "held" in name)])
    try:
        BEGINS[begin](scene)
        yield f"{strategy}, {begin}"
        for _ in range(EACH):
            event = _next(chance, scene, STRANGE if strange and chance.random() < 0.4 else ())
            event.apply(scene)
            scene.quiet = False
            _go_on(chance, scene)
            yield event.name
            if scene.gone:
                return
        reaches(scene, lambda: scene.gone)
        yield "the end"
    except Violation as trap:
        yield f"got stuck: {trap}"


def _strange(chance: random.Random, strategy: str) -> dict[str, Any]:
    if not strategy.startswith("scaled"):
        return {"targetRef": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "app"}} if chance.random() < 0.2 else {}
    version, kind = ("keda.sh/v1alpha1", "ScaledObject") if strategy.endswith("KEDA") else ("autoscaling/v2", "HorizontalPodAutoscaler")
    return {"autoscalerRef": {"apiVersion": version, "kind": kind, "name": "app", "sync": chance.choice(("promote", "always"))}}


def _next(chance: random.Random, scene: Scene, first: Sequence[Event] = ()) -> Event:
    """Releases and mends oftener than their number: what is broken altogether shows nothing any more. `first` come before all others."""
    if fitting := [event for event in first if event.fits(scene)]:
        return chance.choice(fitting)
    for kind in chance.choices((RELEASES, MENDS, OTHERS), (3, 2, 5)):
        fitting = [event for event in kind if event.fits(scene) and (event.name != "the Canary is deleted" or chance.random() < 0.3)]
        if fitting:
            return chance.choice(fitting)
    return chance.choice([event for event in RELEASES + OTHERS if event.fits(scene)])


def _go_on(chance: random.Random, scene: Scene) -> None:
    for _ in range(chance.choice((1, 2, 3, 5, 30))):
        scene.come_to_rest()
        if scene.gone or not scene.advance():
            return
    if chance.random() < 0.3:
        scene.now += chance.choice((0.05, 0.7, 4.0, 11.0, 70.0, 700.0))


def marks(number: int) -> str:
    """One line: what happened, each with its mark."""
    markers: list[Marker] = []
    return f"{number} " + "; ".join(f"{what} {markers[0].mark()}" for what in tale(number, lambda scene: markers.append(Marker(scene))))


KEPT = STORIES / "long-tales.marks"


def main() -> int:
    """Write all marks anew, or tell the tale of one number."""
    tellers: list[Teller] = []
    if sys.argv[1:]:
        for what in tale(int(sys.argv[1]), lambda scene: tellers.append(Teller(scene))):
            print("\n".join([*tellers[0].lines, f"-- {what}"]))
            tellers[0].lines.clear()
    else:
        keep(KEPT, map(marks, NUMBERS), "tests.rollout.longtales")
    return 0


if __name__ == "__main__":
    sys.exit(main())
