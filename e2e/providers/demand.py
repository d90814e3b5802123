"""A load that a test steers: the metrics API says of each pod what its share of so many pods' work is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.kube import Kube, Object
from e2e.metrics_api import MetricsApi

PER_POD = 5
"""Millicores of load at which an autoscaler of these tests keeps each pod."""


class Demand:
    """How many pods the load needs, divided between the sides as the HTTPRoute divides the requests."""

    def __init__(self, kube: Kube) -> None:
        self._kube, self.pods = kube, 4

    def __call__(self, namespace: str, pods: list[Object]) -> dict[str, int]:
        route = self._kube.find("HTTPRoute", "app", namespace)
        weights = {ref["name"]: ref["weight"] for ref in route["spec"]["rules"][-1]["backendRefs"]} if route else {}
        ready = [pod for pod in pods if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))]
        sides = {pod["metadata"]["labels"]["app"] for pod in ready}
        share = weights.get("app-primary", 100) if sides == {"app-primary"} else weights.get("app-canary", 100)
        return {pod["metadata"]["name"]: self.pods * PER_POD * share // 100 // len(ready) for pod in ready}


@contextmanager
def steered(kube: Kube) -> Iterator[Demand]:
    """While it is open, the metrics of all pods are those of this demand."""
    demand = Demand(kube)
    with MetricsApi(kube, demand):
        yield demand
