"""Why pods of a DaemonSet are not made (quota, admission): only the events about the DaemonSet tell, as it has no condition for it.

They are read while nodes lack their pod, now and then and beside the look, and those from before the run are passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from flaggerpy.api.status import from_timestamp
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.background import Background
from flaggerpy.controller.inbox import Key
from flaggerpy.targets.daemonset import CANNOT_BE_MADE, lacks_pods

Obj = dict[str, Any]

EVERY = 10.0
FIRST_AFTER = 1.0
"""Seconds after which pods that are lacking are asked about: in a healthy cluster they are there by then."""

_log = logging.getLogger(__name__)


@dataclass
class _Lacking:
    """Since when pods are lacking, when the events were read last (epoch seconds), and what they said."""

    since: float
    read: float | None = None
    events: tuple[Obj, ...] = ()

    @property
    def due(self) -> float:
        return self.since + FIRST_AFTER if self.read is None else self.read + EVERY


class Unmade:
    """One for the controller; workloads are told apart by their uid."""

    def __init__(self, client: Client, background: Background) -> None:
        self._client = client
        self._background = background
        self._lacking: dict[Key, dict[str, _Lacking]] = {}

    def look(self, key: Key, workloads: Iterable[Obj | None], since: float | None) -> list[Obj]:
        """The events that are known of those of these workloads which lack pods; what is due is read in the background.

        `since`: when the run began (epoch seconds), None where there is none: then nothing is asked.
        """
        now, told = self._client.now(), self._lacking.pop(key, {})
        lacking = {str(obj["metadata"].get("uid")): obj for obj in workloads if since is not None and obj is not None and lacks_pods(obj)}
        if not lacking or since is None:
            return []
        known = self._lacking[key] = {uid: told.get(uid) or _Lacking(now) for uid in lacking}
        due = [uid for uid, each in known.items() if now >= each.due]
        if due:
            self._background.fetch(key, "unmade", partial(self._read, key, due, since))
        return [event for each in known.values() for event in each.events]

    def look_again_in(self, key: Key) -> float | None:
        """Seconds after which there is something to read; None while no pod is lacking."""
        return min((max(0.0, each.due - self._client.now()) for each in self._lacking.get(key, {}).values()), default=None)

    def forget(self, key: Key) -> None:
        """A Canary is gone."""
        self._lacking.pop(key, None)

    async def _read(self, key: Key, uids: Iterable[str], since: float) -> None:
        for uid in uids:
            try:
                found = await self._client.list(kinds.EVENT, key.namespace, field_selector=f"involvedObject.uid={uid}")
            except ApiError as error:
                _log.info("events of a workload of %s cannot be read: %s", key, error)
                found = None
            each = self._lacking.get(key, {}).get(uid)
            if each is not None:
                each.read = self._client.now()
                each.events = each.events if found is None else tuple(event for event in found if _tells(event, since))


def _tells(event: Obj, since: float) -> bool:
    stamp = event.get("lastTimestamp") or event.get("eventTime")
    # events carry whole seconds, and so does the header that tells the API server's time
    return event.get("reason") == CANNOT_BE_MADE and bool(stamp) and from_timestamp(str(stamp)) > since - 2
