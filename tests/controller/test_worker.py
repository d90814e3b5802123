"""The worker: intent before deed, nothing decided on old facts, one failure told, retried, and nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.status import CanaryStatus, Condition, Phase, Progress, timestamp
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Cause, Forbidden
from flaggerpy.controller import worker
from flaggerpy.controller.background import Background
from flaggerpy.controller.gather import Snapshot
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.look import Look, RefusedError, StaleError
from flaggerpy.controller.worker import Parts, Worker, calls_ready_anew
from flaggerpy.controller.world import World
from flaggerpy.rollout.decision import Decision
from flaggerpy.rollout.effects import EnsureServices, RecordEvent, ScaleTarget
from flaggerpy.rollout.facts import Facts
from flaggerpy.routers.base import Settings as RouterSettings
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary
from tests.controller.test_background import Places

Obj = dict[str, Any]
KEY = Key("shop", "podinfo")


class Eyes:
    """Sees nothing but the Canary; proves what the test says."""

    def __init__(self) -> None:
        self.looks = 0
        self.proofs: list[bool] = []
        self.standing: dict[str, Obj | None] = {}

    async def look(self, key: Key, obj: Obj, canary: Canary, status: CanaryStatus) -> Snapshot:
        self.looks += 1
        return Snapshot(canary=canary, status=status, router=None, router_settings=RouterSettings(), services=self.standing)

    async def prove(self, snapshot: Snapshot) -> bool:
        return self.proofs.pop(0) if self.proofs else True

    def follow(self, key: Key, snapshot: Snapshot, status: CanaryStatus) -> None:
        return None

    def look_again_in(self, key: Key) -> float | None:
        return None


class Hands:
    """Writes down what it is asked for, and fails as the test says."""

    def __init__(self, server: FakeApiServer) -> None:
        self.done: list[Any] = []
        self.told: list[str] = []
        self.failures: list[Exception] = []
        self.phases: list[str] = []
        self._server = server

    async def carry_out(self, look: Look, effect: Any) -> None:
        self.phases.append(stored(self._server).get("phase", ""))
        if self.failures:
            raise self.failures.pop(0)
        self.done.append(effect)

    def tell(self, key: Key, obj: Obj, sentence: str) -> None:
        self.told.append(sentence)


class Scene:
    """A worker that runs, with its surroundings in the test's hands."""

    def __init__(self, server: FakeApiServer, client: Client) -> None:
        self.server = server
        self.inbox = Inbox()
        self.world = World(client, self.inbox)
        self.world.scopes.append(KEY.namespace)
        self.eyes, self.hands = Eyes(), Hands(server)
        self.looks = 0
        self.afterwards: Decision | None = None
        self.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING))
        background = Background(Places(), self.inbox)
        self.parts = Parts(client, self.world, self.inbox, background, self.eyes, self.hands, self._decide)
        self.task: asyncio.Task[None] | None = None

    def _decide(self, canary: Canary, status: CanaryStatus, facts: Facts, now: float) -> Decision:
        self.looks += 1
        decision = self.decision
        if self.afterwards is not None:
            self.decision, self.afterwards = self.afterwards, None
        return decision

    @property
    def seen(self) -> int:
        """How often it has looked around, and not only decided."""
        return self.eyes.looks

    def start(self) -> None:
        obj = self.server.get(kinds.CANARY, *KEY)
        assert obj is not None
        self.world.feed("canaries", "ADDED", obj)
        self.task = asyncio.create_task(Worker(KEY, self.parts).run())


def stored(server: FakeApiServer) -> Obj:
    found: Obj = (server.get(kinds.CANARY, *KEY) or {}).get("status") or {}
    return found


def stalled(server: FakeApiServer) -> str:
    return "".join(one["message"] for one in stored(server).get("conditions", ()) if one["type"] == "Stalled")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeApiServer() as server:
        server.add(canary())
        made = Scene(server, server.client())
        yield made
        if made.task:
            made.task.cancel()
            await asyncio.gather(made.task, return_exceptions=True)


async def test_the_status_is_written_before_the_effects_and_only_when_it_differs(scene: Scene) -> None:
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING), (ScaleTarget(0),))
    scene.start()
    await eventually(lambda: len(scene.hands.done) >= 1)
    assert set(scene.hands.phases) == {"Initializing"}
    before, looks = len(scene.server.writes), scene.looks
    scene.inbox.put(KEY)
    await eventually(lambda: scene.looks > looks)
    assert len(scene.server.writes) == before


def waiting(for_what: str) -> CanaryStatus:
    told = Condition(type="Reconciling", status="True", reason="Progressing", message=for_what)
    return CanaryStatus(phase=Phase.PROGRESSING, progress=Progress(waiting_for=for_what), conditions=[told])


