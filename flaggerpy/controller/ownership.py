"""Who wrote what: read from managedFields, and given to us where a primary must be ours as a whole again. Pure.

Server-side apply sets the fields that it names; what somebody else added stays, as it is his. So an edit of a primary is undone in two
steps: his fields become ours, and then our manifest, which does not name them, removes them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from flaggerpy.api.names import FIELD_MANAGER

Obj = dict[str, Any]

SOMEBODY = "somebody"
_SIZE = frozenset({"f:replicas"})
"""Scalers and people may size a primary: that is no edit of it."""


def newest_other(obj: Mapping[str, Any], *path: str) -> str:
    """The manager that wrote last to this object, other than us; with a path (`f:spec`, `f:replicas`) the one that owns a field there."""
    found = [(str(entry.get("time") or ""), str(entry.get("manager") or "")) for entry in _others(obj) if _at(entry, path) is not None]
    return max(found)[1] if found else SOMEBODY


def owner_of(obj: Mapping[str, Any], field: str) -> str:
    """Who set a field, as `spec.selector`; where nobody owns it, who wrote last."""
    found = newest_other(obj, *(f"f:{part}" for part in field.split(".")))
    return newest_other(obj) if found == SOMEBODY else found


def foreign_fields(obj: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Fields of a workload's spec that others own, and who: `("template.spec.hostNetwork", "kubectl-edit")`.

    Sizes and annotations of pods (as `kubectl rollout restart` sets) are passed over.
    """
    return [(name, str(entry.get("manager"))) for entry in _others(obj) for name in _leaves(_spec_fields(entry))]


def reclaim(obj: Mapping[str, Any]) -> list[Obj] | None:
    """The JSON patch that makes ours what others own of a workload's spec; None when they own nothing of it."""
    entries: list[Obj] = copy.deepcopy(list((obj.get("metadata") or {}).get("managedFields") or ()))
    ours = next((entry for entry in entries if entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply"), None)
    taken = False
    if ours is None:
        return None
    for entry in entries:
        if not _is_other(entry):
            continue
        theirs = _spec_fields(entry)
        if not theirs:
            continue
        taken = True
        _merge(ours.setdefault("fieldsV1", {}).setdefault("f:spec", {}), theirs)
        _cut(entry["fieldsV1"]["f:spec"], theirs)
        if not entry["fieldsV1"]["f:spec"]:
            del entry["fieldsV1"]["f:spec"]
    if not taken:
        return None
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry for entry in entries if entry.get("fieldsV1")]},
    ]


def _others(obj: Mapping[str, Any]) -> Iterator[Obj]:
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        if _is_other(entry):
            yield entry


def _is_other(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") != FIELD_MANAGER and not entry.get("subresource")


def _at(entry: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    found: Any = entry.get("fieldsV1") or {}
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _spec_fields(entry: Mapping[str, Any]) -> Obj:
    """What an entry owns of the spec, without the size and the pods' annotations."""
    spec = copy.deepcopy({name: value for name, value in (_at(entry, ("f:spec",)) or {}).items() if name not in _SIZE})
    template = spec.get("f:template")
    if isinstance(template, dict):
        metadata = template.get("f:metadata")
        if isinstance(metadata, dict):
            metadata.pop("f:annotations", None)
            if not any(name != "." for name in metadata):
                template.pop("f:metadata")
        if not any(name != "." for name in template):
            spec.pop("f:template")
    return spec


def _merge(into: Obj, more: Mapping[str, Any]) -> None:
    for name, value in more.items():
        if isinstance(value, Mapping) and value:
            _merge(into.setdefault(name, {}), value)
        else:
            into.setdefault(name, {})


def _cut(tree: Obj, away: Mapping[str, Any]) -> None:
    """Remove from `tree` the leaves of `away`, and the branches that are empty then."""
    for name, value in away.items():
        if isinstance(value, Mapping) and value and isinstance(tree.get(name), dict):
            _cut(tree[name], value)
            if not tree[name]:
                del tree[name]
        else:
            tree.pop(name, None)


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in tree.items():
        if name == ".":
            continue
        here = _joined(path, name)
        inner = [key for key in value if key != "."] if isinstance(value, Mapping) else []
        if inner:
            yield from _leaves(value, here)
        else:
            yield here


def _joined(path: str, name: str) -> str:
    """`f:env` is a field, `k:{"name":"app"}` an item of a list by its key."""
    kind, _, rest = name.partition(":")
    if kind == "f":
        return f"{path}.{rest}" if path else rest
    key = rest.partition('":"')[2].rstrip('"}') or rest.strip("{}")
    return f"{path}[{key}]"
