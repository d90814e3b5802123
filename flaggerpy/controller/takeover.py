"""Taking over from Flagger: its marks on objects, read from managedFields. Pure.

What Flagger made becomes ours as a whole before our first apply; a Flagger that still writes the status of a Canary makes us stand down
from it, for two controllers that move the same weights would undo each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flaggerpy.api.durations import parse_duration
from flaggerpy.api.names import FIELD_MANAGER
from flaggerpy.api.status import from_timestamp

Obj = dict[str, Any]

FLAGGER = "flagger"
SHORTEST_SILENCE = 120.0
DEFAULT_INTERVAL = 60.0


def is_flaggers(entry: Obj) -> bool:
    """True for the note that Flagger's own writes of spec and metadata leave."""
    return entry.get("manager") == FLAGGER and entry.get("operation") == "Update" and not entry.get("subresource")


def claim(obj: Obj) -> list[Obj] | None:
    """The JSON patch that makes Flagger's fields of an object ours, None when there are none (or they are ours already)."""
    entries = obj["metadata"].get("managedFields") or []
    ours = any(entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" for entry in entries)
    theirs = [entry for entry in entries if is_flaggers(entry)]
    if not theirs or ours:
        return None
    first, *others = theirs
    renamed = [
        {**entry, "manager": FIELD_MANAGER, "operation": "Apply"} if entry is first else entry for entry in entries if entry not in others
    ]
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": renamed},
    ]


def flagger_wrote(objects: Iterable[Obj]) -> float:
    """When Flagger last wrote one of these objects (epoch seconds), 0 for never."""
    times = [
        from_timestamp(entry["time"])
        for obj in objects
        for entry in (obj.get("metadata") or {}).get("managedFields") or ()
        if is_flaggers(entry) and entry.get("time")
    ]
    return max(times, default=0.0)


def silence(canary: Obj) -> float:
    """Seconds without a write of Flagger's after which it counts as gone: three of its looks, and two minutes at least."""
    analysis = (canary.get("spec") or {}).get("analysis") or {}
    try:
        interval = parse_duration(str(analysis.get("interval") or "60s"))
    except (ValueError, AttributeError):
        interval = DEFAULT_INTERVAL
    return max(SHORTEST_SILENCE, 3 * interval)


def flagger_wrote_status(obj: Obj) -> float:
    """When Flagger last wrote the status of this Canary (epoch seconds), 0 for never."""
    times = [
        from_timestamp(entry["time"])
        for entry in obj["metadata"].get("managedFields") or ()
        if entry.get("manager") == FLAGGER and entry.get("subresource") == "status" and entry.get("time")
    ]
    return max(times, default=0.0)
