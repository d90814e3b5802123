"""The view of one Canary with what lies beside it: the pods of both sides, and its events."""

from __future__ import annotations

import asyncio

from flaggerpy.api.names import primary_name
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.frames import Scene
from flaggerpy.cli.scenes import scene
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.controller.workloads import selector_text


class Closer:
    """Views with pods and events. Label selectors are remembered, as a workload's never changes."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._selectors: dict[tuple[str, str, str], str] = {}
        self._targets: dict[tuple[str, str, str], Obj] = {}

    async def view(self, obj: Obj) -> CanaryView:
        """The view of a Canary with the pods of both sides, and its events."""
        pods, events = await self._beside(obj)
        return canary_view(obj, self.access.now(), primary_pods=pods[1], canary_pods=pods[0], events=events)

    async def scene(self, obj: Obj) -> Scene:
        """The same with the course of the release under way."""
        pods, events = await self._beside(obj)
        return scene(
            obj, self.access.now(), primary_pods=pods[1], canary_pods=pods[0], events=events, workload=self._targets.get(_target(obj))
        )  # fmt: skip

    async def _beside(self, obj: Obj) -> tuple[tuple[list[Obj] | None, list[Obj] | None], list[Obj]]:
        kind, namespace, name = _target(obj)
        canary, primary, events = await asyncio.gather(
            self._pods(kind, namespace, name),
            self._pods(kind, namespace, primary_name(name)),
            self.access.events(namespace, obj["metadata"].get("uid") or ""),
        )
        return (canary, primary), events

    async def _pods(self, kind: str, namespace: str, name: str) -> list[Obj] | None:
        key = (kind, namespace, name)
        if key not in self._selectors:
            workload = await self.access.workload(kind, namespace, name)
            if workload is not None:
                self._targets[key] = workload
            selector = selector_of(workload)
            if not selector:
                return None
            self._selectors[key] = selector
        return await self.access.pods(namespace, self._selectors[key])


def _target(obj: Obj) -> tuple[str, str, str]:
    reference = (obj.get("spec") or {}).get("targetRef") or {}
    return str(reference.get("kind") or ""), str(obj["metadata"]["namespace"]), str(reference.get("name") or "")


def selector_of(workload: Obj | None) -> str:
    """The label selector of a workload's pods, "" where there is none."""
    return selector_text(((workload or {}).get("spec") or {}).get("selector") or {})
