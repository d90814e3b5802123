"""Which Canaries care about which objects: a change of an object wakes those and no others.

A worker says after each look which objects it looked at; what it does not name any more is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from flaggerpy.controller.inbox import Key


class Ref(NamedTuple):
    """An object that is looked at, by its plural; name "" stands for all of that plural in the namespace ("" for all)."""

    plural: str
    namespace: str
    name: str


class Interests:
    """Two maps that mirror each other; of tuples, because nearly every object matters to one Canary only."""

    def __init__(self) -> None:
        self._wanted: dict[Key, tuple[Ref, ...]] = {}
        self._who: dict[Ref, tuple[Key, ...]] = {}

    def set(self, key: Key, refs: Iterable[Ref]) -> None:
        """From now on this Canary cares about these objects and no others."""
        new = tuple(sorted(set(refs)))
        old = self._wanted.get(key, ())
        if new == old:
            return
        for ref in set(old) - set(new):
            rest = tuple(other for other in self._who[ref] if other != key)
            if rest:
                self._who[ref] = rest
            else:
                del self._who[ref]
        for ref in set(new) - set(old):
            self._who[ref] = (*self._who.get(ref, ()), key)
        if new:
            self._wanted[key] = new
        else:
            self._wanted.pop(key, None)

    def forget(self, key: Key) -> None:
        self.set(key, ())

    def of(self, key: Key) -> tuple[Ref, ...]:
        """What this Canary cares about."""
        return self._wanted.get(key, ())

    def who(self, ref: Ref) -> frozenset[Key]:
        """The Canaries to wake when this object changed."""
        return frozenset(self._who.get(ref, ()))
