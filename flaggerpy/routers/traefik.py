"""Provider `traefik`: the TraefikService `<apex>`, a weighted round robin that an IngressRoute of the user leads to.

A side with weight 0 is not named at all. Traefik refuses a TraefikService as a whole, and with it all of its requests, while one Service
of it has no endpoints (unless it is told to allow empty ones): a canary at rest must not be in it. And a weight of 0 that gets lost on the
way counts as 1 (Q-45).

Mirroring is a kind of TraefikService of its own. Where `analysis.mirror` asks for it, a second one, `<apex>-mirrored`, leads to the primary
and copies to the canary, and stands in the round robin in the primary's place for as long as requests are mirrored.

Traefik says nowhere whether it took a TraefikService, and changes from one configuration to the next at once, requests under way included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.routers import manifest, taken
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import analysis_path, refused, warned

GROUP = "traefik.io"
VERSION = "v1alpha1"
KIND = "TraefikService"
PROVIDER = "traefik"
HONOURS: frozenset[str] = frozenset()

# Of a backend these are ours. A health check is for ExternalName Services only: at one of ours Traefik refuses the whole object.
_OURS = frozenset({"kind", "healthCheck", "mirrors"})
_NEVER_TAKEN_OVER = frozenset({"kind", "name", "namespace", "port", "weight", "healthCheck", "nodePortLB", "percent"})


def mirrored_name(canary: Canary) -> str:
    """The name of the TraefikService that copies the primary's requests to the canary."""
    return f"{canary.apex}-mirrored"


class Traefik:
    """The TraefikService."""

    supports = Supports(mirror=True)

    def problems(self, canary: Canary) -> list[str]:
        """Traefik's own sticky cookie holds visitors of the primary as well: a raised weight would reach new visitors only."""
        found = refused(canary, self.supports, HONOURS, PROVIDER)
        at = f"{analysis_path(canary)}.sessionAffinity:"
        cookie = "; the cookie of a TraefikService would hold the visitors of the primary too"
        return [f"{text}{cookie}" if text.startswith(at) else text for text in found]

    def warnings(self, canary: Canary) -> list[str]:
        return warned(canary, HONOURS, PROVIDER)

    def objects(self, canary: Canary) -> list[RouteObject]:
        names = ([mirrored_name(canary)] if canary.spec.plan.mirror else []) + [canary.apex]
        return [RouteObject(GROUP, VERSION, "traefikservices", KIND, name) for name in names]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        """What is mirrored comes first, as the round robin leads to it. Fields that somebody gave a backend stay with it."""
        service = manifest.service_of(canary)
        have = manifest.find(current, KIND, canary.apex)
        before = _services(have)
        sides = [(manifest.primary_service(canary), 100 - split.canary), (manifest.canary_service(canary), split.canary)]
        weighted = [_backend(canary, name, before) | {"weight": weight} for name, weight in sides if weight > 0]
        found = []
        if canary.spec.plan.mirror:
            found.append(_mirrored(canary, split, before, manifest.find(current, KIND, mirrored_name(canary))))
            if split.mirror and split.canary < 100:
                weighted[0] = _own(canary, mirrored_name(canary)) | {"kind": KIND, "weight": 100 - split.canary}
        meta = manifest.metadata(canary, canary.apex, service.apex, have)
        return [*found, _traefik_service(meta, {"weighted": {"services": weighted}})]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        """The former spec is written down on the object, which stays as it is.

        Traefik needs no more than the time that this brings: it must have heard of the primary's endpoints before it is led there, and
        a backend that it does not know yet cannot be named beforehand. What it knows it takes up and forgets without losing a request.
        """
        have = manifest.find(current, KIND, canary.apex)
        if lead or have is None or manifest.is_ours(have, canary):
            return []
        if manifest.ORIGINAL in ((have.get("metadata") or {}).get("annotations") or {}) or manifest.original(canary, have) is None:
            return []
        meta = manifest.metadata(canary, canary.apex, manifest.service_of(canary).apex, have)
        return [{"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": meta}]

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        have = manifest.find(current, KIND, canary.apex)
        if have is None:
            return Observed(split=None, in_shape=False)
        copy = manifest.find(current, KIND, mirrored_name(canary)) if canary.spec.plan.mirror else None
        foreign = not manifest.is_ours(have, canary) and _leads_elsewhere(canary, have)
        weight = _share(canary, have)
        if weight is None:
            return Observed(split=None, in_shape=False, foreign=foreign)
        split = RouteSplit(weight, mirror=_mirrors(canary, copy))
        wanted = self.desired(canary, split, current, settings)
        found = [manifest.find(current, KIND, each["metadata"]["name"]) for each in wanted]
        in_shape = all(stands is not None and _same(each, stands) for each, stands in zip(wanted, found, strict=True))
        return Observed(split, in_shape=in_shape, foreign=foreign)

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """The spec that a taken-over object had; where it is not known, all requests to the apex Service."""
        return taken.given_back(self.objects(canary)[-1], canary, current, lambda have: self.plain(canary, have))

    def plain(self, canary: Canary, have: Obj) -> Obj:
        """See `wayback.LeadsIn`."""
        backend = _backend(canary, canary.apex, _services(have)) | {"weight": 100}
        meta = manifest.metadata(canary, canary.apex, manifest.service_of(canary).apex, have)
        return _traefik_service(meta, {"weighted": {"services": [backend]}})


