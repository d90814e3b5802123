"""What a misbehaving API server does, as data: rules of which request or which event of a watch meets which fault. Pure but for the dice.

    Rule(Refuse(429, retry_after=1), verbs=WRITES, share=0.2)      one write in five is refused and told to come again
    Rule(Drop(), verbs={"watch"}, path="/pods", share=0.3)        three in ten events of pods never arrive
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

READS = frozenset({"get", "list"})
WRITES = frozenset({"create", "update", "patch", "delete"})
REQUESTS = READS | WRITES
REASONS = {
    409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip


@dataclass(frozen=True)
class Refuse:
    """Answered with this status; `done`: it was carried out all the same, as a 500 or 504 may be."""

    status: int
    retry_after: int | None = None
    done: bool = False


@dataclass(frozen=True)
class Cut:
    """The connection breaks, before the request is carried out or (`done`) after it."""

    done: bool = False


@dataclass(frozen=True)
class Delay:
    """The request is carried out so many seconds later; longer than the client's patience, it is a time-out."""

    seconds: float


@dataclass(frozen=True, eq=False)
class Hold:
    """The request stays in the server's queue until `let_go` is set, whether its client lives or not, and is carried out then."""

    let_go: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Drop:
    """An event of a watch is lost."""


@dataclass(frozen=True)
class Repeat:
    """An event of a watch comes twice."""


@dataclass(frozen=True)
class Swap:
    """An event of a watch comes after the next one, or half a second late."""


@dataclass(frozen=True)
class Lag:
    """The events of a watch come so many seconds late, in order."""

    seconds: float


@dataclass(frozen=True)
class Forget:
    """The watch ends here with 410 Gone."""


@dataclass(frozen=True)
class Break:
    """The watch's connection breaks here."""


RequestFault = Refuse | Cut | Delay | Hold
EventFault = Drop | Repeat | Swap | Lag | Forget | Break
Fault = RequestFault | EventFault


@dataclass
class Rule:
    """A fault and what meets it: verbs (`watch` for events), a pattern found in the path, a share of 0 to 1, at most `times`."""

    fault: Fault
    verbs: Iterable[str] = REQUESTS
    path: str = ""
    share: float = 1.0
    times: int | None = None
    met: int = 0

    def strikes(self, verb: str, path: str, dice: random.Random) -> bool:
        """Whether this one meets it; counted when it does."""
        if verb not in self.verbs or not re.search(self.path, path) or (self.times is not None and self.met >= self.times):
            return False
        if self.share < 1.0 and dice.random() >= self.share:
            return False
        self.met += 1
        return True


def of_requests(rules: Iterable[Rule], verb: str, path: str, dice: random.Random) -> RequestFault | None:
    """The fault that a request meets: the first rule that strikes."""
    for rule in rules:
        if isinstance(rule.fault, RequestFault) and rule.strikes(verb, path, dice):
            return rule.fault
    return None


def of_events(rules: Iterable[Rule], path: str, dice: random.Random) -> EventFault | None:
    """The fault that an event of a watch meets; lagging apart, see `lag_of`."""
    for rule in rules:
        if isinstance(rule.fault, EventFault) and not isinstance(rule.fault, Lag) and rule.strikes("watch", path, dice):
            return rule.fault
    return None


def lag_of(rules: Iterable[Rule], path: str) -> float:
    """Seconds by which the events of this watch come late."""
    return max((rule.fault.seconds for rule in rules if isinstance(rule.fault, Lag) and re.search(rule.path, path)), default=0.0)


def status_object(status: int, retry_after: int | None = None) -> dict[str, object]:
    """The body of a refusal, as the API server words it."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": status,
        "reason": REASONS.get(status, ""),
        "message": "the fault-injecting proxy was told so",
        "details": {"retryAfterSeconds": retry_after} if retry_after else {},
    }
