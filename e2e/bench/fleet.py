"""Many Canaries without a kubelet: their pods name a scheduler that does not exist, and a thread here reports them as running.

To a controller they are pods like others. An unscheduled pod goes at once when it is deleted, and no node can fail under it.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import httpx

from e2e import releases
from e2e.bench.controllers import Controller
from e2e.bench.rig import STEPS
from e2e.kube import Kube, KubeError, Object, until
from e2e.sandbox.console import step

SCHEDULER = "nobody"
IMAGE = "example.com/app"
PAUSE = 0.3
BATCH = 25
"""So many are made at a time: the API server gives out Service addresses one after the other, and slowly when many ask."""
PATIENCE = 240.0


def running(pod: Object, address: str, at: str) -> Object:
    """The status of a pod whose every container runs and is ready."""
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": at} for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    containers = [
        {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": True,
            "started": True,
            "restartCount": 0,
            "state": {"running": {"startedAt": at}},
        }
        for container in pod["spec"]["containers"]
    ]
    return {
        "status": {
            "phase": "Running",
            "startTime": at,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": conditions,
            "containerStatuses": containers,
        }
    }


class Fleet:
    """`grow(n)` makes n Canaries for each controller and returns when all are initialised."""

    def __init__(self, kube: Kube, sides: Sequence[Controller]) -> None:
        self.names: list[str] = []
        self._kube = kube
        self._sides = sides
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._pretend, daemon=True, name="pretended pods")
        self._thread.start()

    def grow(self, size: int) -> None:
        while len(self.names) < size:
            self._add(min(BATCH, size - len(self.names)))

    def _add(self, number: int) -> None:
        fresh = [f"app-{index:03d}" for index in range(len(self.names), len(self.names) + number)]
        with step(f"{len(fresh)} more Canaries for each controller, initialised"):
            for name in fresh:
                for side in self._sides:
                    template = releases.pod_template(name, f"{IMAGE}:1.0.0")
                    template["spec"]["schedulerName"] = SCHEDULER
                    self._kube.apply(
                        releases.deployment(name, template, 1),
                        releases.canary(name, f"{name}.{side.namespace}.example.com", analysis=STEPS),
                        namespace=side.namespace,
                    )
            self.names += fresh
            for side in self._sides:
                until(lambda side=side: self._all_idle(side), PATIENCE, f"{len(self.names)} Canaries of {side.name} initialised")  # type: ignore[misc]

    def _all_idle(self, side: Controller) -> bool:
        time.sleep(0.5)
        found = self._kube.items("Canary", side.namespace)
        return sum(releases.phase(obj) in releases.IDLE for obj in found) >= len(self.names)

    def delete(self) -> None:
        for side in self._sides:
            for name in self.names:
                self._kube.delete("Canary", name, side.namespace)
                self._kube.delete("Deployment", name, side.namespace)
        for side in self._sides:
            until(lambda side=side: not self._kube.items("Canary", side.namespace), 120, f"no Canary of {side.name}")  # type: ignore[misc]
        self._over.set()

    def _pretend(self) -> None:
        path = self._kube.path("Pod")
        waiting = {"fieldSelector": f"spec.schedulerName={SCHEDULER},status.phase=Pending"}
        while not self._over.wait(PAUSE):
            try:
                for pod in self._kube.ask("GET", path, **waiting)["items"]:
                    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                    address = f"192.0.2.{random.randint(1, 254)}"
                    meta = pod["metadata"]
                    self._kube.patch("Pod", meta["name"], running(pod, address, at), meta["namespace"], subresource="status")
            except (KubeError, httpx.HTTPError):
                continue
