"""A node that only pretends: real to API server, scheduler and node controllers, with a kubelet of ours that says what it is told.

The sandbox has one kubelet. What needs a node to be lost, to fill its disk or to be tainted is played on such a node instead: the scheduler
binds real pods to it, and this file writes their status in the words of a kubelet. What the node controllers then do is really theirs.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx

from e2e.core.stage import Stage
from e2e.kube import KubeError, Object

LABEL = "flaggerpy-e2e/phantom"
TOLERATION: Object = {"key": LABEL, "operator": "Exists"}
BEAT = 0.3
"""Seconds between two looks at the pods."""
HEARTBEAT = 3.0
ADDRESS = "10.255.255.1"
"""Of all pods: nobody answers there, and no row sends requests."""

Say = Callable[[Object], Object]
"""From a pod to the status that its kubelet writes."""


def placed(pod: Object, name: str, *tolerations: Object) -> Object:
    """A change of the pod template that leads to the phantom `name` and nowhere else."""
    return {"nodeSelector": {LABEL: name}, "tolerations": [TOLERATION, *tolerations], **pod}


class Phantom:
    """The node `name`, from entering to leaving. `say` is what its kubelet writes of a pod: `running` until it is told otherwise."""

    def __init__(self, stage: Stage, name: str, say: Say | None = None, taints: list[Object] | None = None) -> None:
        self.name = name
        self.say: Say = say or running
        self.conditions: list[Object] = []
        """Of the node, beside Ready."""
        self.lost = False
        """True: neither heartbeats nor statuses, as if the machine had lost its power."""
        self._kube = stage.kube
        self._taints = [{"key": LABEL, "value": "true", "effect": "NoSchedule"}, *(taints or [])]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"phantom {name}")
        self._beaten = 0.0

    def __enter__(self) -> Phantom:
        self._kube.apply({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": {LABEL: self.name, "kubernetes.io/hostname": self.name}},
            "spec": {"taints": self._taints},
        })  # fmt: skip
        self.heartbeat()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(10)
        for pod in self._pods():
            self._gone(pod)
        self._kube.delete("Lease", self.name, "kube-node-lease")
        self._kube.delete("Node", self.name)

    def taint(self, *taints: Object) -> None:
        """Replace the taints beside the phantom's own."""
        node = self._kube.get("Node", self.name)
        theirs = [found for found in node["spec"].get("taints", []) if found["key"].startswith("node.kubernetes.io/")]
        kept = [found for found in theirs if found["key"] not in {taint["key"] for taint in self._taints}]
        self._taints = [self._taints[0], *taints]
        self._kube.patch("Node", self.name, {"spec": {"taints": [*self._taints, *kept]}})

    def _run(self) -> None:
        while not self._over.wait(BEAT):
            if self.lost:
                continue
            with contextlib.suppress(KubeError, httpx.HTTPError):
                if time.monotonic() - self._beaten > HEARTBEAT:
                    self.heartbeat()
                for pod in self._pods():
                    self._sync(pod)

    def _sync(self, pod: Object) -> None:
        meta = pod["metadata"]
        if "deletionTimestamp" in meta:
            self._gone(pod)
            return
        status = self.say(pod)
        if _differs(pod.get("status", {}), status):
            self._kube.patch("Pod", meta["name"], {"status": status}, meta["namespace"], "status")

    def _gone(self, pod: Object) -> None:
        path = self._kube.path("Pod", pod["metadata"]["namespace"], pod["metadata"]["name"])
        with contextlib.suppress(KubeError):
            self._kube.ask("DELETE", path, gracePeriodSeconds="0")

    def _pods(self) -> list[Object]:
        found: list[Object] = self._kube.ask("GET", self._kube.path("Pod"), fieldSelector=f"spec.nodeName={self.name}")["items"]
        return found

    def heartbeat(self) -> None:
        """Report the node's conditions, now."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a phantom", "lastHeartbeatTime": now}
        room = {"cpu": "8", "memory": "16Gi", "pods": "50", "ephemeral-storage": "50Gi"}
        status = {"conditions": [ready, *self.conditions], "capacity": room, "allocatable": room}
        self._kube.patch("Node", self.name, {"status": status}, "", "status")
        self._kube.apply({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now.replace("Z", ".000000Z")},
        })  # fmt: skip
        self._beaten = time.monotonic()


def running(pod: Object) -> Object:
    """All containers run and are ready."""
    since = pod["metadata"]["creationTimestamp"]
    containers = [
        {
            "name": found["name"], "image": found["image"], "imageID": "", "ready": True, "started": True, "restartCount": 0,
            "state": {"running": {"startedAt": since}},
        }
        for found in pod["spec"]["containers"]
    ]  # fmt: skip
    return {
        "phase": "Running", "podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}], "startTime": since,
        "conditions": _conditions("True", since), "containerStatuses": containers,
    }  # fmt: skip


def waiting(reason: str, message: str) -> Say:
    """Every container waits with this reason and message ({image} is replaced)."""

    def say(pod: Object) -> Object:
        since = pod["metadata"]["creationTimestamp"]
        containers = [
            {
                "name": found["name"], "image": found["image"], "imageID": "", "ready": False, "started": False, "restartCount": 0,
                "state": {"waiting": {"reason": reason, "message": message.replace("{image}", found["image"])}},
            }
            for found in pod["spec"]["containers"]
        ]  # fmt: skip
        return {"phase": "Pending", "startTime": since, "conditions": _conditions("False", since), "containerStatuses": containers}

    return say


def evicted_or(say: Say) -> Say:
    """As `say`, but a pod that was put out stays so."""

    def still(pod: Object) -> Object:
        status: Object = pod.get("status", {})
        return status if status.get("phase") == "Failed" else say(pod)

    return still


def _conditions(ready: str, since: str) -> list[Object]:
    kinds = {"PodScheduled": "True", "Initialized": "True", "ContainersReady": ready, "Ready": ready}
    return [{"type": kind, "status": status, "lastTransitionTime": since} for kind, status in kinds.items()]


def _differs(present: Object, wanted: Object) -> bool:
    """Whether phase, readiness or a container's state are not as wanted."""

    def key(status: Object) -> tuple[object, ...]:
        ready = {item["type"]: item["status"] for item in status.get("conditions", [])}.get("Ready")
        return status.get("phase"), ready, [found.get("state") for found in status.get("containerStatuses", [])]

    return key(present) != key(wanted)
