"""The caches: who is woken by what, ghosts that go, and kinds and pods that are followed when somebody needs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import PAGE
from flaggerpy.cluster.kinds import Kind
from flaggerpy.controller import world
from flaggerpy.controller.inbox import Inbox, Key
from flaggerpy.controller.interests import Ref
from flaggerpy.controller.routewatches import kind_ref
from flaggerpy.controller.world import World
from flaggerpy.routers.base import RouteObject
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually
from tests.controller.living import canary, deployment, owner

Obj = dict[str, Any]
KEY = Key("shop", "podinfo")
ROUTE = RouteObject("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", "podinfo")


class Noting(Inbox):
    """Writes down what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[Key] = []

    def put(self, key: Key) -> None:
        self.woken.append(key)


class Scene:
    """A started world, and the keys that it woke."""

    def __init__(self, server: FakeApiServer) -> None:
        self.server = server
        inbox = Noting()
        self.woken = inbox.woken
        self.world = World(server.client(), inbox)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with FakeApiServer() as server:
        server.add(canary())
        made = Scene(server)
        await made.world.start()
        made.woken.clear()
        yield made
        await made.world.stop()


async def test_an_object_wakes_those_who_look_at_it(scene: Scene) -> None:
    scene.world.interests.set(KEY, [Ref("deployments", "shop", "podinfo")])
    scene.server.add(deployment("other"))
    scene.server.add(deployment())
    await eventually(lambda: KEY in scene.woken)
    assert set(scene.woken) == {KEY}


async def test_what_was_unpacked_for_a_canary_at_rest_is_not_kept(scene: Scene) -> None:
    scene.world.interests.set(KEY, [Ref("deployments", "shop", "podinfo")])
    made = scene.server.add(deployment())
    history = {"name": "podinfo-5d9", "namespace": "shop", "ownerReferences": [owner(made)]}
    template = made["spec"]["template"]
    scene.server.add({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": history, "spec": {"template": template}})
    await eventually(lambda: len(scene.world.history("Deployment", "shop", "podinfo")) == 1)
    before = [scene.world.canaries.get(*KEY), scene.world.deployments.get(*KEY), *scene.world.history("Deployment", "shop", "podinfo")]
    scene.world.rest(KEY)
    after = [scene.world.canaries.get(*KEY), scene.world.deployments.get(*KEY), *scene.world.history("Deployment", "shop", "podinfo")]
    assert before == after
    assert not any(one is other for one, other in zip(before, after, strict=True))


async def test_a_canary_that_went_is_told_once_as_it_was_last(scene: Scene) -> None:
    last = scene.world.canaries.get(*KEY)
    assert scene.world.departed(KEY) is None
    scene.world.canary_is_gone(KEY)
    assert scene.world.departed(KEY) == last
    assert scene.world.departed(KEY) is None


async def test_a_replica_set_wakes_those_who_look_at_its_deployment_and_is_found_by_it(scene: Scene) -> None:
    scene.world.interests.set(KEY, [Ref("deployments", "shop", "podinfo")])
    made = scene.server.add(deployment())
    await eventually(lambda: KEY in scene.woken)
    scene.woken.clear()
    replica_set = {"name": "podinfo-1", "namespace": "shop", "ownerReferences": [owner(made)]}
    scene.server.add({"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": replica_set, "spec": {"replicas": 1}})
    await eventually(lambda: KEY in scene.woken)
    assert [obj["metadata"]["name"] for obj in scene.world.history("Deployment", "shop", "podinfo")] == ["podinfo-1"]
    scene.server.remove(kinds.REPLICA_SET, "shop", "podinfo-1")
    await eventually(lambda: scene.world.history("Deployment", "shop", "podinfo") == [])


async def test_configs_are_followed_as_metadata_only(scene: Scene) -> None:
    scene.server.add({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"token": "aGlkZGVu"}})
    await eventually(lambda: scene.world.secrets.get("shop", "s") is not None)
    assert "hidden" not in str(scene.world.secrets.get("shop", "s"))
    assert "data" not in (scene.world.secrets.get("shop", "s") or {})


async def test_a_deleted_canary_does_not_come_back_by_a_late_event_or_write(scene: Scene) -> None:
    obj = scene.server.get(kinds.CANARY, *KEY)
    assert obj is not None
    scene.world.feed("canaries", "DELETED", obj)
    assert scene.world.canaries.get(*KEY) is None
    late = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "999999"}}
    scene.world.feed("canaries", "MODIFIED", late)
    scene.world.wrote_canary(late)
    assert scene.world.canaries.get(*KEY) is None
    assert obj["metadata"]["uid"] not in scene.world.flagger_wrote


