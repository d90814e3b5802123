"""A scene of the full view from the objects of the API: the Canary, the pods of both sides, its events, its target. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.status import CanaryStatus, parse_status
from flaggerpy.cli.course import Course, World, beginnings, course
from flaggerpy.cli.frames import Scene
from flaggerpy.cli.pods import pod_lines
from flaggerpy.cli.views import MetricLine, canary_view, metric_line
from flaggerpy.routers.registry import UnknownProvider, router_for
from flaggerpy.targets.startup import startup

Obj = dict[str, Any]


def scene(
    obj: Mapping[str, Any], now: float, *, primary_pods: Sequence[Obj] | None = None, canary_pods: Sequence[Obj] | None = None,
    events: Sequence[Obj] = (), workload: Mapping[str, Any] | None = None, seen: Mapping[str, float] | None = None, problem: str = "",
) -> Scene:  # fmt: skip
    """The scene at epoch second `now`; `seen` has when stages began as a watch saw it, for those who may not read events."""
    view = canary_view(obj, now, primary_pods=primary_pods, canary_pods=canary_pods, events=events)
    typed = read(obj)
    return Scene(
        view,
        course_of(typed, now, events=events, workload=workload, seen=seen) if typed else None,
        None if primary_pods is None else pod_lines(primary_pods, now),
        None if canary_pods is None else pod_lines(canary_pods, now),
        metrics_of(typed) if typed else (),
        problem,
    )


def read(obj: Mapping[str, Any]) -> tuple[Canary, CanaryStatus] | None:
    """Canary and status as typed values, None when they cannot be read."""
    try:
        return parse_canary(obj), parse_status(obj)
    except ValidationError:
        return None


def course_of(
    typed: tuple[Canary, CanaryStatus], now: float, *, events: Sequence[Mapping[str, Any]] = (),
    workload: Mapping[str, Any] | None = None, seen: Mapping[str, float] | None = None,
) -> Course | None:  # fmt: skip
    """The course of the release under way, None between releases."""
    canary, status = typed
    if status.run is None:
        return None
    told = {**(seen or {}), **beginnings(events, status.run.started_at)}
    return course(canary, status, now, seen=told, world=world_of(canary, workload))


def world_of(canary: Canary, workload: Mapping[str, Any] | None) -> World:
    """What its provider can do (weights, where it names none or one that is not known) and how soon its pods can be available."""
    told = startup(workload) if workload else None
    least = told.least + told.min_ready if told else 0.0
    try:
        supports = router_for(canary.spec.provider or "").supports
    except UnknownProvider:
        return World(least_start=least)
    return World(supports.weights, supports.mirror, least)


def metrics_of(typed: tuple[Canary, CanaryStatus]) -> tuple[MetricLine, ...]:
    """Each metric with what it said in the run under way, else in the last release."""
    canary, status = typed
    measured = status.run.measured if status.run else status.history[0].measured if status.history else None
    return tuple(metric_line(metric, measured) for metric in canary.spec.plan.metrics)


@dataclass
class _Witness:
    """What was seen of one run; `met`: the stage in which it was met first, which may have begun long before."""

    run: str
    met: str
    began: dict[str, float] = field(default_factory=dict)


class Seen:
    """When stages began, as a watch saw it itself: for tables that follow no events, and for those who may not read them."""

    def __init__(self) -> None:
        self._by_uid: dict[str, _Witness] = {}

    def of(self, obj: Mapping[str, Any]) -> Mapping[str, float]:
        """When stages of the run under way began, by name."""
        uid, run = _identity(obj)
        known = self._by_uid.get(uid)
        return known.began if known and known.run == run else {}

    def look(self, obj: Mapping[str, Any], course: Course | None) -> None:
        """Note the present stage."""
        uid, run = _identity(obj)
        if course is None or course.current is None:
            self._by_uid.pop(uid, None)
            return
        name = course.current.name
        known = self._by_uid.get(uid)
        if known is None or known.run != run:
            self._by_uid[uid] = _Witness(run, met=name)
        elif name != known.met:
            known.began.setdefault(name, course.now)


def _identity(obj: Mapping[str, Any]) -> tuple[str, str]:
    return str((obj.get("metadata") or {}).get("uid") or ""), str(((obj.get("status") or {}).get("run") or {}).get("id") or "")
