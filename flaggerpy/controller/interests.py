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
    """Two maps that mirror each other."""

    def __init__(self) -> None:
        self._wanted: dict[Key, frozenset[Ref]] = {}
        self._who: dict[Ref, set[Key]] = {}

    def set(self, key: Key, refs: Iterable[Ref]) -> None:
        """From now on this Canary cares about these objects and no others."""
        new = frozenset(refs)
        old = self._wanted.get(key, frozenset())
        if new == old:
            return
        for ref in old - new:
            who = self._who[ref]
            who.discard(key)
            if not who:
                del self._who[ref]
        for ref in new - old:
            self._who.setdefault(ref, set()).add(key)
        if new:
            self._wanted[key] = new
        else:
            self._wanted.pop(key, None)

    def forget(self, key: Key) -> None:
        self.set(key, ())

    def who(self, ref: Ref) -> frozenset[Key]:
        """The Canaries to wake when this object changed."""
        return frozenset(self._who.get(ref, ()))
