"""Writing the status: the intent, before the deed. Pure, but for one function that sends it.

A status is written only when it differs, as a merge patch that carries the resourceVersion it was decided on: a Canary that changed
meanwhile, or a leader that is not one any more, gets a Conflict. Fields that we do not know stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flaggerpy.api.conditions import READY, RECONCILING
from flaggerpy.api.status import CanaryStatus
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.controller.patches import merge_diff

Obj = dict[str, Any]

_FAILURES = ("failures", "primaryFailures")
_SEEN = frozenset({"deadline", "primaryDeadline", *_FAILURES})
"""What a run remembers of what was seen."""
_KNOWN = frozenset(field.alias or name for name, field in CanaryStatus.model_fields.items())


def status_patch(obj: Obj, status: CanaryStatus) -> Obj | None:
    """The merge patch of the whole object that brings it this status; None when it has it already."""
    stored = {name: value for name, value in (obj.get("status") or {}).items() if name in _KNOWN}
    patch = merge_diff(stored, status.to_obj())
    if patch is None:
        return None
    return {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": patch}


def may_wait(obj: Obj, patch: Obj) -> bool:
    """Whether nothing is lost when this patch of `status_patch` is sent a moment later, or with the next.

    So it is with what is told about the wait (`progress`, and the messages of Ready and Reconciling), and with what is remembered of a
    deadline and of containers that do not fail: whoever looks later, or looks anew after a crash, sees the same pods and remembers the
    same, a moment later. What a container's ends are counted from is no such thing: it is what was seen first.
    """
    changed = patch["status"]
    if not changed.keys() <= {"progress", "conditions", "run"}:
        return False
    before = obj["status"]
    if "conditions" in changed and _without_words(before) != _without_words(changed):
        return False
    if "run" not in changed:
        return True
    known, seen = before.get("run"), changed["run"]
    if not known or not seen or not seen.keys() <= _SEEN:
        return False
    return all(_harmless(known.get(name) or (), seen[name] or ()) for name in _FAILURES if name in seen)


def _harmless(known: Sequence[Obj], seen: Sequence[Obj]) -> bool:
    """Whether these are but the counts of containers' ends, no container's end is among them, and none is counted from now on."""
    told = any(failure["kind"] != "crash" or failure["reason"] for failure in (*known, *seen))
    return not told and {_where(failure) for failure in seen} <= {_where(failure) for failure in known}


def _where(failure: Obj) -> tuple[str, str]:
    return failure["pod"], failure["container"]


def _without_words(status: Obj) -> list[Obj]:
    """The conditions, those of which that speak of the wait without their words."""
    return [
        {name: condition.get(name) for name in ("type", "status", "reason")} if condition.get("type") in (READY, RECONCILING) else condition
        for condition in status.get("conditions") or ()
    ]


async def write_status(client: Client, obj: Obj, patch: Obj) -> Obj:
    """Send what `status_patch` gave for this object: the object as the server has it then.

    Raises Conflict when the Canary has changed since `obj` was read, NotFound when it is gone.
    """
    metadata = obj["metadata"]
    return await client.merge_patch(kinds.CANARY, metadata["namespace"], metadata["name"], patch, subresource="status")
