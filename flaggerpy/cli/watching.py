"""The loops of `flaggerpy watch` and `top`: on a terminal a view that is drawn anew, elsewhere a line per change. Fed by watches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.text import Text

from flaggerpy.cli import screens
from flaggerpy.cli.access import Access, Obj
from flaggerpy.cli.changes import print_changes
from flaggerpy.cli.feed import Beside, Feed
from flaggerpy.cli.frames import Scene, frame
from flaggerpy.cli.look import Waiter
from flaggerpy.cli.overview import overview
from flaggerpy.cli.printing import Screen, animated
from flaggerpy.cli.problems import Problem, no_such_canary
from flaggerpy.cli.scenes import Seen, course_of, metrics_of, read, scene
from flaggerpy.cli.selecting import chosen
from flaggerpy.cli.terminal import Quit, Terminal
from flaggerpy.cli.views import CanaryView, canary_view
from flaggerpy.cli.waiting import Ended, Wanted
from flaggerpy.cluster.errors import ApiError, transient
from flaggerpy.cluster.tasks import end

GATHER_SECONDS = 0.2
"""Changes that come together are printed together."""


class Release:
    """One Canary with what lies beside it, as it changes; `verdict` once the release that is waited for has ended."""

    def __init__(self, access: Access, feed: Feed, wanted: Wanted | None) -> None:
        self._access = access
        self._feed = feed
        self._waiter = Waiter(access, wanted) if wanted else None
        self._changed = asyncio.Event()
        self._seen = Seen()
        self._last: Obj = feed.objects()[0]
        self.listener: Callable[[], None] = lambda: None
        self.beside = Beside(access, self._heard)
        self.verdict: Ended | None = None
        self.gone = False
        feed.listen(self._heard)

    def _heard(self) -> None:
        self._changed.set()
        self.listener()

    async def changed(self) -> None:
        """Wait for a change, then take it up: turn to what lies beside, and judge."""
        await self._changed.wait()
        self._changed.clear()
        await self.take_up()

    async def take_up(self) -> None:
        """Look at what is now. Raises Problem and ApiError as far as time does not mend it."""
        objects = self._feed.objects()
        self.gone = not objects
        if self.gone:
            raise no_such_canary(self._last["metadata"]["namespace"], self._last["metadata"]["name"])
        self._last = objects[0]
        with suppress(_Transient):
            await _lenient(self.beside.turn_to(self._last))
            if self._waiter:
                told = await _lenient(self._waiter.look(self._last))
                self.verdict = told if isinstance(told, Ended) else None

    def scene(self) -> Scene:
        """What is to be seen now."""
        now = self._access.now()
        shown = scene(
            self._last,
            now,
            primary_pods=self.beside.pods(primary=True),
            canary_pods=self.beside.pods(primary=False),
            events=self.beside.events(),
            workload=self.beside.workload,
            seen=self._seen.of(self._last),
            problem=_old(self._feed),
        )
        self._seen.look(self._last, shown.course)
        return shown


async def watch_one(access: Access, namespace: str, name: str, screen: Screen, wanted: Wanted | None) -> int:
    """Show one Canary until it is ended from outside or (with `wanted`) the release has ended; answers the exit code."""
    async with Feed(access, namespace, name=name) as feed:
        release = Release(access, feed, wanted)
        try:
            await release.take_up()
            await release.beside.settled()
            if animated(os.environ, screen.out.is_terminal):
                return await _drawn(release, screen)
            return await _told(release, screen)
        finally:
            await release.beside.close()


async def _drawn(release: Release, screen: Screen) -> int:
    problems: list[BaseException] = []

    async def follow() -> None:
        try:
            while not release.verdict:
                await release.changed()
                terminal.poke()
        except (Problem, ApiError) as error:
            problems.append(error)
            terminal.poke()

    code = 0
    async with Terminal(screen.out) as terminal:
        release.listener = terminal.poke
        task = asyncio.create_task(follow(), name="follow the release")
        try:
            await terminal.show(
                lambda width, height: frame(release.scene(), width, height, screen.glyphs), lambda: bool(release.verdict or problems)
            )
        except Quit as quit_:
            code = quit_.code
        finally:
            await end(task)
    if problems:
        raise problems[0]
    if release.verdict:
        screen.show(release.verdict.sentence)
        return release.verdict.code
    # what stood there last stays to be read
    screen.show(screens.change_line(release.scene().view))
    return code


async def _told(release: Release, screen: Screen) -> int:
    said: dict[str, tuple[object, ...]] = {}
    while True:
        print_changes([release.scene().view], said, screen.out)
        if release.verdict:
            screen.show(release.verdict.sentence)
            return release.verdict.code
        await release.changed()
        await asyncio.sleep(GATHER_SECONDS)


class Many:
    """Canaries of a namespace or of all, as they change."""

    def __init__(self, access: Access, feed: Feed, names: Collection[str]) -> None:
        self._access = access
        self._feed = feed
        self._names = names
        self._seen = Seen()

    def objects(self) -> list[Obj]:
        return chosen(self._feed.objects(), self._names)

    def scenes(self) -> list[Scene]:
        """What is to be seen now; the statuses alone tell it."""
        now = self._access.now()
        return [self._scene(obj, now) for obj in self.objects()]

    def views(self) -> list[CanaryView]:
        now = self._access.now()
        return [canary_view(obj, now) for obj in self.objects()]

    def _scene(self, obj: Mapping[str, Any], now: float) -> Scene:
        typed = read(obj)
        course = course_of(typed, now, seen=self._seen.of(obj)) if typed else None
        self._seen.look(obj, course)
        return Scene(canary_view(obj, now), course, metrics=metrics_of(typed) if typed else ())

    def lines(self, width: int, height: int, screen: Screen, *, title: str, running_only: bool) -> list[Text]:
        """The table."""
        return overview(
            self.scenes(), width, height, screen.glyphs, title=title, running_only=running_only, problem=_old(self._feed),
            now=self._access.now(),
        )  # fmt: skip


async def watch_many(
    access: Access, namespace: str | None, names: Collection[str], screen: Screen, *, title: str, running_only: bool, once: bool = False
) -> int:  # fmt: skip
    """Show many Canaries as a table until it is ended from outside, or `once`; answers the exit code."""
    async with Feed(access, namespace) as feed:
        many = Many(access, feed, names)
        for name in names:
            if not any(obj["metadata"]["name"] == name for obj in many.objects()):
                raise no_such_canary(namespace or "", name)
        if once:
            for line in many.lines(screen.width or 0, 0, screen, title=title, running_only=running_only):
                screen.show(line.append("\n"))
            return 0
        if animated(os.environ, screen.out.is_terminal):
            async with Terminal(screen.out) as terminal:
                feed.listen(terminal.poke)

                def draw(width: int, height: int) -> Sequence[Text]:
                    return many.lines(width, height, screen, title=title, running_only=running_only)

                try:
                    await terminal.show(draw, lambda: False)
                except Quit as quit_:
                    return quit_.code
        return await _told_many(many, feed, screen)


async def _told_many(many: Many, feed: Feed, screen: Screen) -> int:
    changed = asyncio.Event()
    feed.listen(changed.set)
    said: dict[str, tuple[object, ...]] = {}
    while True:
        print_changes(many.views(), said, screen.out)
        await changed.wait()
        changed.clear()
        await asyncio.sleep(GATHER_SECONDS)


def _old(feed: Feed) -> str:
    """A sentence when what is shown may be old."""
    problem = feed.problem
    return f"This picture may be old: the API server does not answer ({problem.message})" if problem else ""


class _Transient(Exception):
    """An error that the next look may not meet."""


async def _lenient(read: Any) -> Any:
    try:
        return await read
    except ApiError as error:
        if transient(error):
            raise _Transient from error
        raise
