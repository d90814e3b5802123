"""The daemon set controller of `living.py`: a pod on each node that matches, ControllerRevisions, and updates node by node."""

from __future__ import annotations

import asyncio
import copy
import json
from hashlib import sha256
from typing import Any

from flaggerpy.cluster import kinds
from tests.cluster.fake_apiserver import FakeApiServer
from tests.controller.living import owned, owner, pod_of

Obj = dict[str, Any]
HASH = "controller-revision-hash"


class Daemons:
    """Attach to a server; acts `delay` seconds after each change. `nodes`: name to labels."""

    def __init__(self, server: FakeApiServer, delay: float = 0.01) -> None:
        self.server, self.delay = server, delay
        self.nodes: dict[str, Obj] = {"node-0": {}, "node-1": {}}
        self.refusal = ""
        """Why no pod may be made now."""
        self._due: set[tuple[str, str]] = set()
        server.reactors.append(self._seen)

    def _seen(self, type_: str, obj: Obj) -> None:
        key = (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        if obj["kind"] != "DaemonSet" or key in self._due:
            return
        if type_ == "DELETED":
            for kind in (kinds.CONTROLLER_REVISION, kinds.POD):
                for child in owned(self.server, kind, key[0], obj["metadata"]["uid"]):
                    self.server.remove(kind, key[0], child["metadata"]["name"])
            return
        self._due.add(key)
        asyncio.get_running_loop().call_later(self.delay, self.again, *key)

    def again(self, ns: str, name: str) -> None:
        """Look at a DaemonSet, as after a change of it, of a pod or of a node."""
        self._due.discard((ns, name))
        daemon_set = self.server.get(kinds.DAEMON_SET, ns, name)
        if daemon_set is None:
            return
        hash_ = self._revision(ns, daemon_set)
        wanted = daemon_set["spec"]["template"]["spec"].get("nodeSelector") or {}
        matching = [node for node, labels in self.nodes.items() if wanted.items() <= labels.items()]
        for pod in self._pods(ns, daemon_set):
            if pod["spec"]["nodeName"] not in matching:
                self.server.remove(kinds.POD, ns, pod["metadata"]["name"])
        self._roll(ns, daemon_set, hash_)
        for node in matching:
            if all(pod["spec"]["nodeName"] != node for pod in self._pods(ns, daemon_set)):
                self._make(ns, daemon_set, hash_, node)
        self._status(ns, daemon_set, hash_, len(matching))

    def _revision(self, ns: str, daemon_set: Obj) -> str:
        template = daemon_set["spec"]["template"]
        hash_ = sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        known = owned(self.server, kinds.CONTROLLER_REVISION, ns, daemon_set["metadata"]["uid"])
        if all(revision["metadata"]["labels"][HASH] != hash_ for revision in known):
            labels = dict((template.get("metadata") or {}).get("labels") or {}) | {HASH: hash_}
            name = f"{daemon_set['metadata']['name']}-{hash_}"
            metadata = {"name": name, "namespace": ns, "labels": labels, "ownerReferences": [owner(daemon_set)]}
            data = {"spec": {"template": copy.deepcopy(template) | {"$patch": "replace"}}}
            self.server.add(
                {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": len(known) + 1}
            )
        return hash_

    def _roll(self, ns: str, daemon_set: Obj, hash_: str) -> None:
        """Old pods that are not ready go at once, and of the others one, where every node has a ready pod."""
        pods = self._pods(ns, daemon_set)
        old = [pod for pod in pods if pod["metadata"]["labels"][HASH] != hash_]
        going = [pod for pod in old if not ready(pod)]
        if old and not going and all(map(ready, pods)):
            going = old[:1]
        for pod in going:
            self.server.remove(kinds.POD, ns, pod["metadata"]["name"])

    def _make(self, ns: str, daemon_set: Obj, hash_: str, node: str) -> None:
        metadata = daemon_set["metadata"]
        if self.refusal:
            about = {"kind": "DaemonSet", "name": metadata["name"], "namespace": ns, "uid": metadata["uid"]}
            name = f"{metadata['name']}.{node}.{len(self.server.requests)}"
            if self.server.get(kinds.EVENT, ns, name) is None:
                event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": ns}, "involvedObject": about}
                message = f'Error creating: pods "{metadata["name"]}-x" is forbidden: {self.refusal}'
                self.server.add(
                    event | {"reason": "FailedCreate", "type": "Warning", "message": message, "lastTimestamp": self.server.timestamp()}
                )
            return
        self.server.add(pod_of(ns, daemon_set, daemon_set["spec"]["template"], node, {HASH: hash_}))

    def _status(self, ns: str, daemon_set: Obj, hash_: str, desired: int) -> None:
        pods = self._pods(ns, daemon_set)
        good = sum(map(ready, pods))
        status = {
            "observedGeneration": daemon_set["metadata"]["generation"],
            "desiredNumberScheduled": desired,
            "currentNumberScheduled": len(pods),
            "updatedNumberScheduled": sum(pod["metadata"]["labels"][HASH] == hash_ for pod in pods),
            "numberReady": good,
            "numberAvailable": good,
        }
        self.server.patch(kinds.DAEMON_SET, ns, daemon_set["metadata"]["name"], {"status": status})

    def _pods(self, ns: str, daemon_set: Obj) -> list[Obj]:
        return owned(self.server, kinds.POD, ns, daemon_set["metadata"]["uid"])


def ready(pod: Obj) -> bool:
    """As its condition says."""
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in pod["status"]["conditions"])


def daemonset(name: str = "podinfo", ns: str = "shop", image: str = "podinfo:1", **spec: Any) -> Obj:
    """A DaemonSet as a user writes it."""
    pod = {"containers": [{"name": "app", "image": image, "ports": [{"containerPort": 9898, "name": "http"}]}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": name}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
            **spec,
        },
    }
