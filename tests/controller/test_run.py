"""The process: what it says before it leads, its pages, and a start against an API server that is not well yet."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError, ClientSession

from flaggerpy import lean
from flaggerpy.cluster import kinds
from flaggerpy.controller import run
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.run import Controller, check, main, serve
from flaggerpy.controller.settings import Settings
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """`serve` as a task, and its pages."""

    def __init__(self, server: FakeApiServer, **settings: Any) -> None:
        self.port = free_port()
        self.stop = asyncio.Event()
        given = Settings(**{"mesh_provider": "kubernetes", "port": self.port, "address": "127.0.0.1", **settings})
        self.task = asyncio.create_task(serve(given, stop=self.stop, client=None if settings.get("kubeconfig") else server.client()))

    async def page(self, path: str) -> tuple[int, str]:
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.text()

    async def ready(self) -> None:
        async with asyncio.timeout(20):
            while not await self._answers():  # noqa: ASYNC110 - a page cannot be awaited
                await asyncio.sleep(0.05)

    async def _answers(self) -> bool:
        try:
            return (await self.page("/readyz"))[0] == 200
        except ClientError:
            return False

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 20)


@pytest.fixture(autouse=True)
def quick_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "CHECK_AGAIN_SECONDS", 0.05)


async def test_it_says_what_is_missing_and_goes_on_as_soon_as_it_is_there() -> None:
    async with FakeApiServer() as server:
        server.unserve(kinds.CANARY)
        process = Process(server)
        await eventually(lambda: any(request.path.endswith("/flagger.app/v1beta1") for request in server.requests))
        await asyncio.sleep(0.1)
        status, text = await process.page("/readyz")
        assert status == 503
        assert "does not serve canaries.flagger.app" in text
        assert (await process.page("/healthz"))[0] == 200
        assert server.get(kinds.LEASE, "kube-system", "flagger-leader-election") is None
        server.serve(kinds.CANARY)
        await process.ready()
        await process.end()


async def test_only_a_process_that_is_nothing_else_settles_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[str] = []
    monkeypatch.setattr(lean, "settle", lambda: settled.append("settled"))
    async with FakeApiServer() as server:
        process = Process(server)
        await process.ready()
        await process.end()
        assert settled == []
        stop = asyncio.Event()
        given = Settings(mesh_provider="kubernetes", port=free_port(), address="127.0.0.1")
        task = asyncio.create_task(serve(given, stop=stop, client=server.client(), warmed=lean.settle))
        await eventually(lambda: bool(settled))
        stop.set()
        await asyncio.wait_for(task, 20)
        assert settled == ["settled"]


async def test_a_process_of_which_a_part_has_ended_wants_to_be_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a fault of ours")

    async with FakeApiServer() as server:
        process = Process(server)
        await process.ready()
        assert (await process.page("/healthz"))[0] == 200
        await process.end()
        monkeypatch.setattr(run, "TIDY_SECONDS", 0.01)
        monkeypatch.setattr(lean, "give_back", broken)
        process = Process(server)
        await process.ready()
        async with asyncio.timeout(20):
            while (answer := await process.page("/healthz"))[0] == 200:  # noqa: ASYNC110 - a page cannot be awaited
                await asyncio.sleep(0.01)
        assert answer == (503, "controller: the task tidy has failed: RuntimeError('a fault of ours')\n")
        await process.end()


async def test_a_replica_that_leads_no_more_tells_of_no_canary() -> None:
    async with FakeApiServer() as server:
        controller = Controller(Settings(mesh_provider="kubernetes"), server.client())
        controller.metrics.canaries.phase("podinfo", "shop", "Promoting", 1.0)
        controller._stand_down()
        assert "flagger_canary_" not in controller.metrics.render().decode()
        await controller.http.aclose()
        await controller.registries.aclose()


async def test_a_worker_that_was_ended_before_it_began_can_begin_again() -> None:
    async with FakeApiServer() as server:
        server.add(canary())
        controller = Controller(Settings(mesh_provider="kubernetes"), server.client())
        await controller.world.start()
        controller.election.leading.set()
        controller.claims.attends = lambda namespace: True  # type: ignore[method-assign]
        controller._begin(Key("shop", "podinfo"))
        controller._stand_down()
        controller.election.leading.clear()
        await eventually(lambda: not controller._workers)
        await controller.world.stop()
        await controller.http.aclose()
        await controller.registries.aclose()


async def test_an_api_server_that_fails_at_the_start_is_waited_for() -> None:
    async with FakeApiServer() as server:
        failing = True
        server.fault = lambda request: 500 if failing and request.verb == "list" and request.resource == "canaries" else None
        process = Process(server)
        await eventually(lambda: sum(request.resource == "canaries" for request in server.requests) > 4, 20)
        failing = False
        await process.ready()
        status, text = await process.page("/metrics")
        assert status == 200
        assert 'flagger_info{mesh_provider="kubernetes"' in text
        assert "flagger_api_requests_total" in text
        await process.end()


async def test_the_address_of_the_flag_goes_before_the_kubeconfigs(tmp_path: Path) -> None:
    async with FakeApiServer() as server:
        url = server.url
        server.url = "http://127.0.0.1:1"
        config = server.kubeconfig(tmp_path / "config")
        server.url = url
        process = Process(server, kubeconfig=str(config), master=f"{url}/")
        await process.ready()
        await process.end()


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["-help"], 0, "-mesh-provider (default 'istio')"),
        (["-version"], 0, "0.1.0"),
        (["-mesh-provider=istoi"], 2, "should be one of"),
        (["-kubeconfig=/no/such/file"], 1, "no usable Kubernetes configuration"),
    ],
)
def test_the_command_line_answers_with_code_and_sentence(capsys: pytest.CaptureFixture[str], argv: list[str], code: int, said: str) -> None:
    assert main(argv) == code
    out, err = capsys.readouterr()
    assert said in out + err


def test_a_port_that_is_taken_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server = FakeApiServer()
    server.url = "http://127.0.0.1:1"
    config = server.kubeconfig(tmp_path / "config")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main([f"-kubeconfig={config}", f"-port={port}", "-address=127.0.0.1"]) == 1
    assert f"cannot serve on port {port}" in capsys.readouterr().err


async def test_a_check_tells_what_an_installation_lacks_and_that_nobody_leads() -> None:
    async with FakeApiServer() as server:
        settings = Settings(check=True, mesh_provider="kubernetes")
        [sentence] = await check(settings, server.client(), 0.01)
        assert "nobody holds the Lease flagger-leader-election in kube-system" in sentence
        [sentence] = await check(replace(settings, shard="1/3"), server.client(), 0.01)
        assert "nobody holds the Lease flagger-leader-election-shard-1 in kube-system" in sentence
        server.unserve(kinds.CANARY)
        [sentence] = await check(settings, server.client(), 0.01)
        assert "does not serve canaries.flagger.app" in sentence
        server.fault = lambda request: 503
        [sentence] = await check(settings, server.client(), 0.01)
        assert "the API server cannot be asked" in sentence


async def test_the_page_is_there_only_when_it_is_asked_for_and_shows_what_the_caches_hold(server: FakeApiServer) -> None:
    server.add({"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "app", "namespace": "test"}, "spec": {}})
    without = Process(server)
    await without.ready()
    assert (await without.page("/ui/"))[0] == 404
    await without.end()
    process = Process(server, ui=True)
    await process.ready()
    assert (await process.page("/ui/"))[0] == 200
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{process.port}/ui/api/stream") as answer:
        async with asyncio.timeout(10):
            async for line in answer.content:
                if line.startswith(b'data: {"rows"'):
                    break
        assert b'"name":"app"' in line
        # a page that is still open does not hold up the end
        await process.end()
