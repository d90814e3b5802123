"""Crash points: the controller dies before each write of a release in turn, and the release must end as the one in which it lives.

A death after a write is the death before the next one; the last one is tried as well. Each story is a release with what befalls it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.status import Phase
from flaggerpy.model.events import EVENTS
from flaggerpy.model.invariants import CHECKS, at_the_end
from flaggerpy.model.scene import Scene, Violation
from flaggerpy.model.world import Killed
from flaggerpy.rollout.facts import Split

MOST_INSTANTS = 400


@dataclass(frozen=True)
class Story:
    """`begin` befalls an initialised Canary, `later` what follows as soon as `when` holds."""

    begin: str
    later: str = ""
    when: Callable[[Scene], bool] = lambda scene: False
    applies: Callable[[dict[str, Any]], bool] = lambda spec: True


def _runs(scene: Scene) -> bool:
    return scene.phase is Phase.PROGRESSING


def _takes_over(scene: Scene) -> bool:
    return scene.phase is Phase.PROMOTING


STORIES: dict[str, Story] = {
    "first start": Story(""),
    "good release": Story("a good template"),
    "image missing": Story("a template without image"),
    "checks fail": Story("a good template", "metric: bad", _runs, lambda spec: bool(spec["analysis"].get("metrics"))),
    "aborted": Story("a good template", "command abort", _runs),
    "superseded": Story("a good template", "a good template", _runs),
    "primary unfit": Story("a good template", "the template is unfit for the primary", _takes_over),
    "deleted in the run": Story("a good template", "the Canary is deleted", _runs),
}


@dataclass
class Ending:
    """How a story ended: what must be the same whoever died."""

    phase: str
    outcomes: list[str]
    splits: list[Split]
    promoted: str
    replicas: int
    told: set[tuple[str, str]]
    gone: bool


@dataclass
class Death:
    """A story with its deaths: how many writes it has, at how many of them the controller died, and where the end differed."""

    writes: int
    deaths: int
    differ: dict[int, str]


def try_all(spec: dict[str, Any], story: Story) -> Death:
    """The story without a death, then with one before each of its writes, and one after the last."""
    peace, writes = _play(spec, story, None)
    differ: dict[int, str] = {}
    for write in range(writes + 1):
        try:
            ending, _ = _play(spec, story, write)
        except Violation as violation:
            differ[write] = str(violation)
            continue
        if ending != peace:
            differ[write] = f"{ending} instead of {peace}"
    return Death(writes, writes + 1, differ)


class _Mortal:
    """Counts writes, and dies before one of them, once."""

    def __init__(self, at: int | None) -> None:
        self.at, self.count, self.dead = at, 0, False

    def __call__(self) -> None:
        if self.count == self.at and not self.dead:
            self.dead = True
            raise Killed
        self.count += 1


def _play(spec: dict[str, Any], story: Story, death: int | None) -> tuple[Ending, int]:
    scene, fate = Scene(**spec), _Mortal(death)
    scene.checks = list(CHECKS)
    scene.fault = fate
    _to_the_end(scene, lambda: False)
    if story.begin:
        _apply(scene, story.begin)
        pending = [story.later] if story.later else []

        def befall() -> bool:
            if pending and story.when(scene):
                _apply(scene, pending.pop())
                return True
            return False

        _to_the_end(scene, befall)
    scene.fault = lambda: None
    at_the_end(scene)
    status = scene.typed
    return (
        Ending(
            phase=str(status.phase),
            outcomes=[entry.outcome for entry in status.history],
            splits=[split for _, split in scene.route_writes],
            promoted=scene.primary.source_revision if scene.primary else "",
            replicas=scene.target.replicas if scene.target else 0,
            told=set(scene.alerts),
            gone=scene.gone,
        ),
        fate.count,
    )


def _apply(scene: Scene, name: str) -> None:
    next(event for event in EVENTS if event.name == name).apply(scene)
    scene.quiet = False


def _to_the_end(scene: Scene, befall: Callable[[], bool]) -> None:
    for _ in range(MOST_INSTANTS):
        try:
            scene.come_to_rest()
        except Killed:
            scene.forget()
            continue
        if not befall() and (scene.at_rest or not scene.advance()):
            return
    raise Violation("it comes to no end")
