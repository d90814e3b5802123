"""The list-and-watch: what it caches, what it tells, and that nothing a server does to a watch leaves a ghost or a gap."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cluster.client import CONNECTIONS, PAGE, Client, Manifest, Page
from flaggerpy.cluster.errors import ApiError
from flaggerpy.cluster.kinds import CONFIG_MAP, LEASE, SECRET
from flaggerpy.cluster.watch import Cache, Key, Watcher, newer
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually


def config_map(name: str = "a", labels: dict[str, str] | None = None, /, **data: str) -> Manifest:
    metadata = {"name": name, "namespace": "test", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


class Told:
    """What on_change was called with, in short: +name, ~name, -name."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, key: Key, new: Manifest | None, old: Manifest | None) -> None:
        self.lines.append(("~" if new and old else "+" if new else "-") + key.name)


async def no_wait(seconds: float) -> None:
    await asyncio.sleep(0)


def follow(client: Client, told: Callable[[Key, Manifest | None, Manifest | None], None], **options: Any) -> Watcher:
    return Watcher(client, options.pop("kind", CONFIG_MAP), on_change=told, sleep=no_wait, **options)


async def test_what_is_there_and_what_comes_is_told_and_cached(server: FakeApiServer, client: Client) -> None:
    told = Told()
    server.add(config_map("a", x="1"))
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add(config_map("b"))
        server.patch(CONFIG_MAP, "test", "a", {"data": {"x": "2"}})
        server.remove(CONFIG_MAP, "test", "b")
        await eventually(lambda: len(told.lines) == 4)
        assert told.lines == ["+a", "+b", "~a", "-b"]
        found = watcher.get("test", "a")
        assert found
        assert found["data"] == {"x": "2"}
        assert [key for key, _ in watcher.items()] == [Key("test", "a")]


async def test_a_watcher_with_selectors_sees_only_its_own(server: FakeApiServer, client: Client) -> None:
    told = Told()
    async with follow(client, told, namespace="test", label_selector="app=x") as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add(config_map("other", {"app": "y"}))
        server.add(config_map("mine", {"app": "x"}))
        server.patch(CONFIG_MAP, "test", "mine", {"metadata": {"labels": {"app": "y"}}})
        await eventually(lambda: len(told.lines) == 2)
    assert told.lines == ["+mine", "-mine"]


async def test_projections_are_cached_and_an_equal_one_tells_nobody(server: FakeApiServer, client: Client) -> None:
    told = Told()
    server.add(config_map("a", seen="1", hidden="1"))
    server.add(config_map("uninteresting"))

    def project(obj: Manifest) -> Manifest | None:
        return {"seen": obj["data"]["seen"]} if "seen" in obj.get("data", {}) else None

    async with follow(client, told, project=project) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.patch(CONFIG_MAP, "test", "a", {"data": {"hidden": "2"}})
        server.patch(CONFIG_MAP, "test", "a", {"data": {"seen": "2"}})
        await eventually(lambda: len(told.lines) == 2)
        assert told.lines == ["+a", "~a"]
        assert dict(watcher.items()) == {Key("test", "a"): {"seen": "2"}}


async def test_metadata_only_never_receives_a_secret(server: FakeApiServer, client: Client) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "test"}, "data": {"k": "dg=="}}
    server.add(secret)
    told = Told()
    async with follow(client, told, kind=SECRET, metadata_only=True) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add({**secret, "metadata": {"name": "t", "namespace": "test"}})
        await eventually(lambda: len(told.lines) == 2)
        for _, obj in watcher.items():
            assert obj.keys() == {"apiVersion", "kind", "metadata"}
            assert (obj["apiVersion"], obj["kind"]) == ("v1", "Secret")
    assert all("PartialObjectMetadata" in request.headers["Accept"] for request in server.requests)


async def test_a_watch_that_ends_goes_on_where_it_was(server: FakeApiServer, client: Client) -> None:
    told = Told()
    server.add(config_map("a"))
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        for number in range(3):
            await eventually(lambda: server.watches == 1)
            server.drop_watches(ConnectionResetError() if number % 2 else None)
            server.add(config_map(f"b{number}"))
            await eventually(lambda: len(told.lines) == number + 2)  # noqa: B023 - awaited within the turn
    assert told.lines == ["+a", "+b0", "+b1", "+b2"]
    assert sum(request.verb == "list" for request in server.requests) == 1


