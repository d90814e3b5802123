"""The cookies of session affinity, as headers: what is written into Set-Cookie, and the pattern that finds a cookie in a request.

A pair is `name=value`. A run's value is one word, the same whenever it is derived again.
"""

from __future__ import annotations

from flaggerpy.api.canary import SessionAffinity
from flaggerpy.routers import matching


def pair_of(name: str, cookie: str) -> str:
    """A cookie as `name=value`; Flagger's status has it so already, ours is the value alone."""
    return cookie if "=" in cookie else f"{name}={cookie}"


def bare(name: str, pair: str) -> str:
    """The value of a pair; the text as it is when it has another name, or `name` is ""."""
    return pair.removeprefix(f"{name}=") if name else pair


def pattern_of(pair: str) -> str:
    """A regular expression for the whole header Cookie of visitors who have exactly this one (Q-38)."""
    return f"^(.*;\\s*)?{matching.literal(pair)}(;.*)?$"


def is_about(pattern: str, pair: str) -> bool:
    """Whether a pattern looks for this cookie: as we write it, or as Flagger does (`.*name.*value.*`)."""
    name, _, value = pair.partition("=")
    return matching.literal(pair) in pattern or (name in pattern and value in pattern)


def set_cookie(pair: str, affinity: SessionAffinity, max_age: int) -> str:
    """The header Set-Cookie; `max_age` in seconds, -1 takes the cookie back."""
    parts = [pair, f"Max-Age={max_age}"]
    if affinity.domain:
        parts.append(f"Domain={affinity.domain}")
    if affinity.http_only:
        parts.append("HttpOnly")
    if affinity.partitioned:
        parts.append("Partitioned")
    if affinity.path:
        parts.append(f"Path={affinity.path}")
    if affinity.same_site:
        parts.append(f"SameSite={affinity.same_site}")
    if affinity.secure:
        parts.append("Secure")
    return "; ".join(parts)
