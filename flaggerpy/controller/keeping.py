"""Kept revisions: the templates and config copies that make promotion promote what was analysed, and the primary made from them.

A revision is kept when its run begins: the copies of its configs first, then a ControllerRevision with the template and the configs'
checksums, which is never edited. The primary is only ever written from a kept revision. Nothing is kept that is not of exactly the
revision that was asked for: the target is read live for it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import REVISION_LABEL, REVISION_OF, kept_revision_name, primary_name
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import AlreadyExists, Conflict, NotFound
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.configs import KINDS, ConfigReader
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.look import Look, RefusedError, StaleError
from flaggerpy.controller.patches import covers
from flaggerpy.controller.promoted import Finder
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.workloads import present_hash
from flaggerpy.controller.world import World
from flaggerpy.rollout.effects import EnsurePrimary
from flaggerpy.rollout.facts import Unknown
from flaggerpy.rollout.revision import release_revision
from flaggerpy.targets import configs as tracking
from flaggerpy.targets.deployment import kept_revision, primary_manifest

Obj = dict[str, Any]

_log = logging.getLogger(__name__)


class Keeping:
    """Keeps, forgets, and makes primaries. `problems` are sentences about configs that a promotion lacks, by Canary."""

    def __init__(
        self, client: Client, world: World, applier: Applier, configs: ConfigReader, settings: Settings, finder: Finder
    ) -> None:
        self.problems: dict[Key, str] = {}
        self._client = client
        self._world = world
        self._applier = applier
        self._configs = configs
        self._settings = settings
        self._finder = finder
        self._made: dict[Key, tuple[EnsurePrimary, int]] = {}

    def forget_canary(self, key: Key) -> None:
        self.problems.pop(key, None)
        self._made.pop(key, None)

    # --- keeping -----------------------------------------------------------------------------------------------------------------------

    async def keep(self, look: Look, revision: str) -> None:
        """Store the target's present template if it is of this revision; else do nothing, the caches will bring what it is."""
        key, canary = look.key, look.canary
        known = look.snapshot.configs
        if isinstance(known, Unknown):
            raise StaleError("the target's configs are not known")
        if revision in self._world.kept(key).values():
            problem = await self._copy_configs(canary, known or {})
            if problem:
                raise StaleError(problem)
            return
        target = await self._client.find(kinds.DEPLOYMENT, key.namespace, canary.target)
        if target is None:
            raise StaleError(f"deployment {canary.target} is gone")
        self._world.wrote(target)
        found = release_revision(present_hash(target, self._world.replica_sets_of(key.namespace, canary.target)), known)
        earlier = self._finder.template(key, revision)
        if found != revision and earlier is not None:
            template, known = earlier
            found, target = revision, {**target, "spec": {**target["spec"], "template": template}}
        if found != revision:
            _log.info("%s is not kept: the target is at %s", revision, found or "a revision not made yet")
            return
        problem = await self._copy_configs(canary, known or {})
        if problem:
            raise StaleError(problem)
        manifest = kept_revision(canary, target, revision, known)
        try:
            made = await self._client.create(manifest)
        except AlreadyExists:
            made = await self._client.get(kinds.CONTROLLER_REVISION, key.namespace, manifest["metadata"]["name"])
            if not _owned_by(made, canary):
                name = manifest["metadata"]["name"]
                raise RefusedError(f"controllerrevision {name} exists and is not of this Canary: delete it") from None
        self._world.wrote(made)

    async def _copy_configs(self, canary: Canary, wanted: Mapping[str, str]) -> str:
        """Write the copies that are missing; the sentence about one that cannot be made any more, as its data has changed."""
        for key, checksum in wanted.items():
            kind, _, name = key.partition("/")
            copy_name = tracking.copy_name(name, checksum)
            existing = self._configs.metadata(kind, canary.namespace, copy_name)
            if existing is not None and _owned_by(existing, canary):
                continue
            source = await self._configs.data(kind, canary.namespace, name)
            if source is None or tracking.checksum(source) != checksum:
                # the version that was copied before: by us, or by Flagger under a name without version
                for older in (copy_name, primary_name(name)):
                    source = await self._configs.data(kind, canary.namespace, older)
                    if source is not None and tracking.checksum(source) == checksum:
                        break
                else:
                    if existing is not None:
                        raise StaleError(f"{copy_name} is gone")
                    return f"{key} is not any more what was analysed: its copy for the primary cannot be made"
                assert source is not None
                source = {**source, "metadata": {**source["metadata"], "name": name}}
            manifest = tracking.copy(
                source, canary, checksum, include_label_prefix=self._settings.label_prefixes, existing=existing
            )  # fmt: skip
            self._world.wrote(await self._client.apply(manifest))
        return ""

    # --- forgetting --------------------------------------------------------------------------------------------------------------------

    async def forget(self, look: Look, but: frozenset[str], configs_of: frozenset[str]) -> None:
        """Remove the kept revisions that are not in `but`, and the config copies that those of `configs_of` do not need."""
        key, canary = look.key, look.canary
        # the run has ended: what its primary was made of need not be remembered
        self._made.pop(key, None)
        kept = dict(self._world.kept(key))
        needed: set[str] = set()
        for name, revision in kept.items():
            if revision in configs_of:
                stored = await self._client.find(kinds.CONTROLLER_REVISION, key.namespace, name)
                checksums = ((stored or {}).get("data") or {}).get("configs") or {}
                needed |= {tracking.copy_name(at.partition("/")[2], checksum) for at, checksum in checksums.items()}
        # the revisions last: as long as one is there that is not wanted, a controller that died meanwhile is asked to forget again
        if any(revision in configs_of for revision in kept.values()):
            await self._forget_copies(canary, needed)
        for name, revision in kept.items():
            if revision not in but:
                await self._delete(kinds.CONTROLLER_REVISION, key.namespace, name)

    async def _forget_copies(self, canary: Canary, needed: set[str]) -> None:
        for kind, view in (("configmap", self._world.config_maps), ("secret", self._world.secrets)):
            for (_, name), obj in view.items_of(canary.namespace):
                copied = REVISION_OF in (obj["metadata"].get("labels") or {}) and _owned_by(obj, canary)
                if copied and name not in needed:
                    await self._release(KINDS[kind], obj, canary)

    async def _release(self, kind: kinds.Kind, obj: Obj, canary: Canary) -> None:
        """A copy goes with its last owner; while others own it, only our reference goes."""
        metadata = obj["metadata"]
        others = [owner for owner in metadata.get("ownerReferences") or () if owner.get("uid") != canary.uid]
        if not others:
            await self._delete(kind, metadata["namespace"], metadata["name"], metadata["uid"])
            return
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "ownerReferences": others}}
        try:
            self._world.wrote(await self._client.merge_patch(kind, metadata["namespace"], metadata["name"], body))
        except (Conflict, NotFound):
            _log.debug("%s %s changed meanwhile", kind, metadata["name"])

    async def _delete(self, kind: kinds.Kind, namespace: str, name: str, uid: str | None = None) -> None:
        try:
            await self._client.delete(kind, namespace, name, uid=uid)
        except (NotFound, Conflict):
            _log.debug("%s %s is gone already", kind, name)

    # --- the primary -------------------------------------------------------------------------------------------------------------------

    async def ensure_primary(self, look: Look, effect: EnsurePrimary) -> None:
        """The primary as the kept revision has it. Nothing is sent while it stands as we last left it."""
        key, canary = look.key, look.canary
        have = self._world.deployments.get(key.namespace, primary_name(canary.target))
        if have is not None and self._made.get(key) == (effect, int(have["metadata"].get("generation") or 0)):
            return
        kept = await self._kept(look, effect.revision)
        problem = await self._copy_configs(canary, kept.get("configs") or {})
        self._note(look, problem)
        if problem:
            return
        manifest = self._primary(look, effect, kept, have)
        if have is None or not covers(have, manifest):
            have = await self._applier.apply(manifest, have)
        self._made[key] = (effect, int(have["metadata"].get("generation") or 0))

    async def template(self, look: Look, revision: str) -> Obj:
        """The kept pod template of a revision. Raises RefusedError when it is not there."""
        found: Obj = (await self._kept(look, revision))["template"]
        return found

    async def _kept(self, look: Look, revision: str) -> Obj:
        name = kept_revision_name(look.canary.name, revision)
        stored = await self._client.find(kinds.CONTROLLER_REVISION, look.key.namespace, name)
        if stored is None:
            raise RefusedError(f"the kept template of revision {revision} (controllerrevision {name}) is gone")
        if not _owned_by(stored, look.canary) or (stored["metadata"].get("labels") or {}).get(REVISION_LABEL) != revision:
            raise RefusedError(f"controllerrevision {name} does not hold revision {revision} of this Canary")
        found: Obj = stored.get("data") or {}
        return found

    def _primary(self, look: Look, effect: EnsurePrimary, kept: Obj, have: Obj | None) -> Obj:
        label, value = look.snapshot.selector or self._selector_of(look.canary, kept)
        size = effect.replicas
        if size is None:
            # to leave it out would give up a field that is ours by now: the API server would make it 1
            size = int(have["spec"].get("replicas", 1)) if have else int(kept.get("replicas") or 1)
        return primary_manifest(
            look.canary,
            kept,
            selector_label=label,
            label_value=value,
            replicas=size,
            run_id=effect.run_id,
            revision=effect.revision,
            config_names=tracking.copy_names(kept.get("configs") or {}),
            include_label_prefix=self._settings.label_prefixes,
        )

    def _selector_of(self, canary: Canary, kept: Obj) -> tuple[str, str]:
        """The label of the target's pods where the target itself is gone: its template has it."""
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


def _owned_by(obj: Mapping[str, Any], canary: Canary) -> bool:
    return any(owner.get("uid") == canary.uid for owner in obj["metadata"].get("ownerReferences") or ())
