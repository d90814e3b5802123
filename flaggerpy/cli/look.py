"""The loops of wait and of a command's acknowledgement.

The loops ask once in a while instead of watching: one object, for as long as a person or a pipeline waits. An answer that does not come
is no verdict: the loops go on until their own time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from flaggerpy.api.commanding import Order
from flaggerpy.api.names import primary_name
from flaggerpy.cli import commands, screens
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.closer import Closer
from flaggerpy.cli.problems import Exit, no_such_canary
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.cli.waiting import Ended, Pending, Target, Wanted, is_present, judge, target_of
from flaggerpy.cluster.errors import ApiError, transient

T = TypeVar("T")

WAIT_SECONDS = 1.0
COMMAND_SECONDS = 0.25


async def target(access: Access, obj: Obj) -> Target:
    """The target of a Canary as `wait` needs it."""
    namespace = obj["metadata"]["namespace"]
    reference = (obj.get("spec") or {}).get("targetRef") or {}
    kind, name = str(reference.get("kind") or ""), str(reference.get("name") or "")
    workload, primary = await asyncio.gather(
        access.workload(kind, namespace, name), access.workload(kind, namespace, primary_name(name))
    )
    labels = ((((workload or {}).get("spec") or {}).get("selector") or {}).get("matchLabels")) or {}
    selector = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
    owned = await access.history(kind, namespace, selector) if selector else []
    return target_of(workload, owned, primary)


class Waiter:
    """One wait for one release: remembers since when, and whether the wanted revision was seen."""

    def __init__(self, access: Access, wanted: Wanted) -> None:
        self._access = access
        self._wanted = wanted
        self._since: float | None = None
        self._seen = False

    async def look(self, obj: Obj) -> Pending | Ended:
        """Judge the Canary as it is now."""
        here = await target(self._access, obj)
        view = canary_view(obj, self._access.now())
        if self._since is None:
            self._since = view.now
        if not self._wanted.image and not self._wanted.revision and here.revision:
            # "the present revision" is that of the first look
            self._wanted = Wanted(revision=here.revision, phase=self._wanted.phase)
        verdict = judge(view, here, self._wanted, since=self._since, seen_before=self._seen)
        certain = bool(here.revision) or not self._wanted.revision
        self._seen = self._seen or (certain and is_present(here, self._wanted))
        return verdict


async def wait(
    access: Access, namespace: str, name: str, wanted: Wanted, *, patience: float, note: Callable[[str], None]
) -> Ended:  # fmt: skip
    """Wait up to `patience` seconds for a release; `note` is told what is waited for whenever that changes."""
    waiter = Waiter(access, wanted)
    told = ""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    while True:
        try:
            obj = await access.canary(namespace, name)
            if obj is None:
                raise no_such_canary(namespace, name)
            verdict = await waiter.look(obj)
        except ApiError as error:
            if not transient(error):
                raise
            verdict = Pending(f"an answer of the cluster ({error.message})")
        if isinstance(verdict, Ended):
            return verdict
        if verdict.sentence != told:
            told = verdict.sentence
            note(f"{screens.clock(access.now())}  waiting: {told}")
        left = end - loop.time()
        if left <= 0:
            return Ended(Exit.TIMED_OUT, f"Timed out after {patience:g} s, waiting: {told}")
        await asyncio.sleep(min(WAIT_SECONDS, left))


async def acknowledgement(
    closer: Closer, namespace: str, name: str, given: Order, *, patience: float
) -> tuple[CanaryView | None, bool]:  # fmt: skip
    """The last view, and whether the controller has answered the command within `patience` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    view: CanaryView | None = None
    while True:
        with suppress(_Transient):
            obj = await _reading(closer.access.canary(namespace, name))
            if obj is None:
                raise no_such_canary(namespace, name)
            view = await _reading(closer.view(obj))
            if commands.acknowledged(given, view):
                return view, True
        if loop.time() >= end:
            return view, False
        await asyncio.sleep(COMMAND_SECONDS)


class _Transient(Exception):
    """An error that the next look may not meet."""


async def _reading(read: Awaitable[T]) -> T:
    try:
        return await read
    except ApiError as error:
        if transient(error):
            raise _Transient from error
        raise
