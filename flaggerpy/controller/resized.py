"""Targets that somebody keeps up between releases: named, with who does it, and left so, as it harms no request and a fight would."""

from __future__ import annotations

import asyncio
import logging

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import IDLE, CanaryStatus, parse_status
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.background import Background
from flaggerpy.controller.conflicts import Conflicts, Thing
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.ownership import newest_other
from flaggerpy.controller.workloads import resource_of
from flaggerpy.controller.world import Obj, World

LASTING = 3.0
"""Seconds that a size stands before it is named: with a release, the template may come a moment after the size."""

_log = logging.getLogger(__name__)


class Resized:
    """See the module."""

    def __init__(self, client: Client, world: World, background: Background, conflicts: Conflicts) -> None:
        self._client = client
        self._world = world
        self._background = background
        self._conflicts = conflicts
        self._named: dict[Key, tuple[str, int]] = {}

    def look(self, key: Key, canary: Canary, status: CanaryStatus, target: Obj | None) -> None:
        """Have it found out who keeps up the target of an idle Canary."""
        if target is None or not _kept_up(canary, status, target):
            if self._named.pop(key, None) is not None:
                self._conflicts.over(key, _thing(canary))
        elif self._named.get(key) != _version(target):
            self._background.fetch(key, "size", lambda: self._name(key, canary))

    async def _name(self, key: Key, canary: Canary) -> None:
        await asyncio.sleep(LASTING)
        obj = self._world.canaries.get(*key)
        try:
            target = await self._client.find(resource_of(canary.kind), key.namespace, canary.target)
        except ApiError as error:
            _log.info("who scaled %s cannot be read: %s", canary.target, error)
            return
        if obj is None or target is None or not _kept_up(canary, parse_status(obj), target):
            return
        self._named[key] = _version(target)
        self._conflicts.stands(key, _thing(canary), newest_other(target, "f:spec", "f:replicas"))

    def forget(self, key: Key) -> None:
        self._named.pop(key, None)


def _kept_up(canary: Canary, status: CanaryStatus, target: Obj) -> bool:
    idle = status.phase in IDLE and bool(status.last_promoted_spec) and status.canary_weight == 0
    return idle and canary.spec.autoscaler_ref is None and int((target.get("spec") or {}).get("replicas") or 0) > 0


def _thing(canary: Canary) -> Thing:
    return Thing(canary.kind, canary.target, "spec.replicas")


def _version(target: Obj) -> tuple[str, int]:
    return str(target["metadata"].get("uid")), int(target["metadata"].get("generation") or 0)
