"""Slow things run beside the workers: once at a time, for their own run only, and what is owed leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flaggerpy.api.canary import Canary, Metric, Webhook, parse_canary
from flaggerpy.api.status import CanaryStatus, OutboxItem, RunState
from flaggerpy.controller.background import EVENT_CALLS, EVENT_CALLS_OF_NAMESPACE, Background
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.rollout.effects import AskHook, CheckImages, Deliver, Measure, RecordEvent
from flaggerpy.rollout.facts import Answer, ImageAnswer, Measurement

KEY = Key("shop", "podinfo")
CANARY = parse_canary(
    {
        "metadata": {"name": "podinfo", "namespace": "shop", "uid": "u"},
        "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}},
    }
)
HOOK = Webhook(name="gate", url="http://gate/", type="confirm-rollout")


def of(namespace: str, name: str, *, hooked: bool = True) -> Canary:
    """A Canary, with an event hook of its own where it is `hooked`."""
    hooks = [{"name": "told", "type": "event", "url": "http://told/", "timeout": "24h"}] if hooked else []
    return parse_canary(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "analysis": {"webhooks": hooks}},
        }
    )


class Places:
    """An outside that answers when the test lets it."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.phases: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures = 0

    async def _came(self, what: Any) -> None:
        self.asked.append(what)
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no")

    async def ask(self, canary: Canary, status: CanaryStatus, effect: AskHook) -> Answer:
        self.phases.append(effect.phase)
        await self._came(effect.key)
        return Answer(ok=True, at=float(len(self.asked)))

    async def measure(self, canary: Canary, effect: Measure) -> Measurement:
        await self._came(effect.key)
        return Measurement("value", 99.0)

    async def check_providers(self, canary: Canary) -> tuple[str, ...]:
        await self._came("providers")
        return ()

    async def check_images(self, canary: Canary, status: CanaryStatus, pod_spec: Mapping[str, Any]) -> tuple[ImageAnswer, ...]:
        await self._came(pod_spec["name"])
        return (ImageAnswer(pod_spec["name"], "exists"),)

    async def deliver(self, canary: Canary, status: CanaryStatus, item: OutboxItem) -> None:
        await self._came(item.id)

    async def tell_event(self, canary: Canary, status: CanaryStatus, effect: RecordEvent) -> None:
        await self._came(effect.message)


def status(run: str = "r1", *owed: str) -> CanaryStatus:
    return CanaryStatus(run=RunState(id=run, revision="x"), outbox=[OutboxItem(id=id_, kind="alert", phase="Failed") for id_ in owed])


def ask(every: float | None = None, key: str = "1/gate") -> AskHook:
    return AskHook(key=key, hook=HOOK, phase="Progressing", idempotency_key="i", every=every)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def no_pause(seconds: float) -> None:
    await asyncio.sleep(0)


@pytest.fixture
async def places() -> Places:
    return Places()


@pytest.fixture
async def background(places: Places) -> Background:
    made = Background(places, Inbox(), sleep=no_pause)
    made.answers(KEY, status())
    return made


async def test_a_hook_is_asked_once_per_key_and_its_answer_wakes_the_worker(places: Places) -> None:
    inbox = Inbox()
    background = Background(places, inbox, sleep=no_pause)
    background.answers(KEY, status())
    inbox.put(KEY)
    await inbox.take(KEY)
    places.gate.clear()
    for _ in range(3):
        background.ask(KEY, CANARY, status(), ask())
        await settle()
    places.gate.set()
    await asyncio.wait_for(inbox.take(KEY), 1)
    assert background.answers(KEY, status()).hooks["1/gate"].ok
    background.ask(KEY, CANARY, status(), ask())
    await settle()
    assert places.asked == ["1/gate"]


async def test_what_is_fetched_runs_once_at_a_time_and_wakes_the_worker() -> None:
    inbox = Inbox()
    background = Background(Places(), inbox, sleep=no_pause)
    gate, begun = asyncio.Event(), []

    async def work() -> None:
        begun.append(1)
        await gate.wait()

    for _ in range(3):
        background.fetch(KEY, "events", work)
        await settle()
    assert begun == [1]
    inbox.put(KEY)
    await inbox.take(KEY)
    gate.set()
    await asyncio.wait_for(inbox.take(KEY), 1)
    background.fetch(KEY, "events", work)
    await settle()
    assert begun == [1, 1]


