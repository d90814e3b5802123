"""Writing the status: the intent, before the deed. Pure, but for one function that sends it.

A status is written only when it differs, as a merge patch that carries the resourceVersion it was decided on: a Canary that changed
meanwhile, or a leader that is not one any more, gets a Conflict. Fields that we do not know stay.
"""

from __future__ import annotations

from typing import Any

from flaggerpy.api.conditions import READY, RECONCILING
from flaggerpy.api.status import CanaryStatus
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.controller.patches import merge_diff

Obj = dict[str, Any]

_KNOWN = frozenset(field.alias or name for name, field in CanaryStatus.model_fields.items())


def status_patch(obj: Obj, status: CanaryStatus) -> Obj | None:
    """The merge patch of the whole object that brings it this status; None when it has it already."""
    stored = {name: value for name, value in (obj.get("status") or {}).items() if name in _KNOWN}
    patch = merge_diff(stored, status.to_obj())
    if patch is None:
        return None
    return {"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": patch}


def only_words(obj: Obj, status: CanaryStatus) -> bool:
    """Whether the status differs from the stored one in nothing but what is told about the wait: `progress`, and the messages of Ready and
    Reconciling."""
    patch = status_patch(obj, status)
    if patch is None or not patch["status"].keys() <= {"progress", "conditions"}:
        return False
    return _without_words(obj["status"]) == _without_words(status.to_obj())


def _without_words(status: Obj) -> list[Obj]:
    """The conditions, those of which that speak of the wait without their words."""
    return [
        {name: condition.get(name) for name in ("type", "status", "reason")} if condition.get("type") in (READY, RECONCILING) else condition
        for condition in status.get("conditions") or ()
    ]


async def write_status(client: Client, obj: Obj, status: CanaryStatus) -> Obj | None:
    """Store the status if it differs: the object as the server has it then, or None when nothing was to be written.

    Raises Conflict when the Canary has changed since `obj` was read, NotFound when it is gone.
    """
    patch = status_patch(obj, status)
    if patch is None:
        return None
    metadata = obj["metadata"]
    return await client.merge_patch(kinds.CANARY, metadata["namespace"], metadata["name"], patch, subresource="status")
