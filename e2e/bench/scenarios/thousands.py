"""Thousands of idle Canaries: requests, memory, processor time, and how long a new process takes to have its caches warm."""

from __future__ import annotations

import time

from e2e.bench import audit
from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import Fleet
from e2e.bench.rig import Rig
from e2e.sandbox.console import say, step

TITLE = "Thousands of idle Canaries"
METHOD = (
    "flaggerpy alone: Canaries that are all initialised, one pod each on kwok's nodes, and nothing changes. The process is started anew:"
    " until /readyz says yes, with warm caches; 30 s later memory, and then requests and processor time of two minutes."
)
CALM_SECONDS = 30.0
LIMITS_MB = {5000: 250.0}
START_LIMITS = {5000: 15.0}


def measured(rig: Rig, side: Controller, size: int, length: float) -> list[Measured]:
    side.stop()
    started = time.monotonic()
    side.start()
    warm = time.monotonic() - started
    time.sleep(CALM_SECONDS)
    memory, since, spent = side.memory(), time.time(), side.cpu_seconds()
    time.sleep(length)
    cpu = side.cpu_seconds() - spent
    with rig.sandbox.audit_log.open() as lines:
        asked = audit.count(lines, side.user, since, since + length)
    say(f"  {audit.told(asked) or 'no requests'}")
    what = f"{size} idle"
    return [
        Measured(side.name, f"{what}: from the start until caches are warm", "s", warm, limit=START_LIMITS.get(size)),
        Measured(side.name, f"{what}: memory", "MB", memory, limit=LIMITS_MB.get(size)),
        Measured(side.name, f"{what}: API requests per Canary and minute", "", asked.asked / size / length * 60, limit=0),
        Measured(side.name, f"{what}: processor time per minute", "s", cpu / length * 60),
    ]


def run(rig: Rig) -> list[Measured]:
    side = next(side for side in rig.sides if side.name == OURS)
    others = [other for other in rig.sides if other is not side]
    for other in others:
        other.stop()
    found = []
    fleet = Fleet(rig.kube, (side,))
    try:
        for size, length in ((30, 20.0),) if rig.quick else ((1000, 120.0), (5000, 120.0)):
            fleet.grow(size)
            with step(f"{size} idle Canaries"):
                found += measured(rig, side, size, length)
    finally:
        fleet.delete()
        for other in others:
            other.start()
    return found
