"""The scenarios of an API server that misbehaves: names, and the rules of each, for tests in memory and on a cluster."""

from __future__ import annotations

from e2e.disorder.faults import REQUESTS, WRITES, Break, Cut, Delay, Drop, Forget, Lag, Refuse, Repeat, Rule, Swap

SCENARIOS = (
    "none", "409 to a third of the writes", "410 to lists, watches that forget", "429 with Retry-After to a quarter",
    "500 to a quarter, half of them done", "504 to a quarter, half of them done", "time-outs", "connections cut", "events lost",
    "events repeated and out of order", "events 3 s late", "everything at once",
)  # fmt: skip
WATCH = {"watch"}
OBJECTS = "^(?!.*accessreviews)"
"""What can have changed meanwhile: a review of one's own rights is no object."""


def rules(name: str) -> list[Rule]:
    """The faults of a scenario, fresh: rules count."""
    table: dict[str, list[Rule]] = {
        "none": [],
        "409 to a third of the writes": [Rule(Refuse(409), WRITES, OBJECTS, share=0.33)],
        "410 to lists, watches that forget": [Rule(Refuse(410), {"list"}, share=0.3), Rule(Forget(), WATCH, share=0.2)],
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
            Rule(Refuse(409), WRITES, OBJECTS, share=0.05), Rule(Refuse(429, retry_after=1), REQUESTS, share=0.05),
            Rule(Refuse(500, done=True), WRITES, share=0.05), Rule(Refuse(504), REQUESTS, share=0.05), Rule(Cut(), REQUESTS, share=0.03),
            Rule(Cut(done=True), WRITES, share=0.05), Rule(Delay(12.0), REQUESTS, share=0.01), Rule(Forget(), WATCH, share=0.02),
            Rule(Break(), WATCH, share=0.03), Rule(Repeat(), WATCH, share=0.1), Rule(Swap(), WATCH, share=0.1), Rule(Lag(0.5), WATCH),
        ],
    }  # fmt: skip
    return table[name]