async def test_bookmarks_carry_the_version_on(server: FakeApiServer, client: Client) -> None:
    async with follow(client, Told()) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add({**config_map(), "kind": "Secret"})
        server.bookmark()
        await eventually(lambda: watcher.cache.version == "1001")
        server.drop_watches()
        await eventually(lambda: sum(request.verb == "watch" for request in server.requests) == 2)
    assert server.requests[-1].query["resourceVersion"] == "1001"
    assert server.requests[-1].query["allowWatchBookmarks"] == "true"


def between_the_pages(server: FakeApiServer, then: Callable[[], None]) -> None:
    """Do this once, before the second page of the list of ConfigMaps is answered."""
    todo = [then]

    def fault(request: Request) -> None:
        if "continue" in request.query and todo:
            todo.pop()()

    server.fault = fault


async def test_what_we_write_between_two_pages_of_a_list_stands(server: FakeApiServer, client: Client) -> None:
    ours = {"c0000", f"c{PAGE + 1:04}"}
    for number in range(PAGE + 2):
        server.add(config_map(f"c{number:04}", x="1"))
    async with follow(client, Told()) as watcher:

        def write() -> None:
            for name in ours:
                watcher.cache.put(server.patch(CONFIG_MAP, "test", name, {"data": {"x": "mine"}}))

        between_the_pages(server, write)
        await watcher.synced.wait()
        assert len(watcher.cache) == PAGE + 2
        assert {key.name for key, obj in watcher.items() if obj["data"]["x"] == "mine"} == ours


async def test_a_list_that_has_to_begin_anew_lets_go_what_went_meanwhile(server: FakeApiServer, client: Client) -> None:
    told = Told()
    for number in range(PAGE + 2):
        server.add(config_map(f"c{number:04}"))

    def goes() -> None:
        assert "+c0000" in told.lines
        server.remove(CONFIG_MAP, "test", "c0000")
        server.compact()

    between_the_pages(server, goes)
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        assert len(watcher.cache) == PAGE + 1
        assert watcher.get("test", "c0000") is None
    assert told.lines.count("-c0000") == 1
    assert len(told.lines) == PAGE + 3


async def test_after_a_410_the_list_replaces_the_cache_and_the_vanished_are_told_as_deleted(server: FakeApiServer, client: Client) -> None:
    told = Told()
    for name in ("stays", "changes", "goes", "returns"):
        server.add(config_map(name, x="1"))
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        told.lines.clear()
        await server.stop()
        await eventually(lambda: watcher.problem)
        server.remove(CONFIG_MAP, "test", "goes")
        server.remove(CONFIG_MAP, "test", "returns")
        server.add(config_map("returns", x="1", another="one"))
        server.add(config_map("new"))
        server.patch(CONFIG_MAP, "test", "changes", {"data": {"x": "2"}})
        server.compact()
        await server.start()
        await eventually(lambda: server.watches)
        assert sorted(told.lines) == ["+new", "+returns", "-goes", "-returns", "~changes"]
        assert sorted(key.name for key, _ in watcher.items()) == ["changes", "new", "returns", "stays"]


async def test_an_error_line_other_than_410_is_outlived_without_a_list(server: FakeApiServer, client: Client) -> None:
    async with follow(client, Told()) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.watch_error(500, "etcd is away")
        server.drop_watches()
        await eventually(lambda: sum(request.verb == "watch" for request in server.requests) == 2)
    assert sum(request.verb == "list" for request in server.requests) == 1


async def test_silence_ends_a_connection_and_is_no_problem_while_the_next_one_can_be_made(server: FakeApiServer, client: Client) -> None:
    told = Told()
    async with follow(client, told, silence=0.05) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: sum(request.verb == "watch" for request in server.requests) >= 3)
        assert watcher.problem is None
        server.add(config_map("a"))
        await eventually(lambda: told.lines == ["+a"])


async def test_a_server_that_takes_the_connection_and_says_nothing_is_a_problem(server: FakeApiServer, client: Client) -> None:
    async with follow(client, Told(), silence=0.05) as watcher:
        await watcher.synced.wait()
        server.delay = lambda request: 60 if request.verb == "watch" else 0
        server.drop_watches()
        await eventually(lambda: watcher.problem)


