"""From a changed image to the phase Progressing."""

from __future__ import annotations

import random
import time

from e2e import releases
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import IMAGE
from e2e.bench.rig import Rig
from e2e.recorder import Recorder, Seen
from e2e.sandbox.console import step

TITLE = "Image change to Progressing"
METHOD = (
    "One change of the image in each of so many idle Canaries, at random moments. Measured from the API server's answer to the change until"
    " a watch tells the Canary's phase Progressing. Within that time Kubernetes itself makes the new ReplicaSet, without which a revision"
    " has no name: when a watch told that one stands beside it."
)
LIMIT_SECONDS = 60.0
CHANGED = f"{IMAGE}:1.0.1"


def percentile(values: list[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed. Raises IndexError for none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(percent) // 100) - 1)]


def made_at(sets: Recorder, target: str) -> float:
    """When a watch first told the ReplicaSet of the changed image. Raises RuntimeError when there is none."""
    found = sets.wait(lambda seen: owner(seen) == target and image(seen) == CHANGED, LIMIT_SECONDS)
    if found is None:
        raise RuntimeError(f"{target} has no ReplicaSet of the changed image after {LIMIT_SECONDS:g} s")
    return found.at


def owner(seen: Seen) -> str:
    return str(next((ref["name"] for ref in seen.obj["metadata"].get("ownerReferences") or ()), ""))


def image(seen: Seen) -> str:
    return str(seen.obj["spec"]["template"]["spec"]["containers"][0]["image"])


def run(rig: Rig) -> list[Measured]:
    changes = 5 if rig.quick else 25
    rig.fleet().grow(changes)
    names = rig.fleet().names[-changes:]
    found = []
    for side in rig.sides:
        canaries, sets = Recorder(rig.kube, "Canary", side.namespace), Recorder(rig.kube, "ReplicaSet", side.namespace)
        with step(f"{side.name}: {changes} changes"), canaries, sets:
            changed = {}
            for name in names:
                time.sleep(random.uniform(0.3, 1.5))
                rig.kube.set_image(name, "app", CHANGED, side.namespace)
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
            made = [max(0.0, made_at(sets, name) - at) for name, at in changed.items()]
        limit = 300.0 if side.name == OURS else None
        found.append(Measured(side.name, f"image change to Progressing, p50 of {changes}", "ms", 1000 * percentile(took, 50)))
        found.append(Measured(side.name, f"image change to Progressing, p95 of {changes}", "ms", 1000 * percentile(took, 95), limit=limit))
        found.append(Measured(side.name, f"of which: image change to ReplicaSet, p50 of {changes}", "ms", 1000 * percentile(made, 50)))
        found.append(Measured(side.name, f"of which: image change to ReplicaSet, p95 of {changes}", "ms", 1000 * percentile(made, 95)))
    return found
