"""Playing one story: change the target as a user would, watch what the controller does under load, note the verdict.

Nothing here steers the release but two hands: the failing version of story d is told to answer 500 as soon as it carries its weight, and
story e is promoted by a person.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from e2e.demo import manifests
from e2e.demo.hands import promote
from e2e.demo.install import MANAGER
from e2e.demo.load import Load
from e2e.demo.play import APP, PORT, Story
from e2e.demo.table import Result
from flaggerpy.api.names import primary_name
from flaggerpy.api.status import IDLE
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError

Obj = dict[str, Any]

LOOK_SECONDS = 0.2
LIMIT_SECONDS = 120.0
AFTERMATH_SECONDS = 2.0
GATE_SECONDS = 4.0
"""So long the gate is to be seen closed before somebody promotes."""


@dataclass(frozen=True)
class Scene:
    """What is to be seen at one moment."""

    view: CanaryView
    canary_pods: Sequence[Obj]


Show = Callable[[Scene], None]


async def scenes(client: Client) -> AsyncIterator[Scene]:
    """Looks at the stage, one after another, for ever. A look that fails is left out."""
    while True:
        try:
            obj, pods, primary, events = await asyncio.gather(
                client.get(kinds.CANARY, manifests.NAMESPACE, APP),
                client.list(kinds.POD, manifests.NAMESPACE, label_selector=f"app={APP}"),
                client.list(kinds.POD, manifests.NAMESPACE, label_selector=f"app={primary_name(APP)}"),
                client.list(kinds.EVENT, manifests.NAMESPACE, field_selector=f"involvedObject.kind=Canary,involvedObject.name={APP}"),
            )
        except ApiError:
            pass
        else:
            yield Scene(canary_view(obj, client.now(), primary_pods=primary, canary_pods=pods, events=events), pods)
        await asyncio.sleep(LOOK_SECONDS)


async def until_initialized(client: Client, show: Show, *, limit: float = LIMIT_SECONDS) -> None:
    """Wait for the bootstrap. Raises TimeoutError with what it waited for."""
    end = time.monotonic() + limit
    async for scene in scenes(client):
        show(scene)
        if scene.view.phase in IDLE and scene.view.phase != "Failed":
            return
        if time.monotonic() > end:
            raise TimeoutError(f"{APP} is {scene.view.phase or 'not looked at'} after {limit:g} s: {scene.view.waiting_for}")


async def play(client: Client, story: Story, load: Load, show: Show) -> Result:
    """One story from the change to the verdict and a moment beyond, so that what is lost after it is counted too."""
    before = await anext(aiter(scenes(client)))
    newest = before.view.history[:1]
    earlier = {pod["metadata"]["uid"] for pod in before.canary_pods}
    count = load.begin()
    # the template alone, as `kubectl set image` does: the size of the target is the controller's during a release
    await client.merge_patch(kinds.DEPLOYMENT, manifests.NAMESPACE, APP, {"spec": {"template": story.template}}, manager=MANAGER)
    changed = time.monotonic()
    reported: float | None = None
    told: set[str] = set()
    made: set[str] = set()
    highest, outcome, seconds, promoted = 0, "no verdict", LIMIT_SECONDS, False
    held_at: float | None = None
    view = before.view
    async for scene in scenes(client):
        show(scene)
        view = scene.view
        now = time.monotonic() - changed
        highest = max(highest, view.weight)
        made |= {pod["metadata"]["uid"] for pod in scene.canary_pods} - earlier
        if reported is None and any(fails(pod) for pod in scene.canary_pods if pod["metadata"]["uid"] not in earlier):
            reported = now
        if story.fail_at is not None and view.weight >= story.fail_at and view.phase == "Progressing":
            await _tell_to_fail(client, scene.canary_pods, told)
        if story.by_hand and view.phase == "WaitingPromotion":
            held_at = now if held_at is None else held_at
            if not promoted and now >= held_at + GATE_SECONDS:
                promoted = True
                await promote(client)
        if view.idle and view.history[:1] != newest:
            outcome, seconds = view.phase, now
            break
        if now > LIMIT_SECONDS:
            break
    await _aftermath(client, show)
    await load.settle()
    end = view.history[0] if view.history and view.history[:1] != newest else None
    cause = end.cause if end else ""
    if end and end.orders:
        cause = "; ".join(f"{order.command} by {order.by}{f', {order.detail}' if order.detail else ''}" for order in end.orders)
    return Result(
        story=story,
        outcome=outcome,
        seconds=seconds,
        reported=None if reported is None else seconds - reported,
        sent=count.sent,
        lost=count.lost,
        highest_weight=highest,
        cause=cause,
        how=count.how,
        pods=len(made),
    )


def fails(pod: Obj) -> bool:
    """True when the kubelet reports a container of the pod as failed: it cannot start, or has ended with an error."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return True
        ends = ((container.get(field) or {}).get("terminated") or {} for field in ("state", "lastState"))
        if any(end.get("exitCode") for end in ends):
            return True
    return False


async def _tell_to_fail(client: Client, pods: Sequence[Obj], told: set[str]) -> None:
    for pod in pods:
        name = pod["metadata"]["name"]
        if name in told or pod["metadata"].get("deletionTimestamp"):
            continue
        path = f"/api/v1/namespaces/{manifests.NAMESPACE}/pods/{name}:{PORT}/proxy/fail"
        try:
            await client.request("POST", path, query={"percent": "100"})
        except ApiError:
            continue  # not up yet; asked again at the next look
        told.add(name)


async def _aftermath(client: Client, show: Show) -> None:
    end = time.monotonic() + AFTERMATH_SECONDS
    async for scene in scenes(client):
        show(scene)
        if time.monotonic() > end:
            return
