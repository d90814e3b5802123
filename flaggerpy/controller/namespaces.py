"""Which of the namespaces that were named are attended: one that is not there yet, or where our rights are gone, stops no other.

A namespace is attended while our account has all its rights there. Where something is amiss (it is not attended, one of its watches fails,
kopf has ended) the rights are asked for again every 10 s; where all is well nothing is asked. Of a namespace that is attended no more
everything is forgotten, as if its Canaries had never been known; whoever attends it next goes on from their status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.following import EVERYWHERE
from flaggerpy.controller import checks
from flaggerpy.controller.world import World

LOOK_SECONDS = 10.0
OPEN_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Namespaces:
    """`wanted` None is all, and then there is nothing to tend. `changed` is called after each change of what is attended."""

    def __init__(
        self,
        client: Client,
        world: World,
        wanted: Sequence[str] | None,
        providers: Iterable[str],
        *,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.wanted = tuple(wanted or ())
        self._everywhere = wanted is None
        self.lacking: dict[str, list[str]] = {}
        """Sentences about the namespaces that are not attended."""
        self._client = client
        self._world = world
        self._providers = tuple(providers)
        self._changed = changed
        self._suspicious = False
        self._task: asyncio.Task[None] | None = None

    @property
    def open(self) -> list[str]:
        """The scopes that can be attended, by the last look."""
        return [EVERYWHERE] if self._everywhere else [name for name in self.wanted if name not in self.lacking]

    async def check(self) -> list[str]:
        """Ask for our rights in each; sentences when none of them can be attended. Raises ApiError."""
        for name in self.wanted:
            self._note(name, await checks.namespace_problems(self._client, name, self._providers))
        return [] if self.open or not self.wanted else [sentence for sentences in self.lacking.values() for sentence in sentences]

    def start(self) -> None:
        """Tend from now on. With one namespace there is nothing to tend: what it lacks is told by its watches and workers."""
        if len(self.wanted) > 1:
            self._task = asyncio.create_task(self._tend(), name="namespaces")

    def stop(self) -> None:
        if self._task:
            self._task.cancel()

    def suspect(self) -> None:
        """Something ended that may have ended for want of a right: ask about all of them at the next look."""
        self._suspicious = True

    def troubles(self) -> dict[str, list[str]]:
        """What is amiss in each namespace (EVERYWHERE where they were not named), in sentences."""
        found = {name: list(sentences) for name, sentences in self.lacking.items()}
        for scope, sentences in self._world.watch_problems().items():
            found.setdefault(scope, sentences)
        return found

    def broken(self) -> list[str]:
        """Why nothing at all can be attended; a namespace that is well is enough to be of use."""
        troubles = self.troubles()
        scopes = (EVERYWHERE,) if self._everywhere else self.wanted
        if not scopes or any(scope not in troubles for scope in scopes):
            return []
        return [sentence for sentences in troubles.values() for sentence in sentences]

    def notes(self) -> list[str]:
        """A line for each namespace that is not well beside others that are."""
        if len(self.wanted) < 2:
            return []
        return [f"namespace {scope} is not attended: {'; '.join(sentences)}" for scope, sentences in sorted(self.troubles().items())]

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Exception:
                _log.exception("tending the namespaces failed")

    async def look(self) -> None:
        """Ask where something is amiss, and attend what can be attended."""
        amiss = self.wanted if self._suspicious else [name for name in self.wanted if name in self.troubles()]
        self._suspicious = False
        changed = False
        for name in amiss:
            try:
                problems = await checks.namespace_problems(self._client, name, self._providers)
                changed |= await self._turn(name, problems)
            except (ApiError, TimeoutError) as error:
                # what cannot be told is not changed
                _log.info("whether the namespace %s can be attended is not known: %s", name, error or "no answer")
        if changed:
            self._changed()

    async def _turn(self, name: str, problems: list[str]) -> bool:
        was_open = name not in self.lacking
        if was_open == (not problems):
            self._note(name, problems)
            return False
        if was_open:
            self._note(name, problems)
            await self._world.close(name)
        else:
            async with asyncio.timeout(OPEN_SECONDS):
                await self._world.open(name)
            self._note(name, problems)
        return True

    def _note(self, name: str, problems: list[str]) -> None:
        if problems and self.lacking.get(name) != problems:
            _log.warning("the namespace %s is not attended: %s", name, "; ".join(problems))
        elif not problems and name in self.lacking:
            _log.info("the namespace %s is attended now", name)
        if problems:
            self.lacking[name] = problems
        else:
            self.lacking.pop(name, None)
