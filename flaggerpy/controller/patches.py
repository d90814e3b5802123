"""Patches and comparisons of plain objects: pure, and used by everything that writes.

- `merge_diff`: the JSON merge patch that leads from one value to another, None when they are equal.
- `covers`: whether an object already says all that a manifest asks for (then nothing has to be written); `difference`: where it does not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Obj = dict[str, Any]


def merge_diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> Obj | None:
    """The RFC 7386 merge patch from `old` to `new`; fields that only `old` has become null. None when there is no difference."""
    patch: Obj = {}
    for name in old.keys() - new.keys():
        patch[name] = None
    for name, value in new.items():
        if name not in old:
            patch[name] = value
        elif isinstance(value, Mapping) and isinstance(old[name], Mapping):
            inner = merge_diff(old[name], value)
            if inner is not None:
                patch[name] = inner
        elif value != old[name]:
            patch[name] = value
    return patch or None


def covers(have: Any, want: Any) -> bool:
    """True when `have` holds every field of `want` with the same value; what `want` does not name may be anything.

    Lists must have the same length, their items are compared in order the same way (the API server adds defaults to items).
    Quantities and durations that the server writes differently count as different: the caller remembers what it applied.
    """
    return next(difference(have, want), None) is None


def difference(have: Any, want: Any, path: str = "") -> Iterator[str]:
    """Where `have` does not hold what `want` asks for, as `spec.containers[0].image`; nothing when it `covers` it."""
    if isinstance(want, Mapping):
        if not isinstance(have, Mapping):
            yield path
            return
        for name, value in want.items():
            here = f"{path}.{name}" if path else str(name)
            if name in have:
                yield from difference(have[name], value, here)
            elif value not in (None, {}, []):
                yield here
    elif isinstance(want, Sequence) and not isinstance(want, str):
        if not isinstance(have, Sequence) or isinstance(have, str) or len(have) != len(want):
            yield path
            return
        for index, (mine, wanted) in enumerate(zip(have, want, strict=True)):
            yield from difference(mine, wanted, f"{path}[{index}]")
    elif have != want:
        yield path


def digest(value: Any) -> str:
    """A short name of a value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
