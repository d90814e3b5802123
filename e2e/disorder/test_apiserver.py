"""The API server misbehaves during whole releases under load: each class of fault by itself, and all of them together.

One release whose checks pass and one whose checks fail, with the controller behind the fault-injecting proxy from the first write on.
"""

from __future__ import annotations

import pytest

from e2e.disorder import figures
from e2e.disorder.conftest import NewController
from e2e.disorder.faults import READS, REQUESTS, WRITES, Break, Cut, Delay, Drop, Forget, Lag, Refuse, Repeat, Rule, Swap
from e2e.disorder.playing import Play
from e2e.disorder.proxy import Proxy

WATCH = {"watch"}
ANYTHING = REQUESTS | WATCH


def rules(name: str) -> list[Rule]:
    """The faults of a scenario, fresh: rules count."""
    table: dict[str, list[Rule]] = {
        "none": [],
        "409 to a third of the writes": [Rule(Refuse(409), WRITES, share=0.33)],
        "410 to lists, watches that forget": [Rule(Refuse(410), READS, share=0.3), Rule(Forget(), WATCH, share=0.2)],
        "429 with Retry-After to a quarter": [Rule(Refuse(429, retry_after=1), REQUESTS, share=0.25)],
        "500 to a quarter, half of them done": [
            Rule(Refuse(500, done=True), WRITES, share=0.15), Rule(Refuse(500), REQUESTS, share=0.15),
        ],
        "504 to a quarter, half of them done": [
            Rule(Refuse(504, done=True), WRITES, share=0.15), Rule(Refuse(504), REQUESTS, share=0.15),
        ],
        "time-outs": [Rule(Delay(40.0), REQUESTS, share=0.04), Rule(Delay(2.0), REQUESTS, share=0.1)],
        "connections cut": [
            Rule(Cut(done=True), WRITES, share=0.2), Rule(Cut(), REQUESTS, share=0.1), Rule(Break(), WATCH, share=0.1),
        ],
        "events lost": [Rule(Drop(), WATCH, share=0.3)],
        "events repeated and out of order": [Rule(Repeat(), WATCH, share=0.3), Rule(Swap(), WATCH, share=0.4)],
        "events 3 s late": [Rule(Lag(3.0), WATCH)],
        "everything at once": [
            Rule(Refuse(409), WRITES, share=0.05), Rule(Refuse(429, retry_after=1), REQUESTS, share=0.05),
            Rule(Refuse(500, done=True), WRITES, share=0.05), Rule(Refuse(504), REQUESTS, share=0.05), Rule(Cut(), REQUESTS, share=0.03),
            Rule(Cut(done=True), WRITES, share=0.05), Rule(Delay(12.0), REQUESTS, share=0.01), Rule(Forget(), WATCH, share=0.02),
            Rule(Break(), WATCH, share=0.03), Rule(Repeat(), WATCH, share=0.1), Rule(Swap(), WATCH, share=0.1), Rule(Lag(0.5), WATCH),
        ],
    }  # fmt: skip
    return table[name]


QUICK = ("connections cut", "409 to a third of the writes")
SCENARIOS = (
    "none", "409 to a third of the writes", "410 to lists, watches that forget", "429 with Retry-After to a quarter",
    "500 to a quarter, half of them done", "504 to a quarter, half of them done", "time-outs", "connections cut", "events lost",
    "events repeated and out of order", "events 3 s late", "everything at once",
)  # fmt: skip


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SCENARIOS])
def test_releases_end_as_they_should(name: str, play: Play, proxy: Proxy, new_controller: NewController) -> None:
    new_controller(through=proxy).start()
    play.begin()
    proxy.rules = rules(name)
    play.release("1.0.1")
    play.release("1.0.2", passes=False)
    proxy.rules = []
    struck = ", ".join(f"{fault} {count}" for fault, count in sorted(proxy.struck.items()))
    told = play.judge()
    print(f"{name}: {told}; struck: {struck or 'nothing'}")
    assert proxy.struck or name == "none"
    figures.note("the API server misbehaves", name, **told, faults=sum(proxy.struck.values()))
