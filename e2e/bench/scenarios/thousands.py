"""Thousands of idle Canaries: requests, memory, processor time, and how long a new process takes to have its caches warm."""

from __future__ import annotations

import time
from contextlib import ExitStack

from e2e.bench import audit, controllers
from e2e.bench.controllers import Controller
from e2e.bench.figures import Measured, text_table
from e2e.bench.fleet import PATIENCE, SECONDS_EACH, Fleet
from e2e.bench.rig import Rig
from e2e.kube import until
from e2e.sandbox.console import say, step

TITLE = "Thousands of idle Canaries"
METHOD = (
    "flaggerpy alone, looking after all namespaces (at 25 requests per Canary and minute, see Idle Canaries, Flagger would ask 2,083"
    " times a second beside 5,000, which is more than this API server answers): Canaries that are all initialised, in ten namespaces,"
    " one pod each on kwok's nodes, and nothing changes. Envoy and Prometheus are stopped, as what the one counts of thousands of"
    " backends, and the other reads, leaves little processor. flaggerpy is started anew: until /readyz says yes, with warm caches; and"
    " 30 s later memory. After a start each primary is compared with its kept revision, 20 a second; when 15 s go by without a request"
    " about a Canary, that is over, and requests and processor time of two minutes are counted."
)
BESIDE = ("envoy", "prometheus")
HOME = "bench-thousands"
NAMESPACES = tuple(f"{HOME}-{number}" for number in range(10))
CALM_SECONDS = 30.0
QUIET_SECONDS = 15.0
"""Without a request: nothing that follows from the start is left to do."""
LIMITS_MB = {5000: 250.0}
START_LIMITS = {5000: 15.0}


def measured(rig: Rig, side: Controller, size: int, length: float) -> list[Measured]:
    side.stop()
    started = time.monotonic()
    side.start()
    warm = time.monotonic() - started
    time.sleep(CALM_SECONDS)
    memory = side.memory()
    until(lambda: asked_in(rig, side, QUIET_SECONDS).asked == 0, PATIENCE + size * SECONDS_EACH, f"{side.name} is idle")
    spent = side.cpu_seconds()
    asked = asked_in(rig, side, length)
    cpu = side.cpu_seconds() - spent
    say(f"  {audit.told(asked) or 'no requests'}")
    what = f"{size} idle"
    found = [
        Measured(side.name, f"{what}: from the start until caches are warm", "s", warm, limit=START_LIMITS.get(size)),
        Measured(side.name, f"{what}: memory", "MB", memory, limit=LIMITS_MB.get(size)),
        Measured(side.name, f"{what}: API requests per Canary and minute", "", asked.asked / size / length * 60, limit=0),
        Measured(side.name, f"{what}: processor time per minute", "s", cpu / length * 60),
    ]
    # what comes after it takes an hour
    say(text_table(found))
    return found


def asked_in(rig: Rig, side: Controller, seconds: float) -> audit.Requests:
    """The requests of the next so many seconds."""
    log = rig.sandbox.audit_log
    at, since = log.stat().st_size, time.time()
    time.sleep(seconds)
    with log.open() as lines:
        # of millions of lines, those that were written meanwhile; all of a file that was begun meanwhile
        lines.seek(at if log.stat().st_size >= at else 0)
        return audit.count(lines, side.user, since, since + seconds)


def run(rig: Rig) -> list[Measured]:
    for namespace in (HOME, *NAMESPACES):
        rig.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    side = controllers.flaggerpy(rig.sandbox, rig.kube, HOME, everywhere=True)
    fleet = Fleet(rig.kube, (side,), NAMESPACES)
    found = []
    with ExitStack() as afterwards:
        for other in rig.sides:
            afterwards.callback(other.start)
            other.stop()
        for part in BESIDE:
            afterwards.callback(rig.sandbox.start, part)
            rig.sandbox.stop(part)
        afterwards.callback(fleet.delete)
        afterwards.callback(side.stop)
        side.start()
        for size, length in ((30, 20.0),) if rig.quick else ((1000, 120.0), (5000, 120.0)):
            fleet.grow(size)
            with step(f"{size} idle Canaries"):
                found += measured(rig, side, size, length)
    return found
