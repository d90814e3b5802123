"""Seeing: from the caches to the snapshot of one Canary, and which objects wake it.

Only what no watch brings is read: the data of tracked configs when their metadata changed, Warning events of pods while a run waits for
them, and the one live read before a promotion, a scale-down and Succeeded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flaggerpy.api import problems as spec
from flaggerpy.api.canary import Canary
from flaggerpy.api.names import primary_name
from flaggerpy.api.status import CanaryStatus, Phase, from_timestamp
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.background import Background
from flaggerpy.controller.configs import ConfigReader, Tracked
from flaggerpy.controller.conflicts import Conflicts
from flaggerpy.controller.gather import Snapshot, Workload, last_write
from flaggerpy.controller.givers import givers
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.interests import Ref
from flaggerpy.controller.keeping import Keeping, primary_thing
from flaggerpy.controller.promoted import Finder
from flaggerpy.controller.resized import Resized
from flaggerpy.controller.routewatches import kind_ref
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.unmade import Unmade
from flaggerpy.controller.workloads import HISTORIES, resource_of, selector_text
from flaggerpy.controller.world import World
from flaggerpy.rollout.facts import UNKNOWN, Found, Unknown
from flaggerpy.rollout.phases import RUNNING
from flaggerpy.routers import manifest, services
from flaggerpy.routers.base import RouteObject, Router
from flaggerpy.routers.base import Settings as RouterSettings
from flaggerpy.routers.registry import UnknownProvider, known_providers, router_for
from flaggerpy.targets import scalers
from flaggerpy.targets.configs import followed_by
from flaggerpy.targets.primary import selector_of

Obj = dict[str, Any]

PRIMARY_ROLLS = frozenset({Phase.NONE, Phase.INITIALIZING, Phase.PROMOTING, Phase.FINALISING})
EVENTS_EVERY = 10.0
EVENTS_KEPT = 20
PODS_AT_ONCE = 4
LIVE_AFTER = 20.0
"""Seconds, beyond the interval, that a run waits for the same thing before what it waits for is read live; then ever less often."""
FIRST_ROUTES = 2.0
"""Seconds that a look waits at most for the first list of the routes' kind, and of its target's."""
_PULLS = frozenset({"ErrImagePull", "ImagePullBackOff"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Told:
    """The events of one pod, and how it stood when they were read (`at`, epoch seconds): its restarts, and whether a pull failed."""

    restarts: int
    at: float
    events: tuple[Obj, ...]
    pull_failed: bool = False


@dataclass(frozen=True)
class Standing:
    """What a run waits for, since when the caches are believed (epoch seconds), and for how long."""

    text: str
    since: float
    patience: float

    @property
    def due(self) -> float:
        return self.since + self.patience


class Seeing:
    """See `worker.Eyes`."""

    def __init__(
        self,
        client: Client,
        world: World,
        background: Background,
        configs: ConfigReader,
        settings: Settings,
        keeping: Keeping,
        conflicts: Conflicts,
        finder: Finder,
    ) -> None:
        self._client = client
        self._world = world
        self._background = background
        self._configs = configs
        self._settings = settings
        self._keeping = keeping
        self._conflicts = conflicts
        self._resized = Resized(client, world, background, conflicts)
        self._finder = finder
        self.router_settings = RouterSettings(
            ingress_class=settings.ingress_class, ingress_annotations_prefix=settings.ingress_annotations_prefix
        )
        self._judged: dict[Key, tuple[tuple[str, int], tuple[str, ...]]] = {}
        self.route_writes: dict[Key, float] = {}
        self._events: dict[Key, dict[str, Told]] = {}
        self._standing: dict[Key, Standing] = {}
        self._unmade = Unmade(client, background)

    async def look(self, key: Key, obj: Obj, canary: Canary, status: CanaryStatus) -> Snapshot:
        """See `worker.Eyes.look`. After the last `await` everything is taken from the caches at one moment."""
        problems = list(self._spec_problems(key, obj))
        router = self._router(canary, problems)
        wanted = router.objects(canary) if router and canary.spec.service else []
        sized = scaler_objects(canary)
        await self._read_events(key)
        await self._world.first_workloads(canary.kind, key.namespace, FIRST_ROUTES)
        await self._world.first_routes([*wanted, *sized], key.namespace, FIRST_ROUTES)
        self._read_live_where_it_stands(key, canary, status, wanted)
        found = await self._promoted(key, canary, status)
        tracked, follows, target = await self._read_configs(key, canary, [*wanted, *sized])
        world = self._world
        primary = world.workload(canary.kind, key.namespace, primary_name(canary.target))
        problems += self._rivals(key, canary)
        unmade = self._unmade.look(key, (target, primary), status.run.started_at if status.run else None)
        selector: tuple[str, str] | None = None
        problem = ""
        if target is not None:
            label = selector_of(target, self._settings.selector_label_names)
            selector, problem = (None, label) if isinstance(label, str) else (label, "")
        standing = {name: world.services.get(key.namespace, name) for name in _service_names(canary)}
        problems += services.service_problems(canary, standing)
        followed, not_served = world.follow_routes(wanted, key.namespace)
        sizes_followed, sizes_not_served = world.follow_routes(sized, key.namespace)
        problems += not_served + sizes_not_served
        self._resized.look(key, canary, status, target)
        followed = followed or (canary.deleting and world.unserved(wanted))
        sizes_followed = sizes_followed or (canary.deleting and world.unserved(sized))
        routes = [route for route in (world.route(each, key.namespace) for each in wanted) if route is not None]
        problems += self._taken(key, canary, "spec.targetRef", [target], "another targetRef")
        made = [primary, *standing.values(), *routes]
        problems += self._taken(key, canary, "spec.service", made, "another service.name, or another targetRef")
        return Snapshot(
            canary=canary,
            status=status,
            router=router,
            router_settings=self.router_settings,
            target=self._workload(key, canary, "target", target, unmade, problem),
            primary=self._workload(key, canary, "primary", primary, unmade, ""),
            selector=selector,
            services=standing,
            routes=routes if followed else None,
            route_written_at=self._written_at(key, routes),
            scalers=_pair([world.route(each, key.namespace) for each in sized]) if sized and sizes_followed else UNKNOWN,
            kept=frozenset(world.kept(key).values()),
            found=found,
            configs=tracked.checksums if tracked else None,
            config_problem=(tracked.problem if tracked else "") or self._keeping.problems.get(key, ""),
            followed=follows,
            primary_edited=self._edited(key, primary),
            budgets=[obj for _, obj in world.budgets.items_of(key.namespace)],
            conflicts=self._conflicts.sentences(key),
            answers=self._background.answers(key, status),
            givers=givers(obj),
            problems=tuple(dict.fromkeys(problems)),
            warnings=(*spec.warnings(canary), *(router.warnings(canary) if router and canary.spec.service else [])),
            notified=bool(self._settings.slack_url or self._settings.msteams_url),
        )

    async def _promoted(self, key: Key, canary: Canary, status: CanaryStatus) -> Found | Unknown | None:
        """What the primary runs, where its promoted template is not kept: a Canary of Flagger's."""
        if status.phase is Phase.NONE or status.last_promoted_spec in self._world.kept(key).values():
            self._finder.forget(key)
            return None
        target, primary = (self._world.workload(canary.kind, key.namespace, name) for name in (canary.target, primary_name(canary.target)))
        return await self._finder.find(key, canary, target, primary)

    def _edited(self, key: Key, primary: Obj | None) -> bool:
        if primary is None or self._keeping.drift.edit(key, primary) is None:
            return False
        return self._conflicts.rest(key, primary_thing(primary["metadata"]["name"])) <= 0

    def _written_at(self, key: Key, routes: Sequence[Obj]) -> float | None:
        """When the route was last written: by us, else by the API server's notes, which may be in the future where its clock was set."""
        noted = last_write(routes)
        if key not in self.route_writes and noted is not None:
            self.route_writes[key] = min(noted, self._client.now())
        return self.route_writes.get(key)

    async def _read_configs(
        self, key: Key, canary: Canary, wanted: Sequence[RouteObject]
    ) -> tuple[Tracked | None, Mapping[str, str], Obj | None]:
        """The tracked configs of the target, those that the primary follows, and the target that they are of.

        The interests stand before anything is awaited.
        """
        plural = resource_of(canary.kind).plural
        fixed = [
            Ref(plural, key.namespace, canary.target),
            Ref(plural, key.namespace, primary_name(canary.target)),
            *(Ref(kinds.SERVICE.plural, key.namespace, name) for name in _service_names(canary)),
            *(Ref(route.plural, key.namespace, route.name) for route in wanted),
            *(kind_ref(route) for route in wanted),
        ]
        while True:
            target = self._world.workload(canary.kind, key.namespace, canary.target)
            primary = self._world.workload(canary.kind, key.namespace, primary_name(canary.target))
            if not self._settings.enable_config_tracking:
                self._world.interests.set(key, fixed)
                return None, {}, target
            template = (target["spec"].get("template") or {}) if target else {}
            of_primary = followed_by(primary)
            self._world.interests.set(key, [*fixed, *self._configs.refs(key.namespace, template, of_primary)])
            tracked = await self._configs.read(key.namespace, template) if target else None
            followed = await self._followed(key, of_primary)
            if _same(self._world.workload(canary.kind, key.namespace, canary.target), target):
                return tracked, followed, target

    async def _followed(self, key: Key, of_primary: Mapping[str, str]) -> Mapping[str, str]:
        try:
            return await self._configs.followed(key.namespace, of_primary)
        except ApiError as error:
            _log.info("followed configs of %s cannot be read: %s", key, error)
            return {}

    def _workload(self, key: Key, canary: Canary, role: str, obj: Obj | None, unmade: Sequence[Obj], problem: str) -> Workload:
        if obj is None:
            return Workload(known=self._world.knows(canary.kind, key.namespace))
        events = [*unmade, *(event for told in self._events.get(key, {}).values() for event in told.events)]
        history = self._world.history(canary.kind, key.namespace, obj["metadata"]["name"])
        return Workload(obj, history, self._world.pods(key, role), events, problem)

    def _router(self, canary: Canary, problems: list[str]) -> Router | None:
        """The provider's router; what it cannot do goes to the problems, unless the spec itself is refused already."""
        try:
            router = router_for(canary.spec.provider or self._settings.mesh_provider)
        except UnknownProvider as error:
            if not problems:
                problems.append(f"spec.provider: {error}")
            return None
        if not problems:
            problems += router.problems(canary)
        return router

    def _spec_problems(self, key: Key, obj: Obj) -> tuple[str, ...]:
        # the rules are many, and a spec changes rarely
        version = str(obj["metadata"].get("uid")), int(obj["metadata"].get("generation") or 0)
        known = self._judged.get(key)
        if known is None or known[0] != version:
            found = spec.spec_problems(
                obj,
                self._settings.mesh_provider,
                providers=known_providers(),
                same_namespace=self._settings.no_cross_namespace_refs,
            )
            known = self._judged[key] = (version, tuple(found))
        return known[1]

    def _rivals(self, key: Key, canary: Canary) -> list[str]:
        """A target belongs to the Canary that was there first; any other is refused."""
        rivals = self._world.canaries_of_target(key.namespace, canary.kind, canary.target) - {key}
        mine = self._age(key)
        older = sorted(rival for rival in rivals if self._age(rival) < mine)
        return [f"spec.targetRef: {canary.kind} {canary.target} is already released by the Canary {older[0].name}"] if older else []

    def _taken(self, key: Key, canary: Canary, field: str, standing: Sequence[Obj | None], instead: str) -> list[str]:
        """What another Canary made is not taken from it: two of them would lead each other's visitors astray, or stop each other's pods.

        `field` is where this Canary names it, and `instead` what it may name."""
        found = []
        for obj in standing:
            if obj is None or canary.deleting or not manifest.of_another(obj, canary):
                continue
            owner = next(ref for ref in obj["metadata"]["ownerReferences"] if ref.get("kind") == "Canary")
            living = self._world.canaries.get(key.namespace, str(owner.get("name")))
            if living is not None and living["metadata"].get("uid") == owner.get("uid"):
                what = f"{obj['kind']} {obj['metadata']['name']} belongs to the Canary {owner['name']}"
                found.append(f"{field}: {what}: give {instead}")
        return found

    def _age(self, key: Key) -> tuple[str, str]:
        obj = self._world.canaries.get(*key) or {}
        return str((obj.get("metadata") or {}).get("creationTimestamp") or "9"), key.name

    # --- caches that may be wrong ------------------------------------------------------------------------------------------------------

    def _read_live_where_it_stands(self, key: Key, canary: Canary, status: CanaryStatus, wanted: Sequence[RouteObject]) -> None:
        """A cache that missed an event stays wrong until the next one, and a run that waits for it would wait until its deadline."""
        if status.phase not in RUNNING or status.progress is None:
            self._standing.pop(key, None)
            return
        known, now = self._stands(key, canary, status.progress.waiting_for), self._client.now()
        if now >= known.due:
            self._standing[key] = Standing(known.text, now, 2 * known.patience)
            self._background.fetch(key, "live", partial(self._read_live, key, canary, wanted))

    def _stands(self, key: Key, canary: Canary, text: str) -> Standing:
        """Since when this is waited for: from now on, if it was something else."""
        known = self._standing.get(key)
        if known is None or known.text != text:
            known = self._standing[key] = Standing(text, self._client.now(), LIVE_AFTER + canary.spec.plan.interval_seconds)
        return known

    async def _read_live(self, key: Key, canary: Canary, wanted: Sequence[RouteObject]) -> None:
        kind = resource_of(canary.kind)
        names = ((kind, canary.target), (kind, primary_name(canary.target)))
        routes = ((kinds.Kind(route.group, route.version, route.plural, route.kind), route.name) for route in wanted)
        try:
            for obj in await asyncio.gather(*(self._client.find(kind, key.namespace, name) for kind, name in (*names, *routes))):
                if obj is None:
                    continue
                self._world.wrote(obj)
                if obj["kind"] == kind.kind and (selector := selector_text(obj["spec"].get("selector") or {})):
                    for each in await self._client.list(HISTORIES[kind.kind], key.namespace, label_selector=selector):
                        self._world.wrote(each)
            await self._world.list_pods(key)
        except ApiError as error:
            _log.info("%s cannot be read live: %s", key, error)

    async def prove(self, snapshot: Snapshot) -> bool:
        """Read target, primary and routes live; true when the caches said the same."""
        canary, kind = snapshot.canary, resource_of(snapshot.canary.kind)
        wanted = [(kind, canary.target, snapshot.target.obj), (kind, primary_name(canary.target), snapshot.primary.obj)]
        standing = {obj["metadata"]["name"]: obj for obj in snapshot.routes or ()}
        for route in snapshot.router.objects(canary) if snapshot.router and canary.spec.service else ():
            wanted.append((kinds.Kind(route.group, route.version, route.plural, route.kind), route.name, standing.get(route.name)))
        found = await asyncio.gather(*(self._client.find(kind, canary.namespace, name) for kind, name, _ in wanted))
        for obj in found:
            if obj is not None:
                self._world.wrote(obj)
        return all(_same(known, obj) for (_, _, known), obj in zip(wanted, found, strict=True))

    def follow(self, key: Key, snapshot: Snapshot, status: CanaryStatus) -> None:
        """Watch the pods that this status makes interesting: the run's, and the primary's while it rolls or a storm may be.

        What it waits for is believed from now on: there may be no other look until that is over.
        """
        running = status.phase in RUNNING
        if running and status.progress is not None:
            self._stands(key, snapshot.canary, status.progress.waiting_for)
        rolling = status.phase in PRIMARY_ROLLS or bool(status.run and (status.run.failures or status.run.undo_promotion))
        for role, workload, wanted in (("target", snapshot.target, running), ("primary", snapshot.primary, rolling)):
            selector = selector_text(workload.obj["spec"].get("selector") or {}) if wanted and workload.obj else None
            self._world.follow_pods(key, role, selector)

    # --- events of pods: what no status tells -------------------------------------------------------------------------------------------

    async def _read_events(self, key: Key) -> None:
        """Read the events of pods that restarted (a probe's kill is no crash), and now and then of those that do not get ready.

        Only the former are waited for: they count for a verdict. The latter are told later: a cut of the weight must not wait for them.
        """
        pods = self._followed_pods(key)
        told = self._events.setdefault(key, {}) if pods else self._events.pop(key, {})
        for uid in told.keys() - {pod["metadata"].get("uid") for pod in pods}:
            del told[uid]
        now = self._client.now()
        due = [(pod, told.get(str(pod["metadata"].get("uid")))) for pod in pods]
        due = [(pod, before) for pod, before in due if events_due(pod, before, now)]
        restarted = [pod for pod, before in due if _restarted(pod, before)]
        waiting = [pod for pod, before in due if not _restarted(pod, before)]
        if waiting:
            self._background.fetch(key, "events", partial(self._read_events_of, key, waiting[:PODS_AT_ONCE], told))
        await self._read_events_of(key, restarted[:PODS_AT_ONCE], told)

    async def _read_events_of(self, key: Key, pods: Sequence[Obj], told: dict[str, Told]) -> None:
        await asyncio.gather(*(self._read_events_of_pod(key, pod, told) for pod in pods))

    async def _read_events_of_pod(self, key: Key, pod: Obj, told: dict[str, Told]) -> None:
        uid = str(pod["metadata"].get("uid"))
        try:
            found = await self._client.list(kinds.EVENT, key.namespace, field_selector=f"involvedObject.uid={uid}")
        except ApiError as error:
            _log.info("events of pod %s cannot be read: %s", pod["metadata"]["name"], error)
            before = told.get(uid)
            # what was told stands, and restarts that were not looked at are looked at next time
            told[uid] = replace(before, at=self._client.now()) if before else Told(0, self._client.now(), ())
            return
        told[uid] = Told(_restarts(pod), self._client.now(), tuple(found[-EVENTS_KEPT:]), _pull_failed(pod))

    def look_again_in(self, key: Key) -> float | None:
        """Seconds after which the events of waiting pods should be read again, or what a run that stands waits for; None for neither."""
        standing = self._standing.get(key)
        waits = [EVENTS_EVERY] if any(not _ready(pod) for pod in self._followed_pods(key)) else []
        waits += [max(0.0, standing.due - self._client.now())] if standing else []
        fight, unmade = self._conflicts.next(key), self._unmade.look_again_in(key)
        waits += [seconds for seconds in (fight, unmade) if seconds is not None]
        return min(waits, default=None)

    def _followed_pods(self, key: Key) -> list[Obj]:
        return [*(self._world.pods(key, "target") or ()), *(self._world.pods(key, "primary") or ())]

    def forget(self, key: Key) -> None:
        """A Canary is gone."""
        self._judged.pop(key, None)
        self._events.pop(key, None)
        self._standing.pop(key, None)
        self._finder.forget(key)
        self._unmade.forget(key)
        self.route_writes.pop(key, None)
        self._resized.forget(key)
        self._conflicts.forget(key)


