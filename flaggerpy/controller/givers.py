"""Who gave a command: read from the managedFields of the Canary, which the API server keeps for each annotation. Pure."""

from __future__ import annotations

from typing import Any

from flaggerpy.api.names import COMMANDS
from flaggerpy.api.status import from_timestamp
from flaggerpy.rollout.facts import Giver

Obj = dict[str, Any]


def givers(obj: Obj) -> dict[str, Giver]:
    """By command: the field manager that wrote its annotation last, and when. Commands of which that is not known are left out."""
    metadata = obj.get("metadata") or {}
    standing = metadata.get("annotations") or {}
    found: dict[str, Giver] = {}
    for name, annotation in COMMANDS.items():
        if annotation not in standing:
            continue
        writes = [
            (from_timestamp(entry["time"]), str(entry.get("manager") or ""))
            for entry in metadata.get("managedFields") or ()
            if entry.get("time") and annotation in _owned(entry)
        ]
        if writes:
            at, by = max(writes)
            found[name] = Giver(by, at)
    return found


def notes(obj: Obj) -> list[Obj]:
    """The part of an object's managedFields that tells who wrote its commands; mostly none."""
    commands = set(COMMANDS.values())
    return [
        {
            "manager": entry.get("manager"),
            "time": entry.get("time"),
            "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{name}": {} for name in sorted(owned)}}},
        }
        for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        if (owned := _owned(entry) & commands)
    ]


def _owned(entry: Obj) -> set[str]:
    annotations = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return {str(name).removeprefix("f:") for name in annotations}
