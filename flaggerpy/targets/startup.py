"""How long pods of a workload take to be ready, as far as its manifest tells: probes, minReadySeconds, the waves of a rolling update. Pure.

Rules (Kubernetes): a readiness probe is first asked `initialDelaySeconds` after the container's start, and not before the startup probe
has passed; it must pass `successThreshold` times, `periodSeconds` apart; a startup probe that fails `failureThreshold` times ends the
container. `maxSurge` is rounded up and `maxUnavailable` down, 25 % each by default.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Obj = Mapping[str, Any]

_PERIOD, _FAILURES = 10, 3


@dataclass(frozen=True)
class Startup:
    """In seconds from a pod's start. `least`: no pod is ready before; `budget`: a container that has not passed its startup probe by
    then is ended (None: no container has such a probe); `min_ready`: how long a ready pod must stay so to count as available."""

    least: float
    budget: float | None
    min_ready: float


def startup(workload: Obj) -> Startup:
    """What the manifest of a Deployment (or its like) says."""
    spec = _map(workload.get("spec"))
    pod = _map(_map(spec.get("template")).get("spec"))
    sidecars = [container for container in pod.get("initContainers") or () if _map(container).get("restartPolicy") == "Always"]
    containers = [_map(container) for container in (*sidecars, *(pod.get("containers") or ()))]
    budgets = [budget for budget in map(_budget, containers) if budget is not None]
    return Startup(
        least=max(map(_least, containers), default=0.0),
        budget=max(budgets, default=None),
        min_ready=_number(spec, "minReadySeconds", 0),
    )


def waves(workload: Obj) -> int:
    """In how many waves a rolling update replaces the pods: 1 when all are replaced at once."""
    spec = _map(workload.get("spec"))
    replicas = int(_number(spec, "replicas", 1))
    strategy = _map(spec.get("strategy"))
    if replicas <= 1 or strategy.get("type") == "Recreate":
        return 1
    rolling = _map(strategy.get("rollingUpdate"))
    surge = _share(rolling.get("maxSurge", "25%"), replicas, math.ceil)
    away = _share(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
    return math.ceil(replicas / max(surge + away, 1))


def unavailable(workload: Obj) -> str:
    """How many nodes, or which share of them, a DaemonSet's rolling update leaves without a ready pod at once: 1 by default."""
    rolling = _map(_map(_map(workload.get("spec")).get("updateStrategy")).get("rollingUpdate"))
    return str(rolling.get("maxUnavailable", 1))


def _share(value: object, replicas: int, rounded: Any) -> int:
    text = str(value)
    if text.endswith("%") and text[:-1].isdigit():
        return int(rounded(replicas * int(text[:-1]) / 100))
    return int(text) if text.isdigit() else 0


def _least(container: Obj) -> float:
    started = _number(container.get("startupProbe"), "initialDelaySeconds", 0)
    readiness = container.get("readinessProbe")
    if not readiness:
        return started
    again = (_number(readiness, "successThreshold", 1) - 1) * _number(readiness, "periodSeconds", _PERIOD)
    return max(started, _number(readiness, "initialDelaySeconds", 0)) + again


def _budget(container: Obj) -> float | None:
    probe = container.get("startupProbe")
    if not probe:
        return None
    times = _number(probe, "failureThreshold", _FAILURES) * _number(probe, "periodSeconds", _PERIOD)
    return _number(probe, "initialDelaySeconds", 0) + times


def _map(value: object) -> Obj:
    return value if isinstance(value, Mapping) else {}


def _number(probe: object, name: str, default: float) -> float:
    value = probe.get(name) if isinstance(probe, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else default
