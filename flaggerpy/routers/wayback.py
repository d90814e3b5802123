"""The way back of a route when its Canary goes: what `announce` is for the way to us, for the same reason.

A proxy that is led to a backend which it does not know yet, or has forgotten a moment too early, answers nobody. So the route names the
backends that it will lead to beside ours, with weight 0; then it leads to them, and names ours with weight 0; and only then is it as it was
before the Canary (`Router.restore`). A route that we made leads to the apex Service at its end, and is left behind without an owner.

The state of the route alone says which step comes next, so that any of them can be repeated, by whoever leads then.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from flaggerpy.api.canary import Canary
from flaggerpy.routers import manifest
from flaggerpy.routers.base import Obj, Router

Step = Literal["announce", "lead", "end"]
MOST_BACKENDS = 16
"""What a rule of an HTTPRoute takes; a rule that is full is not told of further ones."""


@dataclass(frozen=True)
class Place:
    """Where a kind of route has its rules, and a rule its backends."""

    rules: str
    backends: str


@runtime_checkable
class LeadsIn(Protocol):
    """A router whose route (the last of `objects`) is the way by which visitors come in; one that only splits goes with its Canary."""

    def plain(self, canary: Canary, have: Obj) -> Obj:
        """Our manifest of the route with all requests to the apex Service."""


@runtime_checkable
class Withdraws(LeadsIn, Protocol):
    """One whose proxies learn of backends and of who is led to them by separate ways."""

    place: Place


def next_step(router: Router, canary: Canary, current: Sequence[Obj]) -> Step | Literal[""]:
    """What is to be done next; "" when the route is as it will be, or is gone, or goes with the Canary."""
    if not isinstance(router, Withdraws):
        return "end" if any(not _stands(wanted, current) for wanted in _at_once(router, canary, current)) else ""
    have, end = _ends(router, canary, current)
    if have is None or end is None:
        return ""
    standing, wanted = _identities(router.place, have), _identities(router.place, end)
    ours = {name for name in standing if _is_ours(canary, name)} - wanted
    if not ours:
        return "" if _stands(end, [have]) else "end"
    if not wanted <= standing:
        told = _announced(router.place, have, end)
        return "announce" if told != have["spec"] else "lead"
    carries = any(backend.get("weight", 1) for backend in _backends(router.place, have) if _identity(backend) in ours)
    return "lead" if carries else "end"


def manifests(router: Router, canary: Canary, current: Sequence[Obj], step: Step) -> list[Obj]:
    """The manifests (server-side apply) of a step; [] where there is nothing to do."""
    if not isinstance(router, Withdraws):
        return _at_once(router, canary, current) if step == "end" else []
    have, end = _ends(router, canary, current)
    if have is None or end is None:
        return []
    if step == "end":
        return [end]
    meta = manifest.metadata(canary, have["metadata"]["name"], manifest.service_of(canary).apex, have)
    spec = _announced(router.place, have, end) if step == "announce" else _leading(router.place, canary, have, end)
    return [{"apiVersion": end["apiVersion"], "kind": end["kind"], "metadata": meta, "spec": spec}]


def stays(router: Router, canary: Canary, obj: Obj) -> bool:
    """Whether a route that we made is left behind when its Canary goes: visitors come in by it."""
    return isinstance(router, LeadsIn) and manifest.is_ours(obj, canary) and obj["metadata"]["name"] == router.objects(canary)[-1].name


def _at_once(router: Router, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
    """The manifests of the end, for a router whose proxies need no steps."""
    found = list(router.restore(canary, current))
    if isinstance(router, LeadsIn):
        last = router.objects(canary)[-1]
        have = manifest.find(current, last.kind, last.name)
        if have is not None and manifest.is_ours(have, canary):
            found.append(router.plain(canary, have))
    return found


def _ends(router: Router, canary: Canary, current: Sequence[Obj]) -> tuple[Obj | None, Obj | None]:
    assert isinstance(router, LeadsIn)
    wanted = router.objects(canary)[-1]
    have = manifest.find(current, wanted.kind, wanted.name)
    if have is None:
        return None, None
    if manifest.is_ours(have, canary):
        return have, router.plain(canary, have)
    return have, next(iter(router.restore(canary, [have])), None)


def _announced(place: Place, have: Obj, end: Obj) -> Obj:
    """The spec as it stands, with the backends of the end in each rule that has any."""
    spec: Obj = copy.deepcopy(have["spec"])
    coming = list({_identity(backend): backend for backend in _backends(place, end)}.values())
    for backends in _rules(place, spec):
        named = {_identity(backend) for backend in _plain(backends)}
        new = [backend for backend in coming if _identity(backend) not in named]
        if len(backends) + len(new) <= MOST_BACKENDS:
            backends += [{**copy.deepcopy(backend), "weight": 0} for backend in new]
    return spec


def _leading(place: Place, canary: Canary, have: Obj, end: Obj) -> Obj:
    """The spec of the end, with our backends in each rule that has any: they get nothing."""
    spec: Obj = copy.deepcopy(end["spec"])
    going = {_identity(backend): backend for backend in _backends(place, have) if _is_ours(canary, _identity(backend))}
    for backends in _rules(place, spec):
        plain = _plain(backends)
        if not any(backend.get("weight") for backend in plain):
            # without any weight they share alike, and one of weight 0 among them would get its share as well
            for backend in plain:
                backend["weight"] = 1
        named = {_identity(backend) for backend in plain}
        new = [backend for identity, backend in going.items() if identity not in named]
        if len(backends) + len(new) <= MOST_BACKENDS:
            backends += [{**_bare(backend), "weight": 0} for backend in new]
    return spec


def _rules(place: Place, spec: Mapping[str, Any]) -> Iterator[list[Obj]]:
    for rule in spec.get(place.rules) or ():
        if rule.get(place.backends):
            yield rule[place.backends]


def _backends(place: Place, route: Obj) -> Iterator[Obj]:
    for backends in _rules(place, route.get("spec") or {}):
        yield from _plain(backends)


def _plain(backends: Sequence[Obj]) -> list[Obj]:
    """Those that answer; who gets copies only is no matter."""
    return [backend for backend in backends if not backend.get("mirror")]


def _identities(place: Place, route: Obj) -> set[tuple[str, ...]]:
    return {_identity(backend) for backend in _backends(place, route)}


def _identity(backend: Mapping[str, Any]) -> tuple[str, ...]:
    kind = "" if backend.get("kind") in (None, "Service") else str(backend["kind"])
    return str(backend.get("name")), str(backend.get("namespace") or ""), str(backend.get("port") or ""), kind


def _is_ours(canary: Canary, identity: tuple[str, ...]) -> bool:
    return identity[0] in manifest.our_services(canary) and identity[1] in ("", canary.namespace)


def _bare(backend: Obj) -> Obj:
    """Without what it did to requests: it gets none any more."""
    return {field: value for field, value in copy.deepcopy(backend).items() if field != "filters"}


def _stands(wanted: Obj, current: Sequence[Obj]) -> bool:
    have = manifest.find(current, wanted["kind"], wanted["metadata"]["name"])
    if have is None:
        return False
    annotations = (have.get("metadata") or {}).get("annotations") or {}
    given_back = bool((wanted.get("metadata") or {}).get("ownerReferences")) or manifest.ORIGINAL not in annotations
    return given_back and manifest.covers(wanted.get("spec"), have.get("spec")) and manifest.same_metadata(wanted, have)