async def test_a_mere_change_of_words_is_written_when_it_has_stood_for_a_moment(scene: Scene) -> None:
    scene.decision = Decision(waiting("pods to be created"))
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Progressing")
    # the second time as the first: what was written has been waited for
    for what in ("pods", "gates"):
        before = len(scene.server.writes)
        for number in range(20):
            looks = scene.looks
            scene.decision = Decision(waiting(f"{number} of 20 {what}"))
            scene.inbox.put(KEY)
            await eventually(lambda looks=looks: scene.looks > looks)  # type: ignore[misc]
        await eventually(lambda: stored(scene.server)["progress"]["waitingFor"] == f"19 of 20 {what}")  # noqa: B023
        assert len(scene.server.writes) - before <= 3


async def test_its_own_write_does_not_wake_it_when_nothing_more_follows(scene: Scene) -> None:
    scene.decision = Decision(waiting("a gate"))
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Progressing")
    await eventually(lambda: scene.seen > 1)  # a phase that is new is always looked at again
    scene.decision = Decision(waiting("a gate").model_copy(update={"canary_weight": 20}))
    seen = scene.seen
    scene.inbox.put(KEY)
    await eventually(lambda: stored(scene.server).get("canaryWeight") == 20)
    await asyncio.sleep(0.1)
    assert scene.seen == seen + 1


@pytest.mark.parametrize("more", [waiting("the next step"), Decision(waiting("a gate"), (ScaleTarget(1),))])
async def test_what_follows_from_its_own_write_is_done_without_other_news(scene: Scene, more: CanaryStatus | Decision) -> None:
    scene.decision = Decision(waiting("a gate"))
    scene.start()
    await eventually(lambda: scene.seen > 1)
    scene.decision = Decision(waiting("a gate").model_copy(update={"canary_weight": 20}))
    scene.afterwards = more if isinstance(more, Decision) else Decision(more.model_copy(update={"canary_weight": 40}))
    seen = scene.seen
    scene.inbox.put(KEY)
    await eventually(lambda: scene.seen >= seen + 2)


async def test_what_an_event_tells_stands_in_the_status_at_once(scene: Scene) -> None:
    scene.decision = Decision(waiting("pods to be created"))
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Progressing")
    scene.decision = Decision(waiting("a gate"), (RecordEvent("Warning", "a gate is closed", "Progressing"),))
    scene.inbox.put(KEY)
    await eventually(lambda: len(scene.hands.done) >= 1)
    assert stored(scene.server)["progress"]["waitingFor"] == "a gate"


async def test_a_canary_that_changed_meanwhile_is_read_again_before_it_is_decided_on(scene: Scene) -> None:
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Initializing")
    # the watch lags: the cache does not know of this edit
    scene.server.patch(kinds.CANARY, *KEY, {"spec": {"suspend": True}})
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZED))
    scene.inbox.put(KEY)
    await eventually(lambda: stored(scene.server).get("phase") == "Initialized")
    cached = scene.world.canaries.get(*KEY)
    assert cached is not None
    assert cached["spec"]["suspend"] is True


async def test_an_older_canary_than_our_own_write_never_enters_the_cache(scene: Scene) -> None:
    scene.start()
    old = scene.server.get(kinds.CANARY, *KEY)
    assert old is not None
    await eventually(lambda: (scene.world.canaries.get(*KEY) or {}).get("status", {}).get("phase") == "Initializing")
    scene.world.feed("canaries", "MODIFIED", old)
    assert (scene.world.canaries.get(*KEY) or {})["status"]["phase"] == "Initializing"


async def test_a_stale_cache_makes_the_worker_look_again_at_once(scene: Scene) -> None:
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING), (ScaleTarget(0),))
    scene.hands.failures = [StaleError("lagged")]
    scene.start()
    await eventually(lambda: ScaleTarget(0) in scene.hands.done)
    assert scene.hands.told == []


@pytest.mark.fault("Q-2")
async def test_promotion_needs_a_live_read_that_agrees(scene: Scene) -> None:
    scene.eyes.proofs = [False, True]
    scene.decision = Decision(CanaryStatus(phase=Phase.PROMOTING))
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Promoting")
    assert scene.looks >= 2
    assert scene.eyes.proofs == []


def ready(generation: int) -> CanaryStatus:
    told = Condition(type="Ready", status="True", reason="Succeeded", observed_generation=generation)
    return CanaryStatus(phase=Phase.SUCCEEDED, observed_generation=generation, conditions=[told])


async def test_a_new_generation_is_called_ready_only_after_a_live_read_that_agrees(scene: Scene) -> None:
    """A change of the target that was applied with it may not be seen yet, and who waits for Ready would go on."""
    scene.server.patch(kinds.CANARY, *KEY, {"status": ready(1).to_obj(), "spec": {"release": "2"}})
    scene.eyes.proofs = [False, True]
    scene.decision = Decision(ready(2))
    scene.start()
    await eventually(lambda: stored(scene.server).get("observedGeneration") == 2)
    assert (scene.looks >= 2, scene.eyes.proofs) == (True, [])


