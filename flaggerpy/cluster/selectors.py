"""Label selectors in the API's text form (`app=podinfo,tier in (a, b),!legacy`), matched locally and written from a map."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

_SET = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^)]*)\)$")
_COMMA = re.compile(r",(?![^(]*\))")


def selector_of(labels: Mapping[str, str]) -> str:
    """`a=1,b=2` from a map of labels that must all be equal."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def matches(selector: str | None, labels: Mapping[str, str] | None) -> bool:
    """True when `labels` satisfy every requirement; an empty selector takes everything."""
    have = labels or {}
    for key, operator, values in _requirements(selector or ""):
        present = key in have
        if operator == "exists":
            satisfied = present
        elif operator == "absent":
            satisfied = not present
        elif operator == "in":
            satisfied = present and have[key] in values
        else:
            satisfied = not present or have[key] not in values
        if not satisfied:
            return False
    return True


@lru_cache(maxsize=1024)
def _requirements(selector: str) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    found: list[tuple[str, str, tuple[str, ...]]] = []
    for part in (part.strip() for part in _COMMA.split(selector)):
        if not part:
            continue
        in_set = _SET.match(part)
        if in_set:
            found.append((in_set[1], in_set[2], tuple(value.strip() for value in in_set[3].split(","))))
        elif "!=" in part:
            key, _, value = part.partition("!=")
            found.append((key.strip(), "notin", (value.strip(),)))
        elif "=" in part:
            key, _, value = part.partition("=")
            found.append((key.strip(), "in", (value.lstrip("=").strip(),)))
        elif part.startswith("!"):
            found.append((part[1:].strip(), "absent", ()))
        else:
            found.append((part, "exists", ()))
    return tuple(found)
