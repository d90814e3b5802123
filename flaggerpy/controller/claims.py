"""Who acts where: a shard acts on a namespace only while nobody else who lives claims it, whatever each of them counts.

Replicas of one shard exclude each other by its Lease. Replicas that count differently (three shards become four, or one) hold different
Leases, and what they claim may overlap. So a leader claims first: what it means to act on stands in its Lease. Then it looks at the others'
Leases, and where one that lives claims the same, it leaves that to the other, and waits until the other has left or has not renewed for
its whole duration. Of two that claim in the same moment each has written before it looked, so at least one sees the other: they never
both act. A leader that was there first is not disturbed: it looks only when it begins, and when it means to act on more than before.

Clocks are not compared: as in the election, a Lease lives while it was seen to change within its duration by our own clock.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.kinds import LEASE
from flaggerpy.cluster.lease import LeaderElection
from flaggerpy.controller.shards import Claim, Shard, claim_of

LOOK_SECONDS = 2.0
WATCH_SECONDS = 15.0
PATIENCE = 3
"""Looks for which the lesser of two that leave to each other waits before it goes on."""

_log = logging.getLogger(__name__)


class Claims:
    """What this replica may act on. `hold` runs from the election's yes to its no; `grew` is called when there is more to act on."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        shard: Shard,
        *,
        grew: Callable[[], None] = lambda: None,
        told: Callable[[int, bool], None] = lambda index, attended: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.shard = shard
        self.claim = Claim(shard)
        """What stands in our Lease, or will with its next renewal."""
        self.unattended: tuple[Shard, ...] = ()
        """The shards that nobody leads, as far as is known."""
        self._acting: Claim | None = None
        self._client = client
        self._namespace = namespace
        self._grew = grew
        self._told = told
        self._monotonic = monotonic
        self._seen: dict[str, tuple[str, float]] = {}
        self._waited: dict[Shard, int] = {}

    def attends(self, namespace: str) -> bool:
        """Whether what is in this namespace is ours to act on, now."""
        return self._acting is not None and self._acting.covers(namespace)

    def annotations(self) -> dict[str, str]:
        """What to write into our Lease."""
        return self.claim.annotations()

    def notes(self) -> list[str]:
        """Lines about what is not attended."""
        found = [f"shard {shard} is led by nobody: its Canaries are not attended" for shard in self.unattended]
        if self._acting is not None and self._acting.leaves:
            others = ", ".join(map(str, sorted(self._acting.leaves)))
            found.append(f"shard {self.shard} leaves to {others} what they share, until these have ended")
        return found

    def let_go(self) -> None:
        """We do not lead any more: the next time everything is claimed, and looked at, anew."""
        self._acting = None
        self.claim = Claim(self.shard)
        self._waited.clear()

    async def hold(self, election: LeaderElection) -> None:
        """Claim, look, act; and look on as long as there is somebody to whom something is left."""
        while True:
            try:
                others = await self._others()
            except ApiError as error:
                _log.warning("the other shards' leases cannot be read: %s", error)
                await asyncio.sleep(LOOK_SECONDS)
                continue
            disputed = {other.shard for other in others if other.disputes(self.claim)}
            if self._acting is not None:
                # who came after we had begun leaves to us: to him nothing is given back that we act on
                disputed &= self._acting.leaves
            if disputed:
                wanted = Claim(self.shard, self.claim.leaves | disputed)
            else:
                self._act()
                wanted = Claim(self.shard, self.claim.leaves - self._ended(others))
            if wanted != self.claim:
                _log.info("shard %s leaves to %s", self.shard, ", ".join(map(str, sorted(wanted.leaves))) or "nobody")
                self.claim = wanted
                if not await election.publish():
                    return
            elif not self.claim.leaves:
                return
            else:
                await asyncio.sleep(LOOK_SECONDS)

    def _act(self) -> None:
        """Nobody else who lives claims what stands in our Lease."""
        if self._acting != self.claim:
            self._acting = self.claim
            self._grew()

    def _ended(self, others: list[Claim]) -> set[Shard]:
        """Those to whom something is left and who do not claim it any more, or leave it to us."""
        claimed = {other.shard: other for other in others}
        ended = set()
        for shard in self.claim.leaves:
            other = claimed.get(shard)
            if other is not None and self.shard in other.leaves:
                # each leaves to the other: the greater number goes on first, the lesser when that does not
                self._waited[shard] = self._waited.get(shard, 0) + 1
                if self.shard > shard or self._waited[shard] > PATIENCE:
                    ended.add(shard)
            elif other is None:
                ended.add(shard)
        return ended

    async def _others(self) -> list[Claim]:
        """What the others who live claim; read live, so that a claim that was written before is seen."""
        return [claim for name, claim in await self._living() if name != self.shard.lease]

    async def _living(self) -> list[tuple[str, Claim]]:
        asked = self._monotonic()
        leases = await self._client.list(LEASE, self._namespace)
        found = []
        for lease in leases:
            claim = claim_of(lease)
            if claim is not None and self._lives(lease, asked):
                found.append((str(lease["metadata"]["name"]), claim))
        return found

    def _lives(self, lease: dict[str, Any], asked: float) -> bool:
        """An answer that was slow tells of some moment since it was asked for: a change is taken as of now, its absence as of then."""
        name, version = str(lease["metadata"]["name"]), str(lease["metadata"].get("resourceVersion"))
        known = self._seen.get(name)
        if known is None or known[0] != version:
            known = self._seen[name] = (version, self._monotonic())
        spec = lease.get("spec") or {}
        return bool(spec.get("holderIdentity")) and asked < known[1] + float(spec.get("leaseDurationSeconds") or 15)

    # --- the others, as told to people -------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Look now and then whether every shard is led by somebody. With one shard that is the election's own affair."""
        while self.shard.count > 1:
            try:
                await self.look()
            except ApiError as error:
                _log.info("the shards' leases cannot be read: %s", error)
            await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> None:
        """See which shards are led by nobody."""
        led = {claim.shard for _, claim in await self._living()}
        self.unattended = tuple(shard for shard in self.shard.others if shard not in led)
        for shard in self.shard.others:
            self._told(shard.index, shard in led)
