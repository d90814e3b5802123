"""What it costs to replace a live Flagger by flaggerpy: pods, analyses, weights, requests."""

from __future__ import annotations

from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import Rig
from e2e.takeover.cases import EVERY, FEW, LOADED
from e2e.takeover.fleet import RATE, Fleet
from e2e.takeover.hands import LOOKS, Hands, take_over

TITLE = "Takeover of a live Flagger"
METHOD = (
    f"{len(EVERY)} Canaries under Flagger 1.44 (Gateway API, Contour, plain Services; with and without ConfigMaps and Secrets) in every"
    " phase: Initialized, Succeeded, Failed, Waiting, Progressing, WaitingPromotion, Promoting, Finalising. Flagger is stopped, flaggerpy"
    f" started on the same Canaries, and {LOOKS:g} s later all is compared with what it was. {RATE:g} requests/s through Envoy go to each"
    f" of {', '.join(LOADED)} (at 0, 0, 20 and 40 % on the canary) all the while."
)
NAMESPACE = "bench-takeover"


def run(rig: Rig) -> list[Measured]:
    rig.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    hands = Hands(rig.kube, rig.sandbox, NAMESPACE)
    cases = FEW if rig.quick else EVERY
    try:
        hands.theirs.start()
        with Fleet(rig.kube, rig.sandbox, NAMESPACE, cases) as fleet:
            fleet.bring()
            taken = take_over(fleet, hands)
    finally:
        hands.stop()
    changed = taken.changed
    return [
        Measured(OURS, "pods restarted or made anew", "", float(len(changed.restarts)), limit=0),
        Measured(OURS, "analyses begun anew", "", float(len(changed.analyses)), limit=0),
        Measured(OURS, "weights moved", "", float(len(changed.weights)), limit=0),
        Measured(OURS, "requests lost", "", float(taken.lost), note=f"of {taken.sent:,}", limit=0),
        Measured(OURS, f"from the start of flaggerpy until all {len(cases)} are its own", "s", taken.seconds),
    ]
