"""What stands in for a cluster in `flaggerpy simulate`: the cast of the user's files, and a metrics server that says what the fault wants.

Values are made up; what is thought of them is not: thresholds are judged, and failures worded, by `metrics/evaluate.py` as in a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flaggerpy.api.canary import Canary, Metric, parse_canary
from flaggerpy.api.problems import spec_problems
from flaggerpy.controller.settings import Settings as ControllerSettings
from flaggerpy.metrics import evaluate
from flaggerpy.metrics.reading import NO_VALUES, Reading
from flaggerpy.model.fates import STARTED
from flaggerpy.model.scenario import Actor, Cast, Measure, Trouble
from flaggerpy.rollout.facts import Measurement
from flaggerpy.routers.base import RouteSplit, Settings
from flaggerpy.routers.registry import UnknownProvider, known_providers, router_for
from flaggerpy.targets.deployment import selector_of
from flaggerpy.targets.startup import startup

Obj = dict[str, Any]

CALM_MS = 40.0
"""p99 of a healthy workload, unless a metric asks for less."""
ERRORS = 10.0
"""Percent of requests that fail at the canary with the fault errors-at."""
SLOWNESS = 3.0
"""How many times what is allowed a latency is with the fault latency-at."""
_ABOUT_TIME = re.compile(r"latency|duration|response.?time|p9[0-9]", re.IGNORECASE)


def about_time(metric: Metric) -> bool:
    """True for a metric that a slow canary shows in; any other shows its errors."""
    return metric.name == "request-duration" or bool(_ABOUT_TIME.search(metric.name))


def measuring(canary: Canary, provider: str) -> Measure:
    """The metrics server of a simulation. `provider` is that of the controller, for a Canary that names none."""
    settings = evaluate.Settings(mesh_provider=provider)

    def measure(metric: Metric, trouble: Trouble, draw: float) -> Measurement:
        value = 0.0
        for check in evaluate.checks(metric):
            # a template is not asked for: it may stand anywhere, and its query has nobody to answer it here
            query = evaluate.plan(canary, metric, check, None, None, settings) if check != "template" else None
            if isinstance(query, evaluate.Problem):
                return Measurement("error", text=query.text)
            if trouble == "unreachable":
                return Measurement("unreachable", text="connection refused")
            if trouble == "no-data":
                return Measurement("no-data", text=_no_data(canary, metric, query))
            value = _value(metric, check, trouble, draw)
            failed = evaluate.verdict(canary, metric, check, value)
            if failed:
                return Measurement("value", value, failed)
        return Measurement("value", value)

    return measure


def _no_data(canary: Canary, metric: Metric, query: evaluate.Query | None) -> str:
    if query is None:
        return f"Halt advancement no values found for custom metric: {metric.name}: {NO_VALUES}"
    return evaluate.failure(canary, metric, query, Reading("no-data", text=NO_VALUES))


def _value(metric: Metric, check: evaluate.Check, trouble: Trouble, draw: float) -> float:
    """A value that passes, or with a trouble that the metric is about one that does not."""
    limits = metric.threshold_range
    low = limits.min if limits else (metric.threshold if check == "success-rate" else None)
    high = limits.max if limits else (None if check == "success-rate" else metric.threshold or 0.0)
    if check == "success-rate":
        bad, floor = min(100.0 - ERRORS, (low or 100.0) - 1.0), max(low or 99.0, 0.0)
        return bad - draw if trouble == "errors" else floor + (100.0 - floor) * (0.6 + 0.4 * draw)
    troubled = (trouble == "latency") if about_time(metric) else (trouble == "errors")
    if troubled:
        return high * SLOWNESS + 1.0 + draw if high is not None else (low or 0.0) - 1.0 - draw
    calm = CALM_MS if about_time(metric) else 0.0
    if high is not None and (low is not None or calm >= high):
        calm = high * 0.5 if low is None else low + (high - low) * 0.5
    elif low is not None:
        calm = low + max(abs(low) * 0.1, 1.0)
    return calm * (0.95 + 0.05 * draw)


def default_provider(canary: Mapping[str, Any]) -> str:
    """The provider that fits a Canary which leaves it to the controller's -mesh-provider."""
    spec = canary.get("spec") or {}
    plan = spec.get("analysis") or spec.get("canaryAnalysis") or {}
    if (spec.get("service") or {}).get("gatewayRefs"):
        return "gatewayapi:v1"
    return "kubernetes" if "iterations" in plan and not plan.get("match") else "contour"


def refusals(canary: Mapping[str, Any], provider: str) -> list[str]:
    """Why the controller would not release this Canary at all, in its own words."""
    found = spec_problems(dict(canary), provider, providers=known_providers())
    if found:
        return found
    typed = parse_canary(canary)
    try:
        return router_for(typed.spec.provider or provider).problems(typed)
    except UnknownProvider as error:
        return [f"spec.provider: {error}"]


def cast_of(canary: Canary, provider: str, deployment: Mapping[str, Any] | None, image: str) -> Cast:
    """Who plays: the containers of the Deployment (one named like the target where there is none), released as the file has them.

    `image` replaces the image of the first container in the release; what ran before is told as the same image with the tag `before`.
    Raises UnknownProvider.
    """
    router = router_for(canary.spec.provider or provider)
    judges = True
    if canary.spec.service and router.supports.weights:
        routes = router.desired(canary, RouteSplit(), [], Settings())
        # a router that copies an object of the user's has none to copy here, and none of those reports what it took
        judges = bool(routes) and router.observed(canary, routes, Settings()).judges
    spec = (deployment or {}).get("spec") or {}
    pod = (spec.get("template") or {}).get("spec") or {}
    actors = [_actor(each, "sidecar" if each.get("restartPolicy") == "Always" else "init") for each in pod.get("initContainers") or ()]
    actors += [_actor(each, "main") for each in pod.get("containers") or ({"name": canary.target, "image": f"{canary.target}:next"},)]
    if image:
        first = next(index for index, actor in enumerate(actors) if actor.role == "main")
        kept = actors[first].image if deployment else actors[first].before
        actors[first] = Actor(actors[first].name, kept if kept != image else actors[first].before, image)
    told = startup(deployment or {})
    replicas = spec.get("replicas")
    return Cast(
        actors=tuple(actors),
        replicas=2 if deployment is None else 1 if replicas is None else max(int(replicas), 1),
        ready_after=STARTED + told.least + 1.0,
        min_ready=told.min_ready,
        weights=router.supports.weights,
        mirror=router.supports.mirror,
        judges=judges,
        problem=_unfit(deployment),
    )


def _unfit(deployment: Mapping[str, Any] | None) -> str:
    """Why the controller (with its default -selector-labels) could not release this Deployment."""
    found = selector_of(deployment, ControllerSettings().selector_label_names) if deployment else ""
    return found if isinstance(found, str) else ""


def _actor(container: Mapping[str, Any], role: Any) -> Actor:
    image = str(container.get("image") or "image")
    name = image.partition("@")[0]
    slash, colon = name.rfind("/"), name.rfind(":")
    bare = name[:colon] if colon > slash else name
    return Actor(str(container.get("name") or "container"), f"{bare}:before", image, role)
