"""Turns: one begun per pass of the loop, a bounded number under way, runs first, and no namespace held up by what hangs in another."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from flaggerpy.controller.turns import URGENT_IN_A_ROW, Turns
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
    crowd = Crowd(Turns(at_once=2, kept=0))
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
    crowd, seen = Crowd(Turns(at_once=10, kept=0)), []
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


async def test_a_look_that_hangs_holds_up_no_other_namespace() -> None:
    crowd = Crowd(Turns(at_once=1, patience=0.05, kept=0))
    crowd.come("hangs")
    crowd.come("next", "fair")
    crowd.come("of the same")
    await crowd.rested()
    assert crowd.begun == ["hangs"]
    await eventually(lambda: "next" in crowd.begun)
    # its turn was given away once, and is not given a second time at its end
    crowd.ends["hangs"].set()
    crowd.come("third", "another")
    await crowd.rested()
    assert crowd.begun == ["hangs", "next"]
    await crowd.over()


async def test_where_looks_hang_no_more_are_under_way_than_ever_and_each_that_ends_is_followed_by_one() -> None:
    crowd = Crowd(Turns(at_once=3, patience=0.01, kept=0))
    for number in range(10):
        crowd.come(f"odd {number}", "odd")
    for number in range(10):
        crowd.come(f"fair {number}", "fair")
    # all turns are free again, and none is of use to who waits
    await eventually(lambda: len(crowd.begun) == 6)
    await asyncio.sleep(0.05)
    await crowd.rested()
    assert sorted(crowd.begun) == [*(f"fair {number}" for number in range(3)), *(f"odd {number}" for number in range(3))]
    crowd.ends["odd 1"].set()
    await crowd.rested()
    assert crowd.begun[6:] == ["odd 3"]
    await crowd.over()
    assert len(crowd.begun) == 20


async def test_some_turns_of_a_namespace_are_kept_for_its_canaries_in_a_run() -> None:
    crowd = Crowd(Turns(at_once=3, patience=0.01, kept=1))
    for number in range(5):
        crowd.come(f"hangs {number}")
    await asyncio.sleep(0.05)
    await crowd.rested()
    assert crowd.begun == ["hangs 0", "hangs 1"]
    crowd.come("run", urgent=True)
    await crowd.rested()
    assert crowd.begun == ["hangs 0", "hangs 1", "run"]
    await crowd.over()


async def test_namespaces_have_their_turns_one_after_the_other() -> None:
    crowd = Crowd(Turns(at_once=1, kept=0))
    crowd.come("first")
    await crowd.rested()
    for number in range(3):
        crowd.come(f"big {number}", "big")
    crowd.come("small 0", "small")
    crowd.come("small 1", "small")
    await crowd.over()
    assert crowd.begun == ["first", "big 0", "small 0", "big 1", "small 1", "big 2"]


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