async def test_a_repeated_question_ends_when_a_decision_does_not_ask_it(places: Places, background: Background) -> None:
    background.ask(KEY, CANARY, status(), ask(every=2))
    await settle()
    assert len(places.asked) > 1
    background.keep_only(KEY, [ask(every=2)])
    before = len(places.asked)
    await settle()
    assert len(places.asked) > before
    background.keep_only(KEY, [])
    await settle()
    before = len(places.asked)
    await settle()
    assert len(places.asked) == before


async def test_a_repeated_question_tells_the_phase_of_the_newest_decision(places: Places, background: Background) -> None:
    background.ask(KEY, CANARY, status(), ask(every=2))
    await settle()
    background.ask(KEY, CANARY, status(), replace(ask(every=2), phase="Waiting"))
    await settle()
    assert list(dict.fromkeys(places.phases)) == ["Progressing", "Waiting"]


async def test_answers_of_an_earlier_run_are_dropped_also_when_they_come_late(places: Places, background: Background) -> None:
    places.gate.clear()
    background.ask(KEY, CANARY, status(), ask())
    background.measure(KEY, CANARY, Measure(key="1/rate", metric=Metric(name="rate")))
    await settle()
    assert background.answers(KEY, status("r2")).hooks == {}
    places.gate.set()
    await settle()
    answers = background.answers(KEY, status("r2"))
    assert (answers.hooks, answers.measurements) == ({}, {})
    background.ask(KEY, CANARY, status("r2"), ask())
    await settle()
    assert background.answers(KEY, status("r2")).hooks["1/gate"].ok


async def test_a_measurement_and_the_providers_come_as_facts(background: Background, places: Places) -> None:
    effect = Measure(key="1/rate", metric=Metric(name="rate"))
    background.measure(KEY, CANARY, effect)
    background.check_providers(KEY, CANARY)
    await settle()
    background.measure(KEY, CANARY, effect)
    background.check_providers(KEY, CANARY)
    await settle()
    answers = background.answers(KEY, status())
    assert answers.measurements["1/rate"].value == 99.0
    assert answers.providers == ()
    assert sorted(places.asked) == ["1/rate", "providers"]


async def test_a_delivery_is_tried_again_and_forgotten_when_it_is_not_owed_any_more(background: Background, places: Places) -> None:
    places.failures = 2
    owed = status("r1", "a")
    background.deliver(KEY, CANARY, owed, Deliver("a"))
    background.deliver(KEY, CANARY, owed, Deliver("not-owed"))
    await settle()
    assert places.asked == ["a", "a", "a"]
    assert background.answers(KEY, owed).delivered == {"a"}
    background.deliver(KEY, CANARY, owed, Deliver("a"))
    await settle()
    assert len(places.asked) == 3
    assert background.answers(KEY, status("r2")).delivered == set()


async def test_a_receiver_that_is_gone_is_given_up(background: Background, places: Places) -> None:
    places.failures = 100
    background.deliver(KEY, CANARY, status("r1", "a"), Deliver("a"))
    await settle()
    assert background.answers(KEY, status("r1", "a")).delivered == {"a"}


async def test_a_fault_of_ours_is_not_repeated_in_a_tight_loop_and_harms_nobody(places: Places) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    inbox = Inbox()
    background = Background(places, inbox, sleep=sleep)
    background.answers(KEY, status())
    places.failures = 1
    background.measure(KEY, CANARY, Measure(key="1/rate", metric=Metric(name="rate")))
    await settle()
    assert slept == [5.0]
    background.measure(KEY, CANARY, Measure(key="1/rate", metric=Metric(name="rate")))
    await settle()
    assert background.answers(KEY, status()).measurements["1/rate"].kind == "value"