async def test_a_kind_that_is_refused_is_asked_for_until_it_is_allowed(server: FakeApiServer, client: Client) -> None:
    told = Told()
    server.add(config_map("a"))
    server.fault = lambda request: 403
    async with follow(client, told) as watcher:
        await eventually(lambda: len(server.requests) >= 12)
        assert not watcher.synced.is_set()
        assert watcher.problem
        assert watcher.problem.status == 403
        assert watcher.silent_for() == float("inf")
        server.fault = lambda request: None
        await watcher.synced.wait()
        assert watcher.problem is None
        assert watcher.silent_for() < 5


async def test_the_back_off_grows_to_fifteen_seconds_and_no_further(server: FakeApiServer) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    server.fault = lambda request: 403
    async with Watcher(server.client(), CONFIG_MAP, sleep=note):
        await eventually(lambda: len(waited) >= 12)
    assert waited[0] < 1
    assert all(0.75 * 15 <= seconds <= 1.25 * 15 for seconds in waited[6:])


async def test_a_server_that_ends_each_watch_at_once_is_not_asked_in_a_tight_loop(server: FakeApiServer) -> None:
    waited: list[float] = []

    async def note(seconds: float) -> None:
        waited.append(seconds)
        server.drop_watches()
        await asyncio.sleep(0)

    async with Watcher(server.client(), CONFIG_MAP, sleep=note) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.drop_watches()
        await eventually(lambda: len(waited) == 1)
    assert waited[0] > 0.3


async def test_a_listener_that_fails_does_not_end_the_watch(server: FakeApiServer, client: Client) -> None:
    seen: list[str] = []

    def fails(key: Key, new: Manifest | None, old: Manifest | None) -> None:
        seen.append(key.name)
        raise RuntimeError("a fault in a listener")

    server.add(config_map("a"))
    async with follow(client, fails) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add(config_map("b"))
        await eventually(lambda: seen == ["a", "b"])


async def test_an_object_that_cannot_be_projected_counts_as_unchanged_and_ends_no_watch(server: FakeApiServer, client: Client) -> None:
    told = Told()

    def project(obj: Manifest) -> Manifest:
        return {"x": int(obj["data"]["x"])}

    server.add(config_map("a", x="1"))
    server.add(config_map("odd", x="no number"))
    async with follow(client, told, project=project) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.patch(CONFIG_MAP, "test", "a", {"data": {"x": "neither"}})
        server.add(config_map("b", x="2"))
        await eventually(lambda: "+b" in told.lines)
        assert dict(watcher.items()) == {Key("test", "a"): {"x": 1}, Key("test", "b"): {"x": 2}}
    assert told.lines == ["+a", "+b"]


async def test_stopping_closes_the_connection(server: FakeApiServer, client: Client) -> None:
    watcher = follow(client, Told())
    watcher.start()
    watcher.start()
    await watcher.synced.wait()
    await eventually(lambda: server.watches == 1)
    await watcher.stop()
    await watcher.stop()
    server.add(config_map("late"))
    await eventually(lambda: server.watches == 0)
    assert watcher.get("test", "late") is None
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("watch ")]


async def test_an_object_longer_than_any_buffer_arrives(server: FakeApiServer, client: Client) -> None:
    told = Told()
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        server.add(config_map("big", x="x" * 5_000_000))
        await eventually(lambda: told.lines == ["+big"])


async def test_watches_do_not_take_the_connections_of_writes(server: FakeApiServer, client: Client) -> None:
    watchers = [follow(client, Told(), namespace=f"ns{number}") for number in range(150)]
    for watcher in watchers:
        watcher.start()
    await eventually(lambda: server.watches == 150)
    async with asyncio.timeout(5):
        await client.create(config_map())
    for watcher in watchers:
        await watcher.stop()


async def test_requests_that_hang_hold_up_others_but_not_the_lease(server: FakeApiServer, client: Client) -> None:
    """As where an admission webhook of a namespace does not answer: each has a connection, until all are taken."""
    server.delay = lambda request: 30.0 if request.ns == "odd" else 0.0
    hang = [asyncio.create_task(client.find(CONFIG_MAP, "odd", f"c{number}")) for number in range(CONNECTIONS + 10)]
    await eventually(lambda: len(server.requests) == CONNECTIONS)
    other = asyncio.create_task(client.find(CONFIG_MAP, "fair", "c"))
    lease = await asyncio.wait_for(client.request("GET", LEASE.path("fair"), throttled=False), 5)
    assert lease["kind"] == "LeaseList"
    assert not other.done()
    for task in (*hang, other):
        task.cancel()
    await asyncio.gather(*hang, other, return_exceptions=True)


