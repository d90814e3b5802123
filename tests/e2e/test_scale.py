"""What an API server bears, computed: what grows with what, and that the page shows what was measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from e2e.scale.__main__ import DOCS, current
from e2e.scale.simulate import METADATA, Setting, cost

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


def test_the_page_shows_what_was_measured() -> None:
    page = (DOCS / "scale.md").read_text()
    assert current(page) == page, "run python -m e2e.scale"
