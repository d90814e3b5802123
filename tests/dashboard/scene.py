"""A source of Canaries without a controller, as the page's parts see one, and Canary objects to put into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.api.status import timestamp
from flaggerpy.dashboard.feed import Feed, Key

Obj = dict[str, Any]

NOW = 1_780_000_000.0


def canary(name: str = "app", namespace: str = "test", *, spec: Obj | None = None, annotations: Obj | None = None, **status: Any) -> Obj:
    """A Canary object; `status` overrides that of an idle one."""
    analysis = {
        "interval": "10s",
        "threshold": 3,
        "stepWeight": 20,
        "maxWeight": 60,
        "metrics": [
            {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"},
            {"name": "request-duration", "thresholdRange": {"max": 500}, "interval": "1m"},
        ],
    }
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}", "annotations": annotations or {}},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80},
            "analysis": analysis,
        }
        | (spec or {}),
        "status": {
            "phase": "Succeeded",
            "failedChecks": 0,
            "canaryWeight": 0,
            "iterations": 0,
            "lastAppliedSpec": "v1",
            "lastPromotedSpec": "v1",
            "promotedImages": ["registry.example.com/shop/app:1.0.0"],
            "lastTransitionTime": timestamp(NOW - 3600),
        }
        | status,
    }


def run(weight: int = 20, *, id: str = "run-1", revision: str = "v2", started: float = NOW - 2, **state: Any) -> Obj:
    """The status of a Canary in the middle of its analysis."""
    values = state.pop("measured", None)
    inner = {"id": id, "revision": revision, "startedAt": started, "images": ["registry.example.com/shop/app:1.1.0"]} | state
    if values is not None:
        inner["measured"] = values
    return {
        "phase": "Progressing",
        "canaryWeight": weight,
        "run": inner,
        "progress": {"waitingFor": f"the interval of 10s at {weight}%", "since": timestamp(NOW - 3), "until": timestamp(NOW + 7)},
        "lastTransitionTime": timestamp(NOW),
    }


def measured(*steps: tuple[str, float | None]) -> Obj:
    """What one metric said, by step."""
    values = [value for _, value in steps]
    return {"steps": [step for step, _ in steps], "metrics": [{"name": "request-success-rate", "values": values}]}


class Shelf:
    """See `dashboard.feed.Source`. `put` and `take` tell the feed as the controller does."""

    def __init__(self) -> None:
        self.objects: dict[Key, Obj] = {}
        self.deployments: dict[Key, Obj] = {}
        self.time = NOW
        self.leading = True
        self.feed: Feed | None = None

    def put(self, obj: Obj) -> Key:
        key = Key(obj["metadata"]["namespace"], obj["metadata"]["name"])
        self.objects[key] = obj
        if self.feed:
            self.feed.changed(key, obj)
        return key

    def take(self, key: Key) -> None:
        del self.objects[key]
        if self.feed:
            self.feed.changed(key, None)

    def now(self) -> float:
        return self.time

    def names(self) -> list[Key]:
        return list(self.objects)

    def canary(self, key: Key) -> Obj | None:
        return self.objects.get(key)

    def workloads(self, key: Key, obj: Mapping[str, Any]) -> tuple[Obj | None, Obj | None]:
        target = obj["spec"]["targetRef"]["name"]
        return self.deployments.get(Key(key.namespace, f"{target}-primary")), self.deployments.get(Key(key.namespace, target))

    def leads(self) -> bool:
        return self.leading
