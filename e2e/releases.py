"""Releases as tests and benches make them: the target and its Canary as manifests, and what a recorder's states say about a run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from e2e.kube import Object
from e2e.recorder import Seen

PORT = 9898
IDLE = ("Initialized", "Succeeded", "Failed")


def pod_template(name: str, image: str, *, sidecar: Object | None = None, env: Mapping[str, str] | None = None) -> Object:
    """The pods of a target: ready within a second of their start, serving on for 3 s after they are told to end."""
    container: Object = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2, "failureThreshold": 2},
        "env": [{"name": key, "value": value} for key, value in {"LINGER": "3s", **(env or {})}.items()],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    containers = [container, *([sidecar] if sidecar else [])]
    return {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 10, "containers": containers}}


def crashing_sidecar(image: str) -> Object:
    """A container that exits with 1 every 1.5 s and is ready in between."""
    return {
        "name": "sidecar",
        "image": image,
        "command": ["/crasher", "-after", "1500ms", "-port", "9797"],
        "readinessProbe": {"httpGet": {"path": "/", "port": 9797}, "periodSeconds": 1},
    }


def deployment(name: str, template: Object, replicas: int = 2) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def canary(name: str, host: str, *, analysis: Object, deadline: int = 60, **spec: Any) -> Object:
    """A Canary behind the sandbox's Gateway; `analysis` and `spec` are Flagger's fields, and ours."""
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "progressDeadlineSeconds": deadline,
            "service": {
                "port": 80,
                "targetPort": PORT,
                "hosts": [host],
                "gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}],
            },
            "analysis": analysis,
            **spec,
        },
    }


def phase(obj: Object) -> str:
    """The phase of a Canary; "" when it has none yet."""
    return str((obj.get("status") or {}).get("phase") or "")


def canary_weight(route: Object) -> int:
    """The weight of the `-canary` backend in an HTTPRoute (the greatest, where several rules have one); 0 where there is none."""
    backends = [ref for rule in (route.get("spec") or {}).get("rules") or () for ref in rule.get("backendRefs") or ()]
    return max((int(ref.get("weight", 1)) for ref in backends if str(ref["name"]).endswith("-canary")), default=0)


def weights(routes: Iterable[Seen]) -> list[tuple[float, int]]:
    """The canary's weight over time: (seen at, weight) at each change."""
    found: list[tuple[float, int]] = []
    for seen in routes:
        weight = 0 if seen.gone else canary_weight(seen.obj)
        if not found or found[-1][1] != weight:
            found.append((seen.at, weight))
    return found


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def first(seen: Iterable[Seen], wanted: str, since: float = 0.0) -> float | None:
    """When a Canary was first seen in the phase `wanted`."""
    return next((state.at for state in seen if state.at >= since and phase(state.obj) == wanted), None)


def starts(pods: Sequence[Seen], since: float) -> float:
    """Seconds from the first of the pods that appeared after `since` until the last of them was ready for the first time; 0 for none."""
    born: dict[str, float] = {}
    ready: dict[str, float] = {}
    old = {state.name for state in pods if state.at < since}
    for state in pods:
        if state.name in old or state.gone:
            continue
        born.setdefault(state.name, state.at)
        if is_ready(state.obj):
            ready.setdefault(state.name, state.at)
    return max(ready.values()) - min(born.values()) if ready else 0.0


def unready_at(pods: Sequence[Seen], names: Iterable[str], since: float) -> float | None:
    """When the last of the named pods was first reported unready after `since`; None while one of them was not."""
    reports = []
    for name in names:
        told = (state for state in pods if state.at >= since and state.name == name)
        found = next((state.at for state in told if state.gone or not is_ready(state.obj)), None)
        if found is None:
            return None
        reports.append(found)
    return max(reports, default=None)


def safe_at(routes: Sequence[Seen], since: float) -> float | None:
    """When the canary's weight was first 0 at or after `since`: `since` itself where it was 0 then."""
    current: int | None = None
    for at, weight in weights(routes):
        if at > since and current == 0:
            return since
        if at > since and weight == 0:
            return at
        current = weight
    return since if current == 0 else None


def raises(changes: Sequence[tuple[float, int]]) -> list[float]:
    """Seconds between every two raises of the weight that follow each other, with nothing but raises between them."""
    gaps = []
    last: float | None = None
    for (_, before), (at, after) in pairwise(changes):
        if after < before:
            last = None
            continue
        if last is not None:
            gaps.append(at - last)
        last = at
    return gaps
