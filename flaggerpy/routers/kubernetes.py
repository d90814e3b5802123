"""Provider `kubernetes`: no route at all. The three Services are the whole of it (`services.py`), and releases are blue/green.

The canary is tried behind `<apex>-canary` and never gets a share of the visitors; they move with the primary's own roll-out.
"""

from __future__ import annotations

from collections.abc import Sequence

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import refused, warned

PROVIDER = "kubernetes"


class Kubernetes:
    """No split: everything stays with the primary."""

    supports = Supports(weights=False)

    def problems(self, canary: Canary) -> list[str]:
        return refused(canary, self.supports, frozenset(), PROVIDER)

    def warnings(self, canary: Canary) -> list[str]:
        return warned(canary, frozenset(), PROVIDER)

    def objects(self, canary: Canary) -> list[RouteObject]:
        return []

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        return []

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        return []

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        return Observed(split=RouteSplit(0))

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        return []
