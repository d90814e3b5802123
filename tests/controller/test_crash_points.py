"""Crash points: a controller that dies before or after any write of a release, in each strategy, changes nothing about its end.

The API server is one in memory. Every point is played (slow; a few of them belong to each commit), and the model room plays the core's.
"""

from __future__ import annotations

import pytest

from e2e.disorder import figures
from e2e.disorder.dying import When
from tests.cluster.fake_apiserver import FakeApiServer
from tests.controller.dying import STRATEGIES, Story, undisturbed, with_a_death, with_a_death_at_every_write

SLACK = 0.15
"""Seconds by which a raise may be seen late, and the next in time."""
pytestmark = pytest.mark.usefixtures("short_drains")


def judge(told: Story, wanted: Story) -> None:
    """The same end by the same steps, and no weight raised twice in one interval."""
    assert told.end == wanted.end
    assert told.moves == wanted.moves
    assert all(gap >= 1.0 - SLACK for gap in told.gaps), told.gaps


SAMPLE = ((5, "before"), (7, "after"))
"""One point of each strategy belongs to each commit."""
POINTS = [
    pytest.param(name, write, when, marks=() if (write, when) == SAMPLE[index % 2] else pytest.mark.slow)
    for index, (name, strategy) in enumerate(STRATEGIES.items())
    for write in range(1, strategy.writes + 1)
    for when in ("before", "after")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
async def test_all_writes_of_a_release_are_covered(name: str) -> None:
    strategy = STRATEGIES[name]
    writes = len((await undisturbed(strategy)).writes)
    figures.note("crash points in memory", name, writes=writes)
    assert strategy.writes / 2 <= writes <= strategy.writes


@pytest.mark.parametrize(("name", "write", "when"), POINTS)
async def test_a_death_at_any_write_leads_to_the_same_end(server: FakeApiServer, name: str, write: int, when: When) -> None:
    strategy = STRATEGIES[name]
    wanted = await undisturbed(strategy)
    told = await with_a_death(server, strategy, write, when)
    judge(told, wanted)
    figures.note("crash points in memory", name, **{f"deaths {when}": int(told.died)})


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", STRATEGIES)
async def test_a_death_at_every_write_of_one_release_leads_to_the_same_end(server: FakeApiServer, name: str, when: When) -> None:
    strategy = STRATEGIES[name]
    wanted = await undisturbed(strategy)
    told, deaths = await with_a_death_at_every_write(server, strategy, when)
    judge(told, wanted)
    figures.note("crash points in memory", name, **{f"deaths in one release, {when}": deaths})
