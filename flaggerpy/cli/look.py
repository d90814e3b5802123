"""Looking at a cluster through `Access`: views with pods and events, and the loops of watch, wait and of a command's acknowledgement.

The loops ask once in a while instead of watching: one object, for as long as a person or a pipeline waits. An answer that does not come
is no verdict: the loops go on until their own time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext, suppress
from typing import TypeVar

from rich.console import Console
from rich.live import Live

from flaggerpy.api.names import primary_name
from flaggerpy.cli import commands, screens
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.live import LiveView
from flaggerpy.cli.problems import Exit, no_such_canary
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.cli.waiting import Ended, Pending, Target, Wanted, is_present, judge, target_of
from flaggerpy.cluster.errors import ApiError, transient

T = TypeVar("T")

WATCH_SECONDS = 0.5
WAIT_SECONDS = 1.0
COMMAND_SECONDS = 0.25


def plain(access: Access, obj: Obj) -> CanaryView:
    """The view of the object alone, without another request."""
    return canary_view(obj, access.now())


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
            labels = ((((workload or {}).get("spec") or {}).get("selector") or {}).get("matchLabels")) or {}
            if not labels:
                return None
            self._selectors[key] = ",".join(f"{label}={value}" for label, value in sorted(labels.items()))
        return await self.access.pods(namespace, self._selectors[key])


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
        view = plain(self._access, obj)
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
    closer: Closer, namespace: str, name: str, given: commands.Order, *, patience: float
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
            view = await _reading(closer.view(obj, events=True))
            if commands.acknowledged(given, view):
                return view, True
        if loop.time() >= end:
            return view, False
        await asyncio.sleep(COMMAND_SECONDS)


async def watch(access: Access, select: Callable[[], Awaitable[list[Obj]]], out: Console, wanted: Wanted | None) -> int:
    """Show Canaries as they change, until interrupted or (with `wanted`) the release has ended."""
    closer = Closer(access)
    waiter = Waiter(access, wanted) if wanted else None
    said: dict[str, tuple[object, ...]] = {}
    with Live(console=out, auto_refresh=False) if out.is_terminal else nullcontext() as live:
        while True:
            with suppress(_Transient):
                objs = await _reading(select())
                views = await _reading(_views(closer, objs))
                if live:
                    live.update(LiveView(views), refresh=True)
                else:
                    print_changes(views, said, out)
                verdict = await _reading(waiter.look(objs[0])) if waiter and objs else None
                if isinstance(verdict, Ended):
                    break
            await asyncio.sleep(WATCH_SECONDS)
    out.print(verdict.sentence, markup=False)
    return verdict.code


def print_changes(views: Sequence[CanaryView], said: dict[str, tuple[object, ...]], out: Console) -> None:
    """One line for each Canary that looks different from what `said` remembers of it."""
    for view in views:
        key = f"{view.name}.{view.namespace}"
        pods = (view.primary_pods, view.canary_pods)
        gist = (view.phase, view.weight, view.failed_checks, pods, view.waiting_for, view.verdict, view.failures)
        if said.get(key) != gist:
            said[key] = gist
            out.print(screens.change_line(view), markup=False)


class _Transient(Exception):
    """An error that the next look may not meet."""


async def _reading(read: Awaitable[T]) -> T:
    try:
        return await read
    except ApiError as error:
        if transient(error):
            raise _Transient from error
        raise


async def _views(closer: Closer, objs: Sequence[Obj]) -> list[CanaryView]:
    return list(await asyncio.gather(*(closer.view(obj) for obj in objs)))
