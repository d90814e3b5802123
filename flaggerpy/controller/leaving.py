"""Leaving: what is written when a Canary that is to be reverted goes.

Routing is led back step by step, and what the user owns bears no mark of ours afterwards: no annotation, and no field that is still said to
be ours in managedFields, at which the owner's next server-side apply would run into a conflict. What we made and traffic goes through is
left behind by taking the Canary out of its owners.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FIELD_MANAGER, FLUX_OPT_OUT, LEFT_BY, REVISION_OF, primary_name
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Conflict, Invalid, NotFound
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.gather import apex_back, ends
from flaggerpy.controller.look import Look, StaleError
from flaggerpy.controller.seeing import Seeing, scaler_objects
from flaggerpy.controller.workloads import resource_of
from flaggerpy.controller.world import World
from flaggerpy.routers import manifest, services, wayback

Obj = dict[str, Any]


class Leaving:
    """See the module."""

    def __init__(self, client: Client, world: World, seeing: Seeing, applier: Applier) -> None:
        self._client = client
        self._world = world
        self._seeing = seeing
        self._applier = applier

    async def restore(self, look: Look, step: Literal["apex", "announce", "lead", "end"]) -> None:
        """A step on the way back. Raises StaleError or ApiError."""
        if step == "apex":
            await self._restore_apex(look)
            return
        snapshot = look.snapshot
        if snapshot.router is None or snapshot.routes is None:
            return
        routes = list(snapshot.routes)
        for wanted in wayback.manifests(snapshot.router, look.canary, routes, step):
            have = manifest.find(routes, wanted["kind"], wanted["metadata"]["name"])
            if have is not None:
                await self._applier.apply(wanted, have)
                self._seeing.route_writes[look.key] = self._client.now()

    async def _restore_apex(self, look: Look) -> None:
        """Read live: the caches leave out kubectl's copy of it, which tells what a Service selected that Flagger had taken over."""
        apex = await self._client.find(kinds.SERVICE, look.key.namespace, look.canary.apex)
        wanted = apex_back(look.snapshot, apex) if apex is not None else None
        if wanted is not None:
            await self._applier.apply(wanted, apex)
        elif apex is not None:
            self._world.wrote(apex)

    async def leave(self, look: Look, *, with_primary: bool) -> None:
        """See `effects.LeaveBehind`. Raises StaleError or ApiError."""
        canary, namespace = look.canary, look.key.namespace
        serves = look.snapshot.target.obj is not None and not ends(look.snapshot.target.obj)
        if canary.spec.service is not None:
            await self._let_go(look, kinds.SERVICE, canary.apex, stays=serves, as_it_is=with_primary)
        router = look.snapshot.router
        for wanted in router.objects(canary) if router and look.snapshot.routes else ():
            found = self._world.route(wanted, namespace)
            if router and found is not None:
                stays = serves and (with_primary or wayback.stays(router, canary, found))
                kind = Kind(wanted.group, wanted.version, wanted.plural, wanted.kind)
                # what only splits is refused where it is somebody else's
                note = {} if isinstance(router, wayback.LeadsIn) else {LEFT_BY: canary.name}
                await self._let_go(look, kind, wanted.name, stays=stays, as_it_is=with_primary, note=note if with_primary else {})
        if not with_primary:
            return
        for name in services.service_names(canary)[1:] if canary.spec.service is not None else ():
            await self._let_go(look, kinds.SERVICE, name, stays=True, as_it_is=True, note={LEFT_BY: canary.name})
        for kind, name in self._copies(canary):
            await self._let_go(look, kind, name, stays=True, as_it_is=True)
        if isinstance(look.snapshot.scalers, tuple) and look.snapshot.scalers[1] is not None:
            for twin in scaler_objects(canary)[1:]:
                await self._let_go(look, kinds.KNOWN[(twin.group, twin.kind)], twin.name, stays=True, as_it_is=True)
        await self._let_go(look, resource_of(canary.kind), primary_name(canary.target), stays=True, as_it_is=True)

    def _copies(self, canary: Canary) -> list[tuple[Kind, str]]:
        every = ((kinds.CONFIG_MAP, self._world.config_maps), (kinds.SECRET, self._world.secrets))
        return [
            (kind, name)
            for kind, view in every
            for (_, name), obj in view.items_of(canary.namespace)
            if REVISION_OF in (obj["metadata"].get("labels") or {}) and manifest.is_ours(obj, canary)
        ]

    async def _let_go(
        self, look: Look, kind: Kind, name: str, *, stays: bool, as_it_is: bool, note: dict[str, str] | None = None
    ) -> None:
        """Take the Canary out of the owners of an object of ours that `stays`, and our marks off what is not (or no longer) ours.

        `as_it_is`: it goes on leading to the primary, and keeps what tells how it was before.
        """
        obj = await self._client.find(kind, look.key.namespace, name)
        if obj is None:
            return
        canary = look.canary
        ours = manifest.is_ours(obj, canary)
        if manifest.of_another(obj, canary) or (ours and not stays) or (not ours and as_it_is):
            return
        patch = _released(canary, obj, as_it_is=as_it_is, note=note or {})
        if not patch:
            return
        operations = [{"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]}, *patch]
        try:
            made = await self._client.json_patch(kind, look.key.namespace, name, operations)
        except (Conflict, Invalid) as error:
            await self._applier.read_again(kind, look.key.namespace, name)
            raise StaleError(f"{kind} {name} has changed: {error}") from error
        except NotFound:
            return
        self._world.wrote(made)


def _released(canary: Canary, obj: Obj, *, as_it_is: bool, note: dict[str, str]) -> list[Obj]:
    metadata, ours = obj["metadata"], manifest.is_ours(obj, canary)
    owners = list(metadata.get("ownerReferences") or ())
    annotations = dict(metadata.get("annotations") or {})
    entries = list(metadata.get("managedFields") or ())
    # of what is the user's, server-side apply took our annotations away, and left them where they are the user's as well
    kept = dict(_without_ours(annotations.items())) if ours and not as_it_is else annotations
    changes: list[tuple[str, Any, Any]] = [
        ("ownerReferences", owners, [owner for owner in owners if not _names(owner, canary)]),
        ("annotations", annotations, {**kept, **note}),
        ("managedFields", entries, entries if as_it_is else [entry for entry in entries if entry.get("manager") != FIELD_MANAGER]),
    ]
    return [
        {"op": "add", "path": f"/metadata/{field}", "value": after} if after or field == "managedFields"
        else {"op": "remove", "path": f"/metadata/{field}"}
        for field, before, after in changes
        if before != after
    ]  # fmt: skip


def _without_ours(annotations: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Without our note, and without the words by which Flux leaves an object alone: from now on it may have it."""
    for name, value in annotations:
        if name != manifest.ORIGINAL and FLUX_OPT_OUT.get(name) != value:
            yield name, value


def _names(owner: Obj, canary: Canary) -> bool:
    return owner.get("uid") == canary.uid or (owner.get("kind") == "Canary" and owner.get("name") == canary.name)
