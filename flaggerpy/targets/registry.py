"""The kinds of targets that there are: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from flaggerpy.targets.base import Target
from flaggerpy.targets.daemonset import DaemonSet
from flaggerpy.targets.deployment import Deployment

TARGETS: Mapping[str, Target] = MappingProxyType({target.kind: target for target in (Deployment(), DaemonSet())})


def target_for(kind: str) -> Target:
    """The target of a `targetRef.kind`. A Canary of a kind that is not built is refused before; here it counts as a Deployment."""
    return TARGETS.get(kind, TARGETS["Deployment"])
