"""Pods as values: what the kubelet and the events about a pod say of it and of its containers. The same for every kind of target.

Events come and go, and their times are whole seconds: what a status says as well is taken from the status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from flaggerpy.api.workloads import ContainerFacts, PodFacts

_KILLED_BY_PROBE = ("failed liveness probe", "failed startup probe")
_EVENTS_TOLD = 5


def owner_uid(obj: Mapping[str, Any]) -> str | None:
    """The uid of the controller that an object belongs to."""
    for owner in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    return None


def pod_facts(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> PodFacts:
    """What a pod and the events about it say."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    terminating = bool(meta.get("deletionTimestamp"))
    scheduled = conditions.get("PodScheduled") or {}
    newest_first = sorted(events, key=_when, reverse=True)
    by_name = {
        entry["name"]: entry for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    }
    containers = [_container(entry, by_name.get(entry["name"], {}), init=True) for entry in spec.get("initContainers") or ()]
    containers += [_container(entry, by_name.get(entry["name"], {}), init=False) for entry in spec.get("containers") or ()]
    warnings: dict[tuple[str, str], None] = {}
    pulled = max((_when(event) for event in newest_first if event.get("reason") == "Pulling"), default=0.0)
    for event in newest_first:
        if event.get("reason") == "FailedToRetrieveImagePullSecret" and _when(event) < pulled - 2:
            continue  # told before each pull: at the newest one the secret was there
        if event.get("type") == "Warning":
            warnings[event.get("reason", ""), event.get("message") or event.get("note") or ""] = None
    return PodFacts(
        name=meta["name"],
        node=spec.get("nodeName", ""),
        phase=status.get("phase", "Pending"),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        terminating=terminating,
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        created=seconds(meta.get("creationTimestamp")),
        containers=tuple(containers),
        unschedulable=(scheduled.get("message") or scheduled.get("reason") or "") if scheduled.get("status") == "False" else "",
        events=tuple(warnings)[:_EVENTS_TOLD],
        probe_kills=frozenset(name for name, entry in by_name.items() if _killed_by_probe(name, entry, newest_first)),
        pulling=_pulling(newest_first),
        pull_secrets=tuple(str(entry["name"]) for entry in spec.get("imagePullSecrets") or () if entry.get("name")),
    )


def _container(spec: Mapping[str, Any], status: Mapping[str, Any], *, init: bool) -> ContainerFacts:
    state: Mapping[str, Any] = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    present: Literal["waiting", "running", "terminated", "none"] = "none"
    if "running" in state:
        present = "running"
    elif "terminated" in state:
        present = "terminated"
    elif "waiting" in state:
        present = "waiting"
    detail = state.get(present) or {}
    role: Literal["init", "sidecar", "main"] = "main"
    if init:
        role = "sidecar" if spec.get("restartPolicy") == "Always" else "init"
    return ContainerFacts(
        name=spec["name"],
        role=role,
        image=spec.get("image", ""),
        state=present,
        reason=detail.get("reason", ""),
        message=detail.get("message", ""),
        exit_code=detail.get("exitCode"),
        ready=bool(status.get("ready")),
        started=status.get("started"),
        restarts=status.get("restartCount", 0),
        last_reason=last.get("reason", ""),
        last_message=last.get("message", ""),
        last_exit_code=last.get("exitCode"),
    )


def _pulling(newest_first: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The containers about which the kubelet said last that it pulls their image.

    A pull that is over is told in the same second by another event, which is then the one to believe.
    """
    newest: dict[str, tuple[float, set[str]]] = {}
    for event in newest_first:
        path = (event.get("involvedObject") or event.get("regarding") or {}).get("fieldPath") or ""
        if not path.endswith("}"):
            continue
        at, reasons = newest.setdefault(path.rpartition("{")[2][:-1], (_when(event), set()))
        if _when(event) >= at:
            reasons.add(event.get("reason", ""))
    return frozenset(name for name, (_, reasons) in newest.items() if reasons == {"Pulling"})


def _killed_by_probe(name: str, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    """True when the container's last end falls to a kill that the kubelet announced, by the name and the time of the event."""
    end = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
    if not end:
        return False
    began, finished = seconds(end.get("startedAt")), seconds(end.get("finishedAt"))
    for event in events:
        message = event.get("message") or event.get("note") or ""
        if event.get("reason") != "Killing" or not any(text in message for text in _KILLED_BY_PROBE):
            continue
        path = (event.get("involvedObject") or event.get("regarding") or {}).get("fieldPath") or ""
        if f"{{{name}}}" not in path and not message.startswith((f"Container {name} ", f"Init container {name} ")):
            continue
        if not finished or began - 1 <= _when(event) <= finished + 2:  # events carry whole seconds
            return True
    return False


def _when(event: Mapping[str, Any]) -> float:
    series = event.get("series") or {}
    meta = event.get("metadata") or {}
    for stamp in (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp")):
        if stamp:
            return seconds(stamp)
    return 0.0


def seconds(stamp: str | None) -> float:
    """Epoch seconds of a Kubernetes time, 0.0 of none."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else 0.0
