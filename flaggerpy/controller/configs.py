"""Tracked ConfigMaps and Secrets: checksums of their data, read by name only when their metadata changed.

Their data is never watched nor kept: a cache of metadata tells when to read, and what is kept is a checksum. A read that fails makes all
UNKNOWN, never changed (Q-65); a config that is not there is left out, and the pods that need it say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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


class ConfigReader:
    """One for the controller: Canaries that share a config share its checksum."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._known: dict[tuple[str, str, str], tuple[str, str | None]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)

    def refs(self, namespace: str, template: Mapping[str, Any]) -> list[Ref]:
        """The objects that a pod template is changed by."""
        return [Ref(KINDS[ref.kind].plural, namespace, ref.name) for ref in configs.references(template.get("spec") or {})]

    async def read(self, namespace: str, template: Mapping[str, Any]) -> Tracked:
        """The checksums of all tracked configs of a pod template."""
        found: dict[str, str] = {}
        for ref in configs.references(template.get("spec") or {}):
            try:
                checksum = await self._checksum(namespace, ref)
            except ApiError as error:
                return Tracked(UNKNOWN, f"{ref.key} cannot be read: {error}")
            if checksum is not None:
                found[ref.key] = checksum
        return Tracked(found)

    async def _checksum(self, namespace: str, ref: configs.ConfigRef) -> str | None:
        """The checksum; None for what is not there or not tracked."""
        at = (ref.kind, namespace, ref.name)
        seen = self.metadata(ref.kind, namespace, ref.name)
        if seen is None:
            self._known.pop(at, None)
            return None
        known = self._known.get(at)
        if known is None or known[0] != seen["metadata"]["resourceVersion"]:
            async with self._turn:
                obj = await self.data(ref.kind, namespace, ref.name)
            if obj is None:
                return None
            known = self._known[at] = (obj["metadata"]["resourceVersion"], configs.checksum(obj) if configs.tracked(obj) else None)
        return known[1]

    def metadata(self, kind: str, namespace: str, name: str) -> Obj | None:
        """What the cache of metadata holds of a config."""
        return (self._world.config_maps if kind == "configmap" else self._world.secrets).get(namespace, name)

    async def data(self, kind: str, namespace: str, name: str) -> Obj | None:
        """The whole object, read live."""
        return await self._client.find(KINDS[kind], namespace, name)
