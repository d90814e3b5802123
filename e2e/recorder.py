"""Everything that happened to the objects of one kind, with the time at which it was told: what tests and benches judge afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import httpx

from e2e.kube import Kube, KubeError, Object

RELIST_PAUSE = 0.2
WATCH_SECONDS = 300


@dataclass(frozen=True)
class Seen:
    """One state of an object. `at` is in epoch seconds, when the API server's watch told it; `gone` is the last one of a deleted object."""

    at: float
    obj: Object
    gone: bool = False

    @property
    def name(self) -> str:
        name: str = self.obj["metadata"]["name"]
        return name


class Recorder:
    """Watches a kind in a namespace from `with` on: `seen` grows, in the order of the watch. A broken watch is begun anew with a list."""

    def __init__(self, kube: Kube, kind: str, namespace: str, selector: str = "", api_version: str = "") -> None:
        self.seen: list[Seen] = []
        self._kube = kube
        self._path = kube.path(kind, namespace, "", api_version)
        self._selector = {"labelSelector": selector} if selector else {}
        self._over = threading.Event()
        self._listed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"recorder of {kind}")

    def __enter__(self) -> Recorder:
        self._thread.start()
        if not self._listed.wait(15):
            raise RuntimeError(f"{self._path} could not be listed within 15 s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()

    def so_far(self) -> Sequence[Seen]:
        return tuple(self.seen)

    def wait(self, check: Callable[[Seen], bool], seconds: float, since: float = 0.0) -> Seen | None:
        """The first state at or after `since` that `check` is true of; None when none comes within `seconds`."""
        deadline = time.monotonic() + seconds
        looked = 0
        while True:
            known = self.seen[looked:]
            for found in known:
                if found.at >= since and check(found):
                    return found
            looked += len(known)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._watch(self._list())
            except (KubeError, httpx.HTTPError, ValueError, KeyError):
                if not self._over.wait(RELIST_PAUSE):
                    continue

    def _list(self) -> str:
        answer: Object = self._kube.ask("GET", self._path, **self._selector)
        now = time.time()
        self.seen += [Seen(now, obj) for obj in answer["items"]]
        self._listed.set()
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _watch(self, version: str) -> None:
        params = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(WATCH_SECONDS), **self._selector}
        patience = httpx.Timeout(15.0, read=WATCH_SECONDS + 15.0)
        with self._kube.http.stream("GET", self._path, params=params, timeout=patience) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if self._over.is_set():
                    return
                told = json.loads(line)
                if told["type"] == "ERROR":
                    return
                self.seen.append(Seen(time.time(), told["object"], gone=told["type"] == "DELETED"))
