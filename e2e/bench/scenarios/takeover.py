"""What it costs to replace a live Flagger by flaggerpy, and to go back: pods, analyses, weights, requests."""

from __future__ import annotations

from e2e.bench.figures import OURS, THEIRS, Measured
from e2e.bench.rig import Rig
from e2e.takeover.cases import EVERY, FEW, LOADED
from e2e.takeover.fleet import RATE, Fleet
from e2e.takeover.hands import LOOKS, Hands, TakenOver, hand_back, start_again, take_over

LISTED = ", ".join(LOADED)
TITLE = "Takeover of a live Flagger"
METHOD = (
    f"{len(EVERY)} Canaries under Flagger 1.44 (Gateway API, Contour, plain Services; with and without ConfigMaps and Secrets) in every"
    " phase: Initialized, Succeeded, Failed, Waiting, Progressing, WaitingPromotion, Promoting, Finalising. Flagger is stopped, flaggerpy"
    f" started on the same Canaries, and {LOOKS:g} s later all that was told of pods, events and routes meanwhile is compared with what"
    f" was before. {RATE:g} requests/s through Envoy go to each of {LISTED} (at 0, 0, 20, 20 and 40 % on the canary) all the while."
    " Beside it, what the same Flagger does to the same Canaries when it is stopped and started again (before those in Promoting and"
    " Finalising, which do not stand still, get there). Then all gates are opened, all releases come to their end, and the Canaries go"
    " back to Flagger by `flaggerpy handback`."
)
NAMESPACE = "bench-takeover"


def run(rig: Rig) -> list[Measured]:
    rig.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    hands = Hands(rig.kube, rig.sandbox, NAMESPACE)
    cases = FEW if rig.quick else EVERY
    try:
        hands.theirs.start()
        with Fleet(rig.kube, rig.sandbox, NAMESPACE, cases) as fleet:
            fleet.bring_held()
            again = start_again(fleet, hands)
            fleet.bring_late()
            taken = take_over(fleet, hands)
            fleet.finish()
            back = hand_back(fleet, hands)
    finally:
        hands.stop()
        hands.our_crds()
    return [
        *figures(OURS, "", taken),
        *figures(THEIRS, "", again),
        Measured(OURS, f"from the start of flaggerpy until all {len(cases)} are its own", "s", taken.seconds),
        *figures(OURS, "the way back: ", back),
    ]


def figures(side: str, way: str, moved: TakenOver) -> list[Measured]:
    """What the Canaries and their visitors noticed."""
    changed, limit = moved.changed, 0.0 if side == OURS else None
    return [
        Measured(side, f"{way}pods restarted or made anew", "", float(len(changed.restarts)), limit=limit),
        Measured(side, f"{way}analyses begun anew", "", float(len(changed.analyses)), limit=limit),
        Measured(side, f"{way}weights moved", "", float(len(changed.weights)), limit=limit),
        Measured(side, f"{way}requests lost", "", float(moved.lost), note=f"of {moved.sent:,}", limit=limit),
    ]
