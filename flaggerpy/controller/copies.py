"""The versioned copies of configs, on the API server: made before what needs them, shared by Canaries, removed when nothing needs them.

A copy is created once and never written again but for its owners, so that Canaries that share a config do not undo each other. It goes
with its last owner. What it holds is held against its name before it is used: a namesake of somebody else's is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import primary_name
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import AlreadyExists, Conflict, NotFound
from flaggerpy.controller.configs import KINDS, ConfigReader
from flaggerpy.controller.look import RefusedError, StaleError
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.world import World
from flaggerpy.targets import configs as tracking
from flaggerpy.targets.metadata import owned_by, with_owner

Obj = dict[str, Any]
Named = tuple[str, str]
"""Kind ("configmap" or "secret") and name."""

_log = logging.getLogger(__name__)


class Copies:
    """See the module."""

    def __init__(self, client: Client, world: World, configs: ConfigReader, settings: Settings) -> None:
        self._client = client
        self._world = world
        self._configs = configs
        self._settings = settings

    async def ensure(self, canary: Canary, wanted: Mapping[str, str]) -> str:
        """Make the copies that are missing, of checksums keyed as in `status.trackedConfigs`; the sentence about one that cannot be made
        any more, as its data has changed. Raises RefusedError, StaleError, ApiError."""
        for key, digest in wanted.items():
            kind, _, name = key.partition("/")
            copy_name = tracking.copy_name(name, digest)
            known = self._configs.metadata(kind, canary.namespace, copy_name)
            if known is not None and owned_by(known, canary):
                continue
            source = await self._source(canary.namespace, kind, name, digest)
            if source is None:
                if not await self._share(canary, kind, copy_name, digest):
                    return f"{key} is not any more what was analysed: its copy for the primary cannot be made"
                continue
            manifest = tracking.copy(source, canary, digest, include_label_prefix=self._settings.label_prefixes)
            try:
                self._world.wrote(await self._client.create(manifest))
            except AlreadyExists:
                if not await self._share(canary, kind, copy_name, digest):
                    raise StaleError(f"{copy_name} is gone") from None
        return ""

    async def _source(self, namespace: str, kind: str, name: str, digest: str) -> Obj | None:
        """What holds this version: the config itself, or the copy of it that Flagger made."""
        for place in (name, primary_name(name)):
            found = await self._configs.data(kind, namespace, place)
            if found is not None and tracking.checksum(found) == digest:
                return {**found, "metadata": {**found["metadata"], "name": name}}
        return None

    async def _share(self, canary: Canary, kind: str, copy_name: str, digest: str) -> bool:
        """Become an owner of a copy that stands; False when there is none."""
        found = await self._configs.data(kind, canary.namespace, copy_name)
        if found is None:
            return False
        if not tracking.is_copy(found) or tracking.checksum(found) != digest:
            raise RefusedError(f"{kind} {copy_name} is in the place of a copy for the primary, and is none: delete or rename it")
        if not owned_by(found, canary):
            owners = with_owner(found["metadata"].get("ownerReferences") or (), canary)
            found = await self._set_owners(kind, found, owners)
        self._world.wrote(found)
        return True

    async def _set_owners(self, kind: str, obj: Obj, owners: list[Obj]) -> Obj:
        metadata = obj["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "ownerReferences": owners}}
        try:
            return await self._client.merge_patch(KINDS[kind], metadata["namespace"], metadata["name"], body)
        except (Conflict, NotFound) as error:
            raise StaleError(f"{kind} {metadata['name']} has changed: {error}") from error

    async def forget(self, canary: Canary, needed: Set[Named]) -> None:
        """Give up the copies of this Canary that are not needed: ours, and those that Flagger made and called `<name>-primary`."""
        for kind, view in (("configmap", self._world.config_maps), ("secret", self._world.secrets)):
            for (_, name), obj in view.items_of(canary.namespace):
                copied = owned_by(obj, canary) and (tracking.is_copy(obj) or name.endswith("-primary"))
                if copied and (kind, name) not in needed:
                    await self._release(kind, obj, canary)

    async def _release(self, kind: str, obj: Obj, canary: Canary) -> None:
        """A copy goes with its last owner; while others own it, only our reference goes."""
        metadata = obj["metadata"]
        others = [owner for owner in metadata.get("ownerReferences") or () if owner.get("uid") != canary.uid]
        try:
            if others:
                self._world.wrote(await self._set_owners(kind, obj, others))
            else:
                # also when another became an owner meanwhile: not this version of it
                version = metadata["resourceVersion"]
                await self._client.delete(
                    KINDS[kind], metadata["namespace"], metadata["name"], uid=metadata["uid"], resource_version=version
                )
        except (NotFound, Conflict, StaleError):
            _log.debug("%s %s has changed, or is gone already", kind, metadata["name"])


def used_by(workload: Mapping[str, Any]) -> set[Named]:
    """The configs that the pod template of a Deployment or ReplicaSet names."""
    template = (workload.get("spec") or {}).get("template") or {}
    return {(ref.kind, ref.name) for ref in tracking.references(template.get("spec") or {})}


def has_pods(replica_set: Mapping[str, Any]) -> bool:
    """True for a ReplicaSet that has pods, or is asked for some."""
    return bool((replica_set.get("spec") or {}).get("replicas") or (replica_set.get("status") or {}).get("replicas"))


