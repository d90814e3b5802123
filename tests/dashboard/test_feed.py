"""Who is told what: present states, once; and what is kept, and for how long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from flaggerpy.dashboard.feed import ENDED_KEPT, Feed, Key, Reader
from tests.dashboard.scene import Shelf, canary, run


class Later:
    """`loop.call_later` that waits to be rung."""

    def __init__(self) -> None:
        self.due: list[Callable[[], None]] = []

    def __call__(self, seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
        self.due.append(what)
        return asyncio.get_running_loop().call_later(3600, lambda: None)


@pytest.fixture
async def later() -> Later:
    return Later()


@pytest.fixture
async def shelf(later: Later) -> Shelf:
    made = Shelf()
    made.feed = Feed(made, later)
    return made


def feed_of(shelf: Shelf) -> Feed:
    assert shelf.feed is not None
    return shelf.feed


def timeline(shelf: Shelf, key: Key) -> Any:
    found = feed_of(shelf).detail(key)
    assert found is not None
    return json.loads(found)["timeline"]


async def test_a_new_reader_is_told_everything_and_then_what_changes(shelf: Shelf) -> None:
    one, two = shelf.put(canary("one")), shelf.put(canary("two"))
    reader = Reader()
    assert feed_of(shelf).join(reader) is False
    assert list(reader.dirty) == [one, two]
    reader.dirty.clear()
    shelf.put(canary("two", **run()))
    shelf.put(canary("two", **run(40)))
    assert list(reader.dirty) == [two]
    assert json.loads(feed_of(shelf).row(two) or b"")["weight"] == 40


async def test_a_reader_that_comes_back_gets_what_changed_meanwhile_also_what_is_gone(shelf: Shelf) -> None:
    for name in ("one", "two", "three"):
        shelf.put(canary(name))
    feed, first = feed_of(shelf), Reader()
    feed.join(first)
    shelf.put(canary("one", **run()))
    moment = feed.moment
    feed.leave(first)
    shelf.put(canary("two", **run()))
    shelf.take(Key("test", "three"))
    again = Reader()
    assert feed.join(again, moment) is True
    assert list(again.dirty) == [Key("test", "two"), Key("test", "three")]
    assert feed.row(Key("test", "three")) is None


async def test_a_reader_of_another_controller_or_of_long_ago_gets_everything(shelf: Shelf, later: Later) -> None:
    shelf.put(canary("one"))
    feed, first = feed_of(shelf), Reader()
    feed.join(first)
    moment = feed.moment
    for last in ("0123456789ab-5", "nonsense", "", "-", f"{moment}x"):
        assert feed.join(Reader(), last) is False
    assert feed.join(Reader(), moment) is True


async def test_after_the_last_reader_nothing_is_kept(shelf: Shelf, later: Later) -> None:
    shelf.put(canary("one"))
    feed, reader = feed_of(shelf), Reader()
    feed.join(reader)
    feed.row(Key("test", "one"))
    moment = feed.moment
    feed.leave(reader)
    later.due.pop()()
    assert (feed._rows, feed._changes) == ({}, {})
    shelf.put(canary("one", **run()))
    assert (feed._rows, feed._changes) == ({}, {})
    assert feed.join(Reader(), moment) is False


async def test_nothing_is_forgotten_while_somebody_came_back_in_time(shelf: Shelf, later: Later) -> None:
    shelf.put(canary("one"))
    feed, reader = feed_of(shelf), Reader()
    feed.join(reader)
    feed.leave(reader)
    moment = feed.moment
    feed.join(Reader(), moment)
    later.due.pop()()
    assert feed.join(Reader(), moment) is True


async def test_the_reader_of_one_canary_is_told_of_that_one_only(shelf: Shelf) -> None:
    one = shelf.put(canary("one"))
    shelf.put(canary("two"))
    reader = Reader(one)
    feed_of(shelf).join(reader)
    reader.dirty.clear()
    shelf.put(canary("two", **run()))
    assert not reader.dirty
    shelf.put(canary("one", **run()))
    assert list(reader.dirty) == [one]


async def test_a_row_is_made_once_for_all_readers(shelf: Shelf) -> None:
    key = shelf.put(canary("one"))
    feed = feed_of(shelf)
    feed.join(Reader())
    assert feed.row(key) is feed.row(key)


async def test_idle_canaries_cost_nothing(shelf: Shelf) -> None:
    for number in range(100):
        shelf.put(canary(f"app-{number}"))
    feed = feed_of(shelf)
    assert (feed._rows, feed._changes, feed._running, dict(feed._ended)) == ({}, {}, {}, {})


async def test_a_run_is_remembered_to_its_end_with_its_last_events(shelf: Shelf) -> None:
    key = shelf.put(canary("one", **run(20)))
    feed = feed_of(shelf)
    feed.heard(key, "Normal", "Advance one.test canary weight 20")
    shelf.time += 10
    shelf.put(canary("one", **run(40)))
    shelf.time += 10
    shelf.put(canary("one", history=[{"revision": "v2", "outcome": "Succeeded"}]))
    feed.heard(key, "Normal", "Promotion completed!")
    told = timeline(shelf, key)
    assert [weight for _, weight in told["weights"]] == [20, 40, 0]
    assert [text for _, _, text in told["events"]] == ["Advance one.test canary weight 20", "Promotion completed!"]
    assert (told["outcome"], told["ended"]) == ("Succeeded", shelf.time)
    shelf.time += 600
    feed.heard(key, "Normal", "something later")
    assert len(timeline(shelf, key)["events"]) == 2


async def test_the_next_run_has_a_picture_of_its_own(shelf: Shelf) -> None:
    key = shelf.put(canary("one", **run(40)))
    shelf.put(canary("one", **run(0, id="run-2", revision="v3", started=shelf.time)))
    told = timeline(shelf, key)
    assert (told["revision"], told["weights"]) == ("v3", [[shelf.time, 0.0]])


async def test_of_runs_that_ended_the_last_ones_are_kept_and_none_of_a_canary_that_is_gone(shelf: Shelf) -> None:
    keys = [shelf.put(canary(f"app-{number}", **run(20, id=f"run-{number}"))) for number in range(ENDED_KEPT + 5)]
    for key in keys:
        shelf.put(canary(key.name))
    assert timeline(shelf, keys[0]) is None
    assert timeline(shelf, keys[-1]) is not None
    shelf.take(keys[-1])
    shelf.put(canary(keys[-1].name))
    assert timeline(shelf, keys[-1]) is None


async def test_a_canary_that_is_deleted_in_its_run_leaves_nothing(shelf: Shelf) -> None:
    key = shelf.put(canary("one", **run(20)))
    shelf.take(key)
    feed = feed_of(shelf)
    assert (feed._running, dict(feed._ended), feed.detail(key), feed.row(key)) == ({}, {}, None, None)


async def test_pods_of_both_sides_are_told_as_far_as_they_are_known(shelf: Shelf) -> None:
    key = shelf.put(canary("one", **run(20)))
    shelf.deployments[Key("test", "one-primary")] = {"spec": {"replicas": 2}, "status": {"readyReplicas": 1}}
    assert json.loads(feed_of(shelf).detail(key) or b"")["pods"] == {"primary": {"ready": 1, "wanted": 2}}
