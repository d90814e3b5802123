"""ConfigMaps and Secrets of targets: how each is treated and the checksum of its data, read by name only when its metadata changed.

Their data is never watched nor kept: a cache of metadata tells when to read, and what is kept is a checksum. A read that fails makes all
UNKNOWN, never changed (Q-65). What the cache does not know is asked for once before it counts as absent: a Deployment may be seen before
the ConfigMap that was applied with it. A config that is not there is left out, and the pods that need it say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller.interests import Ref
from flaggerpy.controller.world import World
from flaggerpy.rollout.facts import UNKNOWN, Unknown
from flaggerpy.targets import configs

Obj = dict[str, Any]

AT_ONCE = 8
"""After a start thousands are to be read: they must not stand in line before a write that is urgent."""
KINDS: dict[str, Kind] = {"configmap": kinds.CONFIG_MAP, "secret": kinds.SECRET}


@dataclass(frozen=True)
class Tracked:
    """The configs of a pod template: checksums by `configmap/x`, and why they are unknown."""

    checksums: Mapping[str, str] | Unknown
    problem: str = ""


@dataclass(frozen=True)
class _Known:
    """What was read of one config, in which version."""

    version: str
    mode: configs.Mode
    checksum: str


class ConfigReader:
    """One for the controller: Canaries that share a config share its checksum."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._absent: set[tuple[str, str, str]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)

    def refs(self, namespace: str, template: Mapping[str, Any], keys: Iterable[str] = ()) -> list[Ref]:
        """The objects that a pod template is changed by, and those of further keys like `secret/x`."""
        found = {ref.key: None for ref in configs.references(template.get("spec") or {})} | dict.fromkeys(keys)
        return [Ref(KINDS[kind].plural, namespace, name) for kind, _, name in (key.partition("/") for key in found)]

    async def read(self, namespace: str, template: Mapping[str, Any]) -> Tracked:
        """The checksums of all tracked configs of a pod template."""
        found: dict[str, str] = {}
        for ref in configs.references(template.get("spec") or {}):
            try:
                known = await self._read(ref.kind, namespace, ref.name)
            except ApiError as error:
                return Tracked(UNKNOWN, f"{ref.key} cannot be read: {error}")
            if known is not None and known.mode == "track":
                found[ref.key] = known.checksum
        return Tracked(found)

    async def followed(self, namespace: str, keys: Iterable[str]) -> dict[str, str]:
        """The checksums of those of these configs that are followed now, and are there. Raises ApiError."""
        found: dict[str, str] = {}
        for key in keys:
            kind, _, name = key.partition("/")
            known = await self._read(kind, namespace, name)
            if known is not None and known.mode == "follow":
                found[key] = known.checksum
        return found

    async def _read(self, kind: str, namespace: str, name: str) -> _Known | None:
        """What is known of a config, None when it is not there."""
        at = (kind, namespace, name)
        seen = self.metadata(kind, namespace, name)
        if seen is None and at in self._absent:
            return None
        self._absent.discard(at)
        known = self._known.get(at)
        if known is None or seen is None or known.version != seen["metadata"]["resourceVersion"]:
            async with self._turn:
                obj = await self.data(kind, namespace, name)
            if obj is None:
                self._known.pop(at, None)
                if seen is None:
                    self._absent.add(at)
                return None
            known = self._known[at] = _Known(obj["metadata"]["resourceVersion"], configs.mode(obj), configs.checksum(obj))
        return known

    def metadata(self, kind: str, namespace: str, name: str) -> Obj | None:
        """What the cache of metadata holds of a config."""
        return (self._world.config_maps if kind == "configmap" else self._world.secrets).get(namespace, name)

    async def data(self, kind: str, namespace: str, name: str) -> Obj | None:
        """The whole object, read live."""
        return await self._client.find(KINDS[kind], namespace, name)
