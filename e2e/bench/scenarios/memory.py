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
WHY = (
    "Why it is missed: Python and the libraries that are imported take 69 MB before the first Canary (kopf, aiohttp, pydantic, the"
    " Kubernetes client; what they load for other uses than ours is left out, see flaggerpy/lean.py): more than Flagger with one."
    " What lives on after a hundred Canaries were initialised at once is 5.5 MB of objects (by tracemalloc). But at the height of"
    " it there were 120 TLS connections of 85 kB each and the objects of every look (as it was before looks took turns: those of"
    " requests are 24 now, those of pod watches as many as before), and of the pages that these took some 17 MB are"
    " not wholly free afterwards, so that neither Python's allocator nor glibc's can give them back. A process that is started anew"
    " beside 101 such Canaries takes 82 MB."
)


def run(rig: Rig) -> list[Measured]:
    sizes = (1, 10) if rig.quick else (1, 300)
    found = []
    # what an earlier scenario took at its height is not the memory of one Canary
    rig.dismiss_fleet()
    for side in rig.sides:
        side.stop()
        side.start()
    for size in sizes:
        rig.fleet().grow(size)
        time.sleep(CALM_SECONDS)
        for side in rig.sides:
            share = 1.0 if side.name == OURS and size > 1 else None
            what = f"memory with {size} Canar{'y' if size == 1 else 'ies'}"
            found.append(Measured(side.name, what, "MB", side.memory(), share=share))
    return found
