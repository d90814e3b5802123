"""How long a release takes that nothing is wrong with."""

from __future__ import annotations

from e2e import releases
from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import Rig
from e2e.sandbox.console import step

TITLE = "Length of a good release"
METHOD = (
    "Two real pods, 20, 40, 60 %, 10 s each, then promotion: from the changed image to Succeeded. Ours is bound by its parts: steps x"
    " interval, `podHealth.settle` (10 s, which Flagger has not), one drain (5 s), and the starts of pods as measured in the run: the"
    " canary's, and the primary's when it is rolled."
)
LIMIT_SECONDS = 240.0
STEPS, INTERVAL, SETTLE, DRAIN = 3, 10.0, 10.0, 5.0
ALLOWANCE = 1.1


def bound(pod_starts: float) -> float:
    """Seconds that the parts of a run take."""
    return STEPS * INTERVAL + SETTLE + DRAIN + pod_starts


def run(rig: Rig) -> list[Measured]:
    found = []
    for side in rig.sides:
        with rig.app(side, "length") as app, rig.records(app) as records, step(f"{side.name}: a good release"):
            changed = app.release(releases.pod_template(app.name, app.image("1.0.1")))
            end = records.wait(("Succeeded", "Failed"), LIMIT_SECONDS, changed)
            if end is None or releases.phase(end[1]) != "Succeeded":
                raise RuntimeError(f"{side.name}: the good release is {app.phase()}: {app.canary().get('status')}")
            pods = records.pods.so_far()
        length = end[0] - changed
        canary = releases.starts([seen for seen in pods if seen.name.startswith("length-") and "-primary-" not in seen.name], changed)
        primary = releases.starts([seen for seen in pods if seen.name.startswith("length-primary-")], changed)
        limit = ALLOWANCE * bound(canary + primary) if side.name == OURS else None
        note = f"pod starts {canary:.1f} + {primary:.1f} s"
        found.append(Measured(side.name, "length of a 3 x 10 s release", "s", length, note=note, limit=limit))
    return found
