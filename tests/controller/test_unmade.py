"""Why pods of a DaemonSet are lacking: its events are read while they do, now and then, and only those of this run count."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from flaggerpy.api.status import timestamp
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.unmade import EVERY, FIRST_AFTER, Unmade

Obj = dict[str, Any]
KEY = Key("shop", "podinfo")
BEGAN = 1000.0


class Clock:
    """An API server with a time, events, and errors."""

    def __init__(self) -> None:
        self.at = BEGAN
        self.events: list[Obj] = []
        self.broken = False
        self.asked: list[str] = []

    def now(self) -> float:
        return self.at

    async def list(self, kind: object, ns: str, *, field_selector: str) -> list[Obj]:
        self.asked.append(field_selector)
        if self.broken:
            raise ApiError("down")
        return self.events


class Work:
    """Takes what is to be done beside the look."""

    def __init__(self) -> None:
        self.due: list[Callable[[], Awaitable[None]]] = []

    def fetch(self, key: Key, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.due.append(work)

    async def done(self) -> int:
        some, self.due = self.due, []
        for work in some:
            await work()
        return len(some)


def daemonset(current: int = 1) -> Obj:
    return {"metadata": {"uid": "u"}, "status": {"desiredNumberScheduled": 3, "currentNumberScheduled": current}}


def event(at: float, reason: str = "FailedCreate") -> Obj:
    return {"reason": reason, "message": f"at {at:g}", "lastTimestamp": timestamp(at)}


async def test_events_are_read_while_pods_are_lacking_and_only_those_of_the_run_are_told() -> None:
    clock, work = Clock(), Work()
    unmade = Unmade(clock, work)  # type: ignore[arg-type]
    clock.events = [event(BEGAN - 60), event(BEGAN + 1), event(BEGAN + 1, "Other")]
    assert unmade.look(KEY, [daemonset(), None], BEGAN) == []
    assert await work.done() == 0  # in a healthy cluster the pods are there in a moment
    assert unmade.look_again_in(KEY) == FIRST_AFTER
    clock.at += FIRST_AFTER
    unmade.look(KEY, [daemonset()], BEGAN)
    assert await work.done() == 1
    assert clock.asked == ["involvedObject.uid=u"]
    assert [each["message"] for each in unmade.look(KEY, [daemonset()], BEGAN)] == [f"at {BEGAN + 1:g}"]
    assert await work.done() == 0
    assert unmade.look_again_in(KEY) == EVERY


async def test_what_was_told_stands_while_it_cannot_be_read() -> None:
    clock, work = Clock(), Work()
    unmade = Unmade(clock, work)  # type: ignore[arg-type]
    clock.events = [event(BEGAN)]
    unmade.look(KEY, [daemonset()], BEGAN)
    for _ in range(2):
        clock.at += EVERY
        unmade.look(KEY, [daemonset()], BEGAN)
        assert await work.done() == 1
        clock.broken = True
    assert len(unmade.look(KEY, [daemonset()], BEGAN)) == 1


def test_nothing_is_asked_where_no_pod_is_lacking_or_nothing_runs() -> None:
    clock, work = Clock(), Work()
    unmade = Unmade(clock, work)  # type: ignore[arg-type]
    for workloads, since in (([daemonset(3)], BEGAN), ([daemonset()], None), ([None], BEGAN), ([{"metadata": {"uid": "d"}}], BEGAN)):
        unmade.look(KEY, workloads, since)
        clock.at += 60
        assert unmade.look_again_in(KEY) is None
    unmade.look(KEY, [daemonset()], BEGAN)
    assert unmade.look_again_in(KEY) is not None
    unmade.forget(KEY)
    assert unmade.look_again_in(KEY) is None
    assert not work.due
