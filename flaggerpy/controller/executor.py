"""Effects carried out: one small function per type, in one table.

Each compares with the caches first and writes only on a difference, so that deciding again in the same state sends nothing. What we own
is written by server-side apply with the resourceVersion that was looked at; what the user owns by a JSON patch that tests it. An answer
goes into the cache, so that no decision is made on what was before it. A Conflict means that the cache lagged: the object is read again,
and the look begins anew (StaleError).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from flaggerpy.api import names
from flaggerpy.api.canary import AutoscalerRef
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError, Conflict, Invalid, NotFound
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.background import Background
from flaggerpy.controller.conflicts import Conflicts, Thing
from flaggerpy.controller.exporting import Exporting
from flaggerpy.controller.gather import desired_services, observed_route, route_split, same_cookies
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.keeping import Keeping
from flaggerpy.controller.leaving import Leaving
from flaggerpy.controller.look import Look, StaleError
from flaggerpy.controller.ownership import owner_of
from flaggerpy.controller.patches import difference
from flaggerpy.controller.seeing import Seeing, scaler_objects
from flaggerpy.controller.spans import last_run
from flaggerpy.controller.workloads import resource_of
from flaggerpy.controller.world import World
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.effects import Effect
from flaggerpy.rollout.facts import Unknown
from flaggerpy.routers import services
from flaggerpy.routers.base import RouteSplit
from flaggerpy.targets import scalers
from flaggerpy.targets.registry import target_for

Obj = dict[str, Any]

_log = logging.getLogger(__name__)


class Executor:
    """See `worker.Hands`."""

    def __init__(
        self,
        client: Client,
        world: World,
        seeing: Seeing,
        background: Background,
        applier: Applier,
        keeping: Keeping,
        recorder: EventRecorder,
        exported: Exporting,
        conflicts: Conflicts,
    ) -> None:
        self._client = client
        self._world = world
        self._seeing = seeing
        self._background = background
        self._applier = applier
        self._keeping = keeping
        self._recorder = recorder
        self._exported = exported
        self._conflicts = conflicts
        self._leaving = Leaving(client, world, seeing, applier)
        self._table: dict[type[Any], Callable[[Look, Any], Awaitable[None]]] = {
            fx.EnsureServices: self._ensure_services,
            fx.KeepRevision: self._keep_revision,
            fx.ForgetRevisions: self._forget_revisions,
            fx.EnsurePrimary: self._ensure_primary,
            fx.ScaleTarget: self._scale_target,
            fx.ScalePrimary: self._scale_primary,
            fx.EnsureScaler: self._ensure_scaler,
            fx.HoldScaler: self._hold_scaler,
            fx.RestoreTarget: self._restore_target,
            fx.SetSplit: self._set_split,
            fx.AnnounceBackends: self._announce_backends,
            fx.RestoreRouting: self._restore_routing,
            fx.LeaveBehind: self._leave_behind,
            fx.AskHook: self._ask_hook,
            fx.Measure: self._measure,
            fx.CheckProviders: self._check_providers,
            fx.CheckImages: self._check_images,
            fx.Deliver: self._deliver,
            fx.RecordEvent: self._record_event,
            fx.AddFinalizer: self._add_finalizer,
            fx.RemoveFinalizer: self._remove_finalizer,
            fx.ClearCommand: self._clear_command,
            fx.CountRelease: self._count_release,
        }

    async def carry_out(self, look: Look, effect: Effect) -> None:
        """Make one effect true. Raises StaleError, RefusedError or ApiError."""
        await self._table[type(effect)](look, effect)

    # --- objects of ours ---------------------------------------------------------------------------------------------------------------

    async def _ensure_services(self, look: Look, effect: fx.EnsureServices) -> None:
        for wanted in desired_services(look.snapshot, with_apex=effect.apex):
            have = self._world.services.get(look.key.namespace, wanted["metadata"]["name"])
            if not services.in_shape(wanted, have):
                await self._apply(look, wanted, have)

    async def _set_split(self, look: Look, effect: fx.SetSplit) -> None:
        snapshot = look.snapshot
        if snapshot.router is None or snapshot.routes is None:
            raise StaleError("the route's kind is not followed yet")
        wanted = route_split(effect.split, effect.run_id, look.status)
        observed = observed_route(snapshot)
        if observed is not None and observed.in_shape and _same_split(look, observed.split, wanted):
            return
        routes = list(snapshot.routes)
        for manifest in snapshot.router.desired(look.canary, wanted, routes, snapshot.router_settings):
            await self._apply_route(look, manifest, routes)

    async def _announce_backends(self, look: Look, effect: fx.AnnounceBackends) -> None:
        snapshot = look.snapshot
        if snapshot.router is None or snapshot.routes is None:
            raise StaleError("the route's kind is not followed yet")
        routes = list(snapshot.routes)
        for manifest in snapshot.router.announce(look.canary, routes, snapshot.router_settings, lead=effect.lead):
            await self._apply_route(look, manifest, routes)

    async def _restore_routing(self, look: Look, effect: fx.RestoreRouting) -> None:
        try:
            await self._leaving.restore(look, effect.step)
        except (StaleError, ApiError) as error:
            if not effect.lenient:
                raise
            _log.warning("%s of %s is left as it is: %s", "the Service" if effect.step == "apex" else "the route", look.canary.apex, error)

    async def _leave_behind(self, look: Look, effect: fx.LeaveBehind) -> None:
        await self._leaving.leave(look, with_primary=effect.primary)

    async def _apply_route(self, look: Look, manifest: Obj, routes: list[Obj]) -> None:
        have = next((obj for obj in routes if _names(obj) == _names(manifest)), None)
        made = await self._apply(look, manifest, have) or have
        if made is not None and (have is None or made["metadata"]["resourceVersion"] != have["metadata"]["resourceVersion"]):
            self._seeing.route_writes[look.key] = self._client.now()

    async def _apply(self, look: Look, manifest: Obj, have: Obj | None) -> Obj | None:
        """Apply what requests hang on; what has to be said again was undone by somebody. None: he fights, and we rest for a moment."""
        undone = have is not None and self._applier.repeats(manifest) and next(difference(have, manifest), "")
        if not undone:
            return await self._applier.apply(manifest, have)
        kind, name = _names(manifest)
        thing = Thing(kind, name, ".".join(undone.partition("[")[0].split(".")[:2]))
        if self._conflicts.rest(look.key, thing) > 0:
            return None
        have = await self._applier.read_again(kinds.kind_of(manifest), look.key.namespace, name)
        made = await self._applier.apply(manifest, have)
        if have is not None and made["metadata"]["resourceVersion"] == have["metadata"]["resourceVersion"]:
            return made  # only worded differently by the server
        # who set it is told by what stood before: with our write he owns it no more
        fight = self._conflicts.undone(look.key, thing, owner_of(have or made, thing.field), urgent=True)
        self._recorder.record(look.obj, f"{fight.manager} has changed {thing}: it was put right", type="Warning")
        look.again = True
        return made

    # --- revisions and the primary -----------------------------------------------------------------------------------------------------

    async def _keep_revision(self, look: Look, effect: fx.KeepRevision) -> None:
        await self._keeping.keep(look, effect.revision)

    async def _forget_revisions(self, look: Look, effect: fx.ForgetRevisions) -> None:
        await self._keeping.forget(look, frozenset(effect.but), frozenset(effect.configs_of))

    async def _ensure_primary(self, look: Look, effect: fx.EnsurePrimary) -> None:
        await self._keeping.ensure_primary(look, effect)

    async def _restore_target(self, look: Look, effect: fx.RestoreTarget) -> None:
        template = await self._keeping.template(look, effect.revision)
        have = self._target(look)
        if have is None:
            raise StaleError(f"{look.canary.kind} {look.canary.target} is gone")
        if operations := target_for(look.canary.kind).restoring(have, template):
            await self._patch(look, resource_of(look.canary.kind), have, operations)

    # --- sizes -------------------------------------------------------------------------------------------------------------------------

    async def _scale_target(self, look: Look, effect: fx.ScaleTarget) -> None:
        await self._scale(look, look.canary.target, effect.replicas)

    async def _scale_primary(self, look: Look, effect: fx.ScalePrimary) -> None:
        await self._scale(look, names.primary_name(look.canary.target), effect.replicas)

    async def _scale(self, look: Look, name: str, replicas: int) -> None:
        kind, have = target_for(look.canary.kind), self._world.workload(look.canary.kind, look.key.namespace, name)
        operations = kind.scaling(have, replicas) if have is not None else []
        if have is None or not operations:
            return
        if replicas < kind.size(have) and not await self._seeing.prove(look.snapshot):
            raise StaleError(f"caches lagged before scaling {name} down")
        await self._patch(look, resource_of(look.canary.kind), have, operations)

    async def _ensure_scaler(self, look: Look, effect: fx.EnsureScaler) -> None:
        ref, (source, have) = self._scalers(look)
        kind = kinds.KNOWN[(scalers.KINDS[ref.kind].group, ref.kind)]
        if have is not None and (operations := scalers.pause_patch(have, paused=False)):
            # an annotation of somebody else's would outlive every apply of ours
            have = await self._patch(look, kind, have, operations)
        wanted = scalers.twin(look.canary, ref, source, have, floor=effect.floor, follow=effect.follow)
        if wanted is not None:
            await self._applier.apply(wanted, have)

    async def _hold_scaler(self, look: Look, effect: fx.HoldScaler) -> None:
        ref, (source, _) = self._scalers(look)
        if source is None or not (operations := scalers.pause_patch(source, paused=effect.paused)):
            return
        await self._patch(look, kinds.KNOWN[(scalers.KINDS[ref.kind].group, ref.kind)], source, operations)

    def _scalers(self, look: Look) -> tuple[AutoscalerRef, tuple[Obj | None, Obj | None]]:
        """The reference and both objects as the caches have them now. Raises StaleError while they are not followed."""
        ref = look.canary.spec.autoscaler_ref
        if ref is None or isinstance(look.snapshot.scalers, Unknown):
            raise StaleError("the autoscaler's kind is not followed yet")
        source, twin = (self._world.route(each, look.key.namespace) for each in scaler_objects(look.canary))
        return ref, (source, twin)

    def _target(self, look: Look) -> Obj | None:
        return self._world.workload(look.canary.kind, look.key.namespace, look.canary.target)

    async def _patch(self, look: Look, kind: kinds.Kind, have: Obj, operations: Sequence[Obj]) -> Obj:
        """One change of an object, refused by the server when it is not as it was looked at."""
        name = have["metadata"]["name"]
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": have["metadata"]["resourceVersion"]}
        try:
            made = await self._client.json_patch(kind, look.key.namespace, name, [test, *operations])
        except (Invalid, Conflict) as error:
            await self._applier.read_again(kind, look.key.namespace, name)
            raise StaleError(f"{kind.kind} {name} has changed: {error}") from error
        except NotFound as error:
            raise StaleError(f"{kind.kind} {name} is gone") from error
        self._world.wrote(made)
        return made

    # --- the Canary itself -------------------------------------------------------------------------------------------------------------

    async def _add_finalizer(self, look: Look, effect: fx.AddFinalizer) -> None:
        if names.FINALIZER not in look.canary.finalizers:
            await self._set_finalizers(look, [*look.canary.finalizers, names.FINALIZER])

    async def _remove_finalizer(self, look: Look, effect: fx.RemoveFinalizer) -> None:
        if names.FINALIZER in look.canary.finalizers:
            await self._set_finalizers(look, [name for name in look.canary.finalizers if name != names.FINALIZER])

    async def _set_finalizers(self, look: Look, finalizers: list[str]) -> None:
        body = {"metadata": {"resourceVersion": look.obj["metadata"]["resourceVersion"], "finalizers": finalizers}}
        made = await self._client.merge_patch(kinds.CANARY, *look.key, body)
        self._wrote_canary(look, made)

    async def _clear_command(self, look: Look, effect: fx.ClearCommand) -> None:
        annotation = names.COMMANDS.get(effect.name, effect.name)
        if annotation not in look.canary.annotations:
            return
        path = "/metadata/annotations/" + annotation.replace("~", "~0").replace("/", "~1")
        # a newer wish of the same name must not be lost with the one that was carried out, though it be in the same words
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": look.obj["metadata"]["resourceVersion"]}
        try:
            made = await self._client.json_patch(kinds.CANARY, *look.key, [test, {"op": "remove", "path": path}])
        except (Invalid, Conflict) as error:
            await self._read_canary_again(look.key)
            raise StaleError(f"the command {effect.name} has changed") from error
        self._wrote_canary(look, made)

    def _wrote_canary(self, look: Look, made: Obj) -> None:
        self._world.wrote_canary(made)
        look.obj = made
        look.again = True

    async def _read_canary_again(self, key: Key) -> None:
        found = await self._client.find(kinds.CANARY, *key)
        if found is not None:
            self._world.wrote_canary(found)

    # --- what takes its time -----------------------------------------------------------------------------------------------------------

    async def _ask_hook(self, look: Look, effect: fx.AskHook) -> None:
        self._background.ask(look.key, look.canary, look.status, effect)

    async def _measure(self, look: Look, effect: fx.Measure) -> None:
        self._background.measure(look.key, look.canary, effect)

    async def _check_providers(self, look: Look, effect: fx.CheckProviders) -> None:
        self._background.check_providers(look.key, look.canary)

    async def _check_images(self, look: Look, effect: fx.CheckImages) -> None:
        target = look.snapshot.target.obj
        if target is not None:
            spec = (target["spec"].get("template") or {}).get("spec") or {}
            self._background.check_images(look.key, look.canary, look.status, effect, spec)

    async def _deliver(self, look: Look, effect: fx.Deliver) -> None:
        self._background.deliver(look.key, look.canary, look.status, effect)

    async def _record_event(self, look: Look, effect: fx.RecordEvent) -> None:
        # told with the decision that ends it, a run is no more in the status, and its last event is still of it
        run = look.status.run.id if look.status.run else last_run(look.canary, look.status)
        self._recorder.record(look.obj, effect.message, type=effect.type, reason=effect.reason, chapter=run)
        self._background.tell_event(look.canary, look.status, effect)

    def tell(self, key: Key, obj: Obj, sentence: str) -> None:
        """See `worker.Hands.tell`."""
        self._recorder.record(obj, sentence, type="Warning")

    async def _count_release(self, look: Look, effect: fx.CountRelease) -> None:
        self._exported.released(look.canary, success=effect.success, skipped=effect.skipped)


def _names(obj: Obj) -> tuple[str, str]:
    return str(obj.get("kind")), str(obj["metadata"]["name"])


def _same_split(look: Look, have: RouteSplit | None, want: RouteSplit) -> bool:
    if have is None or (have.canary, have.match, have.mirror) != (want.canary, want.match, want.mirror):
        return False
    return same_cookies(look.canary, have, want)


