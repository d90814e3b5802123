"""Releases on the API server in memory, through a proxy that misbehaves: whatever it does, they end as they would have without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.disorder import figures
from e2e.disorder.faults import Drop, Rule
from e2e.disorder.proxy import Proxy
from e2e.disorder.scenarios import SCENARIOS, rules
from flaggerpy.controller import seeing
from tests.cluster.fake_apiserver import FakeApiServer
from tests.controller.dying import STRATEGIES, Life, staged, undisturbed
from tests.controller.test_crash_points import judge

QUICK = ("409 to a third of the writes", "connections cut", "events repeated and out of order")
pytestmark = pytest.mark.usefixtures("short_drains")


@pytest.fixture(autouse=True)
def early_live_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a watch did not tell is read after half a second instead of after seconds."""
    monkeypatch.setattr(seeing, "LIVE_AFTER", 0.5)


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
