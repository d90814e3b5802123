"""Every history with at most so many outside events, at whatever moments: exhaustive exploration of the real core in the model.

Between events the world goes its own way, which costs nothing; each event from the alphabet costs one of the depth. A state is met once
(`keys.key`), however it was reached. In each one the invariants are checked, and from each one the mended world is led to its end: it
must come there, without a trap (nothing will ever happen) and without a livelock (the same state again).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.api.status import Phase
from flaggerpy.model.begins import BEGINS
from flaggerpy.model.events import EVENTS, Event
from flaggerpy.model.invariants import AT_REST, CHECKS, at_the_end, must
from flaggerpy.model.keys import key
from flaggerpy.model.scene import Scene, Violation
from flaggerpy.rollout.phases import Cause

LONGEST_WAY = 600
"""Instants after which a mended world that has not come to its end never will."""
Row = tuple[Phase, Cause, Phase]


@dataclass
class Report:
    """What an exploration met. `states` are distinct, `steps` were taken between them; `faults`: a sentence and the shortest way there."""

    states: int = 0
    steps: int = 0
    merges: int = 0
    proven: int = 0
    """Of the merges, those whose successors were compared as well."""
    ways: int = 0
    """States from which the mended world was led to its end, or to a state that was."""
    longest: int = 0
    """Most instants on a way from the beginning to a state."""
    moves: Counter[Row] = field(default_factory=Counter)
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add(self, other: Report) -> None:
        self.states, self.steps, self.merges = self.states + other.states, self.steps + other.steps, self.merges + other.merges
        self.proven, self.ways, self.longest = self.proven + other.proven, self.ways + other.ways, max(self.longest, other.longest)
        self.moves.update(other.moves)
        for sentence, way in other.faults.items():
            self.faults.setdefault(sentence, way)


class Explorer:
    """Explores one strategy. `prove` is the share of merged states whose successors are compared: every n-th, 0 for none.

    `fine`: events come at every single look of the controller, not only where the world has come to rest.
    """

    def __init__(self, spec: dict[str, Any], *, events: Sequence[Event] = EVENTS, prove: int = 50, fine: bool = False) -> None:
        self.events, self.fine = events, fine
        self.prove = 0 if fine else prove  # a look that only tells people something is a step of its own, which no key tells apart
        self.report = Report()
        self.first = Scene(**spec)
        self.first.tally = self.report.moves
        self.first.checks = list(CHECKS)
        self.parents: dict[bytes, tuple[bytes, str, int]] = {}
        self.after: dict[bytes, bytes] = {}
        self.live: set[bytes] = set()

    def run(self, depth: int, *, begins: Iterable[str] = BEGINS, over: Callable[[], bool] = lambda: False) -> Report:
        """Explore to that many events, or until `over` says that there is no more time.

        `begins` are names in `begins.BEGINS`.
        """
        layer: list[tuple[Scene, bytes]] = []
        for name in begins:
            self._begin(name, layer)
        for left in range(depth - 1, -1, -1):
            following: list[tuple[Scene, bytes]] = []
            for scene, origin in layer:
                if over():
                    break
                for event in self.events:
                    if event.fits(scene):
                        self._befall(scene, event, origin, following if left else None)
            layer = following
        self.report.states = len(self.parents)
        return self.report

    def _begin(self, name: str, layer: list[tuple[Scene, bytes]]) -> None:
        scene = self.first.fork()
        try:
            BEGINS[name](scene)
        except Violation as violation:
            self._fault(violation, b"", name)
            return
        self._follow(scene, b"", name, layer)

    def _befall(self, scene: Scene, event: Event, origin: bytes, layer: list[tuple[Scene, bytes]] | None) -> None:
        child = scene.fork()
        child.quiet = False
        try:
            event.apply(child)
        except Violation as violation:
            self._fault(violation, origin, event.name)
            return
        self._follow(child, origin, event.name, layer)

    def _follow(self, scene: Scene, origin: bytes, label: str, layer: list[tuple[Scene, bytes]] | None) -> None:
        """Go the world's own way from a state, until one that was met already, or until nothing will happen by itself."""
        mark = key(scene)
        while mark not in self.parents:
            length = self.parents[origin][2] + 1 if origin else 0
            self.parents[mark] = (origin, label, length)
            self.report.longest = max(self.report.longest, length)
            try:
                if scene.quiet or self.fine:
                    self._lead_to_the_end(scene)
                if layer is not None and (scene.quiet or self.fine or not origin) and not scene.gone:
                    layer.append((scene.fork(), mark))
                if not self._step(scene):
                    return
            except Violation as violation:
                self._fault(violation, mark, "")
                return
            self.report.steps += 1
            origin, mark = mark, key(scene)
            self.after[origin] = mark
            label = f"+{scene.now - self.first.now:g}s" if scene.quiet else "look"
        self._merge(scene, mark)

    def _step(self, scene: Scene) -> bool:
        """The next thing that happens by itself; False when there is none."""
        if scene.gone:
            return False
        if scene.quiet and not scene.advance():
            return False
        decision = scene.look() if self.fine else scene.come_to_rest()
        if scene.quiet:
            for check in AT_REST:
                check(scene, decision)
        return True

    def _merge(self, scene: Scene, mark: bytes) -> None:
        self.report.merges += 1
        if not self.prove or self.report.merges % self.prove or mark not in self.after:
            return
        try:
            self._step(scene)
        except Violation:
            return
        self.report.proven += 1
        if key(scene) != self.after[mark]:
            self._fault(Violation("two states of one key have different successors: the key forgets something"), mark, "")

    def _lead_to_the_end(self, scene: Scene) -> None:
        end_of(scene.fork(), self.live)
        self.report.ways += 1

    def _fault(self, violation: Violation, mark: bytes, last: str) -> None:
        sentence = str(violation)
        way = [last] if last else []
        while mark:
            mark, label, _ = self.parents[mark]
            way.insert(0, label)
        if sentence not in self.report.faults or len(way) < len(self.report.faults[sentence]):
            self.report.faults[sentence] = way


def end_of(scene: Scene, live: set[bytes] | None = None) -> None:
    """Mend all that is broken and let the world go its way to the end. Raises Violation when there is none, or a wrong one.

    `live` holds keys of states from which there is an end; those on the way are added.
    """
    scene.mend()
    known: set[bytes] = live if live is not None else set()
    met: set[bytes] = set()
    for _ in range(LONGEST_WAY):
        mark = key(scene)
        if mark in known:
            break
        must(mark not in met, f"livelock: all is mended, and the same state comes again ({scene.phase}: {scene.typed.progress})")
        met.add(mark)
        if not scene.gone:
            decision = scene.come_to_rest()
            for check in AT_REST:
                check(scene, decision)
        if scene.at_rest:
            at_the_end(scene)
            break
        must(scene.advance(), f"trap: all is mended, and nothing will ever happen ({scene.phase}: {scene.typed.progress})")
    else:
        raise Violation(f"no end within {LONGEST_WAY} instants ({scene.phase}: {scene.typed.progress})")
    known |= met


def uncovered(rows: Iterable[Row], moves: Counter[Row]) -> list[Row]:
    """The rows of the transition table that no decision took."""
    return [row for row in rows if not moves[row]]
