"""Hundreds of Canaries at once: until all are initialised, and what the controller holds afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import apply_all, canary, deployment, empty, settled
from e2e.bench.rig import Rig
from e2e.kube import Kube, Object
from e2e.sandbox.console import step

TITLE = "Hundreds of Canaries at once"
METHOD = (
    "So many Deployments, and then as many Canaries, applied as fast as the API server takes them; one pod each, on kwok's nodes. From the"
    " first Canary until all are Initialized; one that is Failed, or not Initialized within ten times the cluster's own time (five minutes"
    " at least), counts as a failure. The cluster's own time is measured before, without a controller: as many Deployments, named like the"
    " primaries, applied the same way, until the last pod is ready; and the same again with the three Services and the HTTPRoute that a"
    " Canary has. Ours waits in each for the route to be accepted, and 5 s for requests under way to end. Memory is that of the process"
    " 15 s later."
)
SETTLED_SECONDS = 15.0
WHY = (
    "Why it is missed: what stands around the pods of a Canary costs the cluster more than the pods do. With three Services and a"
    " route each, the same pods take it more than twice as long with no controller at all: on these two cores this API server gives"
    " out some 40 Service addresses a second, however many ask at once, and a profile of it (pprof, 10 s in the midst) shows it at"
    " 11 ms of processor time a request. Ours asks for some 25 requests per Canary, 7 of which write its status, and the processor is"
    " shared by all. The memory is that of the height, 15 s after it: what can be given back is so every 30 s (see Memory)."
)
ALLOWANCE = 1.2
PATIENCE = 10.0
LEAST_PATIENCE = 300.0


def until_all(check: Callable[[], int], size: int, seconds: float) -> float | None:
    """Seconds until `check` counts to `size`; None when not within `seconds`."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if check() >= size:
            return time.monotonic() - started
        time.sleep(0.5)
    return None


def ready(kube: Kube, namespace: str, names: Sequence[str]) -> int:
    """How many of these Deployments have all their pods."""
    wanted = set(names)
    found = [obj for obj in kube.items("Deployment", namespace) if obj["metadata"]["name"] in wanted]
    return sum((obj.get("status") or {}).get("readyReplicas", 0) >= obj["spec"]["replicas"] for obj in found)


def around(name: str) -> list[Object]:
    """The Services and the route of a Canary, as plain as can be."""
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    made: list[Object] = [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{name}{end}"}, "spec": {"selector": {"app": name}, "ports": ports}}
        for end in ("", "-primary", "-canary")
    ]
    gateway = {"name": "contour", "namespace": "projectcontour"}
    backends = [{"name": f"{name}-primary", "port": 80, "weight": 100}, {"name": f"{name}-canary", "port": 80, "weight": 0}]
    spec = {"parentRefs": [gateway], "hostnames": [f"{name}.example.com"], "rules": [{"backendRefs": backends}]}
    return [*made, {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}]


def cluster_alone(kube: Kube, namespace: str, names: Sequence[str], beside: Callable[[str], list[Object]] = lambda name: []) -> float:
    """Seconds that the cluster needs for as many pods, and what is `beside` each, nobody else at work.

    Raises RuntimeError when it does not come to an end."""
    primaries: list[Object] = [deployment(f"{name}-primary") for name in names]
    extra = [obj for name in names for obj in beside(name)]
    started = time.monotonic()
    apply_all(kube, namespace, [*primaries, *extra])
    rest = until_all(lambda: ready(kube, namespace, [obj["metadata"]["name"] for obj in primaries]), len(names), 600)
    if rest is None:
        raise RuntimeError(f"{len(names)} Deployments are not ready after 600 s")
    took = time.monotonic() - started
    empty(kube, namespace, [obj["metadata"]["name"] for obj in primaries])
    for obj in extra:
        kube.delete(obj["kind"], obj["metadata"]["name"], namespace)
    return took


def one_side(rig: Rig, side: Controller, size: int, own_time: float) -> list[Measured]:
    names = [f"crowd-{index:04d}" for index in range(size)]
    kube, namespace = rig.kube, side.namespace
    apply_all(kube, namespace, [deployment(name) for name in names])
    until_all(lambda: ready(kube, namespace, names), size, 600)
    started = time.monotonic()
    apply_all(kube, namespace, [canary(name, namespace) for name in names])
    until_all(lambda: settled(kube, namespace, ("Initialized", "Failed")), size, max(LEAST_PATIENCE, PATIENCE * own_time))
    took = time.monotonic() - started
    done = settled(kube, namespace, ("Initialized",))
    time.sleep(SETTLED_SECONDS)
    ours = side.name == OURS
    memory = side.memory()
    empty(kube, namespace, names)
    value = took if done == size else None
    note = "" if value else f"{done} after {took:.0f} s"
    what = f"{size} Canaries at once"
    return [
        Measured(side.name, f"{what}: until all are Initialized", "s", value, note=note, limit=ALLOWANCE * own_time if ours else None),
        Measured(side.name, f"{what}: failures", "", size - done, limit=0 if ours else None),
        Measured(side.name, f"{what}: memory afterwards", "MB", memory, share=1.0 if ours else None),
    ]


def run(rig: Rig) -> list[Measured]:
    return at_once(rig, 20 if rig.quick else 300)


def at_once(rig: Rig, size: int) -> list[Measured]:
    """The cluster's own time, and then both sides, one after the other."""
    found = []
    with step(f"{size} pods without a controller"):
        own_time = cluster_alone(rig.kube, rig.sides[0].namespace, [f"crowd-{index:04d}" for index in range(size)])
    with step(f"{size} pods with their Services and routes, without a controller"):
        with_all = cluster_alone(rig.kube, rig.sides[0].namespace, [f"crowd-{index:04d}" for index in range(size)], around)
    for side in rig.sides:
        found.append(Measured(side.name, f"{size} pods: the cluster's own time", "s", own_time))
        found.append(Measured(side.name, f"{size} pods with Services and routes: the cluster's own time", "s", with_all))
    for side in rig.sides:
        with step(f"{side.name}: {size} Canaries at once"):
            found += one_side(rig, side, size, own_time)
    return found
