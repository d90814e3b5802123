"""Turns: one begun per pass of the loop, a bounded number under way, runs first, and nobody held up by one that hangs."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from flaggerpy.controller import turns
from flaggerpy.controller.turns import HANGING, URGENT_IN_A_ROW, Turns
from tests.cluster.fake_apiserver import eventually


class Crowd:
    """Looks that note when they begin, and end when they are told to."""

    def __init__(self, queue: Turns) -> None:
        self.turns = queue
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, namespace: str = "shop", *, urgent: bool = False) -> asyncio.Task[None]:
        self.ends[name] = asyncio.Event()
        task = asyncio.create_task(self._look(name, namespace, urgent))
        self.tasks.append(task)
        return task

    async def _look(self, name: str, namespace: str, urgent: bool) -> None:
        async with self.turns.turn(namespace, urgent=urgent):
            self.begun.append(name)
            await self.ends[name].wait()

    async def rested(self) -> None:
        """Let the loop run until nobody more begins."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def over(self) -> None:
        for end in self.ends.values():
            end.set()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_no_more_look_at_once_than_there_are_turns() -> None:
    crowd = Crowd(Turns(at_once=2))
    for name in "abcd":
        crowd.come(name)
    await crowd.rested()
    assert (crowd.begun, len(crowd.turns)) == (["a", "b"], 2)
    crowd.ends["a"].set()
    await crowd.rested()
    assert crowd.begun == ["a", "b", "c"]
    await crowd.over()
    assert crowd.begun == ["a", "b", "c", "d"]


async def test_one_look_is_begun_in_a_pass_of_the_loop() -> None:
    crowd, seen = Crowd(Turns(at_once=10)), []
    for name in "abcde":
        crowd.come(name)
    for _ in range(20):
        await asyncio.sleep(0)
        seen.append(len(crowd.begun))
    assert max(later - before for before, later in pairwise(seen)) == 1
    assert seen[-1] == 5
    await crowd.over()


async def test_who_carries_traffic_comes_first_and_the_others_are_not_forgotten() -> None:
    crowd = Crowd(Turns(at_once=1))
    crowd.come("first")
    await crowd.rested()
    crowd.come("idle")
    for number in range(URGENT_IN_A_ROW + 2):
        crowd.come(f"run {number}", urgent=True)
    await crowd.over()
    assert crowd.begun[:2] == ["first", "run 0"]
    assert crowd.begun.index("idle") == 1 + URGENT_IN_A_ROW


async def test_a_look_that_hangs_holds_up_nobody() -> None:
    crowd = Crowd(Turns(at_once=1, patience=0.05))
    crowd.come("hangs")
    crowd.come("next")
    await crowd.rested()
    assert crowd.begun == ["hangs"]
    await eventually(lambda: "next" in crowd.begun)
    # its turn was given away once, and is not given a second time at its end
    crowd.ends["hangs"].set()
    crowd.come("third")
    await crowd.rested()
    assert crowd.begun == ["hangs", "next"]
    await crowd.over()


async def test_where_looks_hang_the_next_ones_give_their_turn_away_soon_and_nobody_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "IMPATIENCE", 0.0)
    crowd = Crowd(Turns(at_once=HANGING, patience=0.05))
    for number in range(HANGING):
        crowd.come(f"hangs {number}", "odd")
    crowd.come("still", "fair")
    await eventually(lambda: "still" in crowd.begun)
    # from now on a second is longer than this test
    crowd.turns.patience = 1000.0
    for number in range(20 * HANGING):
        crowd.come(f"hangs, too {number}", "odd")
    await eventually(lambda: len(crowd.begun) == 21 * HANGING + 1)
    crowd.ends["still"].set()
    await crowd.rested()
    for number in range(HANGING + 1):
        crowd.come(f"fair {number}", "fair")
    await asyncio.sleep(0.05)
    assert crowd.begun[-1] == f"fair {HANGING - 1}"
    await crowd.over()


async def test_a_namespace_whose_looks_hang_no_more_is_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "IMPATIENCE", 0.0)
    crowd = Crowd(Turns(at_once=HANGING, patience=0.05))
    for number in range(HANGING):
        crowd.come(f"hangs {number}")
    crowd.come("next")
    await eventually(lambda: "next" in crowd.begun)
    await crowd.over()
    crowd.turns.patience = 1000.0
    begun = len(crowd.begun)
    for number in range(HANGING + 1):
        crowd.come(f"again {number}")
    await asyncio.sleep(0.05)
    assert len(crowd.begun) == begun + HANGING
    await crowd.over()


@pytest.mark.parametrize("moment", ["while it waits", "when it is given", "in its turn"])
async def test_a_worker_that_is_ended_leaves_its_turn_to_the_next(moment: str) -> None:
    crowd = Crowd(Turns(at_once=1))
    crowd.come("first")
    await crowd.rested()
    second = crowd.come("second")
    await crowd.rested()
    if moment != "while it waits":
        crowd.ends["first"].set()
        for _ in range(50):
            if not len(crowd.turns):
                break
            await asyncio.sleep(0)
    if moment == "in its turn":
        await crowd.rested()
    assert ("second" in crowd.begun) == (moment == "in its turn")
    second.cancel()
    crowd.ends["first"].set()
    crowd.come("third")
    await crowd.rested()
    assert "third" in crowd.begun
    await crowd.over()
