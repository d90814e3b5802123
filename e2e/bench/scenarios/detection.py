"""From a changed image to the phase Progressing."""

from __future__ import annotations

import random
import time

from e2e import releases
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import IMAGE
from e2e.bench.rig import Rig
from e2e.recorder import Recorder
from e2e.sandbox.console import step

TITLE = "Image change to Progressing"
METHOD = (
    "One change of the image in each of so many idle Canaries, at random moments. Measured from the API server's answer to the change until"
    " a watch tells the Canary's phase Progressing."
)
LIMIT_SECONDS = 60.0


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed. Raises IndexError for none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]


def run(rig: Rig) -> list[Measured]:
    changes = 5 if rig.quick else 25
    rig.fleet().grow(changes)
    names = rig.fleet().names[-changes:]
    found = []
    for side in rig.sides:
        with step(f"{side.name}: {changes} changes"), Recorder(rig.kube, "Canary", side.namespace) as canaries:
            changed = {}
            for name in names:
                time.sleep(random.uniform(0.3, 1.5))
                rig.kube.set_image(name, "app", f"{IMAGE}:1.0.1", side.namespace)
                changed[name] = time.time()
            took = []
            for name, at in changed.items():
                progressing = canaries.wait(
                    lambda seen, name=name: seen.name == name and releases.phase(seen.obj) == "Progressing",  # type: ignore[misc]
                    LIMIT_SECONDS,
                )
                if progressing is None:
                    raise RuntimeError(f"{side.name}: {name} is not Progressing {LIMIT_SECONDS:g} s after its image was changed")
                took.append(max(0.0, progressing.at - at))
        limit = 300.0 if side.name == OURS else None
        found.append(Measured(side.name, f"image change to Progressing, p50 of {changes}", "ms", 1000 * percentile(took, 50)))
        found.append(Measured(side.name, f"image change to Progressing, p95 of {changes}", "ms", 1000 * percentile(took, 95), limit=limit))
    return found
