"""What an API server bears, computed: what grows with what, and that the page shows what was measured."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from e2e.scale.__main__ import DOCS, current
from e2e.scale.simulate import METADATA, OWN_WATCHES, ROUTE_WATCHES, SWEPT, Setting, cost
from flaggerpy.cluster import kinds
from flaggerpy.controller import world
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary
from tests.controller.test_release import controller

REQUESTS = 30.0
ASSUMED: dict[str, Any] = {
    "release": {
        "writes": 0.5,
        "events": {"canaries": 2, "deployments": 3},
        "bytes": {"canaries": 2_000, "deployments": 2_000},
    },
    "at_rest": {"objects": {"canaries": 1, "deployments": 2, "replicasets": 4}},
}
ONE = Setting(canaries=1_000, releases_per_hour=3_600, shards=1, replicas=1)


def test_a_release_a_second_costs_its_requests_and_what_watches_tell() -> None:
    found = cost(REQUESTS, ASSUMED, ONE)
    # 30 of the release, one renewal in two seconds, 14 pages of names in five minutes
    assert found["requests per second"] == pytest.approx(30 + 0.5 + 14 / 300)
    assert found["writes per second"] == pytest.approx(15.5)
    assert found["watch bytes per second"] == pytest.approx(10_000)
    assert found["sweep bytes per second"] == pytest.approx(7_000 * METADATA / 300)


def test_what_watches_tell_grows_with_the_processes_and_writes_hardly() -> None:
    one, ten = cost(REQUESTS, ASSUMED, ONE), cost(REQUESTS, ASSUMED, replace(ONE, shards=10, replicas=2))
    assert ten["watch bytes per second"] == 20 * one["watch bytes per second"]
    assert ten["writes per second"] == pytest.approx(one["writes per second"] + 4.5)
    assert ten["watches"] == pytest.approx(20 * 11 + 10 + 2 * 600)


async def test_a_replica_has_so_many_watches_beside_that_of_its_lease(server: FakeApiServer) -> None:
    def watches() -> set[str]:
        found = {request.path for request in server.requests if request.query.get("watch") == "true"}
        return {path for path in found if not path.endswith("/leases")}

    async with controller(server):
        await eventually(lambda: len(watches()) >= OWN_WATCHES)
        assert len(watches()) == OWN_WATCHES, watches()
        server.add(canary(provider="gatewayapi:v1", service={"port": 80, "gatewayRefs": [{"name": "contour"}]}))
        await eventually(lambda: len(watches()) >= OWN_WATCHES + ROUTE_WATCHES)
        assert len(watches()) == OWN_WATCHES + ROUTE_WATCHES, watches()


def test_what_is_swept_is_what_the_controller_sweeps_without_daemon_sets() -> None:
    # of our kinds, templates and alert providers are few
    assert {kinds.CANARY.plural, *(kind.plural for kind in world.SWEPT - {kinds.DAEMON_SET})} == set(SWEPT)


def test_an_initialisation_is_as_many_requests_as_the_benchmarks_say() -> None:
    told = [
        re.findall(pattern, " ".join((DOCS / name).read_text().split()))
        for name, pattern in (
            ("scale.md", r"an initialisation is some (\d+) requests, (\d+) of which write the status"),
            ("benchmarks.md", r"some (\d+) requests per Canary, (\d+) of which write its status"),
        )
    ]
    assert len(told[0]) == len(told[1]) == 1
    assert told[0] == told[1]


def test_the_page_shows_what_was_measured() -> None:
    page = (DOCS / "scale.md").read_text()
    assert current(page) == page, "run python -m e2e.scale"
