"""Releases on the API server in memory, through a proxy that misbehaves: whatever it does, they end as they would have without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from e2e.disorder import figures
from e2e.disorder.faults import Drop, Rule
from e2e.disorder.proxy import Proxy
from e2e.disorder.scenarios import SCENARIOS, rules
from flaggerpy.controller import seeing
from flaggerpy.rollout import deleting, traffic
from tests.cluster.fake_apiserver import FakeApiServer
from tests.controller.dying import STRATEGIES, Life, staged, undisturbed
from tests.controller.test_crash_points import judge

QUICK = ("409 to a third of the writes", "connections cut", "events repeated and out of order")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is only waited for here is proved elsewhere."""
    for module in (traffic, deleting):
        monkeypatch.setattr(module, "DRAIN", 0.2)
    monkeypatch.setattr(traffic, "UNTOLD", 0.2)
    monkeypatch.setattr(seeing, "LIVE_AFTER", 0.5)


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as running:
        yield running


@pytest.fixture
async def proxy(server: FakeApiServer) -> AsyncIterator[Proxy]:
    opened = Proxy(server.url)
    await asyncio.to_thread(opened.__enter__)
    yield opened
    await asyncio.to_thread(opened.__exit__, None, None, None)


async def played(server: FakeApiServer, proxy: Proxy, strategy: str, spoilt: list[Rule], folder: Path) -> None:
    """A release behind the proxy, which misbehaves once the controller leads."""
    wanted = await undisturbed(STRATEGIES[strategy])
    stage = await staged(server, STRATEGIES[strategy])
    authority = folder / "ca.crt"
    authority.write_bytes(proxy.authority)
    life = Life(stage, through=(proxy.url, str(authority)))
    await life.leads()
    proxy.rules = spoilt
    await stage.rested(150)
    proxy.rules = []
    await life.ended()
    judge(stage.story(), wanted)


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        pytest.param(name, strategy, marks=() if name in QUICK and strategy == "weighted" else pytest.mark.slow)
        for name in SCENARIOS
        for strategy in ("weighted", "failing checks")
    ],
)
async def test_a_release_ends_as_it_should(server: FakeApiServer, proxy: Proxy, name: str, strategy: str, tmp_path: Path) -> None:
    await played(server, proxy, strategy, rules(name), tmp_path)
    figures.note("the API server in memory misbehaves", name, releases=1, faults=sum(proxy.struck.values()))


async def test_a_run_does_not_wait_for_events_that_are_lost(server: FakeApiServer, proxy: Proxy, tmp_path: Path) -> None:
    """Nothing at all is heard of pods, workloads and routes."""
    lost = [Rule(Drop(), {"watch"}, "/(pods|deployments|replicasets|httproutes)$")]
    await played(server, proxy, "weighted", lost, tmp_path)
    assert proxy.struck["Drop"] > 5
