"""Many Canaries without a kubelet: their pods run on kwok's nodes, which pretend. To a controller they are pods like others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from e2e import releases
from e2e.bench.controllers import Controller
from e2e.bench.rig import STEPS
from e2e.kube import Kube, Object, until
from e2e.sandbox.console import step

IMAGE = "example.com/app"
BATCH = 100
"""So many are made at a time: the API server gives out Service addresses one after the other, and slowly when many ask."""
BATCH_LABEL = "example.com/batch"
HANDS = 8
"""Requests at a time of whoever applies them."""
PATIENCE = 240.0
SECONDS_EACH = 1.0
"""Seconds per Canary in which Flagger, the slower one, initialises many."""


def pod_template(name: str, tag: str = "1.0.0") -> Object:
    """Of pods that only kwok's nodes take."""
    template = releases.pod_template(name, f"{IMAGE}:{tag}")
    template["spec"] |= {"nodeSelector": {"type": "kwok"}, "tolerations": [{"key": "type", "operator": "Exists"}]}
    return template


def deployment(name: str) -> Object:
    return releases.deployment(name, pod_template(name), 1)


def canary(name: str, namespace: str, **spec: Any) -> Object:
    return releases.canary(name, f"{name}.{namespace}.example.com", **{"analysis": STEPS, **spec})


def settled(kube: Kube, namespace: str, phases: Sequence[str] = releases.IDLE, selector: str = "") -> int:
    """How many Canaries of the namespace (of those with these labels) are in one of these phases."""
    return sum(releases.phase(obj) in phases for obj in kube.items("Canary", namespace, selector))


def apply_all(kube: Kube, namespace: str, objects: Sequence[Object]) -> None:
    """As a person applies a folder, but with several hands."""
    with ThreadPoolExecutor(HANDS) as pool:
        list(pool.map(lambda obj: kube.apply(obj, namespace=namespace), objects))


class Fleet:
    """`grow(n)` makes n Canaries for each controller and returns when all are initialised.

    They are in each controller's own namespace, or, where `namespaces` (which exist) are given, in one after the other of these by the
    batch: Kubernetes' own controllers look through all of a namespace for each pod, which takes ever longer with thousands.
    """

    def __init__(self, kube: Kube, sides: Sequence[Controller], namespaces: Sequence[str] = ()) -> None:
        self.names: list[str] = []
        self._kube = kube
        self._sides = sides
        self._namespaces = namespaces

    def grow(self, size: int) -> None:
        while len(self.names) < size:
            self._add(min(BATCH, size - len(self.names)))

    def _add(self, number: int) -> None:
        fresh = [f"app-{index:04d}" for index in range(len(self.names), len(self.names) + number)]
        # to ask for thousands each second would be the greater part of what the API server does
        labels = {BATCH_LABEL: str(len(self.names))}
        places = self._places(len(self.names) // BATCH)
        with step(f"{len(fresh)} more Canaries for each controller, initialised"):
            for namespace in places:
                apply_all(self._kube, namespace, [deployment(name) for name in fresh])
                made = [canary(name, namespace) for name in fresh]
                apply_all(self._kube, namespace, [{**obj, "metadata": {**obj["metadata"], "labels": labels}} for obj in made])
            self.names += fresh
            for namespace in places:
                seconds = PATIENCE + number * SECONDS_EACH
                selector = f"{BATCH_LABEL}={labels[BATCH_LABEL]}"
                until(partial(self._idle, namespace, selector, number), seconds, f"{len(self.names)} Canaries, {namespace}")

    def _places(self, batch: int) -> Sequence[str]:
        if self._namespaces:
            return (self._namespaces[batch % len(self._namespaces)],)
        return [side.namespace for side in self._sides]

    def _idle(self, namespace: str, selector: str, number: int) -> bool:
        time.sleep(1.0)
        return settled(self._kube, namespace, selector=selector) >= number

    def delete(self) -> None:
        """Also the namespaces, where they were given."""
        if self._namespaces:
            for namespace in self._namespaces:
                self._kube.delete("Namespace", namespace)
            until(self._gone, PATIENCE + len(self.names) * SECONDS_EACH, f"the end of {', '.join(self._namespaces)}")
        else:
            for side in self._sides:
                empty(self._kube, side.namespace, self.names)
        self.names.clear()

    def _gone(self) -> bool:
        # asked once a second: it goes on for minutes
        time.sleep(1.0)
        return not any(each["metadata"]["name"] in self._namespaces for each in self._kube.items("Namespace"))


def empty(kube: Kube, namespace: str, names: Sequence[str]) -> None:
    """Takes Canaries and their targets away, and waits until they and their pods are gone."""
    with ThreadPoolExecutor(HANDS) as pool:
        for kind in ("Canary", "Deployment"):
            list(pool.map(lambda name, kind=kind: kube.delete(kind, name, namespace), names))

    def gone() -> bool:
        time.sleep(1.0)
        return not kube.items("Canary", namespace) and not kube.items("Pod", namespace)

    until(gone, PATIENCE + len(names) * SECONDS_EACH, f"no Canary and no pod in {namespace}")
