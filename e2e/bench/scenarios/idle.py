"""What Canaries cost the API server while nothing happens."""

from __future__ import annotations

import time

from e2e.bench import audit
from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import Rig
from e2e.sandbox.console import say, step

TITLE = "Idle Canaries"
METHOD = (
    "All Canaries are initialised and nothing changes. Requests of each controller's account in the API server's audit log, divided by"
    " Canaries and minutes; what a controller asks for itself however many Canaries there are (renewing its Lease, beginning a watch anew,"
    " looking at all objects of a kind at once every few minutes) stands apart."
)


def run(rig: Rig) -> list[Measured]:
    size, length = (10, 30.0) if rig.quick else (300, 120.0)
    rig.fleet().grow(size)
    time.sleep(15)  # what initialising them left to do is over
    since = time.time()
    with step(f"{len(rig.fleet().names)} Canaries, idle for {length:g} s"):
        time.sleep(length)
    canaries, minutes = len(rig.fleet().names), length / 60
    per_canary, of_its_own = [], []
    for side in rig.sides:
        with rig.sandbox.audit_log.open() as lines:
            found = audit.count(lines, side.user, since, since + length)
        say(f"  {side.name}: {audit.told(found) or 'none'}")
        limit = 0.0 if side.name == OURS else None
        per_canary.append(Measured(side.name, "API requests per idle Canary and minute", "", found.asked / canaries / minutes, limit=limit))
        own = (found.lease + found.watches + found.whole) / minutes
        of_its_own.append(Measured(side.name, "API requests of the controller itself per minute", "", own))
    return per_canary + of_its_own
