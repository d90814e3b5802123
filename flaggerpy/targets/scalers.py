"""Autoscalers of targets: the primary's twin from the user's object, and what both say. One class per kind; pure.

The twin is `<name>-primary`, with the user's labels, bounds, metrics and behaviour, but scales the primary (Flagger 3.6). During a release
it has a floor: a lower bound under which the primary does not shrink, whatever its load (P-2). What the floor replaces is remembered in an
annotation, so that it can be taken off without a look at the user's object. The user's own object is never written but for KEDA's pause.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from flaggerpy.api.canary import AutoscalerRef, Canary
from flaggerpy.api.names import SCALER_FLOOR, SCALER_SOURCE, primary_name
from flaggerpy.api.scalers import ScalerFacts
from flaggerpy.targets.metadata import Obj, owner_reference, without_toolkit

PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
PAUSES = frozenset({
    PAUSED_REPLICAS,
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-scale-in",
    "autoscaling.keda.sh/paused-scale-out",
})  # fmt: skip
"""A pause is about the user's object at this moment: the primary must go on scaling (Q-32)."""
_BOOKKEEPING = ("kubectl.kubernetes.io/last-applied-configuration",)
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")


class HorizontalPodAutoscaler:
    """autoscaling/v2. It leaves a target with zero pods alone, so that it need not be paused."""

    group, version, plural, kind = "autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"
    LEAST: ClassVar[str] = "minReplicas"
    MOST: ClassVar[str] = "maxReplicas"
    UNDER_FLOOR: ClassVar[tuple[str, ...]] = (LEAST,)
    """Fields that a floor replaces, or that would undermine it."""
    OWN_LABELS: ClassVar[frozenset[str]] = frozenset()
    unset_least = 1
    unset_most: int | None = None

    def paused(self, source: Mapping[str, Any]) -> bool | None:
        """None: there is no such thing."""
        return None

    def adapt(self, spec: Obj, ref: AutoscalerRef, target: str) -> None:
        """Change what else names the target in a spec that becomes the primary's."""


class ScaledObject:
    """keda.sh/v1alpha1. KEDA scales a target up from zero by itself, so that it is paused there while the target is idle."""

    group, version, plural, kind = "keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"
    LEAST: ClassVar[str] = "minReplicaCount"
    MOST: ClassVar[str] = "maxReplicaCount"
    UNDER_FLOOR: ClassVar[tuple[str, ...]] = (LEAST, "idleReplicaCount")
    OWN_LABELS: ClassVar[frozenset[str]] = frozenset({"scaledobject.keda.sh/name"})
    """KEDA's operator puts them on, with the object's own name: a copy on the twin would be fought over."""
    unset_least = 0
    unset_most: int | None = 100

    def paused(self, source: Mapping[str, Any]) -> bool | None:
        """Whether it is held at zero."""
        return (source["metadata"].get("annotations") or {}).get(PAUSED_REPLICAS) == "0"

    def adapt(self, spec: Obj, ref: AutoscalerRef, target: str) -> None:
        """The generated HPA has a name of its own, and queries ask for the primary's series (see `primary_query`)."""
        config = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
        if config.get("name"):
            config["name"] = primary_name(config["name"])
        for trigger in spec.get("triggers") or ():
            metadata = trigger.get("metadata") or {}
            if "query" not in metadata:
                continue
            if ref.primary_scaler_queries:
                metadata["query"] = ref.primary_scaler_queries.get(trigger.get("name", ""), metadata["query"])
            else:
                metadata["query"] = primary_query(metadata["query"], target)


Kind = HorizontalPodAutoscaler | ScaledObject
KINDS: dict[str, Kind] = {kind.kind: kind for kind in (HorizontalPodAutoscaler(), ScaledObject())}


def primary_query(query: str, target: str) -> str:
    """The query with the primary's name wherever it names the target or its `-canary`: whole names only, and only as values.

    Flagger replaces the bare text, and so also the label `app` of a target named app, and half of longer names (Q-32). Here a name counts
    within quotes, or without them after `=` or `:`; what follows it may be the rest of a pattern for pods (`app-.*`), not of a longer name.
    """
    name = rf"(?<![\w.-]){re.escape(target)}(?:-canary)?(?![\w])(?!-\w)"
    whole = re.compile(name)
    bare = re.compile(rf"(?<=[=:])(\s*){name}")
    parts, at = [], 0
    for quoted in _QUOTED.finditer(query):
        parts.append(bare.sub(lambda found: f"{found[1]}{primary_name(target)}", query[at : quoted.start()]))
        parts.append(whole.sub(primary_name(target), quoted[0]))
        at = quoted.end()
    parts.append(bare.sub(lambda found: f"{found[1]}{primary_name(target)}", query[at:]))
    return "".join(parts)