async def test_stopping_lets_deliveries_leave(background: Background, places: Places) -> None:
    places.gate.clear()
    background.deliver(KEY, CANARY, status("r1", "a"), Deliver("a"))
    background.tell_event(CANARY, status(), RecordEvent("Normal", "hello", "Progressing"))
    await settle()
    asyncio.get_running_loop().call_later(0.01, places.gate.set)
    await background.stop()
    assert background.answers(KEY, status("r1", "a")).delivered == {"a"}
    assert sorted(places.asked) == ["a", "hello"]


async def test_answers_of_earlier_rounds_are_forgotten_but_not_those_of_gates(places: Places, background: Background) -> None:
    for key in ("r1/1/rollout/0-a", "r1/2/rollout/0-a", "r1/rollback/0-b", "r1/confirm-rollout/0-c"):
        background.ask(KEY, CANARY, status(), ask(key=key))
    background.measure(KEY, CANARY, Measure(key="r1/1/metric/0-m", metric=Metric(name="m")))
    await settle()
    second = CanaryStatus(run=RunState(id="r1", revision="x", asked_round=2))
    answers = background.answers(KEY, second)
    assert set(answers.hooks) == {"r1/2/rollout/0-a", "r1/rollback/0-b", "r1/confirm-rollout/0-c"}
    assert answers.measurements == {}


async def test_images_are_asked_for_once_per_run_and_their_answers_go_with_it(places: Places, background: Background) -> None:
    for _ in range(3):
        background.check_images(KEY, CANARY, status(), CheckImages("r1/images"), {"name": "app:1"})
        await settle()
    assert places.asked == ["app:1"]
    assert background.answers(KEY, status()).images == {"r1/images": (ImageAnswer("app:1", "exists"),)}
    assert background.answers(KEY, status("r2")).images == {}


async def test_a_question_about_images_that_fails_is_asked_again_when_it_is_decided_again(places: Places, background: Background) -> None:
    places.failures = 1
    for _ in range(2):
        background.check_images(KEY, CANARY, status(), CheckImages("r1/images"), {"name": "app:1"})
        await settle()
    assert places.asked == ["app:1", "app:1"]
    assert background.answers(KEY, status()).images


async def test_event_webhooks_of_one_namespace_that_never_answer_silence_nobody_else(places: Places, background: Background) -> None:
    places.gate.clear()
    for number in range(2 * EVENT_CALLS_OF_NAMESPACE):
        background.tell_event(of("hostile", f"app-{number}"), status(), RecordEvent("Normal", "noise", "Progressing"))
    await settle()
    assert places.asked == ["noise"] * EVENT_CALLS_OF_NAMESPACE
    background.tell_event(of("quiet", "app"), status(), RecordEvent("Normal", "of a tenant", "Progressing"))
    background.tell_event(of("hostile", "other", hooked=False), status(), RecordEvent("Normal", "for the operator", "Progressing"))
    await settle()
    assert places.asked[EVENT_CALLS_OF_NAMESPACE:] == ["of a tenant", "for the operator"]
    await stopped(background)


async def test_no_number_of_namespaces_keeps_the_operators_webhook_from_events(places: Places, background: Background) -> None:
    places.gate.clear()
    for number in range(2 * EVENT_CALLS):
        background.tell_event(of(f"hostile-{number}", "app"), status(), RecordEvent("Normal", "noise", "Progressing"))
    await settle()
    assert places.asked == ["noise"] * EVENT_CALLS
    background.tell_event(of("quiet", "app", hooked=False), status(), RecordEvent("Normal", "for the operator", "Progressing"))
    await settle()
    assert places.asked[EVENT_CALLS:] == ["for the operator"]
    await stopped(background)


async def test_events_of_one_canary_are_told_one_after_the_other(places: Places, background: Background) -> None:
    places.gate.clear()
    for message in ("first", "second"):
        background.tell_event(of("shop", "app"), status(), RecordEvent("Normal", message, "Progressing"))
    await settle()
    assert places.asked == ["first"]
    places.gate.set()
    await settle()
    assert places.asked == ["first", "second"]


async def stopped(background: Background) -> None:
    """Nothing of a test's calls is left."""
    for task in background._events:
        task.cancel()
    await settle()
