"""What a primary of Flagger's runs: the ReplicaSet or ControllerRevision of the target whose template, made into a primary's, is the
primary's.

Flagger keeps no template, so a Canary that is taken over lacks the promoted one. Where the target holds another one by now (a run under
way, a release that failed) its history still has it. Compared are the pod templates without what the two controllers word differently:
names of config copies, affinities, spread, and the annotations that only primaries have. Read live, once for each state of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL, primary_name
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.configs import ConfigReader
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.workloads import HISTORIES, selector_text
from flaggerpy.rollout.facts import UNKNOWN, Found, Unknown
from flaggerpy.rollout.revision import release_revision
from flaggerpy.targets import configs as tracking
from flaggerpy.targets.metadata import without_toolkit
from flaggerpy.targets.primary import selector_of
from flaggerpy.targets.registry import target_for
from flaggerpy.targets.templates import HASH_LABEL, images, template_digest

Obj = dict[str, Any]
_WORDED_DIFFERENTLY = ("affinity", "topologySpreadConstraints")


@dataclass(frozen=True)
class Source:
    """What was found, and the template as the target had it. `found` None: nothing of its history has what the primary runs."""

    state: tuple[Any, ...]
    found: Found | None
    template: Obj


class Finder:
    """One for the controller; remembers what it found until target or primary change."""

    def __init__(self, client: Client, configs: ConfigReader, settings: Settings) -> None:
        self._client = client
        self._configs = configs
        self._settings = settings
        self._known: dict[Key, Source] = {}

    def forget(self, key: Key) -> None:
        """Nothing is to be found for this Canary (any more)."""
        self._known.pop(key, None)

    def template(self, key: Key, revision: str) -> tuple[Obj, Mapping[str, str] | None] | None:
        """The target's template of that revision and its configs' checksums, if it is what was found."""
        known = self._known.get(key)
        if known is None or known.found is None or known.found.revision != revision:
            return None
        return known.template, known.found.configs

    async def find(self, key: Key, canary: Canary, target: Obj | None, primary: Obj | None) -> Found | Unknown | None:
        """What the primary runs; UNKNOWN while it cannot be read, None where it is ours or nothing equals it."""
        annotations = (((primary or {}).get("spec") or {}).get("template") or {}).get("metadata", {}).get("annotations") or {}
        if target is None or primary is None or REVISION_LABEL in annotations:
            self.forget(key)
            return None
        state = tuple((obj["metadata"].get("uid"), obj["metadata"].get("generation")) for obj in (target, primary))
        known = self._known.get(key)
        if known is None or known.state != state:
            try:
                known = self._known[key] = await self._search(state, canary, target, primary)
            except ApiError:
                return UNKNOWN
        return known.found

    async def _search(self, state: tuple[Any, ...], canary: Canary, target: Obj, primary: Obj) -> Source:
        label = selector_of(target, self._settings.selector_label_names)
        if isinstance(label, str):
            return Source(state, None, {})
        selector = selector_text(target["spec"].get("selector") or {})
        kind = target_for(canary.kind)
        history = await self._client.list(HISTORIES[kind.kind], canary.namespace, label_selector=selector)
        own = [each for each in history if _owned(each, target)]
        present = template_digest(target["spec"].get("template") or {})
        # the present one first, then the newest
        own.sort(key=lambda each: str(each["metadata"].get("creationTimestamp")), reverse=True)
        own.sort(key=lambda each: template_digest(kind.held(each)[1]) != present)
        for each in own:
            hash_, template = kind.held(each)
            names = primary_configs(template, primary["spec"]["template"])
            if same_pods(template, primary["spec"]["template"], label, names):
                checksums = await self._checksums(canary, names)
                if checksums is None and names:
                    return Source(state, None, {})
                revision = release_revision(hash_, checksums)
                return Source(state, Found(revision, images(template), checksums), template)
        return Source(state, None, {})

    async def _checksums(self, canary: Canary, names: Mapping[tuple[str, str], str]) -> dict[str, str] | None:
        """The checksums of the primary's copies, by the names of the originals; None where one is gone, or tracking is off."""
        if not self._settings.enable_config_tracking:
            return None
        found: dict[str, str] = {}
        for (kind, name), copy_name in names.items():
            copied = await self._configs.data(kind, canary.namespace, copy_name)
            if copied is None:
                return None
            found[f"{kind}/{name}"] = tracking.checksum(copied)
        return found


def primary_configs(template: Mapping[str, Any], primary: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    """The copies that the primary's pods name in place of the target's configs, by (kind, name of the original)."""
    used = {(ref.kind, ref.name) for ref in tracking.references(primary.get("spec") or {})}
    mine = [(ref.kind, ref.name) for ref in tracking.references(template.get("spec") or {})]
    return {(kind, name): primary_name(name) for kind, name in mine if (kind, primary_name(name)) in used and (kind, name) not in used}


def same_pods(
    template: Mapping[str, Any], primary: Mapping[str, Any], label: tuple[str, str], names: Mapping[tuple[str, str], str]
) -> bool:
    """Whether the primary's pods are those of this template of the target's, but for what makes them a primary's."""
    mine, theirs = template.get("metadata") or {}, primary.get("metadata") or {}
    labels = {**without_toolkit(mine.get("labels")), label[0]: f"{label[1]}-primary"}
    labels.pop(HASH_LABEL, None)
    annotations = {name: value for name, value in (theirs.get("annotations") or {}).items() if name != FLAGGER_ID}
    wanted = {
        "metadata": {"labels": labels, "annotations": without_toolkit(mine.get("annotations"))},
        "spec": _plain(tracking.rename_references(template.get("spec") or {}, names)),
    }
    have = {"metadata": {"labels": theirs.get("labels"), "annotations": annotations}, "spec": _plain(primary.get("spec") or {})}
    return template_digest(wanted) == template_digest(have)


def _plain(spec: Mapping[str, Any]) -> Obj:
    return {name: value for name, value in spec.items() if name not in _WORDED_DIFFERENTLY}


def _owned(obj: Mapping[str, Any], by: Mapping[str, Any]) -> bool:
    return any(owner.get("uid") == by["metadata"].get("uid") for owner in obj["metadata"].get("ownerReferences") or ())