def facts(canary: Canary, ref: AutoscalerRef, source: Mapping[str, Any] | None, have: Mapping[str, Any] | None) -> ScalerFacts:
    """What the user's autoscaler (`source`) and the primary's (`have`) say; None for one that is not there."""
    kind = KINDS[ref.kind]
    name = f"{ref.kind} {ref.name}"
    own = None if source is None else _copied(canary, ref, source)
    standing = dict(have["spec"]) if have is not None else {}
    note = _floor_of(have)
    problem = ""
    if source is None:
        problem = f"spec.autoscalerRef: {name} is not there"
    elif (scaled := _scaled(source)) != canary.target:
        problem = f"spec.autoscalerRef: {name} scales {scaled or 'nothing'}, not {canary.target}"
    return ScalerFacts(
        name=name,
        problem=problem,
        least=max(_bound(source["spec"], kind.LEAST, kind.unset_least) or 1, 1) if source is not None else 1,
        most=_bound(source["spec"], kind.MOST, kind.unset_most) if source is not None else None,
        primary_most=_bound(own["spec"] if own is not None else standing, kind.MOST, kind.unset_most),
        paused=kind.paused(source) if source is not None else None,
        twin=have is not None,
        sound=have is None or _sound(canary, have),
        follows=own is None or have is None or _follows(kind, own, have, note),
        floor=note["floor"] if note else None,
    )


def twin(
    canary: Canary,
    ref: AutoscalerRef,
    source: Mapping[str, Any] | None,
    have: Mapping[str, Any] | None,
    *,
    floor: int | None,
    follow: bool,
) -> Obj | None:
    """The primary's autoscaler for server-side apply, with this floor. None when there is neither object to make it from.

    `follow` takes it from the user's as that stands now; else it stays what it was, and only the floor changes. With
    `autoscalerRef.sync: always` an upper bound does not fall while there is a floor: the pods that a switch needs are not taken away.
    """
    kind = KINDS[ref.kind]
    if source is not None and (follow or have is None):
        made = _copied(canary, ref, source)
        made["metadata"]["annotations"][SCALER_SOURCE] = _digest(made)
    elif have is not None:
        made = _as_it_was(kind, canary, have)
    else:
        return None
    if floor is not None:
        before = have["spec"] if have is not None and ref.sync == "always" else {}
        made["metadata"]["annotations"][SCALER_FLOOR] = _put_floor(kind, made["spec"], floor, before)
    return made


def pause_patch(source: Mapping[str, Any], *, paused: bool) -> list[Obj]:
    """The JSON patch operations on the user's ScaledObject that hold it at zero pods or let it go; empty when it is so already."""
    annotations = source["metadata"].get("annotations")
    path = "/metadata/annotations/" + PAUSED_REPLICAS.replace("~", "~0").replace("/", "~1")
    present = (annotations or {}).get(PAUSED_REPLICAS)
    if paused and present != "0":
        whole = [] if annotations else [{"op": "add", "path": "/metadata/annotations", "value": {}}]
        return [*whole, {"op": "add", "path": path, "value": "0"}]
    if not paused and present is not None:
        return [{"op": "remove", "path": path}]
    return []


def _copied(canary: Canary, ref: AutoscalerRef, source: Mapping[str, Any]) -> Obj:
    kind = KINDS[ref.kind]
    meta, spec = source["metadata"], copy.deepcopy(dict(source["spec"]))
    spec["scaleTargetRef"] = {**(spec.get("scaleTargetRef") or {}), "name": primary_name(canary.target)}
    if ref.primary_scaler_replicas is not None:
        for field, bound in ((kind.LEAST, ref.primary_scaler_replicas.min_replicas), (kind.MOST, ref.primary_scaler_replicas.max_replicas)):
            if bound is not None:
                spec[field] = bound
    kind.adapt(spec, ref, canary.target)
    annotations = without_toolkit(meta.get("annotations"))
    return {
        "apiVersion": f"{kind.group}/{kind.version}",
        "kind": kind.kind,
        "metadata": {
            "name": primary_name(ref.name),
            "namespace": canary.namespace,
            "labels": {key: value for key, value in without_toolkit(meta.get("labels")).items() if key not in kind.OWN_LABELS},
            "annotations": {key: value for key, value in annotations.items() if key not in PAUSES and not key.startswith(_BOOKKEEPING)},
            "ownerReferences": [owner_reference(canary)],
        },
        "spec": spec,
    }


