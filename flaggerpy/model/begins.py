"""Where an exploration begins: a Canary that was just made, and releases at the points from which much can go wrong."""

from __future__ import annotations

from collections.abc import Callable

from flaggerpy.api.names import FINALIZER
from flaggerpy.api.status import Phase
from flaggerpy.model.events import EVENTS
from flaggerpy.model.scene import Scene, Violation

MOST_INSTANTS = 200


def befall(scene: Scene, name: str) -> None:
    """The event of that name happens; the controller has not looked yet. Raises StopIteration for an unknown name."""
    next(event for event in EVENTS if event.name == name).apply(scene)
    scene.quiet = False


def reaches(scene: Scene, until: Callable[[], bool]) -> bool:
    """The world goes its own way until that holds at a rest; False when it never does."""
    for _ in range(MOST_INSTANTS):
        scene.come_to_rest()
        if until():
            return True
        if not scene.advance():
            break
    return False


def go(scene: Scene, until: Callable[[], bool]) -> None:
    """As `reaches`; raises Violation when it never does."""
    if not reaches(scene, until):
        raise Violation(f"never got there: {scene.phase}, {scene.typed.progress}")


def initialised(scene: Scene) -> None:
    go(scene, lambda: scene.at_rest)


def _released(template: str) -> Callable[[Scene], None]:
    def begin(scene: Scene) -> None:
        initialised(scene)
        befall(scene, template)

    return begin


def _failed(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "a template that is never ready")
    go(scene, lambda: scene.phase is Phase.FAILED)


def _waiting(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "confirm-rollout turns")
    befall(scene, "a good template")


def _held(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "confirm-promotion turns")
    befall(scene, "a good template")


def _undone(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "a good template")
    go(scene, lambda: scene.phase is Phase.PROGRESSING)
    befall(scene, "the template is unfit for the primary")
    go(scene, lambda: scene.phase is Phase.FAILED or (scene.typed.run is not None and scene.typed.run.undo_promotion))


def _left_on_the_canary(scene: Scene) -> None:
    _undone(scene)
    befall(scene, "the primary loses all pods")
    go(scene, lambda: scene.phase is Phase.FAILED)


def _left_and_released(scene: Scene) -> None:
    _left_on_the_canary(scene)
    befall(scene, "a good template")


def _gate_after(begin: Callable[[Scene], None], phase: Phase) -> Callable[[Scene], None]:
    def gated(scene: Scene) -> None:
        begin(scene)
        go(scene, lambda: scene.phase is phase)
        befall(scene, "confirm-rollout turns")

    return gated


def _left_and_waiting(scene: Scene) -> None:
    _left_on_the_canary(scene)
    befall(scene, "confirm-rollout turns")
    befall(scene, "a good template")


def _held_alone(scene: Scene) -> None:
    _held(scene)
    go(scene, lambda: scene.phase in (Phase.WAITING_PROMOTION, Phase.PROMOTING))
    befall(scene, "the primary loses all pods")


def _relapsed_twice(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "a good template")
    for _ in range(2):
        go(scene, lambda: scene.phase is Phase.SUCCEEDED or (scene.route is not None and scene.route.canary > 0))
        befall(scene, "the canary loses all pods")
        scene.come_to_rest()
        befall(scene, "pods heal")


def _terminating(scene: Scene) -> None:
    initialised(scene)
    befall(scene, "a good template")
    go(scene, lambda: scene.phase is Phase.PROGRESSING)
    befall(scene, "the Canary is deleted")


def _held_back(scene: Scene) -> None:
    scene.finalizers = [FINALIZER]


def _terminated(scene: Scene) -> None:
    """What Flagger declares and never writes, as a backup or a hand might."""
    scene.finalizers = [FINALIZER]
    scene.status = {"phase": str(Phase.TERMINATED)}


BEGINS: dict[str, Callable[[Scene], None]] = {
    "a new Canary": lambda scene: None,
    "a new Canary with the finalizer": _held_back,
    "a Canary that says Terminated": _terminated,
    "a good release": _released("a good template"),
    "a release without image": _released("a template without image"),
    "a release that is never ready": _released("a template that is never ready"),
    "a release that crashes": _released("a template that crashes"),
    "a release that failed": _failed,
    "a release at its first gate": _waiting,
    "a release held before its promotion": _held,
    "a promotion that is being undone": _undone,
    "a promotion that failed on both sides": _left_on_the_canary,
    "a release after that": _left_and_released,
    "a release at its first gate after that": _left_and_waiting,
    "a release held before its promotion without a primary": _held_alone,
    "a release that relapsed twice": _relapsed_twice,
    "a gate that is closed after a success": _gate_after(_released("a good template"), Phase.SUCCEEDED),
    "a gate that is closed after a failure": _gate_after(_failed, Phase.FAILED),
    "a Canary that is being deleted": _terminating,
}
