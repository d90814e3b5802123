"""A release with an autoscaler under constant high load: what each move of the traffic costs where pods can serve only so much."""

from __future__ import annotations

import time
from collections.abc import Sequence

import httpx

from e2e import releases
from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.load import Load, Second
from e2e.bench.rig import App, Rig
from e2e.kube import Object, until
from e2e.metrics_api import MetricsApi
from e2e.sandbox import Sandbox
from e2e.sandbox.console import say, step

TITLE = "Handover between sides of limited capacity"
CAPACITY = 20
"""Requests a second that a pod serves; what would wait for more than a second gets a 503."""
KEPT_AT = 14
"""Requests a second at which the HPA keeps each pod."""
RATE = 160.0
LEAST, MOST = 3, 30
ANALYSIS: Object = {"interval": "20s", "threshold": 20, "stepWeight": 50, "maxWeight": 100}
AFTER_SWITCH = 15.0
METHOD = (
    f"Weights 50 and 100, an HPA from {LEAST} to {MOST} by the requests that each pod really serves (kept at {KEPT_AT} of the {CAPACITY} a"
    f" second that it can), without a stabilisation window for scaling down, {RATE:g} requests a second throughout, the HPA settled before"
    " the release. Lost is every request without a good answer; a switch is a change of the weights in the HTTPRoute, and counts the"
    f" {AFTER_SWITCH:g} s after it; p99 is the worst second of them."
)
SWITCHES = {50: "to 50 %", 100: "to 100 %", 0: "back to the primary"}
NAME = "handover"


class Served:
    """Millicores by pod: one for each request a second that it served, by Prometheus."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._url = f"{sandbox.prometheus_url}/api/v1/query"

    def __call__(self, namespace: str, pods: Sequence[Object]) -> dict[str, int]:
        query = f'sum by (pod) (rate(http_requests_total{{namespace="{namespace}"}}[10s]))'
        answer = httpx.get(self._url, params={"query": query}, timeout=10, trust_env=False).json()
        rates = {row["metric"]["pod"]: round(float(row["value"][1])) for row in answer["data"]["result"]}
        known = {pod["metadata"]["name"] for pod in pods}
        return {name: rate for name, rate in rates.items() if name in known}


def autoscaler(namespace: str) -> Object:
    target = {"type": "AverageValue", "averageValue": f"{KEPT_AT}m"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": LEAST,
            "maxReplicas": MOST,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def template(app: App, tag: str) -> Object:
    made = releases.pod_template(NAME, app.image(tag), env={"CAPACITY": str(CAPACITY)})
    made["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": str(releases.PORT)}
    made["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2m", "memory": "8Mi"}}
    return made


def worst(counted: Sequence[Second], switches: Sequence[float]) -> tuple[int, float]:
    """Requests lost within `AFTER_SWITCH` of these moments (a second counts once), and the worst p99 of them in ms."""
    near = [one for one in counted if any(int(at) <= one.at <= at + AFTER_SWITCH for at in switches)]
    return sum(one.lost for one in near), max((one.p99 for one in near), default=0.0)


def switches(side: str, counted: Sequence[Second], changes: Sequence[tuple[float, int]]) -> list[Measured]:
    """Lost requests and p99 at each change of the weights; a switch that never came has no figure."""
    found: list[Measured] = []
    for weight, what in SWITCHES.items():
        moments = [at for at, reached in changes if reached == weight]
        lost, p99 = worst(counted, moments)
        limit, never = 0.0 if side == OURS else None, "" if moments else "never came"
        found.append(Measured(side, f"{what}: requests lost", "", float(lost) if moments else None, note=never, limit=limit))
        found.append(Measured(side, f"{what}: p99", "ms", p99 if moments else None, note=never))
    return found


def play(rig: Rig, side: Controller) -> list[Measured]:
    app = App(rig.kube, rig.sandbox, side, NAME)
    needed = -(-int(RATE) // KEPT_AT)
    try:
        rig.kube.apply(
            releases.deployment(NAME, template(app, "1.0.0"), needed),
            autoscaler(side.namespace),
            releases.canary(
                NAME, app.host, analysis=ANALYSIS, deadline=120,
                autoscalerRef={"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": NAME},
            ),
            namespace=side.namespace,
        )  # fmt: skip
        until(lambda: app.phase() == "Initialized", 180, f"{NAME} of {side.name} initialized", app.canary)
        with rig.records(app) as records, Load(rig.sandbox, app.host, rate=RATE) as load:
            until(lambda: _ready(app, f"{NAME}-primary") >= needed, 180, "the primary to be scaled for the load")
            time.sleep(75 if not rig.quick else 30)
            began = app.release(template(app, "1.0.1"))
            ended = records.wait(("Succeeded", "Failed"), 420, began)
            time.sleep(AFTER_SWITCH)
        say(f"  {side.name}: {releases.phase(ended[1]) if ended else 'did not end'}; lost {load.lost}; {load.errors}")
        changes = [(at, weight) for at, weight in releases.weights([r for r in records.routes.seen if r.name == NAME]) if at >= began]
    finally:
        app.delete()
        rig.kube.delete("HorizontalPodAutoscaler", NAME, side.namespace)
    of_release = [one for one in load.counted if one.at >= int(began)]
    limit = 0.0 if side.name == OURS else None
    took = ended[0] - began if ended else None
    return [
        Measured(side.name, "requests lost in the release", "", float(sum(one.lost for one in of_release)), limit=limit),
        *switches(side.name, load.counted, changes),
        Measured(side.name, "length of the release", "s", took, note="" if took else "not within 420 s"),
    ]


def _ready(app: App, name: str) -> int:
    found = app.kube.find("Deployment", name, app.namespace) or {}
    return int((found.get("status") or {}).get("readyReplicas") or 0)


def run(rig: Rig) -> list[Measured]:
    found: list[Measured] = []
    with MetricsApi(rig.kube, Served(rig.sandbox)):
        for side in rig.sides:
            with step(f"{side.name}: a release under {RATE:g} requests a second"):
                found += play(rig, side)
    return found
