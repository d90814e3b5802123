"""Releases from end to end, on an API server in memory with a deployment controller that lives (`living.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.registry import FaultyRegistry
from flaggerpy.cluster import kinds
from flaggerpy.controller import seeing
from flaggerpy.controller.run import serve
from flaggerpy.controller.settings import Settings
from flaggerpy.rollout import traffic
from flaggerpy.routers.manifest import ORIGINAL
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary, deployment

Obj = dict[str, Any]
SHOP = "shop"
pytestmark = pytest.mark.usefixtures("short_drains", "living")


@contextlib.asynccontextmanager
async def controller(server: FakeApiServer, **settings: Any) -> AsyncIterator[None]:
    """A replica that runs while the block does."""
    stop = asyncio.Event()
    given = Settings(**{"mesh_provider": "kubernetes", "port": 0, "address": "127.0.0.1", **settings})
    running = asyncio.create_task(serve(given, stop=stop, client=server.client()))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(running, 20)


def status(server: FakeApiServer, name: str = "podinfo") -> Obj:
    found = server.get(kinds.CANARY, SHOP, name) or {}
    answer: Obj = found.get("status") or {}
    return answer


async def phase(server: FakeApiServer, wanted: str, within: float = 45, name: str = "podinfo") -> None:
    try:
        await eventually(lambda: status(server, name).get("phase") == wanted, within)
    except TimeoutError:
        raise AssertionError(f"not {wanted} but {status(server, name)}") from None


def image(server: FakeApiServer, name: str) -> str:
    found = server.get(kinds.DEPLOYMENT, SHOP, name)
    assert found is not None
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def new_image(server: FakeApiServer, to: str, name: str = "podinfo") -> None:
    server.patch(kinds.DEPLOYMENT, SHOP, name, {"spec": {"template": {"spec": {"containers": [container(to)]}}}})


def container(to: str) -> Obj:
    return {"name": "app", "image": to, "ports": [{"containerPort": 9898, "name": "http"}]}


async def test_from_nothing_to_initialized_to_succeeded(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
        target = server.get(kinds.DEPLOYMENT, SHOP, "podinfo")
        assert target is not None
        assert target["spec"]["replicas"] == 0
        assert image(server, "podinfo-primary") == "podinfo:1"
        apex = server.get(kinds.SERVICE, SHOP, "podinfo")
        assert apex is not None
        assert apex["spec"]["selector"] == {"app": "podinfo-primary"}
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
        await phase(server, "Succeeded")
        assert image(server, "podinfo-primary") == "podinfo:2"


async def initialized(server: FakeApiServer, **spec: Any) -> None:
    server.add(deployment())
    server.add(canary(**spec))
    await phase(server, "Initialized")


async def test_an_image_that_is_not_there_fails_and_leaves_the_primary_alone(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        assert image(server, "podinfo-primary") == "podinfo:1"
        target = server.get(kinds.DEPLOYMENT, SHOP, "podinfo")
        assert target is not None
        assert target["spec"]["replicas"] == 0
        told = status(server)
        assert "podinfo:missing" in str(told["conditions"])
        await eventually(lambda: any("podinfo:missing" in event["message"] for event in events(server)))


async def test_an_image_that_its_registry_has_not_ends_the_release_before_a_pod_is_made(server: FakeApiServer) -> None:
    made: list[str] = []
    server.reactors.append(lambda type_, obj: made.extend(_images(obj)) if (type_, obj["kind"]) == ("ADDED", "Pod") else None)
    server.add({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
    with FaultyRegistry() as registry:
        registry.store.add("podinfo", "2")
        async with controller(server):
            await initialized(server, podHealth={"settle": "0s", "certainGrace": "0s", "imageCheck": "Fail"})
            new_image(server, registry.image("podinfo", "missing"))
            await phase(server, "Failed")
            cause = f"image {registry.image('podinfo', 'missing')} of container app does not exist (it answers 404 (MANIFEST_UNKNOWN))"
            assert cause in status(server)["history"][0]["cause"]
            await eventually(lambda: any(cause in event["message"] for event in events(server)))
            assert registry.image("podinfo", "missing") not in made
            new_image(server, registry.image("podinfo", "2"))
            await phase(server, "Succeeded")
            assert registry.image("podinfo", "2") in made


def _images(pod: Obj) -> list[str]:
    return [each["image"] for each in pod["spec"]["containers"]]


@pytest.mark.fault("Q-63")
async def test_an_idle_canary_sends_nothing(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        await quiet(server)
        before = len(server.requests)
        await asyncio.sleep(3)
        assert [request.path for request in server.requests[before:] if "leases" not in request.path] == []


@pytest.mark.fault("Q-5", "Q-29")
async def test_one_bad_canary_harms_no_other(server: FakeApiServer) -> None:
    server.add(deployment("bad"))
    server.add(canary("bad", analysis={"interval": "1s", "stepWeight": 1.5}))
    server.add(canary("worse", analysis={"interval": "1s", "webhooks": [{"name": "x"}]}))
    server.add(canary("rival", targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}))
    server.patch(kinds.CANARY, SHOP, "rival", {"metadata": {"labels": {"later": "yes"}}})
    async with controller(server):
        await initialized(server)
        for name in ("bad", "worse"):
            await is_stalled(server, name, "spec.analysis")


@pytest.mark.fault("Q-62")
async def test_the_older_canary_keeps_the_target(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(canary())
    younger = canary("younger", targetRef={"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"})
    younger["metadata"]["creationTimestamp"] = "2099-01-01T00:00:00Z"
    server.add(younger)
    async with controller(server):
        await phase(server, "Initialized")
        await is_stalled(server, "younger", "already released by the Canary podinfo")
        server.remove(kinds.CANARY, SHOP, "podinfo")
        await eventually(lambda: "already released" not in stalled(server, "younger"), 5)


async def test_what_one_canary_made_is_not_taken_by_another_that_names_it(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        before = server.get(kinds.SERVICE, SHOP, "podinfo")
        server.add(deployment("thief"))
        server.add(canary("thief", service={"port": 9898, "name": "podinfo"}))
        await is_stalled(server, "thief", "Service podinfo belongs to the Canary podinfo")
        after = server.get(kinds.SERVICE, SHOP, "podinfo")
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]
    assert server.get(kinds.DEPLOYMENT, SHOP, "thief-primary") is None


async def test_another_canarys_primary_is_no_target(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        before = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary")
        # no Service of it stands in its way: this one would stop what serves
        thief = canary("thief", service={"port": 9898, "name": "thief"})
        thief["spec"]["targetRef"]["name"] = "podinfo-primary"
        server.add(thief)
        await is_stalled(server, "thief", "spec.targetRef: Deployment podinfo-primary belongs to the Canary podinfo")
        after = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary")
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"]
    assert server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary-primary") is None


async def test_a_controller_of_one_namespace_leaves_the_others_alone(server: FakeApiServer) -> None:
    server.add(deployment(ns="other"))
    server.add(canary(ns="other"))
    async with controller(server, namespace=SHOP):
        await initialized(server)
        assert holder(server, SHOP)
    assert "status" not in (server.get(kinds.CANARY, "other", "podinfo") or {})
    assert not [request.path for request in server.requests if "/namespaces/other/" in request.path]
    asked_of_all = [request.path for request in server.requests if request.verb in ("list", "watch") and request.ns is None]
    assert asked_of_all == []


async def test_the_end_gives_the_lease_back(server: FakeApiServer) -> None:
    async with controller(server):
        await eventually(lambda: bool(holder(server)))
    assert holder(server) == ""


async def test_weights_move_by_the_gateway_api(server: FakeApiServer) -> None:
    analysis = {"interval": "1s", "threshold": 2, "stepWeight": 30, "maxWeight": 60}
    service = {"port": 9898, "gatewayRefs": [{"name": "gw", "namespace": "infra"}]}
    server.reactors.append(lambda type_, obj: accept(server, obj))
    seen: list[int] = []
    server.reactors.append(lambda type_, obj: seen.append(weight(obj)) if obj["kind"] == "HTTPRoute" else None)
    async with controller(server):
        await initialized(server, provider="gatewayapi:v1", analysis=analysis, service=service)
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
    moves = [one for one, before in zip(seen, [-1, *seen], strict=False) if one != before]
    assert moves == [0, 30, 60, 0]
    assert image(server, "podinfo-primary") == "podinfo:2"


@pytest.mark.fault("Q-38")
async def test_the_cookie_of_a_run_that_ended_is_taken_back_by_the_route(server: FakeApiServer) -> None:
    affinity = {"cookieName": "flagger-cookie", "primaryCookieName": "primary-cookie"}
    analysis = {"interval": "1s", "threshold": 2, "stepWeight": 50, "maxWeight": 50, "sessionAffinity": affinity}
    service = {"port": 9898, "gatewayRefs": [{"name": "gw", "namespace": "infra"}]}
    server.reactors.append(lambda type_, obj: accept(server, obj))
    async with controller(server):
        await initialized(server, provider="gatewayapi:v1", analysis=analysis, service=service)
        new_image(server, "podinfo:2")
        await eventually(lambda: route_weight(server) == 50)
        cookie = status(server)["sessionAffinityCookie"]
        await phase(server, "Succeeded")
        await eventually(lambda: f"{cookie}; Max-Age=-1" in str(server.get(kinds.HTTP_ROUTE, SHOP, "podinfo")))
        await quiet(server)
        before = len(server.requests)
        await asyncio.sleep(1.5)
        assert [request.path for request in server.requests[before:] if "leases" not in request.path] == []


async def test_a_cut_of_the_weight_does_not_wait_for_the_events_of_pods(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeing, "EVENTS_EVERY", 0.0)
    analysis = {"interval": "60s", "threshold": 2, "stepWeight": 30, "maxWeight": 60}
    service = {"port": 9898, "gatewayRefs": [{"name": "gw", "namespace": "infra"}]}
    server.reactors.append(lambda type_, obj: accept(server, obj))
    async with controller(server):
        await initialized(server, provider="gatewayapi:v1", analysis=analysis, service=service)
        new_image(server, "podinfo:2")
        await eventually(lambda: route_weight(server) == 30)
        server.delay = lambda request: 60.0 if request.resource == "events" and request.verb == "list" else 0.0
        unready = {"type": "Ready", "status": "False"}
        for _, pod in list(server.objects[("", "pods")]):
            if not pod.startswith("podinfo-primary"):
                server.patch(kinds.POD, SHOP, pod, {"status": {"conditions": [unready]}})
        await eventually(lambda: route_weight(server) == 0, 2)


@pytest.mark.fault("Q-19")
async def test_a_tracked_config_is_copied_in_versions_and_a_change_is_a_release(server: FakeApiServer) -> None:
    target = deployment()
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings"}}]
    server.add(target)
    server.add(config("one"))
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
        [first] = copies(server)
        primary = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary")
        assert primary is not None
        assert primary["spec"]["template"]["spec"]["containers"][0]["envFrom"] == [{"configMapRef": {"name": first}}]
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"data": {"colour": "two"}})
        await phase(server, "Progressing")
        await phase(server, "Succeeded")
        await eventually(lambda: first not in copies(server))
        assert len(copies(server)) == 1


async def test_a_controller_that_dies_in_a_run_is_followed_by_one_that_ends_it(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
    async with controller(server):
        await phase(server, "Succeeded")


async def test_deletion_with_revert_gives_the_target_its_size_and_traffic_back(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server, revertOnDeletion=True)
        await eventually(lambda: "finalizer.flagger.app" in ((found(server) or {}).get("metadata", {}).get("finalizers") or ()))
        client = server.client()
        await client.delete(kinds.CANARY, SHOP, "podinfo")
        await eventually(lambda: found(server) is None, 15)
        target = server.get(kinds.DEPLOYMENT, SHOP, "podinfo")
        assert target is not None
        assert target["spec"]["replicas"] == 2


@pytest.mark.parametrize("dies", [False, True])
async def test_a_route_of_the_user_is_taken_over_step_by_step(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, dies: bool) -> None:
    monkeypatch.setattr(traffic, "WARM", 1.0)
    theirs = {"name": "podinfo", "port": 9898, "weight": 1}
    spec = {"parentRefs": [{"name": "gw", "namespace": "infra"}], "hostnames": ["a.example.com"], "rules": [{"backendRefs": [theirs]}]}
    seen: list[dict[str, int]] = []
    server.reactors.append(lambda type_, obj: accept(server, obj))
    server.reactors.append(lambda type_, obj: seen.append(backends(obj)) if obj["kind"] == "HTTPRoute" else None)
    metadata = {"name": "podinfo", "namespace": SHOP}
    server.add({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": spec})
    service = {"port": 9898, "gatewayRefs": spec["parentRefs"]}
    server.add(deployment())
    server.add(canary(provider="gatewayapi:v1", service=service, analysis={"interval": "1s", "threshold": 2, "stepWeight": 30}))
    if dies:
        async with controller(server):
            await eventually(lambda: len(seen[-1]) == 3, 15)
    async with controller(server):
        await phase(server, "Initialized")
    moves = [one for one, before in zip(seen, [{}, *seen], strict=False) if one != before]
    assert moves == [
        {"podinfo": 1},
        {"podinfo": 1, "podinfo-primary": 0, "podinfo-canary": 0},
        {"podinfo": 0, "podinfo-primary": 100, "podinfo-canary": 0},
        {"podinfo-primary": 100, "podinfo-canary": 0},
    ]
    route = server.get(kinds.HTTP_ROUTE, SHOP, "podinfo")
    assert route is not None
    assert route["spec"]["hostnames"] == ["a.example.com"]
    assert json.loads(route["metadata"]["annotations"][ORIGINAL]) == spec


@pytest.mark.fault("Q-45")
async def test_a_traefik_service_never_names_a_side_without_pods(server: FakeApiServer) -> None:
    seen: list[dict[str, int]] = []

    def note(type_: str, obj: Obj) -> None:
        if obj["kind"] == "TraefikService":
            seen.append({backend["name"]: backend.get("weight", 1) for backend in obj["spec"]["weighted"]["services"]})

    server.reactors.append(note)
    spec = {"weighted": {"services": [{"name": "podinfo", "port": 9898}], "sticky": {"cookie": {"name": "theirs"}}}}
    metadata = {"name": "podinfo", "namespace": SHOP}
    server.add({"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": metadata, "spec": spec})
    analysis = {"interval": "1s", "threshold": 2, "stepWeight": 30, "maxWeight": 60}
    async with controller(server):
        await initialized(server, provider="traefik", analysis=analysis, revertOnDeletion=True)
        told = server.get(kinds.TRAEFIK_SERVICE, SHOP, "podinfo")
        assert told is not None
        assert json.loads(told["metadata"]["annotations"][ORIGINAL]) == spec
        assert told["spec"]["weighted"]["sticky"] == spec["weighted"]["sticky"]
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
        await server.client().delete(kinds.CANARY, SHOP, "podinfo")
        await eventually(lambda: found(server) is None, 15)
    moves = [one for one, before in zip(seen, [{}, *seen], strict=False) if one != before]
    assert moves == [
        {"podinfo": 1},
        {"podinfo-primary": 100},
        {"podinfo-primary": 70, "podinfo-canary": 30},
        {"podinfo-primary": 40, "podinfo-canary": 60},
        {"podinfo-primary": 100},
        {"podinfo": 1},
    ]
    back = server.get(kinds.TRAEFIK_SERVICE, SHOP, "podinfo")
    assert back is not None
    assert back["spec"] == spec


def backends(route: Obj) -> dict[str, int]:
    return {backend["name"]: backend["weight"] for backend in route["spec"]["rules"][-1]["backendRefs"]}


def found(server: FakeApiServer) -> Obj | None:
    return server.get(kinds.CANARY, SHOP, "podinfo")


def config(colour: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": SHOP}, "data": {"colour": colour}}


def copies(server: FakeApiServer) -> list[str]:
    return [name for _, name in server.objects.get(("", "configmaps"), {}) if name.startswith("settings-primary")]


def accept(server: FakeApiServer, route: Obj) -> None:
    """What a gateway's controller does."""
    if route["kind"] != "HTTPRoute":
        return
    generation = route["metadata"]["generation"]
    conditions = [{"type": name, "status": "True", "observedGeneration": generation} for name in ("Accepted", "ResolvedRefs")]
    parents = [{"parentRef": ref, "conditions": conditions} for ref in route["spec"]["parentRefs"]]
    if (route.get("status") or {}).get("parents") != parents:
        server.patch(kinds.HTTP_ROUTE, SHOP, route["metadata"]["name"], {"status": {"parents": parents}})


