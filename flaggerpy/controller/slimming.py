"""What the caches keep of objects: all that a decision needs, and as little more as can be."""

from __future__ import annotations

from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.cluster.watch import Key as ObjectKey
from flaggerpy.cluster.watch import OnChange
from flaggerpy.controller.givers import notes
from flaggerpy.controller.packing import opened, packed
from flaggerpy.controller.takeover import is_flaggers
from flaggerpy.targets.templates import slim_history

Obj = dict[str, Any]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def slim(obj: Obj) -> Obj:
    """The object without managedFields and kubectl's copy of itself, which together are most of it.

    What Flagger made keeps them until we took it over (see `takeover.claim`).
    """
    metadata = obj.get("metadata") or {}
    entries = metadata.pop("managedFields", None) or []
    if any(is_flaggers(entry) for entry in entries):
        metadata["managedFields"] = entries
    annotations = metadata.get("annotations")
    if annotations and LAST_APPLIED in annotations:
        metadata["annotations"] = {name: value for name, value in annotations.items() if name != LAST_APPLIED}
    return obj


def slim_canary(obj: Obj) -> Obj:
    """A Canary with as much of its managedFields as tells who wrote its commands."""
    told = notes(obj)
    slim(obj)
    if told:
        obj["metadata"]["managedFields"] = told
    else:
        obj["metadata"].pop("managedFields", None)
    return obj


def as_is(obj: Obj) -> Obj:
    """Routes keep their managedFields: they tell when we wrote last."""
    return obj


def slim_scaler(obj: Obj) -> Obj:
    """An autoscaler without its status: what it measures is its own affair, and changes all the time.

    It keeps kubectl's annotation: a patch has to know whether the user's object has any.
    """
    annotations = (obj.get("metadata") or {}).get("annotations")
    slim(obj)
    obj.pop("status", None)
    if annotations is not None:
        obj["metadata"]["annotations"] = annotations
    return obj


def only_if_different(told: OnChange) -> OnChange:
    """Tell of changes in what is kept of an object; a version alone wakes nobody."""

    def changed(at: ObjectKey, new: Obj | None, old: Obj | None) -> None:
        if _without_version(opened(new)) != _without_version(opened(old)):
            told(at, new, old)

    return changed


def _without_version(obj: Obj | None) -> Obj | None:
    if obj is None:
        return None
    return {**obj, "metadata": {name: value for name, value in obj["metadata"].items() if name != "resourceVersion"}}


def slim_templates(obj: Obj) -> Obj:
    """A ReplicaSet or ControllerRevision with a digest in place of its pod template (there are ten per workload)."""
    return slim_history(slim(obj))


def slim_daemon_revision(obj: Obj) -> Obj | None:
    """ControllerRevisions of DaemonSets; those of StatefulSets and ours are of no interest here."""
    return packed(slim_templates)(obj) if owner_of(obj, kinds.DAEMON_SET.kind) else None


def owner_of(obj: Obj | None, kind: str) -> str:
    """The name of the controller of this kind that the object belongs to; "" where it belongs to none."""
    for owner in ((obj or {}).get("metadata") or {}).get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == kind:
            return str(owner.get("name") or "")
    return ""
