"""Probes and scrapes over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx
import pytest

from flaggerpy.telemetry.lag import LoopLag
from flaggerpy.telemetry.metrics import Metrics
from flaggerpy.telemetry.server import ProbeServer, Request, wants_openmetrics


class Checks:
    def __init__(self) -> None:
        self.problem: str | None = None
        self.rendered_in: int | None = None

    def watch(self) -> str | None:
        return self.problem

    def broken(self) -> str | None:
        raise RuntimeError("the check itself")

    def metrics(self, openmetrics: bool) -> bytes:
        self.rendered_in = threading.get_ident()
        metrics = Metrics(process=False)
        metrics.canaries.info("1", "x")
        return metrics.render(openmetrics)


@pytest.fixture
def checks() -> Checks:
    return Checks()


@pytest.fixture
async def server(checks: Checks) -> AsyncIterator[ProbeServer]:
    made = ProbeServer(
        0, "127.0.0.1", healthz={}, readyz={"watch canaries": checks.watch, "lease": lambda: None}, metrics=checks.metrics
    )
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def client(server: ProbeServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as made:
        yield made


async def test_all_well_is_ok(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/readyz", "/readyz?verbose"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (200, "OK\n")
    head = await client.head("/healthz")
    assert (head.status_code, head.text) == (200, "")


@pytest.mark.fault("Q-52")
async def test_what_is_not_well_is_named(client: httpx.AsyncClient, checks: Checks) -> None:
    checks.problem = "silent for 90 s"
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "watch canaries: silent for 90 s\n")
    assert (await client.get("/healthz")).status_code == 200


async def test_a_check_that_fails_itself_is_not_well() -> None:
    checks = Checks()
    server = ProbeServer(0, "127.0.0.1", healthz={"it": checks.broken})
    await server.start()
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{server.port}/healthz")
        assert (answer.status_code, answer.text) == (503, "it: RuntimeError: the check itself\n")
        assert (await client.get(f"http://127.0.0.1:{server.port}/metrics")).status_code == 404
    await server.stop()


@pytest.mark.parametrize("target", ["//[", "http://[x/metrics", "*"])
async def test_an_address_that_cannot_be_read_is_not_found(server: ProbeServer, target: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert (await reader.readline()).split()[1:2] == [b"404"]
    writer.close()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
async def test_metrics_are_rendered_outside_the_loop(client: httpx.AsyncClient, checks: Checks, encoding: str) -> None:
    answer = await client.get("/metrics", headers={"Accept-Encoding": encoding})
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert answer.headers.get("content-encoding") == ("gzip" if encoding == "gzip" else None)
    assert 'flagger_info{mesh_provider="x",version="1"} 1' in answer.text
    assert checks.rendered_in not in (None, threading.get_ident())


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2", False),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=much", False),
        ("*/*", False),
        ("", False),
        (";;=,,", False),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(client: httpx.AsyncClient, accept: str, openmetrics: bool) -> None:
    assert wants_openmetrics(accept) is openmetrics
    answer = await client.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text" if openmetrics else "text/plain; version=0.0.4")
    assert answer.text.endswith("# EOF\n") is openmetrics


async def test_other_paths_and_methods_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).status_code == 404
    assert (await client.post("/healthz", content=b"x")).status_code == 405


async def test_nonsense_does_not_hurt(server: ProbeServer, client: httpx.AsyncClient) -> None:
    for nonsense in (b"\x00\xff\r\n\r\n", b"x" * 100_000, b"GET"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(nonsense)
            writer.write_eof()
            await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()
    assert (await client.get("/healthz")).status_code == 200


async def test_the_lag_of_a_blocked_loop_is_noted() -> None:
    seen: list[float] = []
    lag = LoopLag(seen.append, interval=0.001)
    lag.start()
    await asyncio.sleep(0)
    threading.Event().wait(0.05)
    async with asyncio.timeout(5):
        while not seen:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert lag.worst() >= 0.04
    await lag.stop()


async def test_what_is_worth_knowing_stands_below_the_ok() -> None:
    notes = ["namespace shop is not attended"]
    server = ProbeServer(0, "127.0.0.1", healthz={}, readyz={}, notes=lambda: notes)
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
        assert (await client.get("/readyz")).text == "OK\nnamespace shop is not attended\n"
        assert (await client.get("/healthz")).text == "OK\n"
    await server.stop()


async def test_what_lies_below_another_path_is_handed_on_and_everything_else_stays() -> None:
    async def room(request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = f"{request.method} {request.path} {request.headers['x-what']}".encode()
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    server = ProbeServer(0, "127.0.0.1", rooms={"/ui": room})
    await server.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False, headers={"X-What": "told"}) as client:
        assert (await client.get("/ui/a?b=c")).text == "GET /ui/a told"
        assert (await client.get("/ui")).text == "GET /ui told"
        assert (await client.get("/uix")).status_code == 404
        assert (await client.get("/healthz")).text == "OK\n"
    await server.stop()