def route_weight(server: FakeApiServer) -> int:
    route = server.get(kinds.HTTP_ROUTE, SHOP, "podinfo")
    return weight(route) if route else 0


def weight(route: Obj) -> int:
    return int(backends(route)["podinfo-canary"])


def events(server: FakeApiServer) -> list[Obj]:
    return list(server.objects.get(("", "events"), {}).values())


def stalled(server: FakeApiServer, name: str) -> str:
    told = [one for one in status(server, name).get("conditions", ()) if one["type"] == "Stalled" and one["status"] == "True"]
    return str(told[0]["message"]) if told else ""


async def is_stalled(server: FakeApiServer, name: str, why: str) -> None:
    await eventually(lambda: why in stalled(server, name))


def holder(server: FakeApiServer, namespace: str = "kube-system") -> str:
    lease = server.get(kinds.LEASE, namespace, "flagger-leader-election") or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "")


async def quiet(server: FakeApiServer) -> None:
    """Wait until half a second passes without a request, but for the Lease's."""

    def sent() -> int:
        return sum("leases" not in request.path for request in server.requests)

    before = -1
    while before != sent():
        before = sent()
        await asyncio.sleep(0.5)


async def test_the_second_replica_takes_over_in_the_middle_of_a_run(server: FakeApiServer) -> None:
    async with controller(server):
        async with controller(server):
            await initialized(server)
            first = holder(server)
            new_image(server, "podinfo:2")
            await phase(server, "Progressing")
            # the block that is left ends one of the two, and that one may be the leader
        await phase(server, "Succeeded")
        await eventually(lambda: bool(holder(server)))
    assert first
    assert image(server, "podinfo-primary") == "podinfo:2"


