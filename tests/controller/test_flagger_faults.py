"""Faults of Flagger that lie in its shell: each is played on an API server in memory, and does not happen."""

from __future__ import annotations

import asyncio
import time

import pytest

from flaggerpy.cluster import kinds
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import (
    SHOP,
    config,
    controller,
    image,
    initialized,
    is_stalled,
    new_image,
    phase,
    quiet,
    stalled,
    status,
)

pytestmark = pytest.mark.usefixtures("short_drains", "living")


@pytest.mark.fault("Q-6")
@pytest.mark.parametrize("code", [500, 409, 403])
async def test_a_first_status_write_that_fails_is_made_up_for(server: FakeApiServer, code: int) -> None:
    left = [3]

    def fault(request: Request) -> int | None:
        first = request.kind is kinds.CANARY and request.verb in ("patch", "update") and left[0] > 0
        left[0] -= first
        return code if first else None

    server.fault = fault
    async with controller(server):
        await initialized(server)
    assert left == [0]


@pytest.mark.fault("Q-13")
async def test_a_reference_into_another_namespace_is_refused_also_when_it_comes_later(server: FakeApiServer) -> None:
    async with controller(server, no_cross_namespace_refs=True):
        await initialized(server)
        metrics = [{"name": "errors", "templateRef": {"name": "errors", "namespace": "other"}}]
        server.patch(kinds.CANARY, SHOP, "podinfo", {"spec": {"analysis": {"metrics": metrics}}})
        await is_stalled(server, "podinfo", "references into other namespaces are switched off")
        new_image(server, "podinfo:2")
        await quiet(server)
        assert status(server)["phase"] == "Initialized"
        assert not [request for request in server.requests if request.ns == "other"]
        server.patch(kinds.CANARY, SHOP, "podinfo", {"spec": {"analysis": {"metrics": None}}})
        await phase(server, "Succeeded")


@pytest.mark.fault("Q-27")
async def test_a_release_is_seen_at_once_whatever_its_interval(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server, analysis={"interval": "1h", "threshold": 2, "iterations": 1})
        began = time.monotonic()
        new_image(server, "podinfo:2")
        await phase(server, "Progressing", 5)
        await eventually(lambda: status(server).get("iterations") == 1, 5)
        assert time.monotonic() - began < 5


@pytest.mark.fault("Q-51")
async def test_an_event_webhook_that_never_answers_holds_up_nothing(server: FakeApiServer) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        await reader.read()
        writer.close()

    asked: list[int] = []
    hung = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{hung.sockets[0].getsockname()[1]}/"
    hooks = [{"name": "told", "type": "event", "url": url, "timeout": "60s"}]
    async with controller(server):
        await initialized(server, analysis={"interval": "1s", "threshold": 2, "iterations": 2, "webhooks": hooks})
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded", 20)
        assert asked
        assert image(server, "podinfo-primary") == "podinfo:2"
    hung.close()


@pytest.mark.fault("Q-65")
async def test_a_config_that_cannot_be_read_is_no_new_revision(server: FakeApiServer) -> None:
    target = deployment()
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "settings", "optional": True}}]
    server.add(target)
    server.add(config("one"))
    server.add(canary())
    refused = [0]

    def fault(request: Request) -> int | None:
        hit = request.verb == "get" and request.kind is kinds.CONFIG_MAP and request.name == "settings"
        refused[0] += hit
        return 403 if hit else None

    async with controller(server):
        await phase(server, "Initialized")
        server.fault = fault
        # only its metadata change: what it holds must be read to know that nothing else did
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"metadata": {"labels": {"touched": "yes"}}})
        await eventually(lambda: refused[0] > 0)
        await asyncio.sleep(0.5)
        assert status(server)["phase"] == "Initialized"
        server.fault = lambda request: None
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"data": {"colour": "two"}})
        await phase(server, "Succeeded")
        assert stalled(server, "podinfo") == ""
