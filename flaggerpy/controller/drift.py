"""Whether primaries stand as we left them: found by comparing one with its kept revision, when anything of it changed but its size.

Nothing is read while nothing changes. What happened while no controller ran is found one primary after the other, slowly, after the start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.names import REVISION_LABEL, primary_name
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.background import Background
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.look import RefusedError
from flaggerpy.controller.ownership import SOMEBODY, foreign_fields, newest_other
from flaggerpy.controller.patches import difference, digest
from flaggerpy.controller.workloads import resource_of
from flaggerpy.controller.world import World

Obj = dict[str, Any]

PACE = 0.05
"""Seconds between two primaries that are compared because the controller has just begun."""
TOLD = 3
"""Fields of an edit that are named."""
_NOBODY = Key("", "primaries")

_log = logging.getLogger(__name__)


class Expected(Protocol):
    """What a primary should be: see `keeping.Keeping.expected`."""

    async def __call__(self, key: Key, canary: Canary, primary: Obj) -> Obj:
        """The manifest, of the revision and the run that the primary says it is of. Raises RefusedError, ApiError."""


@dataclass(frozen=True)
class Edit:
    """Somebody changed `fields` of a primary's spec, as "template.spec.hostNetwork"."""

    manager: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.manager} has changed {', '.join(f'spec.{field}' for field in self.fields)}"


@dataclass(frozen=True)
class _Seen:
    """A primary that was looked at: which, in which generation, what its spec came to but for its size, and what was wrong with it."""

    uid: str
    generation: int
    digest: str
    edit: Edit | None = None


class Drift:
    """See the module."""

    def __init__(self, client: Client, world: World, background: Background, expected: Expected) -> None:
        self._client = client
        self._world = world
        self._background = background
        self._expected = expected
        self._seen: dict[Key, _Seen] = {}
        self._unseen: dict[Key, None] = {}

    def left(self, key: Key, primary: Mapping[str, Any]) -> None:
        """We have just seen to it that a primary is as it should be."""
        self._seen[key] = _seen(primary)

    def edit(self, key: Key, primary: Obj | None) -> Edit | None:
        """How a primary differs from what it should be, as far as that is known; asks for a comparison where it may."""
        if primary is None:
            self._seen.pop(key, None)
            return None
        known, uid = self._seen.get(key), str(primary["metadata"].get("uid"))
        if known is None:
            self._unseen[key] = None
            self._background.fetch(_NOBODY, "primaries", self._compare_all)
            return None
        if (known.uid, known.generation) == (uid, _generation(primary)):
            return known.edit
        now = _seen(primary, known.edit)
        if (known.uid, known.digest) != (uid, now.digest):
            self._background.fetch(key, "primary", lambda: self._compare(key))
            return None
        self._seen[key] = now
        return known.edit

    def forget(self, key: Key) -> None:
        self._seen.pop(key, None)
        self._unseen.pop(key, None)

    async def _compare_all(self) -> None:
        while self._unseen:
            key = next(iter(self._unseen))
            del self._unseen[key]
            if key not in self._seen:
                await self._compare(key)
                if (found := self._seen.get(key)) is not None and found.edit is not None:
                    self._world.inbox.put(key)
                await asyncio.sleep(PACE)

    async def _compare(self, key: Key) -> None:
        obj = self._world.canaries.get(*key)
        if obj is None:
            return
        canary = parse_canary(obj)
        try:
            primary = await self._client.find(resource_of(canary.kind), key.namespace, primary_name(canary.target))
            if primary is not None:
                self._seen[key] = _seen(primary, await self._edit_of(key, canary, primary))
        except (ApiError, RefusedError) as error:
            _log.info("the primary of %s cannot be compared with its kept revision: %s", key, error)

    async def _edit_of(self, key: Key, canary: Canary, primary: Obj) -> Edit | None:
        annotations = (primary["spec"]["template"].get("metadata") or {}).get("annotations") or {}
        if annotations.get(REVISION_LABEL) not in self._world.kept(key).values():
            return None  # of Flagger's making, or of a time that nothing is kept of
        want = await self._expected(key, canary, primary)
        differs = list(difference(_but_size(primary), _but_size(want)))
        added = foreign_fields(primary)
        if not differs and not added:
            return None
        if not added and await self._stays(want, primary):
            return None
        owners = [manager for _, manager in added]
        who = owners[0] if owners else newest_other(primary)
        fields = dict.fromkeys([name for name, _ in added] + (differs if not added else []))
        return Edit(who or SOMEBODY, tuple(fields)[:TOLD])


    async def _stays(self, want: Obj, primary: Obj) -> bool:
        """Whether to say it again would change nothing, as where an admission webhook words our images differently."""
        want = {**want, "spec": {**want["spec"], "selector": primary["spec"].get("selector")}}
        tried = await self._client.apply(want, dry_run=True)
        return _but_size(tried) == _but_size(primary)


def _generation(obj: Mapping[str, Any]) -> int:
    return int(obj["metadata"].get("generation") or 0)


def _but_size(workload: Mapping[str, Any]) -> Obj:
    """What of the spec can be edited, the size apart."""
    return {name: value for name, value in workload["spec"].items() if name not in ("replicas", "selector")}


def _seen(primary: Mapping[str, Any], edit: Edit | None = None) -> _Seen:
    return _Seen(str(primary["metadata"].get("uid")), _generation(primary), digest(_but_size(primary)), edit)
