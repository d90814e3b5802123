"""What takes its time: hooks, measurements, alerts. Tasks of their own, so that a worker awaits nothing but the API server.

A task is known by its Canary and its key; one that runs is not started twice. What it brings is kept in the Canary's `Answers`, and the
inbox is told. Answers belong to a run: when the run's id changes they are dropped, and so is what comes too late. A hook that is asked
again and again (gates, rollback hooks) ends as soon as a decision does not ask for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus, OutboxItem
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.rollout.effects import AskHook, CheckImages, Deliver, Effect, Measure, RecordEvent
from flaggerpy.rollout.facts import Answer, ImageAnswer, Measurement

DELIVERY_PAUSES = (1.0, 4.0, 15.0)
DRAIN_SECONDS = 5.0
EVENT_CALLS = 256
"""Events that event webhooks are being told, or wait for it; what is more is dropped. One that waits is no connection, only memory."""
EVENT_CALLS_OF_NAMESPACE = 64
"""How many of them may be of one namespace: one whose webhooks are slow loses its own events alone."""

_log = logging.getLogger(__name__)


class Outside(Protocol):
    """The world beyond Kubernetes, as the background needs it; `controller/outside.py` fills it from hooks, metrics and alerts."""

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        """Call a hook. What goes wrong is an answer too."""

    async def measure(self, canary: Canary, effect: Measure) -> Measurement:
        """Evaluate a metric. What goes wrong is a measurement too."""

    async def check_providers(self, canary: Canary) -> tuple[str, ...]:
        """Sentences about metric providers that are not there."""

    async def check_images(self, canary: Canary, status: CanaryStatus, pod_spec: Mapping[str, Any]) -> tuple[ImageAnswer, ...]:
        """What the registries say of a pod's images. What goes wrong is an answer too."""

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        """Send an outbox item; raises when it could not be sent."""

    async def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        """Call the event webhooks; raises when one could not be called."""


@dataclass
class Answers:
    """What has come back for one Canary in its present run."""

    run_id: str = ""
    round: int = 0
    hooks: dict[str, Answer] = field(default_factory=dict)
    measurements: dict[str, Measurement] = field(default_factory=dict)
    images: dict[str, tuple[ImageAnswer, ...]] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    providers: tuple[str, ...] | None = None

    def begin_round(self, round: int) -> None:
        """Forget what earlier rounds of the analysis were told: a run may wait for its promotion for days."""
        self.round = round
        self.hooks = {key: answer for key, answer in self.hooks.items() if not _of_earlier(key, round)}
        self.measurements = {key: told for key, told in self.measurements.items() if not _of_earlier(key, round)}


def _of_earlier(key: str, round: int) -> bool:
    """Keys of a round are `RUN/NUMBER/...`; gates before the first round and rollback hooks have a word there."""
    number = key.split("/", 2)[1:2]
    return bool(number) and number[0].isdigit() and int(number[0]) < round


@dataclass
class _Of:
    answers: Answers = field(default_factory=Answers)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    repeating: dict[str, tuple[Canary, CanaryStatus, AskHook]] = field(default_factory=dict)
    """What is asked again and again, as the newest decision asks it: a gate is told the phase that the release waits in by now."""


@dataclass(frozen=True)
class _Told:
    """Whose event is told, and to whom: `own` for webhooks of the Canary, else the operator's, whose calls no tenant may use up."""

    canary: str
    namespace: str
    own: bool


