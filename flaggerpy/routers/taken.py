"""A route that may be somebody else's: told of our backends before it is taken over, read back, and given back in the end.

For providers whose route is one object with a list of rules, each with a list of backends. What a rule and a backend look like is the
provider's own; the handling of the object is here, once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence

from flaggerpy.api.canary import Canary
from flaggerpy.routers import manifest
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit


def told(route: RouteObject, canary: Canary, current: Sequence[Obj], rules: str, tell: Callable[[Obj], None]) -> list[Obj]:
    """See `Router.announce`: the manifest of a route of somebody else with every rule of `spec[rules]` changed by `tell`, in place.

    [] where there is no such route, it is ours, or it knows already.
    """
    have = manifest.find(current, route.kind, route.name)
    if have is None or manifest.is_ours(have, canary):
        return []
    before = (have.get("spec") or {}).get(rules) or []
    after: list[Obj] = copy.deepcopy(before)
    for rule in after:
        tell(rule)
    if after == before:
        return []
    meta = manifest.metadata(canary, route.name, manifest.service_of(canary).apex, have)
    return [{"apiVersion": f"{route.group}/{route.version}", "kind": route.kind, "metadata": meta, "spec": {rules: after}}]


def read_back(
    canary: Canary,
    have: Obj,
    split: RouteSplit | None,
    backends: Iterable[Sequence[Obj] | None],
    desired: Callable[[RouteSplit], Obj],
    *,
    verdict: tuple[bool | None, str] = (None, ""),
    ours: frozenset[str] = manifest.NOTHING,
    ordered: frozenset[str] = manifest.NOTHING,
) -> Observed:
    """See `Router.observed`, for a route that is there. `split` is what was read of it, `backends` are those of each of its rules.

    `desired` makes the manifest that would be written for a split; `verdict` is the judgement of the route's controller (None where it
    cannot be told) with its sentence; `ours` and `ordered` are those of `manifest.covers`.
    """
    accepted, refusal = verdict
    judges, foreign = accepted is not None, manifest.leads_elsewhere(canary, have, backends)
    if split is None:
        return Observed(None, accepted, judges, refusal, in_shape=False, foreign=foreign)
    want = desired(split)
    in_shape = manifest.same_metadata(want, have) and manifest.covers(want["spec"], have["spec"], ours=ours, ordered=ordered)
    return Observed(split, accepted, judges, refusal, in_shape, foreign)


def given_back(route: RouteObject, canary: Canary, current: Sequence[Obj], plain: Callable[[Obj], Obj]) -> list[Obj]:
    """See `Router.restore`: the spec that a taken-over route had; where it is not known, `plain` of the route, which leads all requests
    to the apex Service. [] for a route of ours, and for one that was never taken over, or has been given back: it does not lead
    to the primary."""
    have = manifest.find(current, route.kind, route.name)
    if have is None or manifest.is_ours(have, canary):
        return []
    known = manifest.restored(canary, have)
    if known or not manifest.names_primary(canary, have):
        return known
    # without our words about it, which server-side apply then takes away
    return [{**plain(have), "metadata": {"name": route.name, "namespace": canary.namespace}}]