async def test_an_own_write_is_seen_at_once_and_told_once(server: FakeApiServer, client: Client) -> None:
    told = Told()
    async with follow(client, told) as watcher:
        await watcher.synced.wait()
        await eventually(lambda: server.watches)
        made = await client.create(config_map("mine"))
        took = watcher.cache.put(made)
        assert watcher.get("test", "mine")
        server.add(config_map("after"))
        await eventually(lambda: "+after" in told.lines)
    assert took in (True, False)
    assert told.lines == ["+mine", "+after"]
    assert "managedFields" in made["metadata"]


# --- the cache alone -------------------------------------------------------------------------------------------------------------------


def versioned(name: str, version: int | str, uid: str = "u", **data: str) -> Manifest:
    obj = config_map(name, **data)
    obj["metadata"] |= {"resourceVersion": str(version), "uid": uid}
    return obj


def cache(told: Told | None = None, **options: Any) -> Cache:
    return Cache(CONFIG_MAP, on_change=told, **options)


def listed(kept: Cache, objects: list[Manifest], version: str) -> None:
    """A whole list is taken."""
    kept.keep_only(kept.take(objects), version)


def test_a_list_older_than_an_own_write_does_not_undo_it() -> None:
    kept = cache()
    listed(kept, [versioned("a", 5, x="old")], "7")
    assert kept.put(versioned("a", 10, x="new"))
    assert kept.put(versioned("b", 11))
    listed(kept, [versioned("a", 5, x="old")], "9")
    found = kept.get("test", "a")
    assert found
    assert found["data"] == {"x": "new"}
    assert kept.get("test", "b")
    listed(kept, [], "12")
    assert len(kept) == 0


async def test_a_list_that_breaks_off_lets_nothing_go() -> None:
    told = Told()
    kept = cache(told)
    listed(kept, [versioned("a", 5), versioned("b", 5)], "7")

    async def half() -> AsyncIterator[Page]:
        yield Page([versioned("a", 8, x="new")], "9", True)
        raise ApiError("etcd is away", status=500)

    with pytest.raises(ApiError):
        await kept.fill(half())
    assert told.lines == ["+a", "+b", "~a"]
    assert kept.version == "7"


async def test_what_goes_while_a_list_is_read_does_not_come_back_by_it() -> None:
    told = Told()
    kept = cache(told)
    listed(kept, [versioned("a", 5), versioned("b", 5), versioned("c", 5, "first")], "7")

    async def pages() -> AsyncIterator[Page]:
        yield Page([versioned("a", 5)], "9", True)
        for name, uid in (("b", "u"), ("c", "first")):
            kept.event("DELETED", versioned(name, 10, uid))
        # made anew, and read as such
        yield Page([versioned("b", 5), versioned("c", 12, "second")], "12", False)

    await kept.fill(pages())
    assert {key.name for key, _ in kept.items()} == {"a", "c"}
    assert told.lines == ["+a", "+b", "+c", "-b", "-c", "+c"]
    # it was told of that list alone
    listed(kept, [versioned("b", 8, "third")], "13")
    assert kept.get("test", "b")


@pytest.mark.parametrize("whole", [False, True])
async def test_listeners_that_are_to_find_all_are_told_when_all_has_been_read(whole: bool) -> None:
    told = Told()
    kept = cache(told)
    before: list[list[str]] = []

    async def pages() -> AsyncIterator[Page]:
        yield Page([versioned("old", 5)], "9", True)
        yield Page([versioned("a", 5)], "11", True)
        before.append(list(told.lines))
        yield Page([versioned("b", 5)], "11", False)

    await kept.fill(pages(), whole=whole)
    assert before == [[] if whole else ["+old", "+a"]]
    assert sorted(key.name for key, _ in kept.items()) == ["a", "b"]


def test_a_late_answer_does_not_raise_the_dead() -> None:
    told = Told()
    kept = cache(told)
    listed(kept, [versioned("a", 5)], "5")
    kept.event("DELETED", versioned("a", 9))
    assert not kept.put(versioned("a", 8))
    assert kept.get("test", "a") is None
    assert told.lines == ["+a", "-a"]