async def test_our_own_write_is_known_at_once_and_wakes_nobody(scene: Scene) -> None:
    obj = scene.server.get(kinds.CANARY, *KEY)
    assert obj is not None
    told: list[Obj | None] = []
    scene.world.on_canary = lambda key, present: told.append(present)
    ours = {**obj, "metadata": {**obj["metadata"], "resourceVersion": "999998"}, "status": {"phase": "Initializing"}}
    scene.world.wrote_canary(ours)
    known = scene.world.canaries.get(*KEY)
    assert known is not None
    assert known["status"] == {"phase": "Initializing"}
    assert (scene.woken, len(told)) == ([], 1)
    scene.world.feed("canaries", "MODIFIED", ours)  # its echo
    assert scene.woken == []
    scene.world.feed("canaries", "MODIFIED", {**ours, "metadata": {**ours["metadata"], "resourceVersion": "999999"}, "spec": {}})
    assert scene.woken == [KEY]


@pytest.mark.fault("Q-30")
async def test_a_change_that_was_never_told_is_found(scene: Scene) -> None:
    scene.server.patch(kinds.CANARY, "shop", "podinfo", {"spec": {"suspend": True}})
    await scene.world.find_ghosts()
    known = scene.world.canaries.get("shop", "podinfo")
    assert known is not None
    assert known["spec"]["suspend"] is True
    assert KEY in scene.woken


async def test_to_read_one_namespace_says_nothing_of_the_others() -> None:
    async with FakeApiServer() as server:
        for namespace in ("shop", "bar"):
            server.add(canary("podinfo", namespace))
        scene = Scene(server)
        await scene.world.start(("shop", "bar"))
        assert all(scene.world.canaries.get(namespace, "podinfo") for namespace in ("shop", "bar"))
        scene.server.patch(kinds.CANARY, "shop", "podinfo", {"spec": {"suspend": True}})
        await scene.world.find_ghosts()
        assert all(scene.world.canaries.get(namespace, "podinfo") for namespace in ("shop", "bar"))
        await scene.world.stop()


async def test_a_namespace_that_is_attended_later_wakes_nobody_before_all_of_it_is_known(scene: Scene) -> None:
    """Else the first page would be taken to be all: who has the older claim to a target may be on the second."""
    for number in range(PAGE + 3):
        scene.server.add(canary(f"c{number:04}", "bar"))
    known: list[int] = []
    scene.world.on_canary = lambda key, obj: known.append(0)
    seen = len(scene.woken)
    asked = len(scene.server.requests)
    opening = asyncio.create_task(scene.world.open("bar"))

    def pages() -> int:
        return sum(request.resource == "canaries" and request.ns == "bar" for request in scene.server.requests[asked:])

    while not opening.done():
        if pages() < 2:
            assert len(scene.woken) == seen
        await asyncio.sleep(0)
    await opening
    assert pages() == 2
    assert len(known) == PAGE + 3
    assert len({key for key in scene.woken if key.namespace == "bar"}) == PAGE + 3


async def test_a_namespace_that_is_left_while_it_is_read_is_as_if_it_had_never_been_known(scene: Scene) -> None:
    for number in range(3):
        scene.server.add(canary(f"c{number}", "bar"))
    closing: list[asyncio.Task[None]] = []

    async def close(request: Request) -> None:
        if request.resource == "canaries" and request.ns == "bar" and not closing:
            closing.append(asyncio.create_task(scene.world.close("bar")))
            await closing[0]

    scene.server.fault = close
    await scene.world.open("bar")
    assert closing
    assert all(scene.world.canaries.get("bar", f"c{number}") is None for number in range(3))


async def test_a_ghost_is_found_and_woken(scene: Scene) -> None:
    scene.server.remove(kinds.CANARY, *KEY)
    await scene.world.find_ghosts()
    assert scene.world.canaries.get(*KEY) is None
    assert KEY in scene.woken


