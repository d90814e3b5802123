"""The API server misbehaves during whole releases under load: each class of fault by itself, and all of them together.

One release whose checks pass and one whose checks fail, with the controller behind the fault-injecting proxy from the first write on.
"""

from __future__ import annotations

import pytest

from e2e.disorder import figures
from e2e.disorder.conftest import NewController
from e2e.disorder.playing import Play
from e2e.disorder.proxy import Proxy
from e2e.disorder.scenarios import SCENARIOS, rules

QUICK = ("connections cut", "409 to a third of the writes")
SWEEP = 300.0
"""Seconds within which an idle Canary finds what no watch told: the sweep of its kinds, as nothing else is asked while it is idle."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SCENARIOS])
def test_releases_end_as_they_should(name: str, play: Play, proxy: Proxy, new_controller: NewController) -> None:
    new_controller(through=proxy).start()
    play.begin()
    proxy.rules = rules(name)
    seconds = 150 + (SWEEP if name == "events lost" else 0)
    play.release("1.0.1", seconds=seconds)
    play.release("1.0.2", passes=False, seconds=seconds)
    proxy.rules = []
    struck = ", ".join(f"{fault} {count}" for fault, count in sorted(proxy.struck.items()))
    told = play.judge()
    print(f"{name}: {told}; struck: {struck or 'nothing'}")
    assert proxy.struck or name == "none"
    figures.note("the API server misbehaves", name, **told, faults=sum(proxy.struck.values()))
