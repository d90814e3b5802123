"""How a Rollout splits traffic, as provider, Service and references of a Canary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flaggerpy.cli.converting.source import Obj, Report, Source

Objects = Mapping[tuple[str, str], Obj]
GATEWAY_PLUGIN = "argoproj-labs/gatewayAPI"
_MADE = "a {kind} named after the Canary's Service is made: delete {name} when the Canary is Initialized, unless it has that name"
_ABSENT = "set service.{fields} from the {kind} {name}, which is not among the files"


@dataclass
class Traffic:
    """`spec` goes into the Canary's spec, `service` into its `service`; `weighted`: whether requests can be split by weight at all."""

    provider: str = "kubernetes"
    spec: Obj = field(default_factory=dict)
    service: Obj = field(default_factory=dict)
    weighted: bool = False


def of(routing: Source, objects: Objects, report: Report) -> Traffic:
    """The provider of `trafficRouting`; `objects` are what else the files hold, by kind and name."""
    found = Traffic()
    for key in routing.names():
        match key:
            case "istio":
                found = _istio(routing.inner("istio"), objects, report)
            case "nginx":
                found = _nginx(routing.inner("nginx"), report)
            case "traefik":
                found = _traefik(routing.inner("traefik"), report)
            case "smi":
                found = _smi(routing.inner("smi"), report)
            case "plugins":
                found = _plugins(routing.inner("plugins"), objects, report)
            case "managedRoutes":
                routing.take(key)  # the names of header and mirror routes, which a Canary does not name
            case "maxTrafficWeight":
                routing.take(key)
                report.lost(routing, key, "weights are percent, 100 is all")
            case _:
                routing.take(key)
                report.lost(routing, key, f"there is no provider for {key}; what there is stands in docs/providers.md")
    return found


def _istio(istio: Source, objects: Objects, report: Report) -> Traffic:
    found = Traffic("istio", weighted=True)
    listed = [istio.inner("virtualService")] if "virtualService" in istio else istio.each("virtualServices")
    for index, each in enumerate(listed):
        name = str(each.take("name", ""))
        if index:
            report.lost(each, "name", f"a Canary makes one VirtualService: {name} keeps leading to the old Services")
            continue
        for key in ("routes", "tlsRoutes", "tcpRoutes"):
            if key in each:
                each.take(key)
                report.changed(each, key, "the whole VirtualService is the Canary's: other routes belong into one that delegates to it")
        virtual = _spec(objects, "VirtualService", name)
        if virtual is None:
            report.todo(each, "name", _ABSENT.format(fields="hosts and service.gateways", kind="VirtualService", name=name))
            continue
        found.service |= {key: virtual[key] for key in ("hosts", "gateways") if virtual.get(key)}
        _http_of(virtual, found.service)
        report.todo(each, "name", _MADE.format(kind="VirtualService", name=name))
    if "destinationRule" in istio:
        istio.take("destinationRule")
        told = "the split is by Service, not by subset: two DestinationRules are made, and service.trafficPolicy is theirs"
        report.changed(istio, "destinationRule", told)
    return found


def _http_of(virtual: Obj, service: Obj) -> None:
    """What the first HTTP route says beside its destinations."""
    route: Obj = next(iter(virtual.get("http") or ()), {})
    for key in ("match", "rewrite", "retries", "timeout", "headers", "corsPolicy"):
        if route.get(key):
            service[key] = route[key]


def _nginx(nginx: Source, report: Report) -> Traffic:
    found = Traffic("nginx", weighted=True)
    several = nginx.take("stableIngresses", [])
    name = str(nginx.take("stableIngress", "") or (several[0] if several else ""))
    if len(several) > 1:
        report.lost(nginx, "stableIngresses", f"a Canary has one Ingress: only {name} is split")
    if name:
        found.spec["ingressRef"] = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": name}
    if "annotationPrefix" in nginx:
        report.todo(nginx, "annotationPrefix", f"start the controller with -ingress-annotations-prefix={nginx.take('annotationPrefix')}")
    for key in ("additionalIngressAnnotations", "canaryIngressAnnotations"):
        if key in nginx:
            nginx.take(key)
            report.lost(nginx, key, "the canary's Ingress has the annotations of yours, and those of the split")
    return found


def _traefik(traefik: Source, report: Report) -> Traffic:
    name = traefik.take("weightedTraefikServiceName", "")
    told = f"a TraefikService named after the Canary's Service is made: lead your IngressRoute there, not to {name}"
    report.todo(traefik, "weightedTraefikServiceName", told)
    return Traffic("traefik", weighted=True)


def _smi(smi: Source, report: Report) -> Traffic:
    if "trafficSplitName" in smi:
        report.changed(smi, "trafficSplitName", f"the TrafficSplit is named after the Canary's Service, not {smi.take('trafficSplitName')}")
    found = Traffic("smi:v1alpha2", weighted=True)
    root = smi.take("rootService")
    if root:
        found.service["name"] = str(root)
    return found


def _plugins(plugins: Source, objects: Objects, report: Report) -> Traffic:
    found = Traffic()
    for key in plugins.names():
        if key != GATEWAY_PLUGIN:
            plugins.take(key)
            report.lost(plugins, key, "there is no such provider; what there is stands in docs/providers.md")
            continue
        gateway = plugins.inner(key)
        found = Traffic("gatewayapi:v1", weighted=True)
        gateway.take("namespace")
        listed = gateway.each("httpRoutes")
        name = str(gateway.take("httpRoute", "") or (listed[0].take("name", "") if listed else ""))
        for each in listed:
            each.take("useHeaderRoutes")
        if len(listed) > 1:
            report.lost(gateway, "httpRoutes", f"a Canary makes one HTTPRoute: only {name} was looked at")
        for kind in ("grpcRoute", "grpcRoutes", "tcpRoute", "tcpRoutes", "tlsRoute", "tlsRoutes"):
            if kind in gateway:
                gateway.take(kind)
                report.lost(gateway, kind, "only HTTPRoutes are made")
        route = _spec(objects, "HTTPRoute", name)
        if route is None:
            report.todo(gateway, "httpRoute", _ABSENT.format(fields="hosts and service.gatewayRefs", kind="HTTPRoute", name=name))
            continue
        if route.get("hostnames"):
            found.service["hosts"] = route["hostnames"]
        if route.get("parentRefs"):
            found.service["gatewayRefs"] = route["parentRefs"]
        report.todo(gateway, "httpRoute", _MADE.format(kind="HTTPRoute", name=name))
    return found


def _spec(objects: Objects, kind: str, name: str) -> dict[str, Any] | None:
    found = objects.get((kind, name))
    spec = found.get("spec") if found else None
    return spec if isinstance(spec, dict) else None
