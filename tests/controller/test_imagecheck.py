"""Images asked for with what the cluster has: pull secrets as the pod would have them, nodes where they may be read, and never for long."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from e2e.registry import Basic, Bearer, FaultyRegistry, faults
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.controller.imagecheck import AT_ONCE, MOST_TOLD, OF_NAMESPACE, ApiCluster, ImageCheck
from flaggerpy.http import Http, HttpRequest, HttpResponse
from tests.cluster.fake_apiserver import FakeApiServer, Request

Obj = dict[str, Any]


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as opened:
        opened.store.add("team/app", "1.0.0")
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as opened:
        opened.add(node("a"))
        yield opened


@pytest.fixture
async def client(server: FakeApiServer) -> AsyncIterator[Client]:
    async with server.client() as opened:
        yield opened


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http() as opened:
        yield opened


def node(name: str, *images: str, arch: str = "amd64") -> Obj:
    labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": arch}
    status = {"images": [{"names": list(images)}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}


def secret(name: str, host: str, password: str = "hunter2") -> Obj:
    config = json.dumps({"auths": {host: {"username": "alice", "password": password}}})
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": name},
        "data": {".dockerconfigjson": base64.b64encode(config.encode()).decode()},
    }  # fmt: skip


def account(*secrets: str, name: str = "default") -> Obj:
    refs = [{"name": each} for each in secrets]
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "shop", "name": name}, "imagePullSecrets": refs}


def pod(image: str, *secrets: str, policy: str | None = None, **fields: Any) -> Obj:
    container = {"name": "app", "image": image} | ({"imagePullPolicy": policy} if policy else {})
    return {"containers": [container], **fields} | ({"imagePullSecrets": [{"name": each} for each in secrets]} if secrets else {})


def refuse(server: FakeApiServer, *resources: str) -> None:
    server.fault = lambda request: 403 if request.resource in resources else None


async def answered(
    client: Client, http: Http, spec: Obj, *, seconds: float = 5.0, ran: frozenset[str] = frozenset()
) -> tuple[str, str, str]:
    (found,) = await ImageCheck(ApiCluster(client), http.send, seconds=seconds).pod("shop", spec, ran=ran)
    assert "hunter2" not in repr(found)
    return found.kind, found.cause, found.detail


async def test_the_pods_own_pull_secrets_are_used(server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    server.add(secret("pull", registry.host))
    server.add(secret("wrong", registry.host, "wrong"))
    assert (await answered(client, http, pod(registry.image("team/app"), "none", "wrong", "pull")))[0] == "exists"
    assert (await answered(client, http, pod(registry.image("team/app"), "wrong")))[:2] == ("doubt", "pull-credentials")
    assert (await answered(client, http, pod(registry.image("team/app"))))[:2] == ("doubt", "image-denied")


async def test_where_the_pod_names_none_those_of_its_service_account_are(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    registry.auth = Basic({"alice": "hunter2"})
    server.add(secret("pull", registry.host))
    server.add(account("pull"))
    server.add(account(name="bare"))
    assert (await answered(client, http, pod(registry.image("team/app"))))[0] == "exists"
    assert (await answered(client, http, pod(registry.image("team/app"), serviceAccountName="bare")))[0] == "doubt"
    assert (await answered(client, http, pod(registry.image("team/app"), "other")))[0] == "doubt"


@pytest.mark.parametrize("resource", ["secrets", "serviceaccounts"])
async def test_what_may_not_be_read_makes_a_no_unchecked_and_is_named_once(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry, resource: str, caplog: pytest.LogCaptureFixture
) -> None:
    refuse(server, resource)
    names = ["pull"] if resource == "secrets" else []
    checker = ImageCheck(ApiCluster(client), http.send)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            (found,) = await checker.pod("shop", pod(registry.image("team/app", "2"), *names))
    assert (found.kind, "may not be read" in found.detail) == ("unchecked", True)
    assert sum("not checked" in record.message for record in caplog.records) == 1
    # what is there for everybody is there
    assert (await answered(client, http, pod(registry.image("team/app"), *names)))[0] == "exists"


def test_what_was_said_is_not_remembered_without_end(http: Http) -> None:
    checker = ImageCheck(None, http.send)
    for number in range(2 * MOST_TOLD):
        checker._once(f"image check of app:{number}: not checked")
    assert len(checker._told) <= MOST_TOLD


async def test_no_secret_is_read_for_a_pod_that_pulls_nothing(server: FakeApiServer, client: Client, http: Http) -> None:
    assert (await answered(client, http, pod("app:1", "pull", policy="Never")))[0] == "unchecked"
    assert (await answered(client, http, pod("App", "pull")))[:2] == ("missing", "image-name-invalid")
    assert not [request for request in server.requests if request.resource == "secrets"]


async def test_a_secret_that_cannot_be_used_is_named_without_its_content(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    broken = secret("pull", registry.host) | {"data": {".dockerconfigjson": base64.b64encode(b"hunter2").decode()}}
    server.add(broken)
    assert await answered(client, http, pod(registry.image("team/app", "2"), "pull")) == (
        "unchecked", "image-missing", "the pull secret pull cannot be used: its .dockerconfigjson is not JSON",
    )  # fmt: skip


async def test_an_image_that_is_not_there_is_a_no_unless_a_node_holds_it(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    image = registry.image("team/app", "2")
    assert (await answered(client, http, pod(image)))[:2] == ("missing", "image-missing")
    assert (await answered(client, http, pod(image), ran=frozenset({image})))[0] == "exists"
    server.patch(kinds.NODE, None, "a", {"status": {"images": [{"names": [image]}]}})
    assert (await answered(client, http, pod(image)))[0] == "exists"
    assert (await answered(client, http, pod(image, policy="Always")))[0] == "missing"


async def test_nodes_that_may_not_be_read_weaken_a_no_and_nothing_else(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    refuse(server, "nodes")
    assert (await answered(client, http, pod(registry.image("team/app"))))[0] == "exists"
    assert (await answered(client, http, pod(registry.image("team/app", "2"))))[0] == "doubt"


async def test_an_image_for_other_nodes_than_there_are_is_a_no(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    registry.store.add("many", "1", platforms=("linux/arm64", "linux/s390x"))
    assert (await answered(client, http, pod(registry.image("many", "1"), policy="Always")))[:2] == ("missing", "image-platform")
    server.add(node("b", arch="arm64"))
    elsewhere = pod(registry.image("many", "1"), policy="Always", nodeSelector={"kubernetes.io/arch": "arm64"})
    assert (await answered(client, http, elsewhere))[0] == "exists"


async def test_nodes_are_listed_once_a_minute_and_their_images_only_for_a_no(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    checker = ImageCheck(ApiCluster(client), http.send)
    for _ in range(3):
        await checker.pod("shop", pod(registry.image("team/app")))
    assert len([request for request in server.requests if request.resource == "nodes"]) == 1
    for _ in range(3):
        await checker.pod("shop", pod(registry.image("team/app", "2")))
    assert len([request for request in server.requests if request.resource == "nodes"]) == 2


async def test_a_registry_that_hangs_is_a_doubt_in_time(client: Client, http: Http, registry: FaultyRegistry) -> None:
    registry.inject(faults.hanging())
    began = time.monotonic()
    assert (await answered(client, http, pod(registry.image("team/app")), seconds=0.3))[:2] == ("doubt", "pull-timeout")
    assert time.monotonic() - began < 2


async def test_an_api_server_that_hangs_is_a_lack_in_time(
    server: FakeApiServer, client: Client, http: Http, registry: FaultyRegistry
) -> None:
    def slow(request: Request) -> float:
        return 3.0 if request.resource in ("nodes", "secrets") else 0.0

    server.delay = slow
    began = time.monotonic()
    kind, cause, _ = await answered(client, http, pod(registry.image("team/app"), "pull"), seconds=0.4)
    assert (kind, cause) == ("doubt", "pull-timeout")
    assert time.monotonic() - began < 2


async def test_a_fault_of_our_own_is_a_doubt(client: Client) -> None:
    async def broken(request: object) -> Any:
        raise RuntimeError("no")

    (found,) = await ImageCheck(ApiCluster(client), broken).pod("shop", pod("r.example/app:1"))
    assert (found.kind, found.cause, found.detail) == ("doubt", "pull-unknown", "internal error: RuntimeError")


async def test_registries_of_one_namespace_that_hang_hold_up_no_other_namespace(http: Http, registry: FaultyRegistry) -> None:
    held: list[str] = []
    full = asyncio.Event()

    async def send(request: HttpRequest) -> HttpResponse:
        if request.tenant == "shop":
            return await http.send(request)
        held.append(request.tenant)
        if len(held) >= OF_NAMESPACE:
            full.set()
        await asyncio.Event().wait()
        raise AssertionError

    checker = ImageCheck(None, send, seconds=60)
    many = {"containers": [{"name": f"c{number}", "image": f"hangs.example/app:{number}"} for number in range(3 * AT_ONCE)]}
    hostile = asyncio.create_task(checker.pod("hostile", many))
    async with asyncio.timeout(10):
        await full.wait()
        (found,) = await checker.pod("shop", pod(registry.image("team/app")))
    assert (found.kind, found.cause) == ("exists", "")
    assert held == ["hostile"] * OF_NAMESPACE
    hostile.cancel()


async def test_every_request_of_a_registry_counts_for_the_namespace_whose_image_it_is(http: Http, registry: FaultyRegistry) -> None:
    sent: list[HttpRequest] = []

    async def send(request: HttpRequest) -> HttpResponse:
        sent.append(request)
        return await http.send(request)

    registry.auth = Bearer(public="^team/")
    (found,) = await ImageCheck(None, send).pod("shop", pod(registry.image("team/app")))
    assert found.kind == "exists"
    assert any("token" in request.url for request in sent)
    assert {request.tenant for request in sent} == {"shop"}
