"""What was worked out last, for as long as it is asked of the same objects: one look at a Canary follows the other, and little has changed.

Caches give out one object as long as it is what it was, so that "the same" is a question of identity. What is kept here must be worked out
of nothing but the given objects, and nobody may change it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Memo:
    """Of one Canary; by the name of what is worked out."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], object]] = {}

    def of(self, name: str, given: tuple[object, ...], work_out: Callable[[], T]) -> T:
        """The result of `work_out`, which is called when anything `given` is another object than the last time (texts are compared)."""
        known = self._known.get(name)
        if known is not None and len(known[0]) == len(given) and all(map(_same, known[0], given)):
            # under one name there is always what the same function made
            result: T = known[1]  # type: ignore[assignment]
            return result
        result = work_out()
        self._known[name] = (given, result)
        return result

    def clear(self) -> None:
        """Keep nothing: thousands of Canaries are idle."""
        self._known.clear()


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, str) and one == other)
