"""A row of the catalogue as data: what is wrong with the pods of a release, how the release must end, in what time and with which words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from e2e.core.stage import Stage
from e2e.kube import Object
from e2e.sandbox import Sandbox
from e2e.sandbox.layout import REGISTRY


class Verdict(StrEnum):
    """How a release ends: the classes of design's "Pod health"."""

    NOW = "now"
    """A certain cause: after podHealth.certainGrace (5 s)."""
    CRASHES = "at the third crash"
    GRACE = "after grace"
    """A doubtful cause: after podHealth.doubtfulGrace (30 s)."""
    DEADLINE = "at the deadline"
    """What only waits is named, and progressDeadlineSeconds judges it."""
    PROMOTED = "promoted"
    """The fault ended in time."""


BOUND = {Verdict.NOW: 10.0, Verdict.CRASHES: 40.0, Verdict.GRACE: 40.0, Verdict.DEADLINE: 8.0, Verdict.PROMOTED: 120.0}
"""Seconds from the kubelet's first report of the cause to the end; at the deadline: how late it may be; promoted: from the healing."""

CRASHED = frozenset({"CrashLoopBackOff", "Error"})
UNPULLED = frozenset({"ErrImagePull", "ImagePullBackOff"})
NOT_CONFIGURED = frozenset({"CreateContainerConfigError"})
NOT_STARTED = frozenset({"RunContainerError", "StartError", "CrashLoopBackOff"})

Step = Callable[[Stage, Any], None]
"""Something done to the cluster in the middle of a row; its second argument is what the row's `around` gave."""


@dataclass(frozen=True)
class Row:
    """A release whose pods fail.

    `pod` changes the pod template's spec (strategic merge) and so is the release. `container` is the one that fails ("": no container is
    told of), `reasons` are those that status.podFailures may give for it, `cause` the words that history, conditions, event, alert and
    `describe` must hold. `seconds` overrides the bound of the verdict. Verdict DEADLINE needs a `deadline` in seconds, and its words hold
    what is waited for. `spec` overrides fields of the Canary (None takes them out), `deployment` the arguments of `Stage.deployment`.

    `around` is entered before the release and left after its end; `during` is done right after the release. With `heal` the fault is ended
    as soon as the first of the `cause` words is told, and the release must then be promoted.
    """

    id: str
    pod: Object
    container: str
    reasons: frozenset[str]
    cause: tuple[str, ...]
    verdict: Verdict = Verdict.NOW
    seconds: float = 0
    deadline: int = 0
    others: frozenset[str] = frozenset()
    """Reasons that status.podFailures may give beside, of pods that took the place of those that failed."""
    replicas: int = 1
    canary: str = ""
    namespace: str = ""
    """Of its own; "" where any will do."""
    provider: str = "gatewayapi:v1"
    spec: Object = field(default_factory=dict)
    deployment: Object = field(default_factory=dict)
    flaps: bool = False
    """The pod must have been Ready now and then, or the row proves nothing."""
    moves: bool = False
    """The fault comes when the canary has weight already."""
    alone: bool = False
    """Disturbs the node or the cluster: played when all others are over."""
    note: str = ""
    """What is not real about it, for the page."""
    around: Callable[[Stage], AbstractContextManager[Any]] | None = None
    during: Step | None = None
    heal: Step | None = None

    @property
    def name(self) -> str:
        """Of the Canary."""
        return self.canary or self.id

    @property
    def bound(self) -> float:
        """Seconds; see `BOUND`."""
        return self.seconds or BOUND[self.verdict]

    @property
    def diagnosis(self) -> str:
        """What status.podFailures must say of the container: the cause itself, not that a deadline ran out."""
        return next(words for words in self.cause if "deadline" not in words)

    @property
    def turn(self) -> tuple[bool, float]:
        """By which rows are ordered: what takes long is begun first, what wants to be alone comes last."""
        return self.alone, -self.bound

    def healing(self, heal: Step, **changes: Any) -> Row:
        """The same fault, but it ends in time: the release must succeed."""
        plain: dict[str, Any] = {"id": f"{self.id}-heals", "verdict": Verdict.PROMOTED, "seconds": 0, "deadline": 0, "heal": heal}
        return replace(self, **(plain | changes))


def no_ground(_: Sandbox) -> AbstractContextManager[Any]:
    return nullcontext()


@dataclass(frozen=True)
class Group:
    """Rows of one subject; `ground` is what they share (a faulty registry), entered before the first of them and left after the last."""

    name: str
    rows: Sequence[Row]
    ground: Callable[[Sandbox], AbstractContextManager[Any]] = no_ground


def app(image: str = f"{REGISTRY}/toggle:1.0.1", **fields: Any) -> Object:
    """The main container of a release."""
    return {"name": "app", "image": image, **fields}


def env(**values: str) -> list[Object]:
    return [{"name": name, "value": value} for name, value in values.items()]


def crasher(name: str, after: str, code: str = "3", **fields: Any) -> Object:
    """A container beside it that lives for a while and then exits."""
    return {"name": name, "image": f"{REGISTRY}/crasher:1.0.0", "env": env(AFTER=after, CODE=code), **fields}


def quiet(name: str) -> Object:
    return crasher(name, "1h")


def key_of(kind: str, name: str, key: str) -> Object:
    """An environment variable from a key of a `configMap` or a `secret`."""
    return {"name": "SETTING", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}
