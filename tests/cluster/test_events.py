"""Events: what is written, what becomes a series, what is dropped, and that nothing of it disturbs the recorder's callers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaggerpy.cluster.events import BURST, FOR_WARNINGS, QUEUE, EventRecorder
from flaggerpy.cluster.kinds import EVENT
from tests.cluster.fake_apiserver import FakeApiServer

CANARY = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "podinfo", "namespace": "test", "uid": "u1"}}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def recorder(server: FakeApiServer, clock: Clock) -> AsyncIterator[EventRecorder]:
    async def no_wait(seconds: float) -> None:
        return None

    made = EventRecorder(server.client(sleep=no_wait), instance="pod-1", monotonic=clock)
    made.start()
    yield made
    await made.stop()


def events(server: FakeApiServer) -> list[dict[str, Any]]:
    return list(server.objects.get(("", "events"), {}).values())


async def test_an_event_has_the_form_of_flaggers(server: FakeApiServer, recorder: EventRecorder) -> None:
    server.clock = lambda: 1_700_000_000
    assert recorder.record(CANARY, "Advance podinfo.test canary weight 10")
    assert await recorder.flush(5)
    (event,) = events(server)
    assert event["involvedObject"] == {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "name": "podinfo",
        "namespace": "test",
        "uid": "u1",
    }
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Synced", 1)
    assert event["message"] == "Advance podinfo.test canary weight 10"
    assert event["source"] == {"component": "flagger"}
    assert (event["reportingComponent"], event["reportingInstance"]) == ("flagger", "pod-1")
    assert event["metadata"]["namespace"] == "test"
    assert event["metadata"]["name"].startswith("podinfo.")
    assert event["firstTimestamp"] == event["lastTimestamp"]


async def test_microseconds_and_names_keep_events_of_one_second_in_order(server: FakeApiServer, recorder: EventRecorder) -> None:
    server.clock = lambda: 1_700_000_000
    for number in range(12):
        recorder.record(CANARY, f"{12 - number}")
    await recorder.flush()
    by_name = sorted(events(server), key=lambda event: str(event["metadata"]["name"]))
    assert [event["message"] for event in by_name] == [f"{12 - number}" for number in range(12)]
    assert [event["eventTime"] for event in by_name] == sorted(event["eventTime"] for event in by_name)
    # without these the API server refuses an event that has microseconds
    assert all(event["action"] and event["reportingComponent"] and event["reportingInstance"] for event in by_name)


async def test_the_same_said_in_another_release_is_another_event(server: FakeApiServer, recorder: EventRecorder) -> None:
    for chapter in ("run-1", "run-1", "run-2"):
        recorder.record(CANARY, "Advance podinfo.test canary weight 10", chapter=chapter)
    await recorder.flush()
    assert sorted(event["count"] for event in events(server)) == [1, 2]


async def test_equal_events_within_ten_minutes_are_one_series(server: FakeApiServer, recorder: EventRecorder, clock: Clock) -> None:
    for _ in range(3):
        recorder.record(CANARY, "halt", type="Warning")
        await recorder.flush()
        clock.now += 599
    assert [event["count"] for event in events(server)] == [3]
    assert [request.verb for request in server.requests] == ["create", "patch", "patch"]
    clock.now += 2
    recorder.record(CANARY, "halt", type="Warning")
    await recorder.flush()
    assert [event["count"] for event in events(server)] == [3, 1]


@pytest.mark.parametrize(
    "other",
    [
        {"type": "Warning"},
        {"reason": "Other"},
        {"message": "another"},
        {"involved": {**CANARY, "metadata": {"name": "other", "namespace": "test"}}},
    ],
)
async def test_any_difference_makes_another_event(server: FakeApiServer, recorder: EventRecorder, other: dict[str, Any]) -> None:
    recorder.record(CANARY, "x")
    recorder.record(**{"involved": CANARY, "message": "x", **other})
    await recorder.flush()
    assert [event["count"] for event in events(server)] == [1, 1]


async def test_a_series_whose_event_is_gone_begins_anew(server: FakeApiServer, recorder: EventRecorder) -> None:
    recorder.record(CANARY, "x")
    await recorder.flush()
    (event,) = events(server)
    server.remove(EVENT, "test", event["metadata"]["name"])
    recorder.record(CANARY, "x")
    await recorder.flush()
    assert [event["count"] for event in events(server)] == [1]


async def test_one_object_cannot_flood_and_warnings_have_tokens_of_their_own(
    server: FakeApiServer, recorder: EventRecorder, clock: Clock
) -> None:
    normal = [recorder.record(CANARY, f"n{number}") for number in range(40)]
    assert sum(normal) == BURST - FOR_WARNINGS
    warnings = [recorder.record(CANARY, f"w{number}", type="Warning") for number in range(10)]
    assert sum(warnings) == FOR_WARNINGS
    assert recorder.record({**CANARY, "metadata": {"name": "other", "namespace": "test"}}, "another object is not affected")
    assert recorder.dropped == 40 - 20 + 10 - 5
    clock.now += 10
    assert recorder.record(CANARY, "one more", type="Warning")
    assert not recorder.record(CANARY, "and no other", type="Warning")


async def test_a_full_queue_drops_and_counts(server: FakeApiServer) -> None:
    recorder = EventRecorder(server.client())
    taken = [
        recorder.record({**CANARY, "metadata": {"name": f"c{number}", "namespace": "test"}}, "x") for number in range(QUEUE + 5)
    ]
    assert sum(taken) == QUEUE
    assert recorder.dropped == 5
    assert not await recorder.flush(0.01)


async def test_trouble_with_events_reaches_nobody(server: FakeApiServer, recorder: EventRecorder) -> None:
    server.fault = lambda request: 403
    assert recorder.record(CANARY, "refused")
    assert await recorder.flush()
    assert recorder.dropped == 1
    assert not recorder.record({"no": "metadata"}, "not an object")
    server.fault = lambda request: None
    recorder.record(CANARY, "written")
    await recorder.flush()
    assert [event["message"] for event in events(server)] == ["written"]


async def test_a_flush_gives_up_in_time_when_the_server_hangs(server: FakeApiServer, recorder: EventRecorder) -> None:
    server.delay = 60
    recorder.record(CANARY, "x")
    assert not await recorder.flush(0.05)
    await recorder.stop(0.01)
    server.delay = 0


async def test_messages_are_cut_to_what_the_api_takes(server: FakeApiServer, recorder: EventRecorder) -> None:
    recorder.record(CANARY, "ü" * 2000)
    await recorder.flush()
    (event,) = events(server)
    assert len(event["message"].encode()) <= 1024
    assert event["message"].endswith("…")


async def test_events_of_cluster_scoped_objects_are_in_default(server: FakeApiServer, recorder: EventRecorder) -> None:
    recorder.record({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}, "x")
    await recorder.flush()
    assert events(server)[0]["metadata"]["namespace"] == "default"
