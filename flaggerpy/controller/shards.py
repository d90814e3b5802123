"""Which shard attends a namespace, and what a shard claims in its Lease so that no two ever act on one Canary. Pure.

A namespace belongs to one shard of n by rendezvous hashing: everybody computes the same, and a shard more takes from each of the others
only what it gets itself. The number of shards may change while controllers run: then two shards that count differently may both hold a
Lease and mean the same namespace. So each writes into its Lease which shard of how many it is and to whom it leaves what they share, and
`claims.py` keeps the order: claim first, look at the others' Leases then, and act only on what nobody else who lives claims.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flaggerpy.cluster.lease import NAME

SHARD = "flagger.app/shard"
LEAVES = "flagger.app/shard-leaves-to"


@dataclass(frozen=True, order=True)
class Shard:
    """Number `index` of `count` shards, counted from 0. One of one is the whole."""

    count: int = 1
    index: int = 0

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of `2/3`; raises ValueError."""
        index, slash, count = text.partition("/")
        if not slash or not index.isdecimal() or not count.isdecimal() or not int(index) < int(count):
            raise ValueError(f"{text!r} should be a number and how many there are, as 0/3, 1/3 and 2/3")
        return cls(int(count), int(index))

    @property
    def lease(self) -> str:
        """The name of its Lease: Flagger's where there is only one."""
        return NAME if self.count == 1 else f"{NAME}-shard-{self.index}"

    @property
    def others(self) -> tuple[Shard, ...]:
        """All that count as this one does, itself among them."""
        return tuple(Shard(self.count, index) for index in range(self.count))

    def owns(self, namespace: str) -> bool:
        """Whether what is in a namespace is this shard's."""
        return self.count == 1 or owner(namespace, self.count) == self.index

    def meets(self, other: Shard) -> bool:
        """Whether there can be a namespace that both own.

        Of shards that count alike only one and the same. Else the lower numbers keep what they do not give to one that the other count does
        not have: i of n and j of a greater m share something where i is j, or m has no j of n (j >= n).
        """
        fewer, more = sorted((self, other))
        return fewer.index == more.index or (fewer.count < more.count and more.index >= fewer.count)


@lru_cache(maxsize=20_000)
def owner(namespace: str, count: int) -> int:
    """The shard of `count` that a namespace belongs to: the one whose number, hashed with the name, gives most."""
    return max(range(count), key=lambda index: hashlib.blake2b(f"{index}/{namespace}".encode(), digest_size=8).digest())


@dataclass(frozen=True)
class Claim:
    """What the holder of a Lease acts on: its shard's namespaces, but for those of the shards that it leaves to."""

    shard: Shard
    leaves: frozenset[Shard] = frozenset()

    def covers(self, namespace: str) -> bool:
        """Whether it acts on what is in a namespace."""
        return self.shard.owns(namespace) and not any(other.owns(namespace) for other in self.leaves)

    def disputes(self, other: Claim) -> bool:
        """Whether both might act on one namespace: they meet, and neither leaves it to the other."""
        return self.shard.meets(other.shard) and other.shard not in self.leaves and self.shard not in other.leaves

    def annotations(self) -> dict[str, str]:
        """As it stands in the Lease."""
        return {SHARD: str(self.shard), LEAVES: ",".join(map(str, sorted(self.leaves)))}


def claim_of(lease: Mapping[str, Any]) -> Claim | None:
    """What a Lease of ours claims, None for one of somebody else's.

    One without our annotations, as an older version holds, claims everything that its name stands for: the whole.
    """
    metadata = lease["metadata"]
    name = str(metadata["name"])
    if name != NAME and not name.startswith(f"{NAME}-shard-"):
        return None
    annotations = metadata.get("annotations") or {}
    try:
        shard = Shard.parse(annotations[SHARD])
        leaves = frozenset(map(Shard.parse, filter(None, annotations.get(LEAVES, "").split(","))))
    except (KeyError, ValueError):
        return Claim(Shard())
    return Claim(shard, leaves)


def mine(names: Iterable[str], shard: Shard) -> list[str]:
    """Those of these namespaces that are a shard's."""
    return [name for name in names if shard.owns(name)]
