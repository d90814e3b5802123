"""How long it takes to call a release failed whose pods cannot run, and how much traffic it got."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from e2e import releases
from e2e.bench.controllers import Controller
from e2e.bench.figures import Measured
from e2e.bench.rig import App, Rig
from e2e.kube import Object
from e2e.sandbox.console import say

TITLE = "Releases that cannot run"
METHOD = (
    "Two real pods, progressDeadlineSeconds 60. An image tag that the registry does not have; a sidecar that exits with 1 after 1.5 s again"
    " and again and is ready in between, beside a sound main container. From the change to the phase Failed, and the canary's greatest"
    " weight in the HTTPRoute. All four run at once."
)
CASES = ("missing image", "crash-looping sidecar")


def template(app: App, case: str) -> Object:
    if case == "missing image":
        return releases.pod_template(app.name, app.image("9.9.9"))
    return releases.pod_template(app.name, app.image("1.0.1"), sidecar=releases.crashing_sidecar(app.image("1.0.0", "crasher")))


def one(rig: Rig, side: Controller, case: str) -> list[Measured]:
    patience = 120.0 if rig.quick else 240.0
    with rig.app(side, case.replace(" ", "-")) as app, rig.records(app) as records:
        changed = app.release(template(app, case))
        end = records.wait(("Failed", "Succeeded"), patience, changed)
        mine = [seen for seen in records.routes.so_far() if seen.name == app.name and seen.at >= changed]
        greatest = max((weight for _, weight in releases.weights(mine)), default=0)
    outcome = releases.phase(end[1]) if end else ""
    note = {"Failed": "", "Succeeded": "promoted"}.get(outcome, f"no verdict in {patience:g} s")
    took = end[0] - changed if end and outcome == "Failed" else None
    say(f"  {side.name}: {case}: {outcome or note}, greatest weight {greatest}")
    return [
        Measured(side.name, f"{case}: time to Failed", "s", took, note=note),
        Measured(side.name, f"{case}: greatest weight", "%", float(greatest)),
    ]


def run(rig: Rig) -> list[Measured]:
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(one, rig, side, case) for case in CASES for side in rig.sides]
        return [measured for future in futures for measured in future.result()]
