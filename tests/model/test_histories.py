"""Random histories, far longer than the exhaustive exploration can go: the same events, the same invariants, the same end.

Hypothesis draws what happens next; time passes in its own steps or by chance; after the history all is mended and must come to an end.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from flaggerpy.model.events import EVENTS, Event
from flaggerpy.model.explore import end_of
from flaggerpy.model.invariants import AT_REST, CHECKS
from flaggerpy.model.scene import Scene
from flaggerpy.model.strategies import STRATEGIES


class Histories(RuleBasedStateMachine):
    """A release to which anything happens, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene(**STRATEGIES["weighted"])

    @initialize(strategy=st.sampled_from(sorted(STRATEGIES)), events=st.lists(st.sampled_from(EVENTS), max_size=2))
    def begin(self, strategy: str, events: list[Event]) -> None:
        self.scene = Scene(**STRATEGIES[strategy])
        self.scene.checks = list(CHECKS)
        for event in events:
            self.befall(event)

    def befall(self, event: Event) -> None:
        if event.fits(self.scene) and not self.scene.gone:
            self.scene.quiet = False
            event.apply(self.scene)

    @rule(event=st.sampled_from(EVENTS))
    def happens(self, event: Event) -> None:
        self.befall(event)

    @rule(instants=st.integers(1, 6))
    def goes_on(self, instants: int) -> None:
        for _ in range(instants):
            self.rests()
            if not self.scene.advance():
                break

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.0, 3.0, 6.0, 12.0, 25.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.rests()
        self.scene.now += seconds
        self.scene.quiet = False

    @rule()
    def is_looked_at_once(self) -> None:
        if not self.scene.gone:
            self.scene.look()

    def rests(self) -> None:
        if not self.scene.gone:
            decision = self.scene.come_to_rest()
            for check in AT_REST:
                check(self.scene, decision)

    def teardown(self) -> None:
        end_of(self.scene)


def explore(**chosen: Any) -> None:
    run_state_machine_as_test(Histories, settings=settings(deadline=None, **chosen))


def test_short_histories() -> None:
    explore(max_examples=60, stateful_step_count=25)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_long_histories() -> None:
    explore(max_examples=1500, stateful_step_count=80)
