"""Objects of the API as the tests of the command need them, and an `Access` that holds them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from flaggerpy.api.status import from_timestamp, timestamp
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.kinds import CANARY, EVENT, POD, Kind
from flaggerpy.cluster.tasks import end
from flaggerpy.cluster.watch import Key, key_of

Obj = dict[str, Any]
NOW = from_timestamp("2026-11-26T15:30:00Z")


def at(seconds: float) -> str:
    """RFC 3339 text of a moment relative to NOW."""
    return timestamp(NOW + seconds)


def canary(phase: str = "Progressing", *, annotations: dict[str, str] | None = None, spec: Obj | None = None, **status: Any) -> Obj:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "podinfo", "namespace": "test", "uid": "u1", "generation": 1, "annotations": annotations or {}},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
            "service": {"port": 80},
            "analysis": {"interval": "10s", "threshold": 5, "stepWeight": 20, "maxWeight": 60},
            **(spec or {}),
        },
        "status": {"phase": phase, "canaryWeight": 0, "failedChecks": 0, "iterations": 0, **status},
    }


def run(revision: str, image: str, **more: Any) -> Obj:
    return {"id": f"u1-{revision}-1", "revision": revision, "attempt": 1, "images": [image], "startedAt": NOW - 34, **more}


def ended(revision: str, image: str, outcome: str, *, started: float, end: float, cause: str = "", **more: Any) -> Obj:
    return {"revision": revision, "images": [image], "started": at(started), "ended": at(end), "outcome": outcome, "cause": cause, **more}


def deployment(name: str, image: str, *, number: str = "2", generation: int = 3, observed: int = 3) -> Obj:
    return {
        "metadata": {
            "name": name,
            "namespace": "test",
            "uid": f"d-{name}",
            "generation": generation,
            "annotations": {"deployment.kubernetes.io/revision": number},
        },
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"observedGeneration": observed},
    }


def replica_set(revision: str, *, number: str = "2", owner: str = "d-podinfo", created: float = -60) -> Obj:
    return {
        "metadata": {
            "name": f"podinfo-{revision}",
            "namespace": "test",
            "labels": {"app": "podinfo", "pod-template-hash": revision},
            "annotations": {"deployment.kubernetes.io/revision": number},
            "ownerReferences": [{"uid": owner}],
            "creationTimestamp": at(created),
        }
    }


def pod(app: str, *, ready: bool = True, terminating: bool = False) -> Obj:
    metadata: Obj = {"name": f"{app}-x", "labels": {"app": app}}
    if terminating:
        metadata["deletionTimestamp"] = at(0)
    return {"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}}


class Memory:
    """An `Access` over objects in memory. `script` holds later states of the Canary: each read of it takes the next one."""

    namespace = "test"

    def __init__(self, *canaries: Obj, workloads: tuple[Obj, ...] = (), replica_sets: tuple[Obj, ...] = (), pods: tuple[Obj, ...] = ()):
        self.objects = list(canaries)
        self.workloads = {workload["metadata"]["name"]: workload for workload in workloads}
        self.sets = list(replica_sets)
        self.all_pods = list(pods)
        self.all_events: list[Obj] = []
        self.script: list[Obj] = []
        self.written: list[tuple[str, Mapping[str, str | None]]] = []
        self.problems: dict[Kind, ApiError] = {}

    def now(self) -> float:
        return NOW

    async def canaries(self, namespace: str | None, selector: str = "") -> list[Obj]:
        self._next()
        found = [deepcopy(obj) for obj in self.objects if namespace in (None, obj["metadata"]["namespace"])]
        name, _, value = selector.partition("=")
        return [obj for obj in found if not selector or (obj["metadata"].get("labels") or {}).get(name) == value]

    async def canary(self, namespace: str, name: str) -> Obj | None:
        found = [obj for obj in await self.canaries(namespace) if obj["metadata"]["name"] == name]
        return found[0] if found else None

    async def workload(self, kind: str, namespace: str, name: str) -> Obj | None:
        return self.workloads.get(name)

    async def history(self, kind: str, namespace: str, selector: str) -> list[Obj]:
        return self.sets

    async def pods(self, namespace: str, selector: str) -> list[Obj]:
        return [pod for pod in self.all_pods if f"app={pod['metadata']['labels']['app']}" == selector]

    async def events(self, namespace: str, uid: str) -> list[Obj]:
        return self.all_events

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None]) -> Obj:
        self.written.append((name, dict(annotations)))
        return self.objects[0]

    def follow(
        self, kind: Kind, namespace: str | None, on_change: Callable[[], None], *, labels: str = "", fields: str = ""
    ) -> Following:  # fmt: skip
        return Following(self, kind, namespace, on_change, labels, fields)

    def _next(self) -> None:
        if self.script:
            self.objects[0] = self.script.pop(0)


class Following:
    """A watch on the objects of a `Memory`. That of the Canaries goes through the script: a state more each time that it was looked at."""

    def __init__(
        self, memory: Memory, kind: Kind, namespace: str | None, on_change: Callable[[], None], labels: str, fields: str
    ) -> None:  # fmt: skip
        self.problem: ApiError | None = memory.problems.get(kind)
        self.synced = asyncio.Event()
        self._memory, self._kind, self._namespace, self._on_change = memory, kind, namespace, on_change
        self._labels, self._fields = labels, fields
        self._looked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self.problem is None:
            self.synced.set()
        if self._kind == CANARY:
            self._task = asyncio.create_task(self._play())

    async def stop(self) -> None:
        await end(self._task)

    def items(self) -> Iterator[tuple[Key, Obj]]:
        self._looked.set()
        match self._kind:
            case kind if kind == CANARY:
                name = self._fields.removeprefix("metadata.name=")
                found = [obj for obj in self._memory.objects if not name or obj["metadata"]["name"] == name]
                found = [obj for obj in found if self._namespace in (None, obj["metadata"]["namespace"])]
            case kind if kind == POD:
                found = [pod for pod in self._memory.all_pods if f"app={pod['metadata']['labels']['app']}" == self._labels]
            case kind if kind == EVENT:
                found = self._memory.all_events
            case _:
                raise AssertionError(self._kind)
        return iter([(key_of(obj) if "name" in obj.get("metadata", {}) else Key("", str(i)), obj) for i, obj in enumerate(found)])

    async def _play(self) -> None:
        while self._memory.script:
            await self._looked.wait()
            self._looked.clear()
            self._memory._next()
            self._on_change()
            await asyncio.sleep(0)
