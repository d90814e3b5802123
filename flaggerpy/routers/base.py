"""What a router is: a pure translation between a split and the objects of one provider.

A router never talks to the cluster. The controller reads the objects named by `kinds`, hands them in as plain dicts, and applies
what `desired` returns by server-side apply. Foreign fields of an object that a router does not own stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flaggerpy.api.canary import Canary

Obj = dict[str, Any]


@dataclass(frozen=True)
class RouteSplit:
    """The split as a router sees it, in percent: primary is 100 - canary. Mirrors `rollout.facts.Split` (rooms are apart).

    `cookie` is the value that pins visitors to the canary in this run, `previous_cookie` the one of the last run, to be expired.
    """

    canary: int = 0
    match: bool = False
    mirror: bool = False
    cookie: str = ""
    primary_cookie: str = ""
    previous_cookie: str = ""


@dataclass(frozen=True)
class RouteObject:
    """An object that a router reads or writes: API group, version, plural and kind, and its name in the Canary's namespace."""

    group: str
    version: str
    plural: str
    kind: str
    name: str


@dataclass(frozen=True)
class Observed:
    """What the route says now. `split` None: there is no route, or none with our two backends.

    `accepted` True/False when the route's controller has judged the present generation, None when it cannot be told (yet).
    `judges` tells whether this provider reports acceptance at all. `in_shape`: nothing but the split differs from what is desired.
    `foreign`: somebody else made it, and it names backends that are not ours.
    """

    split: RouteSplit | None
    accepted: bool | None = None
    judges: bool = False
    refusal: str = ""
    in_shape: bool = True
    foreign: bool = False


@dataclass(frozen=True)
class Settings:
    """What of the controller's flags a router needs."""

    ingress_class: str = ""
    ingress_annotations_prefix: str = "nginx.ingress.kubernetes.io"
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Supports:
    """What a provider can do; what it cannot is refused by name before traffic moves (Q-10, Q-11, Q-40)."""

    weights: bool = True
    match: bool = False
    mirror: bool = False
    affinity: bool = False


class Router(Protocol):
    """One provider."""

    supports: Supports

    def problems(self, canary: Canary) -> list[str]:
        """Sentences that name the field which this provider cannot honour; empty when all is well."""

    def warnings(self, canary: Canary) -> list[str]:
        """Sentences that name the fields which have no effect with this provider; they stop nothing."""

    def objects(self, canary: Canary) -> list[RouteObject]:
        """The objects that hold the split."""

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        """Complete manifests (server-side apply) for that split. `current` are the objects as they stand (those that exist)."""

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        """What a route of somebody else is told before it is taken over by `desired`; [] where there is none, or it knows already.

        First it keeps leading where it did, and names our backends with weight 0 beside its own: the proxies know them before any
        request is theirs. Then, with `lead`, it leads to the primary and names its own backends with weight 0: no proxy forgets a backend
        that requests are still led to.
        """

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        """The split read back, and what the route's controller says."""

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """On deletion with revert: manifests that lead traffic back as it was (the target's pods), or [] to leave all alone."""
