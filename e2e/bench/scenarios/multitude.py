"""A thousand Canaries at once: `crowd`, three times as large."""

from __future__ import annotations

from e2e.bench.figures import Measured
from e2e.bench.rig import Rig
from e2e.bench.scenarios import crowd

TITLE = "A thousand Canaries at once"
METHOD = (
    "As the hundreds above. Who is not Initialized within ten times the cluster's own time is a failure, though it may be later."
)
WHY = "Why it is missed: for the same reasons as with 300 at once."


def run(rig: Rig) -> list[Measured]:
    return crowd.at_once(rig, 40 if rig.quick else 1000)
