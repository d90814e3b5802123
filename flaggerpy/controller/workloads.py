"""The kinds of targets in the API: where they and their histories live, and how their pods are asked for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.cluster.kinds import Kind

WORKLOADS: dict[str, Kind] = {"Deployment": kinds.DEPLOYMENT, "DaemonSet": kinds.DAEMON_SET}
"""Kind of a target to its resource."""
HISTORIES: dict[str, Kind] = {"Deployment": kinds.REPLICA_SET, "DaemonSet": kinds.CONTROLLER_REVISION}
"""Kind of a target to the resource in which its own controller keeps templates."""


def resource_of(kind: str) -> Kind:
    """The resource of a `targetRef.kind`. A Canary of a kind that is not built is refused before; here it counts as a Deployment."""
    return WORKLOADS.get(kind, kinds.DEPLOYMENT)


def selector_text(selector: Mapping[str, Any]) -> str:
    """A LabelSelector in the API's text form."""
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        name, values = expression["key"], ",".join(expression.get("values") or ())
        match expression["operator"]:
            case "In":
                parts.append(f"{name} in ({values})")
            case "NotIn":
                parts.append(f"{name} notin ({values})")
            case "Exists":
                parts.append(name)
            case "DoesNotExist":
                parts.append(f"!{name}")
    return ",".join(parts)
