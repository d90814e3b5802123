"""A release in the middle of its analysis, with all that a view can show of it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from flaggerpy.cli.frames import Scene
from flaggerpy.cli.scenes import scene
from tests.cli.objects import NOW, Obj, at, canary, ended, run

SPEC: Obj = {
    "analysis": {
        "interval": "10s",
        "threshold": 5,
        "stepWeight": 20,
        "maxWeight": 60,
        "metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
            {"name": "latency", "thresholdRange": {"max": 500}},
        ],
        "webhooks": [{"name": "ask-ops", "type": "confirm-promotion", "url": "http://gate/"}],
    }
}
MEASURED: Obj = {
    "steps": ["20%"],
    "metrics": [{"name": "request-success-rate", "values": [99.98]}, {"name": "latency", "values": [210.0]}],
}
EVENTS: list[Obj] = [
    {"type": "Normal", "message": "New revision detected! Scaling up podinfo.test", "lastTimestamp": at(-34)},
    {"type": "Normal", "message": "Advance podinfo.test canary weight 20", "lastTimestamp": at(-20)},
    {"type": "Warning", "message": "Halt podinfo.test advancement latency 620 > 500", "count": 2, "lastTimestamp": at(-8)},
    {"type": "Normal", "message": "Advance podinfo.test canary weight 40", "lastTimestamp": at(-3)},
]


def release(**status: Any) -> Obj:
    """The Canary, 40 % of the traffic on its way to 60."""
    under_way = {
        "progressingAt": NOW - 34, "settledSince": NOW - 30, "settled": True, "analysedAt": NOW - 2, "carriedWeight": True,
        "measured": MEASURED, **status.pop("run", {}),
    }  # fmt: skip
    fields: Obj = {
        "canaryWeight": 40,
        "failedChecks": 1,
        "lastPromotedSpec": "65d8",
        "promotedImages": ["ghcr.io/x/podinfo:1.0.0"],
        "run": run("7f9c", "ghcr.io/x/podinfo:1.0.1", **under_way),
        "progress": {
            "waitingFor": "the canary at weight 40%",
            "since": at(-2),
            "until": at(8),
            "then": "the next check of the analysis",
            "advice": "flaggerpy skip podinfo takes the next step now",
        },
        "history": [ended("65d8", "ghcr.io/x/podinfo:1.0.0", "Succeeded", started=-7300, end=-7200)],
        **status,
    }
    return canary(spec=deepcopy(SPEC), **fields)


def pod(name: str, *, state: str = "", restarts: int = 0, since: float = -34, leaving: bool = False) -> Obj:
    """A pod of one container; `state` is what the kubelet says it waits in."""
    metadata: Obj = {"name": name, "creationTimestamp": at(since)}
    if leaving:
        metadata["deletionTimestamp"] = at(0)
    container = {
        "name": "app", "ready": not state, "restartCount": restarts,
        "state": {"waiting": {"reason": state}} if state else {"running": {}},
    }  # fmt: skip
    conditions = [{"type": "Ready", "status": str(not state)}]
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [container]},
    }


PRIMARY = [pod("podinfo-primary-65d8-aaaaa", since=-7000), pod("podinfo-primary-65d8-bbbbb", since=-7000)]
CANARY = [pod("podinfo-7f9c-ccccc"), pod("podinfo-7f9c-ddddd", state="CrashLoopBackOff", restarts=2)]


def shown(obj: Obj | None = None, **more: Any) -> Scene:
    """The whole scene."""
    return scene(obj or release(), NOW, **{"primary_pods": PRIMARY, "canary_pods": CANARY, "events": EVENTS, **more})