class Background:
    """All background tasks of all Canaries."""

    def __init__(self, outside: Outside, inbox: Inbox, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep) -> None:
        self._outside = outside
        self._inbox = inbox
        self._sleep = sleep
        self._canaries: dict[Key, _Of] = {}
        self._events: dict[asyncio.Task[None], _Told] = {}

    def answers(self, key: Key, status: CanaryStatus) -> Answers:
        """What is known for this Canary. A new run begins with nothing but the deliveries that are still owed."""
        run_id = status.run.id if status.run else ""
        owed = {item.id for item in status.outbox}
        if key not in self._canaries and not run_id and not owed:
            # thousands are idle: they have nothing here
            return Answers()
        of = self._canaries.setdefault(key, _Of())
        if of.answers.run_id != run_id:
            of.answers = Answers(run_id=run_id, delivered=of.answers.delivered)
        of.answers.delivered &= owed
        if status.run and of.answers.round != status.run.asked_round:
            of.answers.begin_round(status.run.asked_round)
        return of.answers

    def keep_only(self, key: Key, effects: Iterable[Effect]) -> None:
        """End the repeated questions that this decision does not ask any more."""
        of = self._canaries.get(key)
        if of is None:
            return
        asked = {_task_key(effect, of.answers.run_id) for effect in effects if isinstance(effect, AskHook)}
        for name in of.repeating.keys() - asked:
            del of.repeating[name]
            task = of.tasks.pop(name, None)
            if task is not None:
                task.cancel()
        if of.answers == Answers() and not of.tasks:
            del self._canaries[key]

    def ask(self, key: Key, canary: Canary, status: CanaryStatus, effect: AskHook) -> None:
        """See `AskHook`: once per key, or again and again until a decision stops asking."""
        of = self._canaries.setdefault(key, _Of())
        if effect.every is None and effect.key in of.answers.hooks:
            return
        name = _task_key(effect, of.answers.run_id)
        if effect.every is not None:
            of.repeating[name] = (canary, status, effect)
        self._start(key, name, self._ask(key, name, of, canary, status, effect))

    async def _ask(self, key: Key, name: str, of: _Of, canary: Canary, status: CanaryStatus, effect: AskHook) -> None:
        answers = of.answers
        while True:
            said = await self._outside.ask(canary, status, effect)
            answers.hooks[effect.key] = said
            self._inbox.put(key)
            if effect.every is None:
                return
            await self._sleep(effect.every)
            canary, status, effect = of.repeating.get(name, (canary, status, effect))

    def measure(self, key: Key, canary: Canary, effect: Measure) -> None:
        of = self._canaries.setdefault(key, _Of())
        if effect.key not in of.answers.measurements:
            self._start(key, _task_key(effect, of.answers.run_id), self._measure(key, of.answers, canary, effect))

    async def _measure(self, key: Key, answers: Answers, canary: Canary, effect: Measure) -> None:
        told = await self._outside.measure(canary, effect)
        answers.measurements[effect.key] = told
        self._inbox.put(key)

    def check_providers(self, key: Key, canary: Canary) -> None:
        of = self._canaries.setdefault(key, _Of())
        if of.answers.providers is None:
            self._start(key, "providers", self._check_providers(key, of, canary))

    async def _check_providers(self, key: Key, of: _Of, canary: Canary) -> None:
        found = await self._outside.check_providers(canary)
        of.answers.providers = found
        self._inbox.put(key)

    def check_images(self, key: Key, canary: Canary, status: CanaryStatus, effect: CheckImages, pod_spec: Mapping[str, Any]) -> None:
        of = self._canaries.setdefault(key, _Of())
        if effect.key not in of.answers.images:
            self._start(key, f"images/{effect.key}", self._check_images(key, of.answers, canary, status, effect, pod_spec))

    async def _check_images(
        self, key: Key, answers: Answers, canary: Canary, status: CanaryStatus, effect: CheckImages, pod_spec: Mapping[str, Any]
    ) -> None:
        answers.images[effect.key] = await self._outside.check_images(canary, status, pod_spec)
        self._inbox.put(key)

    def fetch(self, key: Key, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work`, unless one of that name runs for this Canary, and look at the Canary again when it is done."""
        self._canaries.setdefault(key, _Of())
        self._start(key, f"fetch/{name}", self._fetch(key, work))

    async def _fetch(self, key: Key, work: Callable[[], Awaitable[None]]) -> None:
        await work()
        self._inbox.put(key)

    def deliver(self, key: Key, canary: Canary, status: CanaryStatus, effect: Deliver) -> None:
        of = self._canaries.setdefault(key, _Of())
        item = next((item for item in status.outbox if item.id == effect.id), None)
        if item is not None and effect.id not in of.answers.delivered:
            self._start(key, f"deliver/{item.id}", self._deliver(key, of, canary, status, item))

    async def _deliver(self, key: Key, of: _Of, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        for pause in (*DELIVERY_PAUSES, None):
            try:
                await self._outside.deliver(canary, status, item)
                break
            except Exception as error:
                _log.warning("%s: %s was not delivered: %s", key, item.kind, error)
                if pause is None:
                    # a receiver that is gone must not keep a release's memory full for ever
                    _log.error("%s: giving up on %s %r", key, item.kind, item.message)
                    break
                await self._sleep(pause)
        of.answers.delivered.add(item.id)
        self._inbox.put(key)

    def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        """Call the event webhooks, one event of a Canary after the other; nobody waits for it, and too many at once are dropped."""
        told = _Told(canary.key, canary.namespace, own=bool(canary.spec.plan.hooks("event")))
        beside = [of.namespace for of in self._events.values() if of.own == told.own]
        if len(beside) >= EVENT_CALLS or beside.count(told.namespace) >= EVENT_CALLS_OF_NAMESPACE:
            _log.warning("%s: event webhooks are too slow, dropped %r", canary.key, effect.message)
            return
        before = [task for task, of in self._events.items() if of == told]
        task = asyncio.create_task(self._tell_event(before, canary, status, effect))
        self._events[task] = told
        task.add_done_callback(lambda done: self._events.pop(done, None))

    async def _tell_event(
        self, before: list[asyncio.Task[None]], canary: Canary, status: CanaryStatus, effect: RecordEvent
    ) -> None:
        if before:
            await asyncio.wait(before)
        try:
            await self._outside.tell_event(canary, status, effect)
        except Exception as error:
            _log.warning("%s: event webhook: %s", canary.key, error)

    def forget(self, key: Key) -> None:
        """The Canary is gone: end what is repeated; what has been promised (deliveries) still leaves."""
        of = self._canaries.pop(key, None)
        for name, task in (of.tasks if of else {}).items():
            if not name.startswith("deliver/"):
                task.cancel()

    def stand_down(self) -> None:
        """Another replica leads: it asks and delivers all this itself, from what the status holds."""
        for of in self._canaries.values():
            for task in of.tasks.values():
                task.cancel()
        self._canaries.clear()

    async def stop(self) -> None:
        """Give deliveries and event calls a few seconds, then cancel everything."""
        tasks = [task for of in self._canaries.values() for name, task in of.tasks.items() if name.startswith("deliver/")]
        last = [*tasks, *self._events]
        if last:
            await asyncio.wait(last, timeout=DRAIN_SECONDS)
        everything = [task for of in self._canaries.values() for task in of.tasks.values()] + list(self._events)
        for task in everything:
            task.cancel()
        for task in everything:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def _start(self, key: Key, name: str, work: Coroutine[Any, Any, None]) -> None:
        of = self._canaries[key]
        if name in of.tasks:
            work.close()
            return
        task = asyncio.create_task(self._guarded(key, name, work), name=f"{name} of {key}")
        of.tasks[name] = task

        def ended(done: asyncio.Task[None]) -> None:
            if of.tasks.get(name) is done:
                del of.tasks[name]

        task.add_done_callback(ended)

    async def _guarded(self, key: Key, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            # the decision asks again; a pause keeps a fault in our own code from asking in a tight loop
            _log.exception("%s: %s failed", key, name)
            await self._sleep(5.0)
            self._inbox.put(key)


def _task_key(effect: AskHook | Measure, run_id: str) -> str:
    """The name of a task: a question of an earlier run is another question."""
    return f"{'hook' if isinstance(effect, AskHook) else 'measure'}/{run_id}/{effect.key}"
