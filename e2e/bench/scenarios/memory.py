"""Resident memory with one Canary and with many."""

from __future__ import annotations

import time

from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import Rig

TITLE = "Memory"
METHOD = (
    "Resident memory (VmRSS) of the controller's process, 40 s after all Canaries were initialised, by the hundred. Their pods are on"
    " kwok's nodes, which pretend."
)
CALM_SECONDS = 40.0


def run(rig: Rig) -> list[Measured]:
    sizes = (1, 10) if rig.quick else (1, 300)
    found = []
    for size in sizes:
        rig.fleet().grow(size)
        time.sleep(CALM_SECONDS)
        for side in rig.sides:
            share = 1.0 if side.name == OURS and size > 1 else None
            what = f"memory with {size} Canar{'y' if size == 1 else 'ies'}"
            found.append(Measured(side.name, what, "MB", side.memory(), share=share))
    return found
