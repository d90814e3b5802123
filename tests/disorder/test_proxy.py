"""The fault-injecting proxy does what it was told, and nothing else: against the API server in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes.aio.client.configuration import Configuration

from e2e.disorder.faults import WRITES, Break, Cut, Delay, Drop, Forget, Hold, Lag, Refuse, Repeat, Rule, Swap
from e2e.disorder.proxy import Proxy
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import Conflict, ServerError, TooManyRequests, Unreachable
from flaggerpy.cluster.watch import Watcher
from tests.cluster.fake_apiserver import FakeApiServer, eventually

NS = "shop"


def settings(name: str, value: str = "") -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": NS}, "data": {"value": value}}


@pytest.fixture
async def client(proxy: Proxy, tmp_path: Path) -> AsyncIterator[Client]:
    authority = tmp_path / "ca.crt"
    authority.write_bytes(proxy.authority)
    async with Client(Configuration(host=proxy.url, ssl_ca_cert=str(authority)), within=2.0) as through:
        yield through


async def test_without_rules_everything_passes(server: FakeApiServer, proxy: Proxy, client: Client) -> None:
    await client.create(settings("a", "1"))
    assert (await client.get(kinds.CONFIG_MAP, NS, "a"))["data"] == {"value": "1"}
    assert [(one.verb, one.status) for one in proxy.passed] == [("create", 201), ("get", 200)]


async def test_a_refusal_is_not_carried_out(server: FakeApiServer, proxy: Proxy, client: Client) -> None:
    rule = Rule(Refuse(409), verbs=WRITES, path="/configmaps")
    proxy.rules = [rule]
    with pytest.raises(Conflict):
        await client.create(settings("a"))
    assert server.get(kinds.CONFIG_MAP, NS, "a") is None
    assert rule.met == 1


async def test_retry_after_is_told(proxy: Proxy, client: Client) -> None:
    proxy.rules = [Rule(Refuse(429, retry_after=3))]
    with pytest.raises(TooManyRequests) as told:
        await client.request("GET", "/version", attempts=1)
    assert told.value.retry_after == 3.0


@pytest.mark.parametrize(("fault", "error"), [(Refuse(504, done=True), ServerError), (Cut(done=True), Unreachable)])
async def test_what_was_done_may_be_answered_with_an_error(
    server: FakeApiServer, proxy: Proxy, client: Client, fault: Refuse | Cut, error: type[Exception]
) -> None:
    proxy.rules = [Rule(fault, verbs={"create"})]
    with pytest.raises(error):
        await client.create(settings("a"))
    assert server.get(kinds.CONFIG_MAP, NS, "a")


async def test_a_delay_beyond_the_patience_of_the_client_is_a_time_out(proxy: Proxy, client: Client) -> None:
    proxy.rules = [Rule(Delay(5.0))]
    with pytest.raises(Unreachable):
        await client.request("GET", "/version", attempts=1, within=0.2)


async def test_a_held_request_is_carried_out_when_it_is_let_go_though_nobody_waits(
    server: FakeApiServer, proxy: Proxy, client: Client
) -> None:
    hold = Hold()
    proxy.rules = [Rule(hold, verbs={"create"}, times=1)]
    with pytest.raises(Unreachable):
        await client.request("POST", kinds.CONFIG_MAP.path(NS), body=settings("a"), attempts=1, within=0.2)
    assert server.get(kinds.CONFIG_MAP, NS, "a") is None
    hold.let_go.set()
    await eventually(lambda: [one.status for one in proxy.passed if one.fault == "let go"] == [201])
    assert server.get(kinds.CONFIG_MAP, NS, "a")


async def test_the_servers_clock_can_be_set(proxy: Proxy, client: Client, server: FakeApiServer) -> None:
    proxy.clock_ahead = -3600.0
    async with aiohttp.ClientSession() as session, session.get(f"{proxy.url}/version", ssl=False) as answer:
        told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert abs(told + 3600 - time.time()) < 5


async def test_what_the_server_notes_of_a_lease_is_by_its_clock(proxy: Proxy, client: Client, server: FakeApiServer) -> None:
    entry = {"manager": "flaggerpy", "time": "2026-01-01T12:00:00Z"}
    spec = {"renewTime": "2026-01-01T12:00:00.000000Z"}
    metadata = {"name": "a", "namespace": NS, "managedFields": [entry]}
    server.add({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    proxy.clock_ahead = 3600.0
    seen = await client.get(kinds.LEASE, NS, "a")
    assert seen["metadata"]["managedFields"][0]["time"] == "2026-01-01T13:00:00Z"
    assert seen["spec"] == spec


async def test_a_share_and_a_number_of_times_are_kept(proxy: Proxy, client: Client) -> None:
    some, few = Rule(Refuse(500), verbs={"list"}, share=0.5), Rule(Refuse(503), verbs={"get"}, times=2)
    proxy.rules = [some, few]
    codes = []
    for path in ["/api/v1/configmaps"] * 40 + ["/version"] * 5:
        try:
            await client.request("GET", path, attempts=1)
            codes.append(200)
        except ServerError as error:
            codes.append(error.status)
    assert 8 <= codes[:40].count(500) <= 32
    assert codes[40:] == [503, 503, 200, 200, 200]


async def watched(client: Client) -> tuple[Watcher, list[str]]:
    told: list[str] = []

    def changed(key: Any, new: Any, old: Any) -> None:
        told.append(f"{key.name} {new['data']['value'] if new else 'gone'}")

    watcher = Watcher(client, kinds.CONFIG_MAP, NS, on_change=changed)
    watcher.start()
    await watcher.synced.wait()
    return watcher, told


async def test_a_dropped_event_does_not_arrive(server: FakeApiServer, proxy: Proxy, client: Client) -> None:
    proxy.rules = [Rule(Drop(), verbs={"watch"}, times=1)]
    watcher, told = await watched(client)
    await eventually(lambda: server.watches)
    server.add(settings("a", "1"))
    server.add(settings("b", "1"))
    await eventually(lambda: told)
    assert told == ["b 1"]
    await watcher.stop()


async def test_a_swapped_event_comes_late_and_a_repeated_one_is_told_once(server: FakeApiServer, proxy: Proxy, client: Client) -> None:
    proxy.rules = [Rule(Swap(), verbs={"watch"}, times=1), Rule(Repeat(), verbs={"watch"})]
    watcher, told = await watched(client)
    await eventually(lambda: server.watches)
    for name in ("a", "b", "c"):
        server.add(settings(name, "1"))
    await eventually(lambda: len(told) == 3)
    assert told == ["b 1", "a 1", "c 1"]
    assert proxy.struck == {"Swap": 1, "Repeat": 2}
    await watcher.stop()


@pytest.mark.parametrize("fault", [Forget(), Break()])
async def test_a_watch_that_is_forgotten_or_broken_is_begun_anew(
    server: FakeApiServer, proxy: Proxy, client: Client, fault: Forget | Break
) -> None:
    proxy.rules = [Rule(fault, verbs={"watch"}, times=1)]
    watcher, told = await watched(client)
    await eventually(lambda: server.watches)
    server.add(settings("a", "1"))
    await eventually(lambda: told == ["a 1"])
    assert proxy.struck == {type(fault).__name__: 1}
    await watcher.stop()


async def test_a_lagging_watch_keeps_the_order(server: FakeApiServer, proxy: Proxy, client: Client) -> None:
    proxy.rules = [Rule(Lag(0.4), verbs={"watch"})]
    watcher, told = await watched(client)
    await eventually(lambda: server.watches)
    began = time.monotonic()
    server.add(settings("a", "1"))
    server.add(settings("b", "1"))
    await eventually(lambda: len(told) == 2)
    assert told == ["a 1", "b 1"]
    assert time.monotonic() - began >= 0.35
    await watcher.stop()
