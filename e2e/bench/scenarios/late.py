"""Pods that come later than the deadline: a cluster whose node is still being made when the Canaries are applied."""

from __future__ import annotations

import time
from functools import partial

from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import apply_all, canary, deployment, empty, settled
from e2e.bench.rig import Rig
from e2e.bench.scenarios.crowd import until_all
from e2e.kube import Object
from e2e.sandbox.console import step

TITLE = "Pods that come later than the deadline"
METHOD = (
    "As many Canaries for each controller, progressDeadlineSeconds 30, whose pods fit no node: it comes 75 s later, as one does that an"
    " autoscaler of nodes was asked for. From the node's being there until all are Initialized; one that is Failed, or not Initialized"
    " within three minutes, counts as a failure."
)
POOL = "late"
DEADLINE = 30
NODE_AFTER = 75.0
"""Seconds without a node: what is played, not a wait for anything."""
LIMIT_SECONDS = 180.0


def node() -> Object:
    """One more of kwok's, for pods that ask for it."""
    labels = {"type": "kwok", "pool": POOL, "kubernetes.io/hostname": POOL, "kubernetes.io/os": "linux"}
    taint = {"key": "type", "value": "kwok", "effect": "NoSchedule"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": POOL, "labels": labels}, "spec": {"taints": [taint]}}


def waiting(name: str) -> Object:
    """A Deployment whose pods run nowhere else."""
    found = deployment(name)
    found["spec"]["template"]["spec"]["nodeSelector"]["pool"] = POOL
    return found


def one_side(rig: Rig, side: Controller, size: int) -> list[Measured]:
    names = [f"late-{index:03d}" for index in range(size)]
    kube, namespace = rig.kube, side.namespace
    apply_all(kube, namespace, [waiting(name) for name in names])
    apply_all(kube, namespace, [canary(name, namespace, progressDeadlineSeconds=DEADLINE) for name in names])
    time.sleep(NODE_AFTER)
    kube.apply(node())
    took = until_all(partial(settled, kube, namespace, ("Initialized",)), size, LIMIT_SECONDS)
    done = settled(kube, namespace, ("Initialized",))
    empty(kube, namespace, names)
    # the next side's pods find none either
    kube.delete("Node", POOL)
    what = f"{size} Canaries"
    note = "" if took else f"{done} after {LIMIT_SECONDS:g} s"
    return [
        Measured(side.name, f"{what}: from the node until all are Initialized", "s", took, note=note),
        Measured(side.name, f"{what}: failures", "", size - done, limit=0 if side.name == OURS else None),
    ]


def run(rig: Rig) -> list[Measured]:
    size = 5 if rig.quick else 30
    found = []
    for side in rig.sides:
        with step(f"{side.name}: {size} Canaries before their node"):
            found += one_side(rig, side, size)
    return found
