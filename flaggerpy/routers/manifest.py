"""What the manifests of all routers share: metadata, ownership, taking over what a user wrote, and comparing want with have.

Ownership: what we create belongs to the Canary (controller reference). An object that was there before stays its maker's: it gets
no owner reference, and its former spec is kept in the annotation `ORIGINAL`, so that deletion with revert can give it back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary, Metadata, Service
from flaggerpy.api.names import FIELD_MANAGER, FLUX_OPT_OUT, GROUP, LEFT_BY, VERSION, canary_name, primary_name
from flaggerpy.routers.base import Obj

ORIGINAL = "flagger.kubernetes.io/original-configuration"
"""Flagger's annotation for the spec that an object had before it was taken over, as JSON."""

NOTHING: frozenset[str] = frozenset()


def service_of(canary: Canary) -> Service:
    """`spec.service`. Raises ValueError when there is none (routers refuse such a Canary by `problems` first)."""
    if canary.spec.service is None:
        raise ValueError(f"spec.service of {canary.key} is missing")
    return canary.spec.service


def primary_service(canary: Canary) -> str:
    """The name of the Service in front of the primary."""
    return primary_name(canary.apex)


def canary_service(canary: Canary) -> str:
    """The name of the Service in front of the canary."""
    return canary_name(canary.apex)


def our_services(canary: Canary) -> tuple[str, str]:
    """The names of the two backends of every route of ours: primary, canary."""
    return primary_service(canary), canary_service(canary)


def leads_elsewhere(canary: Canary, route: Obj, backends: Iterable[Sequence[Obj] | None]) -> bool:
    """True for a route of somebody else that names backends that are not ours; `backends` are those of each of its rules."""
    return not is_ours(route, canary) and any(each.get("name") not in our_services(canary) for rule in backends for each in rule or ())


def names_primary(canary: Canary, route: Obj) -> bool:
    """True for a route that names the primary's Service anywhere in its spec."""
    return json.dumps(primary_service(canary)) in json.dumps(route.get("spec") or {})


def owner_reference(canary: Canary) -> Obj:
    """The reference that makes the garbage collector remove an object with its Canary."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Canary",
        "name": canary.name,
        "uid": canary.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ours(obj: Mapping[str, Any], canary: Canary) -> bool:
    """True when the object belongs to this Canary, or to one of the same name that was deleted and made anew, or was left behind by it."""
    if ((obj.get("metadata") or {}).get("annotations") or {}).get(LEFT_BY) == canary.name:
        return True
    references = (obj.get("metadata") or {}).get("ownerReferences") or ()
    return any(
        reference.get("uid") == canary.uid
        or (
            reference.get("kind") == "Canary"
            and str(reference.get("apiVersion", "")).startswith(f"{GROUP}/")
            and reference.get("name") == canary.name
        )
        for reference in references
    )


def of_another(obj: Mapping[str, Any], canary: Canary) -> bool:
    """True when the object belongs to a Canary that is not this one."""
    references = (obj.get("metadata") or {}).get("ownerReferences") or ()
    return not is_ours(obj, canary) and any(
        reference.get("kind") == "Canary" and str(reference.get("apiVersion", "")).startswith(f"{GROUP}/") for reference in references
    )


def find(current: Iterable[Obj | None], kind: str, name: str) -> Obj | None:
    """The object of that kind and name among those that exist. A list answer may leave out the kind: then the name decides."""
    for obj in current:
        if obj and (obj.get("metadata") or {}).get("name") == name and obj.get("kind", kind) == kind:
            return obj
    return None


def managed(wanted: Mapping[str, str], foreign: Sequence[str]) -> dict[str, str]:
    """The labels or annotations to set: sorted, without the keys that `unmanagedMetadata` gives away."""
    return {key: wanted[key] for key in sorted(wanted) if key not in foreign}


def metadata(
    canary: Canary, name: str, custom: Metadata | None, current: Obj | None, labels: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Metadata of an object that we create or take over: custom labels and annotations, `labels`, the opt-out of Flux, the owner."""
    given = custom or Metadata()
    unmanaged = service_of(canary).unmanaged_metadata
    meta: dict[str, Any] = {"name": name, "namespace": canary.namespace}
    wanted_labels = managed({**given.labels, **(labels or {})}, unmanaged.labels if unmanaged else ())
    if wanted_labels:
        meta["labels"] = wanted_labels
    annotations = managed({**given.annotations, **FLUX_OPT_OUT}, unmanaged.annotations if unmanaged else ())
    kept = original(canary, current)
    if kept is not None:
        annotations[ORIGINAL] = kept
    if annotations:
        meta["annotations"] = annotations
    if current is None or is_ours(current, canary):
        meta["ownerReferences"] = [owner_reference(canary)]
    return meta


