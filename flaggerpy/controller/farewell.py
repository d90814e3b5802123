"""What is told when a Canary goes without `revertOnDeletion`: that nothing serves any more, and what a person can do.

The Canary is gone then, so the words are put to what is left of it: the target. It gets a moment to go as well, for an uninstall takes
everything and needs no warning.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from pydantic import ValidationError

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.names import primary_name
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.controller.gather import ends
from flaggerpy.controller.workloads import WORKLOADS
from flaggerpy.targets import scalers
from flaggerpy.targets.registry import target_for

Obj = dict[str, Any]

GRACE = 5.0
"""Seconds that the target has to go as well."""

_log = logging.getLogger(__name__)


class Farewell:
    """Looks after the targets of Canaries that went."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        self._client = client
        self._recorder = recorder
        self._tasks: set[asyncio.Task[None]] = set()

    def gone(self, obj: Obj, size: int) -> None:
        """A Canary was deleted; `obj` is the last that was known of it, `size` the replicas that its primary had."""
        if not (obj.get("status") or {}).get("lastAppliedSpec"):
            return  # it had touched nothing
        try:
            canary = parse_canary(obj)
        except ValidationError:
            return
        if canary.kind not in WORKLOADS:
            return
        task = asyncio.create_task(self._look(canary, size), name=f"farewell of {canary.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """What has not been told by now will not be."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look(self, canary: Canary, size: int) -> None:
        await asyncio.sleep(GRACE)
        try:
            sentence, target = await self._judged(canary, size)
        except ApiError as error:
            _log.info("what became of %s after its Canary cannot be read: %s", canary.target, error)
            return
        if sentence and target is not None:
            _log.warning("%s", sentence)
            self._recorder.record(target, sentence, type="Warning")

    async def _judged(self, canary: Canary, size: int) -> tuple[str, Obj | None]:
        """The sentence about a target that nothing is left of, and that target."""
        workload, target_kind = WORKLOADS[canary.kind], target_for(canary.kind)
        found = [
            await self._client.find(kind, canary.namespace, name)
            for kind, name in (
                (kinds.CANARY, canary.name),
                (workload, primary_name(canary.target)),
                (workload, canary.target),
                (kinds.SERVICE, canary.apex),
            )
        ]
        again, primary, target, apex = found
        if again is not None or primary is not None or target is None or ends(target) or target_kind.size(target) > 0:
            return "", None
        sentence = (
            f"Canary {canary.name} was deleted without revertOnDeletion: {canary.target} stays at 0 replicas, {canary.target}-primary is "
            f"gone with the Canary, nothing serves. Run: kubectl -n {canary.namespace} {_scaling(canary, target, size)}"
        )
        ref = canary.spec.autoscaler_ref
        if ref is not None and ref.kind == scalers.ScaledObject.kind:
            sentence += f"; and before it: kubectl -n {canary.namespace} annotate scaledobject {ref.name} {scalers.PAUSED_REPLICAS}-"
        if apex is None:
            sentence += f"; there is no Service {canary.apex} any more either"
        else:
            selector = ",".join(f"{name}={value}" for name, value in ((apex.get("spec") or {}).get("selector") or {}).items())
            sentence += f"; and apply your manifest of Service {canary.apex} again, which selects {selector}"
        return sentence, target


def _scaling(canary: Canary, target: Obj, size: int) -> str:
    """The rest of a kubectl command that gives the target this size."""
    if canary.kind == kinds.DEPLOYMENT.kind:
        return f"scale deployment {canary.target} --replicas={size}"
    operations = json.dumps(target_for(canary.kind).scaling(target, size))
    return f"patch {canary.kind.lower()} {canary.target} --type=json -p '{operations}'"
