"""Several namespaces: each is attended by itself, one that cannot be stops no other, and what becomes possible is taken up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flaggerpy.cluster import kinds
from flaggerpy.controller import namespaces, run
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually
from tests.controller.living import Living, canary, deployment
from tests.controller.test_run import Process

OTHER = "other"


class Rights:
    """An account that has Roles in these namespaces and nothing else."""

    def __init__(self, server: FakeApiServer, *granted: str) -> None:
        self.granted = set(granted)
        server.allowed = lambda wanted: wanted.get("namespace") in self.granted
        server.fault = self.answer

    def answer(self, request: Request) -> int | None:
        return 403 if request.kind and (request.ns or "") not in self.granted else None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(run, "CHECK_AGAIN_SECONDS", 0.05)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as made:
        Living(made)
        schema = {
            "x-kubernetes-group-version-kind": [{"group": "flagger.app", "version": "v1beta1", "kind": "Canary"}],
            "properties": {"status": {"x-kubernetes-preserve-unknown-fields": True}},
        }
        made.openapi[kinds.CANARY.root] = {"components": {"schemas": {"Canary": schema}}}
        for namespace in ("shop", "bar", OTHER):
            made.add(deployment("podinfo", namespace))
            made.add(canary("podinfo", namespace))
        yield made


def phase(server: FakeApiServer, namespace: str) -> str:
    obj: dict[str, Any] = server.get(kinds.CANARY, namespace, "podinfo") or {}
    return str((obj.get("status") or {}).get("phase") or "")


def release(server: FakeApiServer, namespace: str) -> None:
    containers = [{"name": "app", "image": "podinfo:2", "ports": [{"containerPort": 9898, "name": "http"}]}]
    server.patch(kinds.DEPLOYMENT, namespace, "podinfo", {"spec": {"template": {"spec": {"containers": containers}}}})


async def noted(process: Process, text: str) -> bool:
    status, body = await process.page("/readyz")
    return status == 200 and text in body


async def test_canaries_of_all_named_namespaces_are_attended_and_no_others(server: FakeApiServer) -> None:
    Rights(server, "shop", "bar")
    process = Process(server, namespace="shop,bar")
    await process.ready()
    await eventually(lambda: phase(server, "shop") == phase(server, "bar") == "Initialized", 20)
    assert phase(server, OTHER) == ""
    assert await process.page("/readyz") == (200, "OK\n")
    assert server.get(kinds.LEASE, "shop", "flagger-leader-election") is not None
    outside = [request for request in server.requests if request.kind and request.kind.namespaced and request.ns not in ("shop", "bar")]
    assert outside == []
    await process.end()


async def test_a_namespace_without_rights_stops_no_other_and_is_taken_up_when_they_come(server: FakeApiServer) -> None:
    rights = Rights(server, "shop")
    process = Process(server, namespace="shop,bar")
    await process.ready()
    await eventually(lambda: phase(server, "shop") == "Initialized", 20)
    assert await noted(process, "namespace bar is not attended: our account may not list canaries.flagger.app in bar")
    assert 'flagger_namespace_attended{namespace="bar"} 0.0' in (await process.page("/metrics"))[1]
    assert phase(server, "bar") == ""
    rights.granted.add("bar")
    await eventually(lambda: phase(server, "bar") == "Initialized", 20)
    assert await process.page("/readyz") == (200, "OK\n")
    assert 'flagger_namespace_attended{namespace="bar"} 1.0' in (await process.page("/metrics"))[1]
    await process.end()


async def test_a_namespace_whose_rights_go_is_left_and_the_others_go_on(server: FakeApiServer) -> None:
    rights = Rights(server, "shop", "bar")
    process = Process(server, namespace="shop,bar")
    await process.ready()
    await eventually(lambda: phase(server, "shop") == phase(server, "bar") == "Initialized", 20)
    rights.granted.discard("bar")
    server.drop_watches()
    async with asyncio.timeout(20):
        while not await noted(process, "namespace bar is not attended"):  # noqa: ASYNC110 - a page cannot be awaited
            await asyncio.sleep(0.05)
    release(server, "shop")
    release(server, "bar")
    await eventually(lambda: phase(server, "shop") == "Succeeded", 30)
    assert phase(server, "bar") == "Initialized"
    assert not [obj for (where, _), obj in server.objects[("", "events")].items() if where == "bar" and "deleted" in str(obj)]
    rights.granted.add("bar")
    await eventually(lambda: phase(server, "bar") == "Succeeded", 30)
    await process.end()


async def test_while_no_namespace_can_be_attended_it_does_not_lead(server: FakeApiServer) -> None:
    rights = Rights(server)
    process = Process(server, namespace="bar,baz")
    await eventually(lambda: sum("selfsubjectaccessreviews" in request.path for request in server.requests) > 10, 20)
    status, text = await process.page("/readyz")
    assert status == 503
    assert "in bar" in text
    rights.granted.add("bar")
    await process.ready()
    await process.end()