async def test_who_leads_no_more_watches_no_pods(server: FakeApiServer) -> None:
    def pods_watched() -> bool:
        return kinds.POD in server.watched

    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
        await eventually(pods_watched)
        server.patch(kinds.LEASE, "kube-system", "flagger-leader-election", {"spec": {"holderIdentity": "somebody-else"}})
        await eventually(lambda: not pods_watched())
        assert status(server)["phase"] == "Progressing"


async def test_a_canary_that_went_while_another_led_is_looked_at_when_it_is_made_anew(server: FakeApiServer) -> None:
    """A replica that stands by hears of every Canary; what it heard must not hide a later one of the same name from it."""
    async with contextlib.AsyncExitStack() as leader:
        await leader.enter_async_context(controller(server))
        await initialized(server)
        async with controller(server):
            new_image(server, "podinfo:2")
            await phase(server, "Succeeded")
            first = holder(server)
            server.remove(kinds.CANARY, SHOP, "podinfo")
            await quiet(server)
            await leader.aclose()
            await eventually(lambda: holder(server) not in ("", first), 20)
            server.add(canary())
            await phase(server, "Initialized")


async def test_an_earlier_template_is_given_back_and_released_again(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        first = status(server)["lastPromotedSpec"]
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
        assert status(server)["promotedRevisions"][1] == first
        server.patch(kinds.CANARY, SHOP, "podinfo", {"metadata": {"annotations": {"flagger.app/rollback-to": first}}})
        await eventually(lambda: image(server, "podinfo") == "podinfo:1", 10)
        await eventually(lambda: image(server, "podinfo-primary") == "podinfo:1", 45)
        await phase(server, "Succeeded")
        newest = status(server)["history"][0]
        assert (newest["revision"], newest["outcome"]) == (first, "Succeeded")
        assert [order["command"] for order in newest["orders"]] == ["rollback-to"]
        assert "flagger.app/rollback-to" not in ((found(server) or {})["metadata"].get("annotations") or {})
