"""No two act on one namespace, whatever they count and in whatever order they come, go and die; and in the end somebody acts on each.

The leases are kept in memory, each request of each replica waits until the test lets it through, and the test draws what happens next.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import os
import random
from collections.abc import Mapping
from typing import Any, cast

import pytest

from flaggerpy.controller import claims as module
from flaggerpy.controller.claims import Claims
from flaggerpy.controller.shards import LEAVES, Shard, owner

NAMES = [f"team-{number}" for number in range(24)]
DURATION = 15.0
Leases = list[dict[str, Any]]


class Town:
    """Leases, a clock, and the requests that wait to be let through."""

    def __init__(self) -> None:
        self.now = 0.0
        self.leases: dict[str, dict[str, Any]] = {}
        self.replicas: list[Replica] = []
        self.waiting: list[asyncio.Future[None]] = []
        self._version = itertools.count(1)

    async def turn(self) -> None:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        await gate

    def write(self, name: str, holder: str, annotations: Mapping[str, str]) -> None:
        spec = {"holderIdentity": holder, "leaseDurationSeconds": DURATION}
        metadata = {"name": name, "resourceVersion": str(next(self._version)), "annotations": annotations}
        self.leases[name] = {"metadata": metadata, "spec": spec, "renewed": self.now}

    def holder(self, name: str) -> str:
        lease = self.leases.get(name)
        return "" if lease is None or self.now >= lease["renewed"] + DURATION else str(lease["spec"]["holderIdentity"])

    def acting(self, namespace: str) -> list[str]:
        return [replica.name for replica in self.replicas if replica.acts(namespace)]

    async def list(self, *_: object) -> Leases:
        """The client's verb."""
        await self.turn()
        return [copy.deepcopy(lease) for lease in self.leases.values()]

    async def let_through(self, dice: random.Random) -> None:
        ready = [gate for gate in self.waiting if not gate.done()]
        self.waiting = ready
        if ready:
            gate = dice.choice(ready)
            self.waiting.remove(gate)
            gate.set_result(None)
        for _ in range(5):
            await asyncio.sleep(0)

    async def tick(self, seconds: float) -> None:
        """Time goes on, and everybody who lives renews."""
        self.now += seconds
        for replica in self.replicas:
            replica.renew()


class Replica:
    """One that campaigns for its shard's Lease; it acts while it leads, and a dead one until its Lease has run out."""

    def __init__(self, town: Town, name: str, shard: Shard) -> None:
        self.town, self.name, self.shard = town, name, shard
        self.leads = False
        self.died_at: float | None = None
        self.claims = Claims(cast(Any, town), "system", shard, monotonic=lambda: town.now)
        self._task: asyncio.Task[None] | None = None
        town.replicas.append(self)

    def campaign(self) -> bool:
        if self.leads or self.died_at is not None or self.town.holder(self.shard.lease) not in ("", self.name):
            return False
        self.town.write(self.shard.lease, self.name, self.claims.annotations())
        self.leads = True
        self._task = asyncio.create_task(self.claims.hold(cast(Any, self)))
        return True

    async def publish(self) -> bool:
        await self.town.turn()
        if self.leads and self.died_at is None:
            self.town.write(self.shard.lease, self.name, self.claims.annotations())
        return self.leads

    def renew(self) -> None:
        if self.leads and self.died_at is None:
            self.town.write(self.shard.lease, self.name, self.town.leases[self.shard.lease]["metadata"]["annotations"])

    def acts(self, namespace: str) -> bool:
        holds = self.leads and (self.died_at is None or self.town.now < self.died_at + DURATION)
        return holds and self.claims.attends(namespace)

    def stop(self) -> None:
        """SIGTERM: workers end, then the Lease is given back."""
        if self.leads and self.died_at is None:
            self._end()
            self.leads = False
            self.claims.let_go()
            self.town.write(self.shard.lease, "", self.town.leases[self.shard.lease]["metadata"]["annotations"])

    def die(self) -> None:
        """SIGKILL, or a stop that lasts: nothing is renewed, and nobody says so."""
        if self.leads and self.died_at is None:
            self.died_at = self.town.now
            self._end()

    def wake(self) -> None:
        """It goes on after its Lease has run out: it has noticed that before it does anything."""
        if self.died_at is not None and self.town.now >= self.died_at + DURATION:
            self.died_at, self.leads = None, False
            self.claims.let_go()

    def _end(self) -> None:
        if self._task:
            self._task.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.0)