def original(canary: Canary, current: Obj | None) -> str | None:
    """The value of `ORIGINAL` for an object: the one it has, or its spec when it is taken over now; None when it is ours.

    A spec that already leads to our primary was taken over by Flagger before us: what was there first is not known any more.
    """
    if current is None:
        return None
    value = ((current.get("metadata") or {}).get("annotations") or {}).get(ORIGINAL)
    if value is not None:
        return str(value)
    if is_ours(current, canary):
        return None
    if names_primary(canary, current):
        return None
    return json.dumps(current.get("spec") or {}, sort_keys=True, separators=(",", ":"))


def restored(canary: Canary, current: Obj | None) -> list[Obj]:
    """The manifest that gives a taken-over object its former spec back; [] when it is ours (it goes with the Canary) or unknown."""
    if current is None or is_ours(current, canary):
        return []
    value = ((current.get("metadata") or {}).get("annotations") or {}).get(ORIGINAL)
    if value is None:
        return []
    try:
        spec = json.loads(value)
    except ValueError:
        return []
    return [
        {
            "apiVersion": current.get("apiVersion"),
            "kind": current.get("kind"),
            "metadata": {"name": current["metadata"]["name"], "namespace": canary.namespace},
            "spec": spec,
        }
    ]


def covers(want: Any, have: Any, *, ours: frozenset[str] = NOTHING, ordered: frozenset[str] = NOTHING, key: str = "") -> bool:
    """True when `have` says all that `want` says. Fields that only `have` knows are foreign and pass, those named in `ours` do not.

    Lists have the same length; their order counts only under the keys named in `ordered` (a set's order says nothing, Q-9).
    """
    if isinstance(want, Mapping):
        if not isinstance(have, Mapping):
            return False
        if any(have[field] and field not in want for field in have if field in ours):
            return False
        return all(field in have and covers(want[field], have[field], ours=ours, ordered=ordered, key=field) for field in want)
    if isinstance(want, list):
        if not isinstance(have, list) or len(want) != len(have):
            return False
        if key in ordered:
            return all(covers(mine, theirs, ours=ours, ordered=ordered) for mine, theirs in zip(want, have, strict=True))
        left = list(have)
        for mine in want:
            found = next((index for index, theirs in enumerate(left) if covers(mine, theirs, ours=ours, ordered=ordered)), None)
            if found is None:
                return False
            del left[found]
        return True
    return bool(want == have) and isinstance(want, bool) == isinstance(have, bool)


def same_metadata(want: Obj, have: Obj) -> bool:
    """True when the labels and annotations that we set are there; others may be there as well."""
    mine, theirs = want.get("metadata") or {}, have.get("metadata") or {}
    return all(covers(mine.get(field) or {}, theirs.get(field) or {}) for field in ("labels", "annotations"))


def owned(obj: Obj | None, *path: str) -> frozenset[str]:
    """The names of the fields below `path` that the API server notes as ours."""
    found: set[str] = set()
    for entry in ((obj or {}).get("metadata") or {}).get("managedFields") or ():
        fields = entry.get("fieldsV1") or {} if entry.get("manager") == FIELD_MANAGER else {}
        for step in path:
            fields = fields.get(f"f:{step}") or {}
        found |= {name.removeprefix("f:") for name in fields if name.startswith("f:")}
    return frozenset(found)


def left_over(want: Obj, have: Obj) -> bool:
    """True when a label, an annotation or a field of the spec is ours, and wanted no more: the next apply takes it away."""
    places = (("metadata", "labels"), ("metadata", "annotations"), ("spec",))

    def at(obj: Obj, place: tuple[str, ...]) -> Obj:
        for step in place:
            obj = obj.get(step) or {}
        return obj

    return any(owned(have, *place) & at(have, place).keys() - at(want, place).keys() for place in places)


def share(primary: int | float, canary: int | float) -> int | None:
    """The canary's percentage of two weights on whatever scale; None when both are nought."""
    total = primary + canary
    return round(100 * canary / total) if total > 0 else None


def weighed(shares: Sequence[int | None], tail: int, *, ab: bool, restricted: bool) -> tuple[int | None, bool]:
    """The canary's weight and whether matching requests go to it, from the shares of the rules in their order.

    The last `tail` rules take everybody, those before them the requests of `analysis.match`. `ab`: these go to the canary as a
    whole; `restricted`: the weights hold for these alone, everybody else stays with the primary.
    """
    if not shares:
        return None, False
    matching = len(shares) > tail
    if restricted and matching:
        return shares[0], False
    return shares[-1], ab and matching and shares[0] == 100
