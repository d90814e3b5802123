"""Pods for people: one line each, with the state that kubectl shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.status import from_timestamp

Obj = Mapping[str, Any]

WELL = frozenset({"Running", "Pending", "ContainerCreating", "PodInitializing", "Succeeded", "Completed"})
"""States that are good, or on the way there."""


@dataclass(frozen=True)
class PodLine:
    """A pod. `ready` and `containers` count containers, `state` is kubectl's STATUS, `age` in seconds."""

    name: str
    state: str
    ready: int
    containers: int
    restarts: int
    age: float
    node: str = ""
    available: bool = False
    """The pod's Ready condition is True."""
    leaving: bool = False

    @property
    def fails(self) -> bool:
        """Its state is neither a good one nor one on the way there."""
        return not self.leaving and self.state not in WELL and not re.fullmatch(r"Init:\d+/\d+", self.state)


def pod_lines(pods: Iterable[Obj], now: float) -> tuple[PodLine, ...]:
    """The pods, those that stay first, the oldest of them first; of what is misshapen as much as can be read."""
    lines = [_line(pod, now) for pod in pods]
    return tuple(sorted(lines, key=lambda line: (line.leaving, -line.age, line.name)))


def _line(pod: Obj, now: float) -> PodLine:
    metadata, spec, status = (pod.get(part) or {} for part in ("metadata", "spec", "status"))
    inits, mains = status.get("initContainerStatuses") or (), status.get("containerStatuses") or ()
    sidecars = {each.get("name") for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"}
    counted = [*(each for each in inits if each.get("name") in sidecars), *mains]
    leaving = bool(metadata.get("deletionTimestamp"))
    return PodLine(
        name=str(metadata.get("name") or ""),
        state="Terminating" if leaving else _state(status, inits, mains, sidecars),
        ready=sum(bool(each.get("ready")) for each in counted),
        containers=max(len(counted), len(spec.get("containers") or ()) + len(sidecars)),
        restarts=sum(int(each.get("restartCount") or 0) for each in counted),
        age=max(now - _time(metadata.get("creationTimestamp"), now), 0.0),
        node=str(spec.get("nodeName") or ""),
        available=any(each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ()),
        leaving=leaving,
    )


def _state(status: Obj, inits: Sequence[Obj], mains: Sequence[Obj], sidecars: set[Any]) -> str:
    """kubectl's STATUS: the first init container that is not through, else the last container that is not well, else the phase."""
    for number, each in enumerate(inits):
        state = each.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        if (ended and ended.get("exitCode") == 0) or (each.get("name") in sidecars and each.get("started")):
            continue
        if ended:
            return f"Init:{ended.get('reason') or 'Error'}"
        if waiting.get("reason") not in (None, "", "PodInitializing"):
            return f"Init:{waiting['reason']}"
        return f"Init:{number}/{len(inits)}"
    shown = str(status.get("reason") or status.get("phase") or "Unknown")
    for each in reversed(mains):
        state = each.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting") or {}
        if waiting.get("reason"):
            shown = str(waiting["reason"])
        elif ended:
            shown = str(ended.get("reason") or f"ExitCode:{ended.get('exitCode')}")
    return shown


def _time(text: Any, otherwise: float) -> float:
    try:
        return from_timestamp(str(text)) if text else otherwise
    except ValueError:
        return otherwise