def scaler_objects(canary: Canary) -> list[RouteObject]:
    """The autoscaler that the Canary names, and the primary's; none where it names none."""
    ref = canary.spec.autoscaler_ref
    if ref is None:
        return []
    kind = scalers.KINDS[ref.kind]
    return [RouteObject(kind.group, kind.version, kind.plural, kind.kind, name) for name in (ref.name, primary_name(ref.name))]


def _pair(found: Sequence[Obj | None]) -> tuple[Obj | None, Obj | None]:
    source, twin = found
    return source, twin


def _service_names(canary: Canary) -> tuple[str, ...]:
    return services.service_names(canary) if canary.spec.service else ()


def events_due(pod: Obj, told: Told | None, now: float) -> bool:
    """Whether the events of a pod should be read at `now` (epoch seconds), after what was `told` before."""
    if _restarted(pod, told):
        return True
    if _ready(pod):
        return False
    if _pull_failed(pod) and not (told and told.pull_failed):
        return True  # only an event tells that a pull secret is missing, and the verdict does not wait long
    created = pod["metadata"].get("creationTimestamp")
    last = told.at if told else from_timestamp(created) if created else now
    # a pod made in the future was made after the server's clock was set
    return abs(now - last) >= EVENTS_EVERY


def _restarted(pod: Obj, told: Told | None) -> bool:
    return _restarts(pod) != (told.restarts if told else 0)


def _restarts(pod: Obj) -> int:
    state = pod.get("status") or {}
    every = [*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ())]
    return sum(int(container.get("restartCount") or 0) for container in every)


def _pull_failed(pod: Obj) -> bool:
    """Whether a pull fails though the pod names pull secrets."""
    if not (pod.get("spec") or {}).get("imagePullSecrets"):
        return False
    state = pod.get("status") or {}
    every = [*(state.get("initContainerStatuses") or ()), *(state.get("containerStatuses") or ())]
    return any(((entry.get("state") or {}).get("waiting") or {}).get("reason") in _PULLS for entry in every)


def _ready(pod: Obj) -> bool:
    conditions: Sequence[Obj] = (pod.get("status") or {}).get("conditions") or ()
    return any(condition.get("type") == "Ready" and condition.get("status") == "True" for condition in conditions)


def _same(known: Obj | None, found: Obj | None) -> bool:
    if known is None or found is None:
        return known is None and found is None
    return bool(known["metadata"].get("resourceVersion") == found["metadata"].get("resourceVersion"))


