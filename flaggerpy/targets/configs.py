"""ConfigMaps and Secrets that a target refers to: which are tracked, their checksums, and the versioned copies for the primary.

A copy is called `<name>-primary-<first 8 of its checksum>` and is immutable, so that no pod of the primary sees a config that its
revision was not analysed with (Q-19). Checksums of `.data` are Flagger's to the byte, so that a takeover finds nothing changed.
Each object may say by annotation how it is treated (`Mode`); docs/configs.md tells it to users.
"""

from __future__ import annotations

import copy as copies
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import CONFIG_TRACKING, FOLLOWED_CONFIGS, REVISION_OF, primary_name
from flaggerpy.targets.metadata import Obj, by_prefix, canary_label, owner_reference

Kind = Literal["configmap", "secret"]
Mode = Literal["track", "follow", "ignore"]
"""track: a change is a release. follow: a change reaches the primary at once, without one. ignore: the primary uses the object itself."""

TRACKED_SECRET_TYPES = frozenset({"Opaque", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth", "kubernetes.io/tls"})
MODES: tuple[Mode, ...] = ("track", "follow", "ignore")
NAME_LENGTH = 253
_VERSION_LENGTH = 8


@dataclass(frozen=True)
class ConfigRef:
    """A ConfigMap or Secret that pods refer to. `optional` only when every reference to it is."""

    kind: Kind
    name: str
    optional: bool = False

    @property
    def key(self) -> str:
        """The key in `status.trackedConfigs`."""
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True)
class _Slot:
    """A place in a pod spec that holds the name of a config: the dict, its key, and what it names."""

    holder: Obj
    field: str
    kind: Kind
    optional: bool


def references(pod_spec: Mapping[str, Any]) -> list[ConfigRef]:
    """The configs of a pod spec in the order in which they are first named: containers, init containers, volumes.

    Looked at are `env`, `envFrom`, and the volumes configMap, secret and projected; neither pull secrets, CSI nor ephemeral containers.
    """
    found: dict[tuple[Kind, str], bool] = {}
    for slot in _slots(pod_spec):
        name = slot.holder.get(slot.field)
        if name:
            found[slot.kind, name] = found.get((slot.kind, name), True) and slot.optional
    return [ConfigRef(kind, name, optional) for (kind, name), optional in found.items()]


def rename_references(pod_spec: Mapping[str, Any], mapping: Mapping[tuple[str, str], str]) -> Obj:
    """A copy of the pod spec that names, for each (kind, name) of the mapping, the config's other name."""
    renamed = copies.deepcopy(dict(pod_spec))
    for slot in _slots(renamed):
        name = slot.holder.get(slot.field)
        if name:
            slot.holder[slot.field] = mapping.get((slot.kind, name), name)
    return renamed


def _slots(pod_spec: Mapping[str, Any]) -> Iterator[_Slot]:
    for container in [*(pod_spec.get("containers") or ()), *(pod_spec.get("initContainers") or ())]:
        for env in container.get("env") or ():
            source = env.get("valueFrom") or {}
            yield from _named(source.get("configMapKeyRef"), "name", "configmap")
            yield from _named(source.get("secretKeyRef"), "name", "secret")
        for env_from in container.get("envFrom") or ():
            yield from _named(env_from.get("configMapRef"), "name", "configmap")
            yield from _named(env_from.get("secretRef"), "name", "secret")
    for volume in pod_spec.get("volumes") or ():
        yield from _named(volume.get("configMap"), "name", "configmap")
        yield from _named(volume.get("secret"), "secretName", "secret")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield from _named(source.get("configMap"), "name", "configmap")
            yield from _named(source.get("secret"), "name", "secret")


def _named(holder: Obj | None, field: str, kind: Kind) -> Iterator[_Slot]:
    if holder:
        yield _Slot(holder, field, kind, bool(holder.get("optional")))


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """"secret" or "configmap" of an object. Raises ValueError for any other kind."""
    kind = str(obj.get("kind", "")).lower()
    if kind == "configmap":
        return "configmap"
    if kind == "secret":
        return "secret"
    raise ValueError(f"{obj.get('kind')!r} is neither a ConfigMap nor a Secret")


def mode(obj: Mapping[str, Any]) -> Mode:
    """How an object wants to be treated: by its annotation, in our words or as Flagger reads it (`disable...`).

    Without a word of ours, a Secret of a type that is no configuration (a token, a registry's credentials) is ignored, as in Flagger.
    """
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    word = str(annotations.get(CONFIG_TRACKING, ""))
    if word.startswith("disable"):
        return "ignore"
    for known in MODES:
        if word == known:
            return known
    if kind_of(obj) == "secret" and (obj.get("type") or "Opaque") not in TRACKED_SECRET_TYPES:
        return "ignore"
    return "track"


def tracked(obj: Mapping[str, Any]) -> bool:
    """Whether a change of the object is a release."""
    return mode(obj) == "track"


def checksum(obj: Mapping[str, Any]) -> str:
    """16 hex digits: the first 8 bytes of sha256 over `.data` as Go's JSON writes it (Flagger's algorithm), and `.binaryData` if any.

    Flagger leaves binaryData out, so that a change of it never reaches the primary.
    """
    text = _go_json(obj.get("data"))
    if obj.get("binaryData"):
        text += _go_json(obj["binaryData"])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _go_json(data: Mapping[str, str] | None) -> str:
    text = json.dumps(None if data is None else dict(data), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def checksums(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """`status.trackedConfigs` of these objects, those that are not tracked left out."""
    return {f"{kind_of(obj)}/{obj['metadata']['name']}": checksum(obj) for obj in objects if tracked(obj)}


def copy_name(name: str, digest: str) -> str:
    """The name of the copy of a config in the version of this checksum. A name too long for Kubernetes is cut and hashed."""
    suffix = f"-{digest[:_VERSION_LENGTH]}"
    full = primary_name(name) + suffix
    if len(full) <= NAME_LENGTH:
        return full
    short = hashlib.sha256(name.encode()).hexdigest()[:10]
    return f"{primary_name(f'{name[:200]}-{short}')}{suffix}"


def copy_names(configs: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """What `rename_references` wants, from checksums keyed as in `status.trackedConfigs`."""
    names: dict[tuple[str, str], str] = {}
    for key, digest in configs.items():
        kind, _, name = key.partition("/")
        names[kind, name] = copy_name(name, digest)
    return names


def copy(obj: Mapping[str, Any], canary: Canary, digest: str, *, include_label_prefix: Sequence[str] = ()) -> Obj:
    """The manifest of the versioned copy: data, binaryData and type are kept, annotations are not; nobody can edit it."""
    meta = obj["metadata"]
    manifest: Obj = {
        "apiVersion": "v1",
        "kind": "Secret" if kind_of(obj) == "secret" else "ConfigMap",
        "metadata": {
            "name": copy_name(meta["name"], digest),
            "namespace": canary.namespace,
            "labels": by_prefix(meta.get("labels"), include_label_prefix) | canary_label(canary),
            "ownerReferences": [owner_reference(canary)],
        },
        "immutable": True,
    }
    for field in ("type", "data", "binaryData"):
        if obj.get(field) is not None:
            manifest[field] = copies.deepcopy(obj[field])
    return manifest


def is_copy(obj: Mapping[str, Any]) -> bool:
    """True for a copy that we made; its metadata are enough."""
    return REVISION_OF in ((obj.get("metadata") or {}).get("labels") or {})


def followed_by(primary: Mapping[str, Any] | None) -> dict[str, str]:
    """The checksums of the followed configs that a primary was given last, keyed as in `status.trackedConfigs`."""
    annotations = ((primary or {}).get("metadata") or {}).get("annotations") or {}
    entries = (entry.partition("=") for entry in str(annotations.get(FOLLOWED_CONFIGS, "")).split(","))
    return {key: digest for key, _, digest in entries if key and digest}


def followed_text(followed: Mapping[str, str]) -> str:
    """What `followed_by` reads."""
    return ",".join(f"{key}={digest}" for key, digest in sorted(followed.items()))
