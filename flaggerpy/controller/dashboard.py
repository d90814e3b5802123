"""The web page in this controller: fed from its caches, told of what changes and what is said. Made only with -ui.

Both replicas serve it, from caches that both have: an open page costs the API server nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flaggerpy.cluster.bearer import Bearer
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.controller.inbox import Key as InboxKey
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.world import World
from flaggerpy.dashboard.feed import Feed, Key
from flaggerpy.dashboard.pages import Pages
from flaggerpy.dashboard.people import People

Obj = dict[str, Any]


class Dashboard:
    """The page's parts, tied to the controller's; `stop` ends its streams."""

    def __init__(self, settings: Settings, client: Client, world: World, recorder: EventRecorder, leads: Callable[[], bool]) -> None:
        self._client, self._world, self._leads = client, world, leads
        self.feed = Feed(self)
        world.on_canary = self._changed
        recorder.on_record = self._heard
        self._bearer = Bearer(client.configuration) if settings.ui_auth or settings.ui_actions else None
        people = People(self._bearer) if self._bearer else None
        self.pages = Pages(
            self.feed, people=people, auth=settings.ui_auth, actions=settings.ui_actions, hosts=settings.ui_host_names, leads=leads
        )

    async def stop(self) -> None:
        await self.pages.stop()
        if self._bearer:
            await self._bearer.close()

    def _changed(self, key: InboxKey, obj: Obj | None) -> None:
        self.feed.changed(Key(*key), obj)

    def _heard(self, involved: Mapping[str, Any], type_: str, message: str) -> None:
        metadata = involved.get("metadata") or {}
        if involved.get("kind") == "Canary":
            self.feed.heard(Key(str(metadata.get("namespace") or ""), str(metadata.get("name") or "")), type_, message)

    # --- dashboard.feed.Source ---------------------------------------------------------------------------------------------------------

    def now(self) -> float:
        return self._client.now()

    def names(self) -> list[Key]:
        return [Key(*key) for key in self._world.canaries]

    def canary(self, key: Key) -> Obj | None:
        return self._world.canaries.peek(*key)

    def workloads(self, key: Key, obj: Mapping[str, Any]) -> tuple[Obj | None, Obj | None]:
        target = (obj.get("spec") or {}).get("targetRef") or {}
        kind, name = str(target.get("kind") or ""), str(target.get("name") or "")
        return self._world.workload(kind, key.namespace, f"{name}-primary"), self._world.workload(kind, key.namespace, name)

    def leads(self) -> bool:
        return self._leads()
