"""Which router belongs to which provider: one line each; third parties add theirs by the entry-point group `flaggerpy.routers`.

An entry point is named after its provider and leads to a Router, or to something that makes one when called without arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from flaggerpy.routers.base import Router
from flaggerpy.routers.contour import Contour
from flaggerpy.routers.gatewayapi import GatewayAPI
from flaggerpy.routers.kubernetes import Kubernetes
from flaggerpy.routers.nginx import Nginx
from flaggerpy.routers.smi import TrafficSplit
from flaggerpy.routers.traefik import Traefik

ENTRY_POINTS = "flaggerpy.routers"

BUILT_IN: dict[str, Callable[[], Router]] = {
    "kubernetes": Kubernetes,
    "gatewayapi:v1": lambda: GatewayAPI("v1"),
    "gatewayapi:v1beta1": lambda: GatewayAPI("v1beta1"),
    "contour": Contour,
    "nginx": Nginx,
    "linkerd": lambda: TrafficSplit("v1alpha1", "linkerd"),
    "smi:v1alpha1": lambda: TrafficSplit("v1alpha1", "smi:v1alpha1"),
    "smi:v1alpha2": lambda: TrafficSplit("v1alpha2", "smi:v1alpha2"),
    "smi:v1alpha3": lambda: TrafficSplit("v1alpha3", "smi:v1alpha3"),
    "traefik": Traefik,
}


class UnknownProvider(LookupError):
    """A provider that no router is there for. `known` lists those that are, sorted."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"provider {name!r} is not supported: use one of {', '.join(known)}")
        self.name = name
        self.known = known


def router_for(provider: str) -> Router:
    """The router of a provider (`spec.provider`, or the flag's value). Raises UnknownProvider.

    As in Flagger a mesh may be named behind the version of SMI (`smi:v1alpha2:linkerd`); it changes nothing. Unlike there, a
    provider that nobody knows is refused and not taken for Istio.
    """
    return _router(provider)


def known_providers() -> tuple[str, ...]:
    """The names of all providers that there is a router for, sorted."""
    return tuple(sorted({*BUILT_IN, *(entry.name for entry in _extra())}))


@cache
def _extra() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINTS))


@cache
def _router(provider: str) -> Router:
    name = ":".join(provider.split(":")[:2]) if provider.startswith("smi:") else provider
    if name in BUILT_IN:
        return BUILT_IN[name]()
    for entry in _extra():
        if entry.name == provider:
            loaded = entry.load()
            router: Router = loaded() if callable(loaded) else loaded
            return router
    raise UnknownProvider(provider, known_providers())
