"""A change wakes those who looked at the object last time, and nobody else."""

from __future__ import annotations

from flaggerpy.controller.inbox import Key
from flaggerpy.controller.interests import Interests, Ref

A, B = Key("shop", "a"), Key("shop", "b")
CONFIG = Ref("configmaps", "shop", "shared")
TARGET = Ref("deployments", "shop", "a")


def test_all_who_look_at_an_object_are_named() -> None:
    interests = Interests()
    interests.set(A, [CONFIG, TARGET])
    interests.set(B, [CONFIG])
    assert interests.who(CONFIG) == {A, B}
    assert interests.who(TARGET) == {A}
    assert interests.who(Ref("configmaps", "other", "shared")) == frozenset()


def test_what_is_not_looked_at_any_more_is_forgotten() -> None:
    interests = Interests()
    interests.set(A, [CONFIG, TARGET])
    interests.set(A, [TARGET])
    assert interests.who(CONFIG) == frozenset()
    interests.forget(A)
    assert interests.who(TARGET) == frozenset()
    assert not interests._who
    assert not interests._wanted
