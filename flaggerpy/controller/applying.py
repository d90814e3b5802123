"""Server-side apply of what we own, with uid and resourceVersion of what was looked at, and never the same words twice.

Where nothing was, it is only created: the apply of a leader that is none any more, arriving late, would else put back an object that its
successor has made and changed since, or make anew one that was deleted.

An object that Flagger made keeps Flagger as the owner of its fields until its entry is rewritten to ours: only then can a field that is
not wanted any more go (a port, a container). That is done once, before our first apply.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import NOT_THERE, Client
from flaggerpy.cluster.errors import ApiError, Conflict, Invalid, NotFound
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller.look import StaleError
from flaggerpy.controller.ownership import reclaim
from flaggerpy.controller.patches import covers, digest
from flaggerpy.controller.takeover import claim
from flaggerpy.controller.world import World

Obj = dict[str, Any]

REMEMBERED = 50_000
NEW_SERVICES_AT_ONCE = 16
"""The API server gives out cluster addresses one after the other: of a hundred that wait at once, most run into its time limit, are
asked for again, and so keep each other waiting."""


class Applier:
    """Writes manifests and remembers them: `apply` sends nothing where this manifest led to this very version."""

    def __init__(self, client: Client, world: World) -> None:
        self._client = client
        self._world = world
        self._new_services = asyncio.Semaphore(NEW_SERVICES_AT_ONCE)
        self._applied: OrderedDict[tuple[str, str, str], tuple[str, str]] = OrderedDict()
        self._said: OrderedDict[tuple[str, str, str], str] = OrderedDict()
        self._unseen: dict[tuple[str, str, str], Obj] = {}

    async def apply(self, manifest: Obj, have: Obj | None) -> Obj:
        """The object as the server has it afterwards; `have` is what was looked at, None for nothing.

        Raises StaleError when the object has changed since: it was read again, and the look must begin anew.
        """
        kind = kinds.kind_of(manifest)
        at = _at(manifest)
        words = digest(manifest)
        have = have or self._unseen.pop(at, None)
        if have is not None and self._applied.get(at) == (words, have["metadata"]["resourceVersion"]):
            return have
        metadata = {name: value for name, value in manifest["metadata"].items() if name not in ("resourceVersion", "uid")}
        try:
            if have is not None:
                have = await self._claim(kind, have)
            metadata |= _as_seen(have)
            async with self._new_services if have is None and kind == kinds.SERVICE else contextlib.nullcontext():
                made = await self._client.apply({**manifest, "metadata": metadata})
        except (Conflict, Invalid) as error:
            if not _is_another(error):
                raise
            found = await self.read_again(kind, at[1], at[2])
            if have is None and found is not None:
                # of some kinds the cache holds only what has a label: it would say again that nothing is there
                self._unseen[at] = found
            raise StaleError(f"{kind} {at[2]} has changed: {error}") from error
        if covers(made, manifest):
            self._applied.pop(at, None)
        else:
            # the server words it differently: only our memory keeps us from saying it again
            self._applied[at] = (words, made["metadata"]["resourceVersion"])
        self._said[at] = words
        for memory in (self._applied, self._said):
            if len(memory) > REMEMBERED:
                memory.popitem(last=False)
        self._world.wrote(made)
        return made

    def repeats(self, manifest: Obj) -> bool:
        """True when this very manifest was the last that was applied: if it has to be said again, somebody undid it."""
        return self._said.get(_at(manifest)) == digest(manifest)

    async def reclaim(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """Make ours what others own of a workload's spec, so that the next apply removes it; the workload, None when it is gone."""
        have = await self.read_again(kind, namespace, name)
        operations = reclaim(have) if have is not None else None
        if have is None or operations is None:
            return have
        try:
            have = await self._client.json_patch(kind, namespace, name, operations)
        except (Invalid, Conflict, NotFound) as error:
            raise StaleError(f"{kind} {name} has changed: {error}") from error
        self._world.wrote(have)
        return have

    async def _claim(self, kind: Kind, have: Obj) -> Obj:
        operations = claim(have)
        if operations is None:
            return have
        metadata = have["metadata"]
        try:
            return await self._client.json_patch(kind, metadata.get("namespace"), metadata["name"], operations)
        except (Invalid, NotFound) as error:
            await self.read_again(kind, metadata.get("namespace") or "", metadata["name"])
            raise StaleError(f"{kind} {metadata['name']} has changed: {error}") from error

    async def read_again(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """Read an object whose cached version is known to be old; the cache learns it."""
        found = await self._client.find(kind, namespace, name)
        if found is not None:
            self._world.wrote(found)
        return found


def _as_seen(have: Obj | None) -> dict[str, str]:
    if have is None:
        return {"resourceVersion": NOT_THERE}
    return {field: have["metadata"][field] for field in ("uid", "resourceVersion") if field in have["metadata"]}


def _is_another(error: ApiError) -> bool:
    """Whether an apply was refused because the object is not as it was looked at, or a namesake of that."""
    return isinstance(error, Conflict) or (isinstance(error, Invalid) and any(cause.field == "metadata.uid" for cause in error.causes))


def _at(manifest: Obj) -> tuple[str, str, str]:
    metadata = manifest["metadata"]
    return str(kinds.kind_of(manifest)), str(metadata.get("namespace") or ""), str(metadata["name"])
