"""Resident memory with one Canary and with many."""

from __future__ import annotations

import time

from e2e.bench.figures import Measured
from e2e.bench.rig import Rig

TITLE = "Memory"
METHOD = (
    "Resident memory (VmRSS) of the controller's process, 15 s after all Canaries were initialised. Their pods are pretended: a thread"
    " reports pods that no scheduler takes as running."
)
CALM_SECONDS = 15.0


def run(rig: Rig) -> list[Measured]:
    sizes = (1, 10) if rig.quick else (1, 100)
    found = []
    for size in sizes:
        rig.fleet().grow(size)
        time.sleep(CALM_SECONDS)
        found += [Measured(side.name, f"memory with {size} Canar{'y' if size == 1 else 'ies'}", "MB", side.memory()) for side in rig.sides]
    return found
