"""What happened to Canaries, routes and pods while rows were played, and what their states say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from e2e.core.stage import Stage
from e2e.kube import Kube, Object
from e2e.recorder import Recorder, Seen

KINDS = {
    "Canary": "flagger.app/v1beta1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "TrafficSplit": "split.smi-spec.io/v1alpha2",
    "Pod": "v1",
}
UNSYNCED = "failed to sync"
"""The kubelet could not read a ConfigMap or Secret within a second: a busy machine, and no word of the pod's own fault."""


class Watched:
    """All that happened to the objects of some kinds in the whole cluster."""

    def __init__(self, kube: Kube) -> None:
        self._recorders = {kind: Recorder(kube, kind, "", api_version=version) for kind, version in KINDS.items()}

    def __enter__(self) -> Watched:
        for recorder in self._recorders.values():
            recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for recorder in self._recorders.values():
            recorder.__exit__(None, None, None)

    def of(self, kind: str, stage: Stage) -> list[Seen]:
        """Every version of the object that has the stage's name."""
        return [item for item in self._recorders[kind].so_far() if _is(stage, item)]

    def pods(self, stage: Stage, label: str) -> list[Seen]:
        """Every version of the pods that have the label `app`."""
        return [
            item for item in self._recorders["Pod"].so_far()
            if item.obj["metadata"]["namespace"] == stage.namespace and item.obj["metadata"].get("labels", {}).get("app") == label
        ]  # fmt: skip

    def weights(self, stage: Stage) -> list[tuple[float, int]]:
        """Every weight that the canary ever had in its route, with the moment it was told."""
        return [(item.at, canary_weight(item.obj, stage.name)) for kind in ("HTTPRoute", "TrafficSplit") for item in self.of(kind, stage)]

    def until(self, kind: str, stage: Stage, check: Callable[[Object], bool], what: str, seconds: float, since: float = 0.0) -> float:
        """When an object of the stage's was first seen to fulfil a check after `since` (epoch seconds); waits for it."""
        found = self._recorders[kind].wait(lambda item: _is(stage, item) and item.at > since and check(item.obj), seconds)
        if found is None:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{self.weights(stage)} since {since}\n{stage.story()}")
        return found.at

    def until_pod(self, stage: Stage, name: str, check: Callable[[Object], bool], what: str, since: float) -> float:
        """The same for a pod."""
        here = Stage(stage.kube, stage.sandbox, stage.namespace, name)
        return self.until("Pod", here, check, what, 15, since)

    def until_phase(self, stage: Stage, phase: str, seconds: float, since: float = 0.0) -> float:
        """When the Canary was first seen in a phase after `since`; waits for it."""
        return self.until("Canary", stage, lambda obj: obj.get("status", {}).get("phase") == phase, f"phase {phase}", seconds, since)


def _is(stage: Stage, item: Seen) -> bool:
    return (item.obj["metadata"]["namespace"], item.name) == (stage.namespace, stage.name)


def pods_of(stage: Stage, label: str) -> list[Object]:
    return [pod for pod in stage.kube.items("Pod", stage.namespace, f"app={label}") if "deletionTimestamp" not in pod["metadata"]]


def is_ready(pod: Object) -> bool:
    return any(item["type"] == "Ready" and item["status"] == "True" for item in pod.get("status", {}).get("conditions", []))


def reports_failure(pod: Object) -> bool:
    """Whether the kubelet says in this pod's status what fails: a container of it, or the pod as a whole."""
    status = pod.get("status", {})
    if status.get("phase") == "Failed" and status.get("reason"):
        return True
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        state, last = container.get("state", {}), container.get("lastState", {})
        waiting: dict[str, Any] = state.get("waiting", {})
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing") and UNSYNCED not in waiting.get("message", ""):
            return True
        if any(end.get("terminated", {}).get("exitCode") for end in (state, last)):
            return True
    return False


def reports(pods: list[Seen], since: float) -> list[str]:
    """What the kubelet said of containers that wait or ended, each with its second after `since`: the story of a row that is late."""
    lines: list[str] = []
    known: set[str] = set()
    for item in pods:
        status = item.obj.get("status", {})
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            for state, detail in container.get("state", {}).items():
                line = f"{item.name} {container['name']} {state} {detail.get('reason', '')} {detail.get('message', '')}".rstrip()
                if line not in known:
                    lines.append(f"{item.at - since:6.1f} s  {line}")
                known.add(line)
    return lines


def canary_weight(obj: Object, name: str) -> int:
    """The canary's share as an HTTPRoute or a TrafficSplit has it."""
    spec = obj["spec"]
    if obj["kind"] == "TrafficSplit":
        return sum(int(backend["weight"]) for backend in spec["backends"] if backend["service"] == f"{name}-canary")
    backends = [backend for rule in spec["rules"] for backend in rule.get("backendRefs", [])]
    return max((int(backend["weight"]) for backend in backends if backend["name"] == f"{name}-canary"), default=0)


def stretches(pods: list[Seen], wanted: int) -> float:
    """Seconds in which as many pods as `wanted` were Ready at once."""
    ready: set[str] = set()
    since, total = None, 0.0
    for item in pods:
        ready = ready | {item.name} if is_ready(item.obj) and not item.gone else ready - {item.name}
        if len(ready) >= wanted and since is None:
            since = item.at
        elif len(ready) < wanted and since is not None:
            total, since = total + item.at - since, None
    return total
