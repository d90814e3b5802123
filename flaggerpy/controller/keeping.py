"""Kept revisions: the templates and config copies that make promotion promote what was analysed, and the primary made from them.

A revision is kept when its run begins: the copies of its configs first, then a ControllerRevision with the template and the configs'
checksums, which is never edited. The primary is only ever written from a kept revision. Nothing is kept that is not of exactly the
revision that was asked for: the target is read live for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, FOLLOWED_CONFIGS, REVISION_LABEL, kept_revision_name, primary_name
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import AlreadyExists, Conflict, Invalid, NotFound
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.background import Background
from flaggerpy.controller.configs import ConfigReader
from flaggerpy.controller.conflicts import Conflicts, Thing
from flaggerpy.controller.copies import Copies, Named, has_pods, used_by
from flaggerpy.controller.drift import Drift
from flaggerpy.controller.gather import budget_copies
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.look import Look, RefusedError, StaleError
from flaggerpy.controller.patches import covers
from flaggerpy.controller.promoted import Finder
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.workloads import HISTORIES, resource_of, selector_text
from flaggerpy.controller.world import World
from flaggerpy.rollout.effects import EnsurePrimary
from flaggerpy.rollout.facts import Unknown
from flaggerpy.rollout.revision import release_revision
from flaggerpy.targets import budgets
from flaggerpy.targets import configs as tracking
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.metadata import other_labels, owned_by
from flaggerpy.targets.registry import target_for

Obj = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Made:
    """What a primary was last made of, in which generation it stood then, and the followed configs that it was given before."""

    effect: EnsurePrimary
    generation: int
    followed: str


class Keeping:
    """Keeps, forgets, and makes primaries. `problems` are sentences about configs that a promotion lacks, by Canary."""

    def __init__(
        self,
        client: Client,
        world: World,
        background: Background,
        applier: Applier,
        configs: ConfigReader,
        recorder: EventRecorder,
        conflicts: Conflicts,
        settings: Settings,
        finder: Finder,
    ) -> None:
        self.problems: dict[Key, str] = {}
        self._client = client
        self._world = world
        self._applier = applier
        self._configs = configs
        self._copies = Copies(client, world, configs, settings)
        self._recorder = recorder
        self._conflicts = conflicts
        self._settings = settings
        self._finder = finder
        self._made: dict[Key, _Made] = {}
        self.drift = Drift(client, world, background, self.expected)

    def forget_canary(self, key: Key) -> None:
        self.problems.pop(key, None)
        self._made.pop(key, None)
        self.drift.forget(key)

    # --- keeping -----------------------------------------------------------------------------------------------------------------------

    async def keep(self, look: Look, revision: str) -> None:
        """Store the target's present template if it is of this revision; else do nothing, the caches will bring what it is."""
        key, canary = look.key, look.canary
        known = look.snapshot.configs
        if isinstance(known, Unknown):
            raise StaleError("the target's configs are not known")
        if revision in self._world.kept(key).values():
            problem = await self._copies.ensure(canary, known or {})
            if problem:
                raise StaleError(problem)
            return
        kind = target_for(canary.kind)
        target = await self._client.find(resource_of(canary.kind), key.namespace, canary.target)
        if target is None:
            raise StaleError(f"{canary.kind} {canary.target} is gone")
        self._world.wrote(target)
        found = release_revision(kind.revision(target, self._world.history(canary.kind, key.namespace, canary.target)), known)
        earlier = self._finder.template(key, revision)
        if found != revision and earlier is not None:
            template, known = earlier
            found, target = revision, {**target, "spec": {**target["spec"], "template": template}}
        if found != revision:
            _log.info("%s is not kept: the target is at %s", revision, found or "a revision not made yet")
            return
        problem = await self._copies.ensure(canary, known or {})
        if problem:
            raise StaleError(problem)
        manifest = kind.kept(canary, target, revision, known)
        try:
            made = await self._client.create(manifest)
        except AlreadyExists:
            made = await self._client.get(kinds.CONTROLLER_REVISION, key.namespace, manifest["metadata"]["name"])
            if not owned_by(made, canary):
                name = manifest["metadata"]["name"]
                raise RefusedError(f"controllerrevision {name} exists and is not of this Canary: delete it") from None
        self._world.wrote(made)

    # --- forgetting --------------------------------------------------------------------------------------------------------------------

    async def forget(self, look: Look, but: frozenset[str], configs_of: frozenset[str]) -> None:
        """Remove the kept revisions that are not in `but`, and the config copies that those of `configs_of` do not need."""
        key, canary = look.key, look.canary
        # the run has ended: what its primary was made of need not be remembered
        self._made.pop(key, None)
        kept = dict(self._world.kept(key))
        # the revisions last: as long as one is there that is not wanted, a controller that died meanwhile is asked to forget again
        if any(revision in configs_of for revision in kept.values()):
            needed = await self._used_by_primary(look)
            for name, revision in kept.items():
                if revision in configs_of:
                    stored = await self._client.find(kinds.CONTROLLER_REVISION, key.namespace, name)
                    needed |= _copies_of((stored or {}).get("data") or {})
            await self._copies.forget(canary, needed)
        for name, revision in kept.items():
            if revision not in but:
                obj = self._world.revisions.get(key.namespace, name)
                if obj is not None:
                    await self._delete(kinds.CONTROLLER_REVISION, obj)

    async def _used_by_primary(self, look: Look) -> set[Named]:
        """The configs that the primary names, or any of its pods that still run."""
        primary = self._world.workload(look.canary.kind, look.key.namespace, primary_name(look.canary.target))
        if primary is None:
            return set()
        used = used_by(primary)
        selector = selector_text(primary["spec"].get("selector") or {})
        kind = target_for(look.canary.kind)
        for each in await self._client.list(HISTORIES[kind.kind], look.key.namespace, label_selector=selector):
            # whether a ControllerRevision still has pods it does not tell
            if kind.kind == kinds.DAEMON_SET.kind or has_pods(each):
                used |= used_by({"spec": {"template": kind.held(each)[1]}})
        return used

    async def _delete(self, kind: kinds.Kind, obj: Mapping[str, Any]) -> None:
        metadata = obj["metadata"]
        version = metadata["resourceVersion"]
        try:
            await self._client.delete(kind, metadata["namespace"], metadata["name"], uid=metadata["uid"], resource_version=version)
        except (NotFound, Conflict):
            _log.debug("%s %s has changed, or is gone already", kind, metadata["name"])

    # --- the primary -------------------------------------------------------------------------------------------------------------------

    async def ensure_primary(self, look: Look, effect: EnsurePrimary) -> None:
        """The primary as the kept revision has it. Nothing is sent while it stands as we last left it."""
        key, canary = look.key, look.canary
        have = self._world.workload(canary.kind, key.namespace, primary_name(canary.target))
        if have is not None:
            await self._ensure_budgets(look)
        now = _Made(effect, _generation(have), tracking.followed_text(look.snapshot.followed))
        if have is not None and self._made.get(key) == now and self.drift.edit(key, have) is None:
            return
        kept = await self._kept(look.canary, effect.revision)
        tracked = kept.get("configs") or {}
        followed = await self._followed(key.namespace, kept, have)
        problem = await self._copies.ensure(canary, {name: digest for name, digest in tracked.items() if name not in followed})
        self._note(look, problem)
        if problem:
            return
        changed_again = await self._copies.ensure(canary, followed)
        if changed_again:
            raise StaleError(changed_again)
        manifest = self._primary(canary, look.snapshot.selector, effect, kept, have, followed)
        if have is not None:
            # it cannot be changed
            manifest["spec"]["selector"] = have["spec"]["selector"]
        elif look.snapshot.selector is not None and look.snapshot.target.obj is not None:
            matched = manifest["spec"]["selector"]["matchLabels"]
            manifest["spec"]["selector"] = {"matchLabels": other_labels(look.snapshot.target.obj, look.snapshot.selector[0]) | matched}
        have = await self._from_zero(canary, have, manifest)
        made = await self._write(look, manifest, have)
        self._made[key] = replace(now, generation=_generation(made))
        self.drift.left(key, made)

    async def _write(self, look: Look, manifest: Obj, have: Obj | None) -> Obj:
        """Apply a primary. What somebody else did to it is told, and goes with what he added."""
        edit, changed = self.drift.edit(look.key, have), list[str]()
        if have is not None and edit is not None:
            have = await self._reclaim(look)
        elif have is not None:
            if covers(have, manifest):
                return have
            before = tracking.followed_by(have)
            changed = sorted(key for key, digest in tracking.followed_by(manifest).items() if before.get(key, digest) != digest)
        made = await self._applier.apply(manifest, have)
        if have is not None and not covers(made, manifest):
            # somebody's additions to a list are his, and not named by us: they go only once they are ours
            made = await self._applier.apply(manifest, await self._reclaim(look))
        name = manifest["metadata"]["name"]
        if edit is not None:
            self._conflicts.undone(look.key, primary_thing(name), edit.manager)
            self._recorder.record(look.obj, f"{edit} of {name}: it gets back what was promoted", type="Warning")
            look.again = True
        if changed:
            self._recorder.record(look.obj, f"{name} follows {', '.join(changed)}, which changed")
        return made

    async def _ensure_budgets(self, look: Look) -> None:
        snapshot = look.snapshot
        wanted = budget_copies(snapshot)
        standing = {obj["metadata"]["name"]: obj for obj in snapshot.budgets}
        for manifest in wanted:
            have = standing.get(manifest["metadata"]["name"])
            if not covers(have, manifest):
                await self._applier.apply(manifest, have)
        for orphan in budgets.orphans(snapshot.budgets, look.canary, wanted) if snapshot.selector else ():
            await self._delete(kinds.POD_DISRUPTION_BUDGET, orphan)

    async def _reclaim(self, look: Look) -> Obj | None:
        return await self._applier.reclaim(resource_of(look.canary.kind), look.key.namespace, primary_name(look.canary.target))

    async def expected(self, key: Key, canary: Canary, primary: Obj) -> Obj:
        """See `drift.Expected`."""
        annotations = primary["spec"]["template"]["metadata"]["annotations"]
        effect = EnsurePrimary(annotations[REVISION_LABEL], annotations.get(FLAGGER_ID, ""))
        kept = await self._kept(canary, effect.revision)
        return self._primary(canary, None, effect, kept, primary, tracking.followed_by(primary))

    async def _followed(self, namespace: str, kept: Obj, have: Obj | None) -> dict[str, str]:
        """The checksums of the followed configs of a kept template; of one that is gone, the copy that the primary has stays."""
        if not self._settings.enable_config_tracking:
            return {}
        refs = tracking.references((kept.get("template") or {}).get("spec") or {})
        before = tracking.followed_by(have)
        gone = {
            ref.key: before[ref.key]
            for ref in refs
            if ref.key in before and self._configs.metadata(ref.kind, namespace, ref.name) is None
        }
        return gone | await self._configs.followed(namespace, [ref.key for ref in refs])

    async def _from_zero(self, canary: Canary, have: Obj | None, manifest: Obj) -> Obj | None:
        """A primary that somebody scaled to zero, where its manifest has no size and so would leave that as it is (Q-20)."""
        kind = target_for(canary.kind)
        if have is None or "replicas" in manifest["spec"] or kind.size(have) > 0:
            return have
        metadata, operations = have["metadata"], kind.scaling(have, 1)
        test = {"op": "test", "path": "/metadata/resourceVersion", "value": metadata["resourceVersion"]}
        try:
            made = await self._client.json_patch(resource_of(canary.kind), canary.namespace, metadata["name"], [test, *operations])
        except (Invalid, Conflict, NotFound) as error:
            await self._applier.read_again(resource_of(canary.kind), canary.namespace, metadata["name"])
            raise StaleError(f"{canary.kind} {metadata['name']} has changed: {error}") from error
        self._world.wrote(made)
        return made

    async def template(self, look: Look, revision: str) -> Obj:
        """The kept pod template of a revision. Raises RefusedError when it is not there."""
        found: Obj = (await self._kept(look.canary, revision))["template"]
        return found

    async def _kept(self, canary: Canary, revision: str) -> Obj:
        name = kept_revision_name(canary.name, revision)
        stored = await self._client.find(kinds.CONTROLLER_REVISION, canary.namespace, name)
        if stored is None:
            raise RefusedError(f"the kept template of revision {revision} (controllerrevision {name}) is gone")
        if not owned_by(stored, canary) or (stored["metadata"].get("labels") or {}).get(REVISION_LABEL) != revision:
            raise RefusedError(f"controllerrevision {name} does not hold revision {revision} of this Canary")
        found: Obj = stored.get("data") or {}
        return found

    def _primary(
        self,
        canary: Canary,
        selector: tuple[str, str] | None,
        effect: EnsurePrimary,
        kept: Obj,
        have: Obj | None,
        followed: Mapping[str, str],
    ) -> Obj:
        label, value = selector or self._selector_of(canary, kept, have)
        kind, size = target_for(canary.kind), effect.replicas
        if size is None:
            # to leave it out would give up a field that is ours by now: the API server would make it 1
            size = kind.size(have) if have else 0
            if size == 0 and (have is None or canary.spec.autoscaler_ref is None):
                size = int(kept.get("replicas") or 1)
        wanted = Wanted(
            selector_label=label,
            label_value=value,
            run_id=effect.run_id,
            revision=effect.revision,
            config_names=tracking.copy_names({**(kept.get("configs") or {}), **followed}),
            replicas=size,
            include_label_prefix=self._settings.label_prefixes,
        )
        manifest = kind.primary(canary, kept, wanted)
        if followed:
            manifest["metadata"]["annotations"][FOLLOWED_CONFIGS] = tracking.followed_text(followed)
        return manifest

    def _selector_of(self, canary: Canary, kept: Obj, have: Obj | None) -> tuple[str, str]:
        """The label of the target's pods where the target is not looked at: the primary that stands has it, or the kept template."""
        matched = (((have or {}).get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
        for name in self._settings.selector_label_names:
            if str(matched.get(name, "")).endswith("-primary"):
                return name, str(matched[name]).removesuffix("-primary")
        labels = ((kept.get("template") or {}).get("metadata") or {}).get("labels") or {}
        for name in self._settings.selector_label_names:
            if name in labels:
                return name, labels[name]
        raise RefusedError(f"the kept template of {canary.target} has none of the labels {', '.join(self._settings.selector_label_names)}")

    def _note(self, look: Look, problem: str) -> None:
        before = self.problems.get(look.key, "")
        if problem:
            self.problems[look.key] = problem
        else:
            self.problems.pop(look.key, None)
        look.again = look.again or before != problem


def _generation(obj: Obj | None) -> int:
    return int(((obj or {}).get("metadata") or {}).get("generation") or 0)


def _copies_of(kept: Obj) -> set[Named]:
    """The copies of the configs that a kept revision was analysed with."""
    names = tracking.copy_names(kept.get("configs") or {})
    return {(kind, name) for (kind, _), name in names.items()}


def primary_thing(name: str) -> Thing:
    """What is fought over when somebody edits a primary."""
    return Thing("Deployment", name, "spec.template")