def test_what_is_read_live_makes_good_for_a_lost_event_after_which_others_were_told() -> None:
    told = Told()
    kept = cache(told)
    listed(kept, [versioned("a", 5, x="1")], "5")
    kept.event("ADDED", versioned("b", 9))  # that "a" had changed in 7 was lost on the way
    assert kept.put(versioned("a", 7, x="2"))
    found = kept.get("test", "a")
    assert found
    assert found["data"] == {"x": "2"}
    assert not kept.put(versioned("a", 6, x="older"))
    assert kept.version == "9"
    assert told.lines == ["+a", "+b", "~a"]


def test_a_late_event_does_not_undo_an_own_write() -> None:
    kept = cache()
    listed(kept, [versioned("a", 5, x="1")], "5")
    kept.put(versioned("a", 9, x="mine"))
    kept.event("MODIFIED", versioned("a", 7, x="theirs, before mine"))
    found = kept.get("test", "a")
    assert found
    assert found["data"] == {"x": "mine"}


def test_a_namesake_is_two_changes() -> None:
    told = Told()
    kept = cache(told)
    listed(kept, [versioned("a", 5, "first")], "5")
    listed(kept, [versioned("a", 9, "second", x="1")], "9")
    assert told.lines == ["+a", "-a", "+a"]


def test_the_deletion_of_a_predecessor_spares_the_namesake_that_we_made() -> None:
    kept = cache()
    listed(kept, [versioned("a", 5, "first")], "5")
    kept.put(versioned("a", 9, "second"))
    kept.event("DELETED", versioned("a", 8, "first"))
    assert kept.get("test", "a")


def test_versions_that_are_no_numbers_have_no_order_and_only_the_watch_is_believed() -> None:
    assert newer("a1", "a0") is None
    kept = cache()
    listed(kept, [versioned("a", "v-5", x="1")], "v-5")
    assert not kept.put(versioned("a", "v-9", x="mine"))
    kept.event("MODIFIED", versioned("a", "v-9", x="mine"))
    found = kept.get("test", "a")
    assert found
    assert found["data"] == {"x": "mine"}


def test_an_object_outside_the_selection_is_not_put() -> None:
    kept = cache(namespace="other")
    assert not kept.put(versioned("a", 1))
    kept = cache(label_selector="app=x")
    assert not kept.put(versioned("a", 1))


@given(st.lists(st.tuples(st.sampled_from(["add", "change", "remove", "relist", "page", "own"]), st.integers(0, 3)), max_size=40))
def test_the_cache_and_the_listeners_view_follow_the_server(steps: list[tuple[str, int]]) -> None:
    """A server in miniature; after each step the cache holds what the server holds, and so does who only listened."""
    heard: dict[str, Manifest] = {}

    def listen(key: Key, new: Manifest | None, old: Manifest | None) -> None:
        assert heard.get(key.name) == old
        if new is None:
            del heard[key.name]
        else:
            heard[key.name] = new

    kept = Cache(CONFIG_MAP, on_change=listen)
    listed(kept, [], "1")
    truth: dict[str, Manifest] = {}
    unsent: list[tuple[str, Manifest]] = []
    page: tuple[list[Manifest], set[Key], str] | None = None
    version = 1

    def second_page() -> None:
        nonlocal page
        if page:
            rest, first, at = page
            kept.keep_only(first | kept.take(rest), at)
            page = None

    for action, number in steps:
        name, version = f"c{number}", version + 1
        if action == "relist":
            # also in the middle of another list, which then began anew
            unsent.clear()
            page = None
            listed(kept, [dict(obj) for obj in truth.values()], str(version))
        elif action == "page":
            second_page()
            unsent.clear()
            objects = [dict(obj) for obj in truth.values()]
            page = objects[number:], kept.take(objects[:number]), str(version)
        elif action == "remove":
            if name in truth:
                gone = truth.pop(name)
                unsent.append(("DELETED", {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(version)}}))
        else:
            uid = truth[name]["metadata"]["uid"] if name in truth else f"uid{version}"
            unsent.append(("MODIFIED" if name in truth else "ADDED", versioned(name, version, uid, x=str(version))))
            truth[name] = unsent[-1][1]
            if action == "own":
                kept.put(truth[name])
                assert kept.get("test", name) == truth[name]
        if number % 2 and (not page or action != "page"):
            # the watch begins where the list was cut
            second_page()
            for type_, obj in unsent:
                kept.event(type_, obj)
            unsent.clear()
            assert {key.name: value for key, value in kept.items()} == truth
            assert heard == truth
    second_page()
    for type_, obj in unsent:
        kept.event(type_, obj)
    assert heard == truth