def _as_it_was(kind: Kind, canary: Canary, have: Mapping[str, Any]) -> Obj:
    """What the twin is without its floor, with what must be so in any case."""
    meta, spec, note = have["metadata"], copy.deepcopy(dict(have["spec"])), _floor_of(have)
    if note:
        for field in (*kind.UNDER_FLOOR, kind.MOST):
            if field in note["own"]:
                spec[field] = note["own"][field]
            elif field in kind.UNDER_FLOOR:
                spec.pop(field, None)
    spec["scaleTargetRef"] = {**(spec.get("scaleTargetRef") or {}), "name": primary_name(canary.target)}
    dropped = PAUSES | {SCALER_FLOOR}
    return {
        "apiVersion": f"{kind.group}/{kind.version}",
        "kind": kind.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": canary.namespace,
            "labels": dict(meta.get("labels") or {}),
            "annotations": {key: value for key, value in (meta.get("annotations") or {}).items() if key not in dropped},
            "ownerReferences": [owner_reference(canary)],
        },
        "spec": spec,
    }


def _put_floor(kind: Kind, spec: Obj, floor: int, before: Mapping[str, Any]) -> str:
    """Raise the bounds of a twin's spec; the note of what they were."""
    own = {field: spec[field] for field in kind.UNDER_FLOOR if field in spec}
    most, earlier = _bound(spec, kind.MOST, kind.unset_most), before.get(kind.MOST)
    if most is not None and earlier is not None and earlier > most:
        own[kind.MOST] = most
        spec[kind.MOST] = most = earlier
    for field in kind.UNDER_FLOOR:
        spec.pop(field, None)
    raised = max(own.get(kind.LEAST, kind.unset_least), floor)
    spec[kind.LEAST] = raised if most is None else min(raised, most)
    return json.dumps({"floor": floor, "own": own}, sort_keys=True)


def _floor_of(have: Mapping[str, Any] | None) -> Obj | None:
    """The note about a twin's floor; None when it has none, or one that somebody spoiled."""
    text = ((have or {}).get("metadata", {}).get("annotations") or {}).get(SCALER_FLOOR)
    try:
        note = json.loads(text) if text else None
    except ValueError:
        return None
    fine = isinstance(note, dict) and isinstance(note.get("floor"), int) and isinstance(note.get("own"), dict)
    return note if fine else None


def _follows(kind: Kind, own: Obj, have: Mapping[str, Any], note: Obj | None) -> bool:
    if (have["metadata"].get("annotations") or {}).get(SCALER_SOURCE) != _digest(own):
        return False
    expected = copy.deepcopy(own["spec"])
    if note:
        _put_floor(kind, expected, note["floor"], have["spec"] if kind.MOST in note["own"] else {})
    return all(have["spec"].get(field) == expected.get(field) for field in (kind.LEAST, kind.MOST))


def _sound(canary: Canary, have: Mapping[str, Any]) -> bool:
    meta = have["metadata"]
    owned = any(owner.get("uid") == canary.uid for owner in meta.get("ownerReferences") or ())
    held = (meta.get("annotations") or {}).get(PAUSED_REPLICAS) == "0"
    return owned and not held and _scaled(have) == primary_name(canary.target)


def _scaled(scaler: Mapping[str, Any]) -> str:
    return str(((scaler.get("spec") or {}).get("scaleTargetRef") or {}).get("name") or "")


def _bound(spec: Mapping[str, Any], field: str, unset: int | None) -> int | None:
    value = spec.get(field)
    return unset if value is None else int(value)


def _digest(made: Obj) -> str:
    """A short name of what was copied: the same for the same words of the user."""
    meta = made["metadata"]
    annotations = {key: value for key, value in meta["annotations"].items() if key != SCALER_SOURCE}
    said = json.dumps([meta["labels"], annotations, made["spec"]], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
