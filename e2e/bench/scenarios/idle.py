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
    " looking at all objects of a kind at once every few minutes) stands apart. Before it the same without any Canary. At the end"
    " flaggerpy is started anew: until /readyz says yes, with warm caches."
)


def run(rig: Rig) -> list[Measured]:
    size, length = (10, 30.0) if rig.quick else (300, 120.0)
    rig.dismiss_fleet()
    found = _counted(rig, 0, length)
    rig.fleet().grow(size)
    found += _counted(rig, len(rig.fleet().names), length)
    for side in rig.sides:
        if side.name == OURS:
            side.stop()
            began = time.monotonic()
            side.start()
            found.append(Measured(side.name, f"{size} Canaries: from the start until caches are warm", "s", time.monotonic() - began))
    return found


def _counted(rig: Rig, canaries: int, length: float) -> list[Measured]:
    """What both sides ask and spend while nothing happens to so many Canaries."""
    time.sleep(15)  # what initialising them left to do is over
    since, spent = time.time(), {side.name: side.cpu_seconds() for side in rig.sides}
    with step(f"{canaries} Canaries, idle for {length:g} s"):
        time.sleep(length)
    minutes, rows = length / 60, list[list[Measured]]()
    for side in rig.sides:
        with rig.sandbox.audit_log.open() as lines:
            asked = audit.count(lines, side.user, since, since + length)
        say(f"  {side.name}: {audit.told(asked) or 'none'}")
        limit = 0.0 if side.name == OURS else None
        of_its_own = asked.lease + asked.watches + asked.whole
        row = [
            Measured(side.name, f"{canaries} Canaries: API requests of the controller itself per minute", "", of_its_own / minutes),
            Measured(side.name, f"{canaries} Canaries: processor time per minute", "s", (side.cpu_seconds() - spent[side.name]) / minutes),
        ]
        if canaries:
            each = asked.asked / canaries / minutes
            row.insert(0, Measured(side.name, "API requests per idle Canary and minute", "", each, limit=limit))
        rows.append(row)
    # figure by figure, each with its two sides
    return [one for figure in zip(*rows, strict=True) for one in figure]