def nobody_twice(town: Town, story: list[str]) -> None:
    for name in NAMES:
        assert len(town.acting(name)) <= 1, (name, town.acting(name), story)


async def settle(town: Town, dice: random.Random, rounds: int = 150) -> None:
    for _ in range(rounds):
        await town.let_through(dice)
        await town.tick(0.5)


@pytest.mark.parametrize("seed", range(int(os.environ.get("CLAIM_SEEDS") or 16)))
async def test_no_two_act_on_one_namespace_and_in_the_end_somebody_acts_on_each(seed: int) -> None:
    dice, town, story = random.Random(seed), Town(), []
    counts = dice.sample([1, 2, 3, 4], 2)
    for count in counts:
        for shard in Shard(count).others:
            for number in range(dice.choice([1, 2])):
                Replica(town, f"{shard}#{number}", shard)
    for _ in range(200):
        replica = dice.choice(town.replicas)
        what = dice.choice(["campaign", "through", "through", "through", "through", "tick", "stop", "die", "wake"])
        story.append(f"{what} {replica.name}")
        if what == "through":
            await town.let_through(dice)
        elif what == "tick":
            await town.tick(dice.choice([0.5, 2.0, 5.0]))
        else:
            getattr(replica, what)()
        nobody_twice(town, story)
    # those of the former count end for good, the others stay
    for replica in town.replicas:
        if replica.shard.count != counts[1]:
            replica.stop()
    await town.tick(DURATION + 1)
    for _ in range(4):
        for replica in town.replicas:
            replica.wake()
            if replica.shard.count == counts[1]:
                replica.campaign()
        await settle(town, dice)
        nobody_twice(town, story)
    for name in NAMES:
        [acting] = town.acting(name)
        assert acting.startswith(f"{owner(name, counts[1])}/{counts[1]}#"), story
    for replica in town.replicas:
        replica.stop()


async def test_four_shards_take_over_from_three_one_after_the_other() -> None:
    """A rolling update: what stays where it is goes on at once, what moves waits for the one that had it."""
    dice, town = random.Random(1), Town()
    old, new = ([Replica(town, str(shard), shard) for shard in Shard(count).others] for count in (3, 4))
    for replica in old:
        replica.campaign()
    await settle(town, dice)
    new[3].campaign()
    await settle(town, dice)
    assert town.leases[new[3].shard.lease]["metadata"]["annotations"][LEAVES] == "0/3,1/3,2/3"
    assert new[3].claims.notes() == ["shard 3/4 leaves to 0/3, 1/3, 2/3 what they share, until these have ended"]
    for index in range(3):
        old[index].stop()
        new[index].campaign()
        await settle(town, dice)
        moved = [name for name in NAMES if owner(name, 3) == index and owner(name, 4) == 3]
        assert all(town.acting(name) == ["3/4"] for name in moved)
        waiting = [name for name in NAMES if owner(name, 3) > index]
        assert all(town.acting(name) == [f"{owner(name, 3)}/3"] for name in waiting)
    assert new[3].claims.notes() == []
    for replica in new:
        replica.stop()


async def test_a_shard_that_nobody_leads_is_named_by_the_others() -> None:
    dice, town = random.Random(1), Town()
    first, second = (Replica(town, str(shard), shard) for shard in Shard(2).others)
    told: dict[int, bool] = {}
    first.claims._told = told.__setitem__

    async def look() -> None:
        looking = asyncio.create_task(first.claims.look())
        while not looking.done():
            await town.let_through(dice)
        await looking

    first.campaign()
    second.campaign()
    await settle(town, dice)
    await look()
    assert (told, first.claims.notes()) == ({0: True, 1: True}, [])
    second.die()
    await look()
    await town.tick(DURATION + 1)
    await look()
    assert (told, first.claims.notes()) == ({0: True, 1: False}, ["shard 1/2 is led by nobody: its Canaries are not attended"])
    first.stop()
