"""What users lose when the canary breaks while it carries 40 % of 200 requests a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from e2e import releases
from e2e.bench import load
from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, Measured
from e2e.bench.rig import App, Records, Rig
from e2e.kube import Object
from e2e.sandbox.console import say, step

TITLE = "A canary that breaks at 40 %"
METHOD = (
    "Two real pods a side, progressDeadlineSeconds 60, 200 requests/s through Envoy. At 40 % all canary pods turn unready for good, or all"
    " crash, and again as soon as they are back. Requests lost from then until the verdict, and seconds from the kubelet's report that"
    " the last pod is not ready until the canary's weight in the HTTPRoute is 0."
)
PATIENCE = 150.0
RATE = 200.0
FAULTS = {"unready": 0.02, "crashing": 0.04}
"""Each fault with the most that we may lose of what Flagger loses."""


def tell(pod: Object, word: str) -> None:
    """Asks an application to fail. One that is down already need not be told."""
    address = (pod.get("status") or {}).get("podIP")
    try:
        httpx.post(f"http://{address}:{releases.PORT}/{word}", timeout=1.0, trust_env=False)
    except httpx.HTTPError:
        return


@contextmanager
def broken(app: App, fault: str) -> Iterator[tuple[float, list[str]]]:
    """The canary's pods, broken within the block: when it began, and their names."""
    pods = app.pods()
    over = threading.Event()

    def again() -> None:
        while not over.wait(0.3):
            for pod in pods:
                tell(pod, "crash")

    began = time.time()
    if fault == "unready":
        for pod in pods:
            tell(pod, "unready")
        yield began, [pod["metadata"]["name"] for pod in pods]
        return
    thread = threading.Thread(target=again, daemon=True)
    for pod in pods:
        tell(pod, "crash")
    thread.start()
    try:
        yield began, [pod["metadata"]["name"] for pod in pods]
    finally:
        over.set()
        thread.join()


def at_forty(records: Records, app: App, since: float) -> None:
    found = records.routes.wait(
        lambda seen: seen.name == app.name and releases.canary_weight(seen.obj) == 40, PATIENCE, since
    )
    if found is None:
        raise RuntimeError(f"{app.controller.name}: never at 40 %: {app.canary().get('status')}")


def one(rig: Rig, side: Controller, fault: str) -> list[Measured]:
    with rig.app(side, f"breaks-{fault}") as app, rig.records(app) as records:
        with load.Load(rig.sandbox, app.host, RATE) as traffic, step(f"{side.name}: all canary pods {fault} at 40 %"):
            changed = app.release(releases.pod_template(app.name, app.image("1.0.1")))
            at_forty(records, app, changed)
            time.sleep(2)
            with broken(app, fault) as (began, names):
                end = records.wait(("Failed", "Succeeded"), PATIENCE, began)
            ended = end[0] if end else time.time()
            time.sleep(2)
        reported = releases.unready_at(records.pods.so_far(), names, began)
        routes = [seen for seen in records.routes.so_far() if seen.name == app.name]
        safe = releases.safe_at(routes, reported) if reported else None
    sent, lost = load.between(traffic.counted, began, ended + 1)
    _, before = load.between(traffic.counted, 0, began - 1)
    verdict = releases.phase(end[1]) if end else "no verdict"
    say(f"  {side.name}: {fault}: {verdict}, {lost} of {sent} lost {traffic.errors}, {before} lost before")
    ours = side.name == OURS
    seconds = safe - reported if safe is not None and reported is not None else None
    note = "" if seconds is not None else "never safe" if reported else "never reported"
    outcome = f"of {sent:,} sent in {ended - began:.0f} s"
    return [
        Measured(side.name, f"{fault}: requests lost", "", float(lost), note=outcome, share=FAULTS[fault] if ours else None),
        Measured(side.name, f"{fault}: from report to safe routes", "s", seconds, note=note, limit=1.0 if ours else None),
    ]


def run(rig: Rig) -> list[Measured]:
    return [measured for fault in FAULTS for side in rig.sides for measured in one(rig, side, fault)]
