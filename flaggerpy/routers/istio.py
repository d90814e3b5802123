"""Provider `istio`: the VirtualService `<apex>`, and a DestinationRule for each of `<apex>-primary` and `<apex>-canary`.

`istio_rules` has the rules of the VirtualService, `istio_problems` what it cannot express. Istio tells nobody when its proxies took a
VirtualService, so a step counts a few seconds after it was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary, Service
from flaggerpy.api.names import FIELD_MANAGER
from flaggerpy.routers import istio_problems, istio_rules, manifest, taken
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports

GROUP = "networking.istio.io"
API_VERSION = f"{GROUP}/v1beta1"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
MESH = "mesh"
_ORDERED = frozenset({"http", "tcp"})


class Istio:
    """VirtualService and DestinationRules."""

    supports = Supports(match=True, mirror=True, affinity=True)

    def problems(self, canary: Canary) -> list[str]:
        return istio_problems.problems(canary, self.supports)

    def warnings(self, canary: Canary) -> list[str]:
        return istio_problems.warnings(canary)

    def objects(self, canary: Canary) -> list[RouteObject]:
        rules = [RouteObject(GROUP, "v1beta1", "destinationrules", "DestinationRule", name) for name in manifest.our_services(canary)]
        return [*rules, RouteObject(GROUP, "v1beta1", "virtualservices", "VirtualService", canary.apex)]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        service = manifest.service_of(canary)
        have = manifest.find(current, "VirtualService", canary.apex)
        spec = _addressed(canary, service, have) | {istio_rules.field_of(service): istio_rules.rules(canary, service, split)}
        return [*_destination_rules(canary, service, current), _virtual_service(canary, service, have, spec)]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        """A rule without destinations (a redirect, a delegate, an answer of its own) stays as it is, as do rules of the other protocol."""
        route, service = self.objects(canary)[-1], manifest.service_of(canary)
        return taken.told(route, canary, current, istio_rules.field_of(service), lambda rule: _tell(canary, service, rule, lead))

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        have = manifest.find(current, "VirtualService", canary.apex)
        if have is None:
            return Observed(split=None, in_shape=False)
        service, spec = manifest.service_of(canary), have.get("spec") or {}
        field = istio_rules.field_of(service)
        rules = spec.get(field) or spec.get("http") or spec.get("tcp") or []
        named = [[{"name": istio_rules.host_of(canary, each.get("destination"))} for each in rule.get("route") or ()] for rule in rules]
        split, foreign = istio_rules.split_of(canary, rules), manifest.leads_elsewhere(canary, have, named)
        if split is None:
            return Observed(None, in_shape=False, foreign=foreign)
        wanted = self.desired(canary, split, current, settings)
        in_shape = all(_in_shape(want, manifest.find(current, want["kind"], want["metadata"]["name"]), field) for want in wanted)
        return Observed(split, in_shape=in_shape, foreign=foreign)

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """The spec that a taken-over object had; where that of the VirtualService is not known, all requests to the apex Service."""
        found = []
        have = manifest.find(current, "VirtualService", canary.apex)
        theirs = have if have is not None and not manifest.is_ours(have, canary) else None
        noted = manifest.ORIGINAL in ((theirs or {}).get("metadata", {}).get("annotations") or {})
        # one that was never taken over, or has been given back, is left alone
        if theirs is not None and (noted or manifest.names_primary(canary, theirs)):
            found.append(_given_back(canary, theirs))
        for name in manifest.our_services(canary):
            found += manifest.restored(canary, manifest.find(current, "DestinationRule", name))
        return found


def _virtual_service(canary: Canary, service: Service, have: Obj | None, spec: Obj) -> Obj:
    meta = manifest.metadata(canary, canary.apex, service.apex, have)
    return {"apiVersion": API_VERSION, "kind": "VirtualService", "metadata": meta, "spec": spec}


def _addressed(canary: Canary, service: Service, have: Obj | None) -> Obj:
    """Hosts and gateways: what the Canary names, with the apex and the mesh as Flagger adds them. A delegate has neither. A
    VirtualService of somebody else keeps those that the Canary does not name: it may be how visitors get in."""
    foreign = have is not None and not manifest.is_ours(have, canary)
    standing = (have or {}).get("spec") or {}
    if service.delegation:
        # an empty list of our own first, so that it is ours to leave out
        return {"hosts": []} | ({"gateways": []} if standing.get("gateways") else {})
    made: Obj = {}
    if service.hosts or not (foreign and standing.get("hosts")):
        hosts = list(service.hosts)
        made["hosts"] = hosts if canary.apex in hosts or "*" in hosts else [*hosts, canary.apex]
    if service.gateways or not foreign:
        made["gateways"] = list(service.gateways) or [MESH]
    return made


def _destination_rules(canary: Canary, service: Service, current: Sequence[Obj]) -> list[Obj]:
    made = []
    for name in manifest.our_services(canary):
        have = manifest.find(current, "DestinationRule", name)
        meta: Obj = {"name": name, "namespace": canary.namespace}
        if have is None or manifest.is_ours(have, canary):
            meta["ownerReferences"] = [manifest.owner_reference(canary)]
        else:
            known = ((have.get("metadata") or {}).get("annotations") or {}).get(manifest.ORIGINAL)
            text = known or json.dumps(have.get("spec") or {}, sort_keys=True, separators=(",", ":"))
            meta["annotations"] = {manifest.ORIGINAL: text}
        spec: Obj = {"host": name} | ({"trafficPolicy": service.traffic_policy} if service.traffic_policy else {})
        made.append({"apiVersion": API_VERSION, "kind": "DestinationRule", "metadata": meta, "spec": spec})
    return made


def _tell(canary: Canary, service: Service, rule: Obj, lead: bool) -> None:
    routes = rule.get("route")
    if not routes:
        return
    named = {istio_rules.host_of(canary, each.get("destination")) for each in routes}
    if len(routes) == 1:
        # alone it takes everything without a weight; beside others it would take nothing
        routes[0].setdefault("weight", 100)
    for name in manifest.our_services(canary):
        if name not in named:
            routes.append({"destination": istio_rules.destination(canary, service, name), "weight": 0})
    if lead:
        for each in routes:
            mine = istio_rules.host_of(canary, each.get("destination")) == manifest.primary_service(canary)
            each["weight"] = 100 if mine else 0


def _in_shape(want: Obj, have: Obj | None, field: str) -> bool:
    """Of a VirtualService the rules are ours altogether; of all else what we say must hold, and what we said once must be gone."""
    if have is None or not manifest.same_metadata(want, have):
        return False
    spec = have.get("spec") or {}
    if want["kind"] == "VirtualService" and not manifest.covers({field: spec.get(field)}, {field: want["spec"][field]}, ordered=_ORDERED):
        return False
    return manifest.covers(want["spec"], spec, ordered=_ORDERED) and not _said_before(_fields_of_ours(have), want["spec"])


def _fields_of_ours(have: Obj) -> Mapping[str, Any]:
    """The fields of the spec that we applied last, as managedFields has them."""
    for entry in (have.get("metadata") or {}).get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply":
            fields: Mapping[str, Any] = (entry.get("fieldsV1") or {}).get("f:spec") or {}
            return fields
    return {}


def _said_before(fields: Mapping[str, Any], want: Any) -> bool:
    """Whether we own a field that is not wanted any more."""
    for key, inner in fields.items():
        name = key.removeprefix("f:")
        if name == key:
            continue
        if not isinstance(want, Mapping) or name not in want or _said_before(inner, want[name]):
            return True
    return False


def _given_back(canary: Canary, have: Obj) -> Obj:
    """What Flagger kept may be its own spec (Q-39), and where the user works with kubectl it kept nothing: then kubectl did."""
    ours = json.dumps(manifest.primary_service(canary))
    annotations = (have.get("metadata") or {}).get("annotations") or {}
    for text, unwrap in ((annotations.get(manifest.ORIGINAL), False), (annotations.get(LAST_APPLIED), True)):
        try:
            known = json.loads(text or "{}")
        except ValueError:
            continue
        spec = known.get("spec") if unwrap and isinstance(known, dict) else known
        if isinstance(spec, dict) and spec and ours not in json.dumps(spec):
            return _bare(canary, spec)
    service = manifest.service_of(canary)
    rules = istio_rules.rules(canary, service, RouteSplit(0))
    for rule in rules:
        rule["route"] = [{"destination": istio_rules.destination(canary, service, canary.apex), "weight": 100}]
    return _bare(canary, _addressed(canary, service, have) | {istio_rules.field_of(service): rules})


def _bare(canary: Canary, spec: Obj) -> Obj:
    meta = {"name": canary.apex, "namespace": canary.namespace}
    return {"apiVersion": API_VERSION, "kind": "VirtualService", "metadata": meta, "spec": spec}
