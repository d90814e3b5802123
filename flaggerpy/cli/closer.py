"""The view of one Canary with what lies beside it: the pods of both sides, and its events."""

from __future__ import annotations

import asyncio

from flaggerpy.api.names import primary_name
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.controller.workloads import selector_text


class Closer:
    """Views with pods and events. Label selectors are remembered, as a workload's never changes."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._selectors: dict[tuple[str, str, str], str] = {}

    async def view(self, obj: Obj, *, events: bool = False) -> CanaryView:
        """The view of a Canary with the pods of both sides, and its events on demand."""
        namespace = obj["metadata"]["namespace"]
        reference = (obj.get("spec") or {}).get("targetRef") or {}
        kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
        canary_pods, primary_pods = await asyncio.gather(
            self._pods(kind, namespace, name), self._pods(kind, namespace, primary_name(name))
        )
        seen = await self.access.events(namespace, obj["metadata"].get("uid") or "") if events else ()
        return canary_view(obj, self.access.now(), primary_pods=primary_pods, canary_pods=canary_pods, events=seen)

    async def _pods(self, kind: str, namespace: str, name: str) -> list[Obj] | None:
        key = (kind, namespace, name)
        if key not in self._selectors:
            workload = await self.access.workload(kind, namespace, name)
            selector = selector_of(workload)
            if not selector:
                return None
            self._selectors[key] = selector
        return await self.access.pods(namespace, self._selectors[key])


def selector_of(workload: Obj | None) -> str:
    """The label selector of a workload's pods, "" where there is none."""
    return selector_text(((workload or {}).get("spec") or {}).get("selector") or {})