@pytest.mark.parametrize("kind", [kinds.DEPLOYMENT, kinds.REPLICA_SET])
async def test_a_change_of_a_workload_that_its_watch_never_told_is_found(scene: Scene, kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "WATCH_LAG", 0.0)
    [watcher] = [watcher for watcher in scene.world.watchers if watcher.kind == kind]
    scene.server.add({**deployment("late"), "kind": kind.kind})
    await eventually(lambda: watcher.get("shop", "late") is not None)
    await watcher.stop()
    scene.server.patch(kind, "shop", "late", {"spec": {"replicas": 7}})
    assert watcher.cache.missed(*await scene.world.client.snapshot(kind, None))
    await scene.world.find_ghosts()
    assert not watcher.cache.missed(*await scene.world.client.snapshot(kind, None))


async def test_what_the_watches_told_is_not_read_again(scene: Scene) -> None:
    await scene.world.find_ghosts()
    asked = [request for request in scene.server.requests if request.verb == "list"]
    await scene.world.find_ghosts()
    again = [request for request in scene.server.requests if request.verb == "list"][len(asked) :]
    assert len(again) == len(world.OUR_KINDS) + sum(watcher.kind in world.SWEPT for watcher in scene.world.watchers)


async def test_rivals_are_woken_when_one_comes_or_goes(scene: Scene) -> None:
    younger = canary("younger", targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"})
    made = scene.server.add(younger)
    scene.world.feed("canaries", "ADDED", made)
    assert scene.world.canaries_of_target("shop", "Deployment", "podinfo") == {KEY, Key("shop", "younger")}
    assert KEY in scene.woken
    scene.woken.clear()
    scene.world.feed("canaries", "DELETED", made)
    assert scene.world.canaries_of_target("shop", "Deployment", "podinfo") == {KEY}
    assert KEY in scene.woken


async def test_a_kind_of_route_is_followed_from_the_first_need_on(scene: Scene) -> None:
    assert not any("httproutes" in request.path for request in scene.server.requests)
    scene.world.interests.set(KEY, [kind_ref(ROUTE), Ref("httproutes", "shop", "podinfo")])
    assert scene.world.follow_routes([ROUTE], "shop") == (False, [])
    await eventually(lambda: KEY in scene.woken)
    assert scene.world.follow_routes([ROUTE], "shop") == (True, [])
    scene.woken.clear()
    meta = {"name": "podinfo", "namespace": "shop"}
    scene.server.add({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": {}})
    await eventually(lambda: scene.world.route(ROUTE, "shop") is not None)
    assert KEY in scene.woken


async def test_a_kind_that_is_not_served_is_named(scene: Scene) -> None:
    scene.server.unserve(kinds.HTTP_ROUTE)
    scene.world.interests.set(KEY, [kind_ref(ROUTE)])
    scene.world.follow_routes([ROUTE], "shop")
    await eventually(lambda: KEY in scene.woken)
    ready, [sentence] = scene.world.follow_routes([ROUTE], "shop")
    assert not ready
    assert "does not serve HTTPRoute of gateway.networking.k8s.io/v1" in sentence


async def test_pods_are_followed_by_selector_and_only_as_long_as_wanted(scene: Scene) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop", "labels": {"app": "podinfo"}}}
    scene.server.add(pod)
    scene.server.add({**pod, "metadata": {"name": "q", "namespace": "shop", "labels": {"app": "other"}}})
    assert scene.world.pods(KEY, "target") is None
    await eventually(lambda: scene.server.watches == len(scene.world.watchers))
    before = scene.server.watches
    scene.world.follow_pods(KEY, "target", "app=podinfo")
    await eventually(lambda: KEY in scene.woken)
    assert [obj["metadata"]["name"] for obj in scene.world.pods(KEY, "target") or ()] == ["p"]
    await eventually(lambda: scene.server.watches == before + 1)
    scene.world.follow_pods(KEY, "target", None)
    assert scene.world.pods(KEY, "target") is None
    await eventually(lambda: scene.server.watches == before)


async def test_pods_that_could_never_be_read_leave_nothing_behind(scene: Scene) -> None:
    scene.server.fault = lambda request: 403 if request.resource == "pods" else None
    scene.world.follow_pods(KEY, "target", "app=podinfo")
    await eventually(lambda: any(request.resource == "pods" for request in scene.server.requests))
    scene.world.let_pods_be(KEY)
    await eventually(lambda: not scene.world._tasks)
