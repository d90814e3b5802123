"""What the controller sees of the cluster: caches that follow it, and who is woken by what.

Our three kinds come in through kopf (`watching.py`); everything else through watches of our own: Deployments, ReplicaSets and Services
whole, ConfigMaps, Secrets and our ControllerRevisions as metadata only. DaemonSets with their ControllerRevisions and kinds of routes are
watched from the first Canary that needs them on, and pods only by the label selector of a run that is under way. All of this either in the
whole cluster or in each of the namespaces that were opened, independently of each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from flaggerpy.api.names import COPY_TO_PRIMARY, REVISION_LABEL, REVISION_OF
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.following import EVERYWHERE, Following
from flaggerpy.cluster.kinds import Kind
from flaggerpy.cluster.watch import Cache, OnChange, Projection, Watcher, key_of
from flaggerpy.cluster.watch import Key as ObjectKey
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.interests import Interests, Ref
from flaggerpy.controller.packing import Packed, View, opened, packed
from flaggerpy.controller.podwatches import ROLES, PodWatches
from flaggerpy.controller.routewatches import RouteWatches, any_of
from flaggerpy.controller.slimming import (
    as_is,
    only_if_different,
    owner_of,
    slim,
    slim_canary,
    slim_daemon_revision,
    slim_scaler,
    slim_templates,
)
from flaggerpy.controller.takeover import flagger_wrote_status
from flaggerpy.routers.base import RouteObject

Obj = dict[str, Any]

TOMBSTONES = 1000
SWEPT = frozenset({kinds.DEPLOYMENT, kinds.REPLICA_SET, kinds.DAEMON_SET})
"""What begins a release: while a Canary is idle nothing else would ever find that an event of these got lost."""
SCALERS = frozenset({kinds.HORIZONTAL_POD_AUTOSCALER, kinds.SCALED_OBJECT})
WATCH_LAG = 2.0
"""Seconds that a watch may be behind a list."""
OUR_KINDS = {"canaries": kinds.CANARY, "metrictemplates": kinds.METRIC_TEMPLATE, "alertproviders": kinds.ALERT_PROVIDER}

_log = logging.getLogger(__name__)


class World:
    """All caches. Made and used in one event loop; `start` returns when everything was listed once."""

    def __init__(self, client: Client, inbox: Inbox, keep: Callable[[str], bool] | None = None) -> None:
        """`keep` says of which namespaces anything is kept at all (None: of all); templates and alert providers are kept of every one."""
        self._keep = keep
        self.client = client
        self.inbox = inbox
        self.interests = Interests()
        self.scopes: list[str] = []
        """The namespaces that are open, or EVERYWHERE."""
        self._opening: set[str] = set()
        self._histories: dict[tuple[str, str, str], set[str]] = {}
        self._by_target: dict[tuple[str, str, str], set[Key]] = {}
        self._tombstones: OrderedDict[str, None] = OrderedDict()
        self._departed: OrderedDict[Key, Obj] = OrderedDict()
        self.flagger_wrote: dict[str, float] = {}
        """When Flagger last wrote a Canary's status (epoch seconds), by the Canary's uid."""
        self._writing: Key | None = None
        self.on_canary: Callable[[Key, Obj | None], None] | None = None
        """Told of each Canary that changed, or (None) is gone."""
        self._ours = {
            "canaries": Cache(kinds.CANARY, project=packed(slim_canary), on_change=self._canary_changed, keep=keep),
            "metrictemplates": Cache(kinds.METRIC_TEMPLATE, project=packed(slim), on_change=self._told("metrictemplates")),
            "alertproviders": Cache(kinds.ALERT_PROVIDER, project=packed(slim), on_change=self._told("alertproviders")),
        }
        self._views: list[View] = []
        self.canaries, self.templates, self.alert_providers = (self._view(cache) for cache in self._ours.values())
        self._followed: list[Following] = []
        self.deployments = self._watch(kinds.DEPLOYMENT)
        self.services = self._watch(kinds.SERVICE)
        self.config_maps = self._watch(kinds.CONFIG_MAP, metadata_only=True)
        self.secrets = self._watch(kinds.SECRET, metadata_only=True)
        self.replica_sets = self._watch(
            kinds.REPLICA_SET, project=packed(slim_templates), on_change=self._history_changed(kinds.DEPLOYMENT)
        )
        self.revisions = self._watch(
            kinds.CONTROLLER_REVISION, label_selector=REVISION_OF, metadata_only=True, on_change=self._revision_changed
        )
        self.budgets = self._watch(kinds.POD_DISRUPTION_BUDGET, label_selector=COPY_TO_PRIMARY, on_change=self._budget_changed)
        self._daemons: tuple[Following, ...] = ()
        self._workloads = {kinds.DEPLOYMENT.kind: self.deployments}
        self._templates_of = {kinds.DEPLOYMENT.kind: self.replica_sets}
        self._kept: dict[Key, dict[str, str]] = {}
        self._routes = RouteWatches(
            client,
            self._make_route,
            lambda: {*self.scopes, *self._opening},
            lambda kind: inbox.put_all(self.interests.who(any_of(kind))),
        )
        self._pods = PodWatches(client, inbox, self._later)
        self._tasks: dict[object, asyncio.Task[None]] = {}

    # --- life --------------------------------------------------------------------------------------------------------------------------

    async def start(self, scopes: Iterable[str] = (EVERYWHERE,)) -> None:
        """List our kinds (kopf goes on from there), start all watches and wait until each has listed once, in all these scopes."""
        await asyncio.gather(*(self._open(scope, at_once=True) for scope in scopes))

    async def open(self, namespace: str) -> None:
        """Attend this namespace, too. Raises ApiError when its Canaries cannot be listed: then it is as closed as before."""
        try:
            await self._open(namespace, at_once=False)
        except (ApiError, asyncio.CancelledError):
            await self.close(namespace)
            raise

    async def _open(self, scope: str, *, at_once: bool) -> None:
        """`at_once`: nobody works yet, so that our kinds may be known before what is around them is."""
        self._opening.add(scope)
        for following in self._everything():
            following.begin(scope)
        if not at_once:
            await self._listed(scope)
        if scope not in self.scopes:
            self.scopes.append(scope)
        self._opening.discard(scope)
        # the Canaries last: whoever looks at one finds the rest
        for plural in reversed(OUR_KINDS):
            await self._list(plural, scope, whole=not at_once)
        await self._listed(scope)

    async def _listed(self, scope: str) -> None:
        for following in self._everything():
            # none: the scope was closed meanwhile
            while (watcher := following.watchers.get(scope)) is not None and not watcher.synced.is_set():
                try:
                    await asyncio.wait_for(watcher.synced.wait(), 10)
                except TimeoutError:
                    _log.warning("still waiting for the first list of %s: %s", watcher.kind, watcher.problem or "no answer yet")

    async def close(self, namespace: str) -> None:
        """Attend this namespace no more: its Canaries are as if they had never been known."""
        if namespace in self.scopes:
            self.scopes.remove(namespace)
        self._opening.discard(namespace)
        for cache in self._ours.values():
            cache.forget(namespace)
        await asyncio.gather(*(following.end(namespace) for following in self._everything()))

    def _everything(self) -> list[Following]:
        return [*self._followed, *self._routes.followings]

    @property
    def watchers(self) -> list[Watcher]:
        """The watches that always run, once they have begun."""
        return [watcher for following in self._followed for watcher in following.watchers.values()]

    async def _list(self, plural: str, scope: str, *, whole: bool = True) -> None:
        """Read one of our kinds anew: what kopf never reported as deleted (it cannot know after a relist) goes.

        `whole` where workers are awake: one of them, woken by the first page, would take its Canary to be the only one of its target.
        """
        cache = self._ours[plural]
        await cache.fill(self.client.pages(OUR_KINDS[plural], scope or None), scope, whole=whole)
        if scope not in self.scopes:
            # it was closed meanwhile
            cache.forget(scope)
        # events of kopf come per object, in no common order: only an object's own version says what is newer
        cache.version = ""

    async def find_ghosts(self) -> None:
        """Compare names and versions only, and read anew where they do not agree with the cache. Raises the first ApiError at the end."""
        failure: ApiError | None = None
        for scope in tuple(self.scopes):
            try:
                await self._find_ghosts(scope)
            except ApiError as error:
                failure = failure or error
        if failure:
            raise failure

    async def _find_ghosts(self, scope: str) -> None:
        for plural, kind in OUR_KINDS.items():
            if self._ours[plural].missed(*await self.client.snapshot(kind, scope or None, metadata_only=True), scope):
                await self._list(plural, scope)
        for following in tuple(self._followed):
            if following.kind in SWEPT and scope in following.watchers:
                await self._catch_up(following.watchers[scope], scope)

    async def _catch_up(self, watcher: Watcher, scope: str) -> None:
        objects, version = await self.client.snapshot(watcher.kind, scope or None, metadata_only=True)
        if watcher.cache.missed(objects, version):
            # what the watch is about to tell is not lost
            await asyncio.sleep(WATCH_LAG)
            if watcher.cache.missed(objects, version):
                await watcher.list_again()

    async def stop(self) -> None:
        self._routes.stop()
        for task in self._tasks.values():
            task.cancel()
        every = [watcher for following in self._everything() for watcher in following.watchers.values()]
        every += [watcher for _, watcher in self._pods.watchers()]
        await asyncio.gather(*(watcher.stop() for watcher in every), return_exceptions=True)

    def watch_problems(self) -> dict[str, list[str]]:
        """Sentences about watches that do not work now, by the scope that they are in."""
        every = [(scope, watcher) for following in self._everything() for scope, watcher in following.watchers.items()]
        every += [(EVERYWHERE if EVERYWHERE in self.scopes else namespace, watcher) for namespace, watcher in self._pods.watchers()]
        found: dict[str, list[str]] = {}
        for scope, watcher in every:
            if watcher.problem:
                found.setdefault(scope, []).append(f"watching {watcher.kind}: {watcher.problem}")
        return found

    # --- our kinds, from kopf ----------------------------------------------------------------------------------------------------------

    def feed(self, plural: str, type_: str, obj: Obj) -> None:
        """An event of kopf: see `watching.Feed`."""
        namespace = str(obj["metadata"].get("namespace") or "")
        if not self.sees(namespace) or (plural == "canaries" and self._keep is not None and not self._keep(namespace)):
            return
        cache = self._ours[plural]
        uid = str(obj["metadata"].get("uid"))
        if type_ == "DELETED":
            self._tombstones[uid] = None
            self.flagger_wrote.pop(uid, None)
            while len(self._tombstones) > TOMBSTONES:
                self._tombstones.popitem(last=False)
        elif uid in self._tombstones:
            return
        elif plural == "canaries":
            self.flagger_wrote[uid] = flagger_wrote_status(obj)
        cache.event(type_, obj)
        cache.version = ""

    def sees(self, namespace: str) -> bool:
        """Whether this namespace is attended."""
        return namespace in self.scopes or EVERYWHERE in self.scopes

    def wrote_canary(self, obj: Obj) -> None:
        """The answer of our own write: no decision is made on anything older. It is no news: who wrote looks again if need be."""
        if self.sees(str(obj["metadata"].get("namespace") or "")) and str(obj["metadata"].get("uid")) not in self._tombstones:
            self._writing = Key(*key_of(obj))
            try:
                self._ours["canaries"].put(obj)
            finally:
                self._writing = None

    def canary_is_gone(self, key: Key) -> None:
        """The API server knows no such Canary: forget it without waiting for the watch."""
        known = self.canaries.get(*key)
        if known is not None:
            self._ours["canaries"].event("DELETED", known)
            self._ours["canaries"].version = ""

    def canaries_of_target(self, namespace: str, kind: str, name: str) -> frozenset[Key]:
        """The Canaries that name this target."""
        return frozenset(self._by_target.get((namespace, kind, name), ()))

    def _canary_changed(self, at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
        key = Key(*at)
        present = opened(new)
        before, after = _target_of(opened(old)), _target_of(present)
        if after is not None and after[0] == kinds.DAEMON_SET.kind:
            self._follow_daemon_sets()
        if before != after:
            for target in (before, after):
                if target is None:
                    continue
                rivals = self._by_target.setdefault((key.namespace, *target), set())
                (rivals.add if target == after else rivals.discard)(key)
                # a rival goes, or comes: the others have to judge anew whose target it is
                self.inbox.put_all(rivals - {key})
                if not rivals:
                    del self._by_target[(key.namespace, *target)]
        self._departed.pop(key, None)
        if old is not None and new is None:
            self._departed[key] = old
            if len(self._departed) > TOMBSTONES:
                self._departed.popitem(last=False)
        if key != self._writing:
            self.inbox.put(key)
        if self.on_canary:
            self.on_canary(key, present)

    def departed(self, key: Key) -> Obj | None:
        """The Canary as it was seen or written last, once, after it went; None when it was never known."""
        return opened(self._departed.pop(key, None))

    # --- the neighbours ----------------------------------------------------------------------------------------------------------------

    def _watch(
        self,
        kind: Kind,
        *,
        project: Projection | None = None,
        on_change: OnChange | None = None,
        label_selector: str | None = None,
        metadata_only: bool = False,
    ) -> View:
        def watcher(namespace: str | None) -> Watcher:
            told = on_change or self._told(kind.plural)
            put = project or packed(slim)
            return Watcher(self.client, kind, namespace, label_selector, metadata_only, put, told, keep=self._keep)

        following = Following(kind, watcher)
        self._followed.append(following)
        return self._view(following)

    def _view(self, cache: Packed) -> View:
        view = View(cache)
        self._views.append(view)
        return view

    def rest(self, key: Key) -> None:
        """Nothing is under way with this Canary: what was unpacked for it is not kept. A start looks at thousands in a row."""
        names = {ref.name for ref in self.interests.of(key) if ref.namespace == key.namespace} | {key.name}
        for kind in self._templates_of:
            names.update(*(self._histories.get((kind, key.namespace, name), ()) for name in tuple(names)))
        for view in self._views:
            for name in names:
                view.drop(key.namespace, name)

    def unlearn(self) -> None:
        """What was unpacked of the caches, not what is in them."""
        for view in self._views:
            view.forget()

    def _told(self, plural: str) -> OnChange:
        def changed(at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
            self.inbox.put_all(self.interests.who(Ref(plural, at.namespace, at.name)))

        return changed

    def workload(self, kind: str, namespace: str, name: str) -> Obj | None:
        """A target or primary by its kind; None also while `knows` says that its kind is not followed."""
        view = self._workloads.get(kind)
        return view.get(namespace, name) if view else None

    def knows(self, kind: str, namespace: str) -> bool:
        """Whether targets of this kind are followed by now: DaemonSets only from the first Canary of one on."""
        return kind != kinds.DAEMON_SET.kind or (bool(self._daemons) and all(each.synced(namespace) for each in self._daemons))

    async def first_workloads(self, kind: str, namespace: str, within: float) -> None:
        """Wait, so many seconds at most, until targets of this kind are followed."""
        if not self.knows(kind, namespace):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    for following in self._daemons:
                        await following.listed(namespace)

    def _follow_daemon_sets(self) -> None:
        if self._daemons:
            return
        before = len(self._followed)
        sets = self._watch(kinds.DAEMON_SET)
        revisions = self._watch(
            kinds.CONTROLLER_REVISION, project=slim_daemon_revision, on_change=self._history_changed(kinds.DAEMON_SET)
        )
        self._workloads[kinds.DAEMON_SET.kind], self._templates_of[kinds.DAEMON_SET.kind] = sets, revisions
        self._daemons = tuple(self._followed[before:])

        async def announce(scope: str) -> None:
            for following in self._daemons:
                await following.listed(scope)
            known = [(at, keys) for at, keys in self._by_target.items() if at[1] == kinds.DAEMON_SET.kind]
            self.inbox.put_all(key for (namespace, _, _), keys in known if scope in (EVERYWHERE, namespace) for key in keys)

        for scope in {*self.scopes, *self._opening}:
            for following in self._daemons:
                following.begin(scope)
            self._later(announce(scope))

    def _history_changed(self, workload: Kind) -> OnChange:
        def changed(at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
            for obj in (opened(old), opened(new)):
                owner = owner_of(obj, workload.kind)
                if not owner:
                    continue
                names = self._histories.setdefault((workload.kind, at.namespace, owner), set())
                (names.discard if new is None else names.add)(at.name)
                if not names:
                    del self._histories[(workload.kind, at.namespace, owner)]
                self.inbox.put_all(self.interests.who(Ref(workload.plural, at.namespace, owner)))

        return changed

    def history(self, kind: str, namespace: str, name: str) -> list[Obj]:
        """The objects in which the controller of a workload keeps its templates, as `slim_templates` left them."""
        view, names = self._templates_of.get(kind), self._histories.get((kind, namespace, name), ())
        found = (view.get(namespace, each) for each in sorted(names)) if view else ()
        return [obj for obj in found if obj is not None]

    def _budget_changed(self, at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
        # whose pods it means, only a look can tell; there are few
        self.inbox.put_all(Key(*key) for key in self.canaries if key.namespace == at.namespace)

    def _revision_changed(self, at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
        obj = opened(new or old)
        key = Key(at.namespace, owner_of(obj, "Canary"))
        kept = self._kept.setdefault(key, {})
        if obj is None or new is None:
            kept.pop(at.name, None)
        else:
            kept[at.name] = (obj["metadata"].get("labels") or {}).get(REVISION_LABEL, "")
        if not kept:
            del self._kept[key]
        if key in self.canaries:
            self.inbox.put(key)

    def kept(self, key: Key) -> Mapping[str, str]:
        """The ControllerRevisions of a Canary: object name to revision."""
        return self._kept.get(key, {})

    def wrote(self, obj: Obj) -> None:
        """The answer of our own write to any other object goes into the cache that follows it."""
        kind = kinds.kind_of(obj)
        for following in self._everything():
            if (following.kind.group, following.kind.plural) == (kind.group, kind.plural):
                following.put(obj)

    # --- routes: watched when somebody needs them --------------------------------------------------------------------------------------

    def route(self, wanted: RouteObject, namespace: str) -> Obj | None:
        """A route as it stands, None when it is not there. Only after `follow_routes` said that its kind is followed."""
        return self._routes.get(wanted, namespace)

    def follow_routes(self, wanted: Iterable[RouteObject], namespace: str) -> tuple[bool, list[str]]:
        """See `RouteWatches.follow`."""
        return self._routes.follow(wanted, namespace)

    def unserved(self, wanted: Iterable[RouteObject]) -> bool:
        """See `RouteWatches.unserved`."""
        return self._routes.unserved(wanted)

    async def first_routes(self, wanted: Iterable[RouteObject], namespace: str, within: float) -> None:
        """See `RouteWatches.first`."""
        await self._routes.first(wanted, namespace, within)

    def _make_route(self, kind: Kind) -> tuple[Following, View]:
        sizes = kind in SCALERS
        told = self._told(kind.plural)
        on_change = only_if_different(told) if sizes else told
        project = packed(slim_scaler if sizes else as_is)
        following = Following(
            kind, lambda namespace: Watcher(self.client, kind, namespace, project=project, on_change=on_change, keep=self._keep)
        )
        return following, self._view(following)

    # --- pods: of a run under way, by label selector -----------------------------------------------------------------------------------

    def follow_pods(self, key: Key, role: str, selector: str | None) -> None:
        """Watch the pods that this selector picks, None: no more. Role is `target` or `primary`."""
        self._pods.follow(key, role, selector)

    def pods(self, key: Key, role: str) -> list[Obj] | None:
        """The pods that are followed, None while they are not known yet."""
        return self._pods.get(key, role)

    async def list_pods(self, key: Key) -> None:
        """Read the pods that are followed anew, whatever their watch has told."""
        await self._pods.list_again(key)

    def let_pods_be(self, key: Key) -> None:
        """Nobody looks at this Canary any more: its pods are not watched."""
        for role in ROLES:
            self._pods.follow(key, role, None)

    def forget(self, key: Key) -> None:
        """A Canary is gone."""
        self.interests.forget(key)
        self.let_pods_be(key)

    def _later(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks[task] = task
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task


def _target_of(obj: Obj | None) -> tuple[str, str] | None:
    if obj is None:
        return None
    target = (obj.get("spec") or {}).get("targetRef") or {}
    return str(target.get("kind") or ""), str(target.get("name") or "")
