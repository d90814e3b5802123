"""Shards: everybody computes the same, a shard more moves little, and who can share a namespace with whom is known."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.controller.shards import LEAVES, SHARD, Claim, Shard, claim_of, mine, owner

NAMES = [f"team-{number}" for number in range(600)]


def test_a_namespace_is_one_shards_and_shards_are_even() -> None:
    shards = Shard(3).others
    assert [sum(shard.owns(name) for shard in shards) for name in NAMES] == [1] * len(NAMES)
    sizes = [len(mine(NAMES, shard)) for shard in shards]
    assert min(sizes) > 150, sizes


def test_where_a_namespace_belongs_never_changes() -> None:
    """Replicas of different versions must agree: these are no numbers to be adapted."""
    assert [owner(name, 3) for name in ("default", "shop", "payments", "team-a")] == [2, 2, 0, 0]


def test_a_shard_more_takes_from_each_and_nothing_else_moves() -> None:
    moved = [name for name in NAMES if owner(name, 3) != owner(name, 4)]
    assert {owner(name, 4) for name in moved} == {3}
    assert len(NAMES) / 6 < len(moved) < len(NAMES) / 3


@given(st.integers(1, 6), st.integers(1, 6))
def test_two_shards_meet_exactly_where_they_can_own_the_same(one: int, other: int) -> None:
    for left, right in itertools.product(Shard(one).others, Shard(other).others):
        common = [name for name in NAMES if left.owns(name) and right.owns(name)]
        assert left.meets(right) == right.meets(left)
        assert not common or left.meets(right), (left, right)
        assert common or not left.meets(right) or max(one, other) > 4, (left, right)


def test_the_lease_is_flaggers_where_there_is_one_shard() -> None:
    assert Shard(1).lease == "flagger-leader-election"
    assert Shard(3, 1).lease == "flagger-leader-election-shard-1"


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "a/b", "1/0", "0/0"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="should be a number and how many there are"):
        Shard.parse(text)


def lease(name: str, **annotations: str) -> dict[str, object]:
    return {"metadata": {"name": name, "annotations": annotations}}


def test_a_claim_stands_in_the_lease_and_is_read_again() -> None:
    claim = Claim(Shard(4, 3), frozenset({Shard(3, 1), Shard(3, 0)}))
    assert claim.annotations() == {SHARD: "3/4", LEAVES: "0/3,1/3"}
    assert claim_of(lease(Shard(4, 3).lease, **claim.annotations())) == claim
    assert claim_of(lease("kube-scheduler")) is None


@pytest.mark.parametrize("annotations", [{}, {SHARD: "x"}, {SHARD: "0/3", LEAVES: "1"}])
def test_a_lease_that_cannot_be_understood_claims_everything(annotations: dict[str, str]) -> None:
    assert claim_of(lease("flagger-leader-election", **annotations)) == Claim(Shard())


def test_who_leaves_to_the_other_disputes_nothing() -> None:
    old, new = Claim(Shard(3, 1)), Claim(Shard(4, 3))
    assert old.disputes(new)
    assert not Claim(new.shard, frozenset({old.shard})).disputes(old)
    assert not old.disputes(Claim(new.shard, frozenset({old.shard})))
    assert not Claim(Shard(3, 1)).disputes(Claim(Shard(3, 2)))
    left = Claim(Shard(4, 3), frozenset({Shard(3, 1)}))
    assert not any(left.covers(name) for name in mine(NAMES, Shard(3, 1)))
    assert any(left.covers(name) for name in mine(NAMES, Shard(3, 2)))