@pytest.mark.parametrize(
    ("before", "after", "proven"),
    [
        (ready(1), ready(2), True),
        (ready(2), ready(2), False),
        (CanaryStatus(phase=Phase.SUCCEEDED), ready(2), False),
        (CanaryStatus(phase=Phase.FINALISING, observed_generation=1), ready(2), False),
        (ready(1), CanaryStatus(phase=Phase.SUCCEEDED, observed_generation=2), False),
    ],
)
def test_only_ready_of_a_new_generation_is_proven(before: CanaryStatus, after: CanaryStatus, proven: bool) -> None:
    seen = parse_canary({**canary(), "metadata": {"name": "podinfo", "namespace": "shop", "uid": "1", "generation": 2}})
    assert calls_ready_anew(seen, before, after) is proven


@pytest.mark.fault("Q-6")
async def test_a_refusal_is_told_in_status_and_event_once_and_goes_when_it_is_over(scene: Scene) -> None:
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING), (ScaleTarget(0),))
    scene.hands.failures = [RefusedError("the flux capacitor is missing")] * 2
    scene.start()
    await eventually(lambda: stalled(scene.server) == "the flux capacitor is missing")
    await eventually(lambda: len(scene.hands.done) >= 1)
    await eventually(lambda: stalled(scene.server) == "")
    assert scene.hands.told == ["the flux capacitor is missing"]


async def test_after_a_failed_effect_only_what_tells_of_the_decision_goes_on(scene: Scene) -> None:
    told = RecordEvent("Normal", "New revision detected!", "Progressing")
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING), (ScaleTarget(1), EnsureServices(apex=True), told))
    scene.hands.failures = [RefusedError("no")]
    scene.start()
    await eventually(lambda: bool(scene.hands.done))
    assert scene.hands.done[0] == told


@pytest.mark.fault("Q-29")
async def test_a_fault_in_the_core_is_told_and_does_not_end_the_worker(scene: Scene) -> None:
    def broken(*_: Any) -> Decision:
        raise ZeroDivisionError("weights")

    scene.parts.decide = broken
    scene.start()
    await eventually(lambda: "internal error: ZeroDivisionError: weights" in stalled(scene.server))
    scene.parts.decide = scene._decide
    await eventually(lambda: stored(scene.server).get("phase") == "Initializing" and not stalled(scene.server))


@pytest.mark.fault("Q-30")
async def test_a_canary_that_is_gone_ends_its_worker(scene: Scene) -> None:
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Initializing")
    scene.server.remove(kinds.CANARY, *KEY)
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZED))
    scene.inbox.put(KEY)
    assert scene.task is not None
    await asyncio.wait_for(scene.task, 5)
    assert scene.world.canaries.get(*KEY) is None


@pytest.mark.fault("Q-52")
async def test_without_the_lease_nothing_is_written(scene: Scene) -> None:
    scene.parts.holds = lambda: False
    scene.start()
    await eventually(lambda: scene.looks >= 1)
    assert scene.server.writes == []


async def test_a_flagger_at_work_is_left_alone(scene: Scene) -> None:
    now = timestamp(scene.parts.client.now())
    notes = [{"manager": "flagger", "operation": "Update", "subresource": "status", "time": now}]
    scene.server.patch(kinds.CANARY, *KEY, {"metadata": {"managedFields": notes}})
    scene.start()
    await eventually(lambda: bool(scene.hands.told))
    scene.inbox.put(KEY)
    await asyncio.sleep(0.05)
    assert len(scene.hands.told) == 1
    assert "Flagger still writes" in scene.hands.told[0]
    assert scene.looks == 0
    assert scene.server.writes == []


async def test_a_flagger_that_writes_a_route_or_a_service_is_left_alone_until_it_has_been_silent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.eyes.standing = {"podinfo": {"metadata": {"managedFields": [
        {"manager": "flagger", "operation": "Update", "time": timestamp(scene.parts.client.now())}]}}}  # fmt: skip
    monkeypatch.setattr(worker, "silence", lambda obj: 1.2)
    scene.parts.started_at = scene.parts.client.now() - 5
    scene.start()
    await eventually(lambda: bool(scene.hands.told))
    assert "left to Flagger" in scene.hands.told[0]
    assert scene.looks == 0
    await eventually(lambda: scene.looks > 0)
    assert len(scene.hands.told) == 1


async def test_a_namespace_that_goes_is_left_in_peace(scene: Scene) -> None:
    going = Forbidden("unable to create new content in namespace shop because it is being terminated")
    going.causes = (Cause("metadata.namespace", "namespace shop is being terminated", "NamespaceTerminating"),)
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZING), (ScaleTarget(0),))
    scene.hands.failures = [going]
    scene.start()
    await eventually(lambda: len(scene.hands.done) >= 1)
    assert scene.hands.told == []
    assert stalled(scene.server) == ""


async def test_ready_and_reconciling_can_be_left_out(scene: Scene) -> None:
    scene.parts.kstatus = False
    conditions = [Condition(type=type_, status="True", reason="x") for type_ in ("Promoted", "Ready", "Reconciling")]
    scene.decision = Decision(CanaryStatus(phase=Phase.INITIALIZED, conditions=conditions))
    scene.start()
    await eventually(lambda: stored(scene.server).get("phase") == "Initialized")
    assert [condition["type"] for condition in stored(scene.server)["conditions"]] == ["Promoted"]
