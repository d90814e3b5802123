"""The server's time from Date headers: near the truth, never backwards, and a step of a clock expires nothing."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cluster.clock import SLEW, ServerClock


class World:
    """A server whose clock is `ahead` of the local monotonic one."""

    def __init__(self, ahead: float = 1_700_000_000.0) -> None:
        self.at = 100.0
        self.ahead = ahead
        self.clock = ServerClock(monotonic=lambda: self.at, wall=lambda: 5.0)

    @property
    def truth(self) -> float:
        return self.at + self.ahead

    def answer(self, there: float = 0.01, back: float = 0.01) -> None:
        sent = self.at
        self.at += there
        date = formatdate(int(self.truth), usegmt=True)
        self.at += back
        self.clock.observe(date, sent, self.at)


def test_before_the_first_answer_the_local_clock_is_used() -> None:
    world = World()
    assert world.clock.now() == 5.0
    assert not world.clock.synced


def test_the_first_answer_sets_the_time_within_a_second() -> None:
    world = World()
    world.answer()
    assert world.clock.synced
    assert abs(world.clock.now() - world.truth) <= 0.53


def test_many_answers_narrow_it_to_a_few_hundredths() -> None:
    world = World(1_700_000_000.3)
    for _ in range(200):
        world.at += 0.37
        world.answer()
    assert abs(world.clock.now() - world.truth) < 0.05


def test_a_step_of_the_servers_clock_is_worked_in_slowly() -> None:
    world = World()
    world.answer()
    before = world.clock.now()
    world.ahead += 3600
    world.at += 10
    world.answer()
    assert world.clock.now() - before < 10.1 * (1 + SLEW) + 1
    world.at += 40000
    assert abs(world.clock.now() - world.truth) < 2


@pytest.mark.parametrize("ahead", [3600.0, -3600.0])
def test_a_successor_goes_on_with_its_predecessors_time_and_comes_back_slowly(ahead: float) -> None:
    world = World()
    world.answer()
    world.clock.resume(ahead)
    assert abs(world.clock.now() - world.truth - ahead) <= 0.53
    world.at += 100
    assert abs(world.clock.now() - world.truth - ahead * (1 - 100 * SLEW / 3600)) <= 0.53
    world.at += 40000
    assert abs(world.clock.now() - world.truth) < 2


def test_a_date_that_cannot_be_read_is_ignored() -> None:
    world = World()
    for date in (None, "", "yesterday", "Thu, 99 Foo"):
        world.clock.observe(date, 0, 1)
    assert not world.clock.synced


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-5000, 5000), st.floats(0, 30), st.booleans()), max_size=30))
def test_time_never_goes_backwards(steps: list[tuple[float, float, float, bool]]) -> None:
    world = World()
    world.answer()
    last = world.clock.now()
    for passed, step, latency, ask in steps:
        world.at += passed
        world.ahead += step
        if ask:
            world.answer(latency, latency)
        now = world.clock.now()
        assert now >= last
        last = now
