"""The part of a cluster that lives: a deployment controller and a kubelet, played on the API server in memory.

Deployments get ReplicaSets with a pod-template-hash, ReplicaSets get pods, pods get ready or fail as their image says:
an image with `missing` in its name is never pulled, one with `crash` ends with 1 again and again, all others run.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Mapping
from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.targets.templates import template_digest
from tests.cluster.fake_apiserver import FakeApiServer

Obj = dict[str, Any]
HASH = "pod-template-hash"
NUMBER = "deployment.kubernetes.io/revision"
_pods = itertools.count(1)


class Living:
    """Attach to a server; acts `delay` seconds after each change."""

    def __init__(self, server: FakeApiServer, delay: float = 0.01) -> None:
        self.server = server
        self.delay = delay
        self._due: set[tuple[str, str]] = set()
        server.reactors.append(self._seen)

    def _seen(self, type_: str, obj: Obj) -> None:
        if obj["kind"] != "Deployment":
            return
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        if type_ != "DELETED" and key not in self._due:
            self._due.add(key)
            asyncio.get_running_loop().call_later(self.delay, self._reconcile, key)

    def again(self, ns: str, name: str) -> None:
        """Look at a Deployment again, as after a change of a pod."""
        self._reconcile((ns, name))

    def _reconcile(self, key: tuple[str, str]) -> None:
        self._due.discard(key)
        ns, name = key
        deployment = self.server.get(kinds.DEPLOYMENT, ns, name)
        if deployment is None:
            return
        sets = self._sets(ns, deployment)
        hash_ = template_digest(deployment["spec"]["template"])[:10]
        present = next((obj for obj in sets if obj["metadata"]["labels"][HASH] == hash_), None)
        if present is None:
            newest = max((int(obj["metadata"]["annotations"][NUMBER]) for obj in sets), default=0)
            present = self._make_set(ns, deployment, hash_, newest + 1)
        self._annotate(ns, name, present)
        wanted = int(deployment["spec"].get("replicas", 1))
        self._scale(ns, present, wanted)
        ready = self._ready(ns, present)
        others = [obj for obj in sets if obj["metadata"]["name"] != present["metadata"]["name"]]
        if ready >= wanted:
            for obj in others:
                self._scale(ns, obj, 0)
        self._status(ns, name, deployment, present, wanted, others)

    def _annotate(self, ns: str, name: str, present: Obj) -> None:
        number = present["metadata"]["annotations"][NUMBER]
        self.server.patch(kinds.DEPLOYMENT, ns, name, {"metadata": {"annotations": {NUMBER: number}}})

    def _status(self, ns: str, name: str, deployment: Obj, present: Obj, wanted: int, others: list[Obj]) -> None:
        ready, total = self._ready(ns, present), len(self._pods(ns, present))
        everything = total + sum(len(self._pods(ns, obj)) for obj in others)
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": everything,
            "updatedReplicas": total,
            "readyReplicas": ready,
            "availableReplicas": ready,
        }
        self.server.patch(kinds.DEPLOYMENT, ns, name, {"status": status})

    def _make_set(self, ns: str, deployment: Obj, hash_: str, number: int) -> Obj:
        template = copy.deepcopy(deployment["spec"]["template"])
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = hash_
        return self.server.add(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{deployment['metadata']['name']}-{hash_}",
                    "namespace": ns,
                    "labels": dict(template["metadata"]["labels"]),
                    "annotations": {NUMBER: str(number)},
                    "ownerReferences": [owner(deployment)],
                },
                "spec": {"replicas": 0, "selector": deployment["spec"]["selector"], "template": template},
            }
        )

    def _scale(self, ns: str, replica_set: Obj, wanted: int) -> None:
        pods = self._pods(ns, replica_set)
        for index in range(len(pods), wanted):
            self.server.add(pod_of(ns, replica_set, replica_set["spec"]["template"], f"node-{index % 2}"))
        for pod in pods[wanted:]:
            self.server.remove(kinds.POD, ns, pod["metadata"]["name"])
        ready = self._ready(ns, replica_set)
        status = {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready, "observedGeneration": 1}
        self.server.patch(kinds.REPLICA_SET, ns, replica_set["metadata"]["name"], {"spec": {"replicas": wanted}, "status": status})

    def _sets(self, ns: str, deployment: Obj) -> list[Obj]:
        return owned(self.server, kinds.REPLICA_SET, ns, deployment["metadata"]["uid"])

    def _pods(self, ns: str, replica_set: Obj) -> list[Obj]:
        return owned(self.server, kinds.POD, ns, replica_set["metadata"]["uid"])

    def _ready(self, ns: str, replica_set: Obj) -> int:
        return sum(
            any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"]["conditions"])
            for pod in self._pods(ns, replica_set)
        )


def owned(server: FakeApiServer, kind: kinds.Kind, ns: str, uid: str) -> list[Obj]:
    """Copies of the objects of a kind that belong to the object with this uid."""
    shelf = server.objects.get((kind.group, kind.plural), {})
    return [
        copy.deepcopy(obj)
        for (where, _), obj in shelf.items()
        if where == ns and any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences", ()))
    ]


def pod_of(ns: str, maker: Obj, template: Obj, node: str, labels: Mapping[str, str] | None = None) -> Obj:
    """A pod of a template on a node, as a kubelet reports it at once; `labels` are put beside the template's."""
    states = [_state(container) for container in template["spec"]["containers"]]
    ready = all(state["ready"] for state in states)
    conditions = [
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "True" if ready else "False"},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{maker['metadata']['name']}-{next(_pods)}",
            "namespace": ns,
            "labels": {**template["metadata"]["labels"], **(labels or {})},
            "ownerReferences": [owner(maker)],
        },
        "spec": {"nodeName": node, "containers": template["spec"]["containers"]},
        "status": {"phase": "Running" if ready else "Pending", "conditions": conditions, "containerStatuses": states},
    }


def _state(container: Obj) -> Obj:
    image = str(container.get("image", ""))
    base = {"name": container["name"], "image": image, "restartCount": 0, "started": True, "ready": True}
    if "missing" in image:
        message = f'rpc error: code = NotFound desc = failed to pull and unpack image "{image}": failed to resolve reference: not found'
        return base | {"ready": False, "started": False, "state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
    if "crash" in image:
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
        return base | {"ready": False, "started": False, "restartCount": 3, "state": waiting, "lastState": ended}
    return base | {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}


def owner(obj: Obj) -> Obj:
    """A controller reference to an object."""
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": obj["metadata"]["name"],
        "uid": obj["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def deployment(name: str = "podinfo", ns: str = "shop", image: str = "podinfo:1", replicas: int = 2) -> Obj:
    """A Deployment as a user writes it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 9898, "name": "http"}]}]},
            },
        },
    }


def canary(name: str = "podinfo", ns: str = "shop", provider: str = "kubernetes", **spec: Any) -> Obj:
    """A Canary that goes through its run in seconds."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": ns},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "provider": provider,
            "progressDeadlineSeconds": 60,
            "service": {"port": 9898},
            "podHealth": {"settle": "0s", "certainGrace": "0s", "imageCheck": "Off"},
            "analysis": {"interval": "1s", "threshold": 2, "iterations": 2},
            **spec,
        },
    }
