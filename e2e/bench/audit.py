"""Requests to the API server, counted from its audit log by who sent them. Pure but for reading the file's lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from e2e.audit import entries


@dataclass
class Requests:
    """Requests of one user in a stretch of time. `asked`: about objects of a Canary; `whole`: about all that is watched (every object of
    a kind at once, a CRD, the served API). Leases and the begin of a watch are in neither. `kinds` counts the kinds of both."""

    asked: int = 0
    lease: int = 0
    watches: int = 0
    whole: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


def epoch(text: str) -> float:
    """Seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def count(lines: Iterable[str], user: str, since: float, until: float) -> Requests:
    """The requests that the API server received from `user` in [since, until), in epoch seconds; each once, whatever stages were logged.

    A line that is cut off (the last one of a log that is being written) is passed over.
    """
    found = Requests()
    for entry in entries(lines, user):
        if not since <= epoch(entry["requestReceivedTimestamp"]) < until:
            continue
        about = entry.get("objectRef") or {}
        resource = about.get("resource") or entry.get("requestURI", "")
        if resource == "leases":
            found.lease += 1
        elif entry["verb"] == "watch":
            found.watches += 1
        else:
            # every object of a kind in the watched namespaces, whoever it belongs to; a selector would make it about somebody's
            everything = entry["verb"] == "list" and "elector=" not in entry.get("requestURI", "")
            whole = everything or not about.get("namespace")
            found.whole += whole
            found.asked += not whole
            found.kinds[f"{entry['verb']} {resource}"] += 1
    return found


def told(requests: Requests, most: int = 4) -> str:
    """The commonest kinds of request, for people."""
    return ", ".join(f"{kind} {number}" for kind, number in requests.kinds.most_common(most))