def _traefik_service(meta: Obj, spec: Obj) -> Obj:
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": meta, "spec": spec}


def _mirrored(canary: Canary, split: RouteSplit, before: Sequence[Obj], have: Obj | None) -> Obj:
    """All requests to the primary; while the split asks for it, copies of `mirrorWeight` percent of them (0 or none: all) to the canary."""
    mirroring = _backend(canary, manifest.primary_service(canary), before)
    if split.mirror:
        share = canary.spec.plan.mirror_weight or 100
        mirroring["mirrors"] = [_backend(canary, manifest.canary_service(canary), before) | {"percent": share}]
    meta = manifest.metadata(canary, mirrored_name(canary), manifest.service_of(canary).apex, have)
    return _traefik_service(meta, {"mirroring": mirroring})


def _own(canary: Canary, name: str) -> Obj:
    return {"name": name, "namespace": canary.namespace}


def _backend(canary: Canary, name: str, before: Sequence[Obj]) -> Obj:
    """A Service as a backend, with the fields that somebody gave it, or gave what it stands beside or takes the place of.

    How an application is spoken to (`scheme`, `serversTransport`, `nativeLB`) holds for both of its sides, and held before us.
    """
    named = {str(each.get("name")): each for each in before if each.get("kind") != KIND}
    candidates = [name, manifest.primary_service(canary), manifest.canary_service(canary), canary.apex]
    model = next((named[each] for each in candidates if each in named), None)
    if model is None:
        model = before[0] if len(before) == 1 and before[0].get("kind") != KIND else {}
    kept = {field: model[field] for field in sorted(model) if field not in _NEVER_TAKEN_OVER}
    return kept | _own(canary, name) | {"port": manifest.service_of(canary).port}


def _services(have: Obj | None) -> list[Obj]:
    weighted = ((have or {}).get("spec") or {}).get("weighted") or {}
    return [each for each in weighted.get("services") or () if isinstance(each, dict)]


def _share(canary: Canary, have: Obj) -> int | None:
    """The canary's share of the round robin in percent; None where neither of our sides has a weight."""
    weights: dict[str, int] = {}
    for each in _services(have):
        weight = each.get("weight")
        name = str(each.get("name"))
        weights[name] = weights.get(name, 0) + (1 if weight is None else int(weight))
    primary = weights.get(manifest.primary_service(canary), 0) + weights.get(mirrored_name(canary), 0)
    return manifest.share(primary, weights.get(manifest.canary_service(canary), 0))


def _mirrors(canary: Canary, copy: Obj | None) -> bool:
    mirrors = (((copy or {}).get("spec") or {}).get("mirroring") or {}).get("mirrors") or ()
    return any(each.get("name") == manifest.canary_service(canary) for each in mirrors)


def _leads_elsewhere(canary: Canary, have: Obj) -> bool:
    """True for a round robin with a backend that is not ours, and for an object that is none."""
    ours = {*manifest.our_services(canary), mirrored_name(canary)}
    services = _services(have)
    return not services or any(each.get("name") not in ours for each in services)


def _same(want: Mapping[str, Any], have: Obj) -> bool:
    return manifest.same_metadata(dict(want), have) and manifest.covers(want["spec"], have.get("spec") or {}, ours=_OURS)
