"""Providers `linkerd` and `smi:v1alpha1|2|3`: the TrafficSplit `<apex>` of the Service Mesh Interface.

A TrafficSplit has weights and nothing else: `analysis.match`, mirror and affinity are refused (Q-10). It has no status either, so
nobody can tell whether a mesh took it. Weights are quantities in v1alpha1 and numbers after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.routers import manifest
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import refused, warned

GROUP = "split.smi-spec.io"
HONOURS = frozenset({"hosts"})


class TrafficSplit:
    """One version of the TrafficSplit."""

    supports = Supports()

    def __init__(self, version: str, provider: str) -> None:
        self.version = version
        self.provider = provider

    def problems(self, canary: Canary) -> list[str]:
        return refused(canary, self.supports, HONOURS, self.provider)

    def warnings(self, canary: Canary) -> list[str]:
        found = warned(canary, HONOURS, self.provider)
        if canary.spec.service and len(canary.spec.service.hosts) > 1:
            found.append(f"spec.service.hosts: provider {self.provider} takes the first only")
        return found

    def objects(self, canary: Canary) -> list[RouteObject]:
        return [RouteObject(GROUP, self.version, "trafficsplits", "TrafficSplit", canary.apex)]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        service = manifest.service_of(canary)
        meta = manifest.metadata(canary, canary.apex, None, manifest.find(current, "TrafficSplit", canary.apex))
        backends = [
            {"service": manifest.canary_service(canary), "weight": self._weight(split.canary)},
            {"service": manifest.primary_service(canary), "weight": self._weight(100 - split.canary)},
        ]
        return [
            {
                "apiVersion": f"{GROUP}/{self.version}",
                "kind": "TrafficSplit",
                "metadata": meta,
                "spec": {"service": service.hosts[0] if service.hosts else canary.apex, "backends": backends},
            }
        ]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        return []

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        have = manifest.find(current, "TrafficSplit", canary.apex)
        weights = {
            backend.get("service"): quantity(backend.get("weight")) for backend in ((have or {}).get("spec") or {}).get("backends") or ()
        }
        weight = manifest.share(weights.get(manifest.primary_service(canary), 0), weights.get(manifest.canary_service(canary), 0))
        if have is None or weight is None:
            return Observed(split=None, in_shape=False)
        split = RouteSplit(weight)
        [want] = self.desired(canary, split, current, settings)
        return Observed(split, in_shape=manifest.covers(want["spec"], have["spec"]) and manifest.same_metadata(want, have))

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        return manifest.restored(canary, manifest.find(current, "TrafficSplit", canary.apex))

    def _weight(self, percent: int) -> int | str:
        return str(percent) if self.version == "v1alpha1" else percent


_SUFFIXES = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def quantity(value: Any) -> float:
    """The number of a Kubernetes quantity such as 50, "50", "500m" or "1k"; 0 for what is none."""
    text = str(value if value is not None else "").strip()
    factor = 1.0
    for suffix, size in _SUFFIXES.items():
        if text.endswith(suffix):
            text, factor = text.removesuffix(suffix), size
            break
    try:
        return max(float(text) * factor, 0.0)
    except ValueError:
        return 0.0
