"""A cluster full of failing pods that are none of ours: what a controller spends must not grow with them."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import HANDS
from e2e.bench.rig import Rig
from e2e.kube import Kube, Object
from e2e.sandbox.console import step

TITLE = "A thousand failing pods that are none of ours"
METHOD = (
    "Pods without a Canary in each controller's own namespace, whose container is said to be in CrashLoopBackOff with one restart more each"
    " ten seconds, beside 100 idle Canaries. Processor time of a minute, before and with them."
)
ROUND_SECONDS = 10.0
GROWTH = 0.3
"""Seconds of processor time per minute that the strangers may cost."""


def stranger(name: str) -> Object:
    spec = {"schedulerName": "nobody", "containers": [{"name": "app", "image": "example.com/stranger:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def crashed(restarts: int) -> Object:
    waiting = {"reason": "CrashLoopBackOff", "message": f"back-off {restarts}0s restarting failed container"}
    container = {"name": "app", "image": "example.com/stranger:1", "imageID": "", "ready": False, "restartCount": restarts}
    return {"status": {"phase": "Running", "containerStatuses": [{**container, "state": {"waiting": waiting}}]}}


class Strangers:
    """Within it `size` pods fail in each namespace."""

    def __init__(self, kube: Kube, namespaces: list[str], size: int) -> None:
        self._kube = kube
        self._pods = [(namespace, f"stranger-{index:04d}") for namespace in namespaces for index in range(size)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._crash, daemon=True, name="failing pods")

    def __enter__(self) -> Strangers:
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(lambda at: self._kube.apply(stranger(at[1]), namespace=at[0]), self._pods))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        # one by one: all at once take longer than a request may
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(lambda at: self._kube.delete("Pod", at[1], at[0]), self._pods))

    def _crash(self) -> None:
        restarts = 0
        with ThreadPoolExecutor(HANDS) as pool:
            while not self._over.is_set():
                restarts += 1
                begun = time.monotonic()
                list(pool.map(lambda at: self._kube.patch("Pod", at[1], crashed(restarts), at[0], subresource="status"), self._pods))  # noqa: B023
                self._over.wait(max(0.0, ROUND_SECONDS - (time.monotonic() - begun)))


def run(rig: Rig) -> list[Measured]:
    idle, size, length = (5, 20, 15.0) if rig.quick else (100, 1000, 60.0)
    rig.fleet().grow(idle)
    time.sleep(15)

    def spent() -> dict[str, float]:
        before = {side.name: side.cpu_seconds() for side in rig.sides}
        time.sleep(length)
        return {side.name: (side.cpu_seconds() - before[side.name]) / length * 60 for side in rig.sides}

    with step(f"{idle} idle Canaries, nobody else"):
        alone = spent()
    with step(f"{size} failing pods beside them"), Strangers(rig.kube, [side.namespace for side in rig.sides], size):
        beside = spent()
    what = f"processor time per minute, {size} strangers"
    found = []
    for side in rig.sides:
        limit = alone[side.name] + GROWTH if side.name == OURS else None
        found.append(Measured(side.name, "processor time per minute, no stranger", "s", alone[side.name]))
        found.append(Measured(side.name, what, "s", beside[side.name], limit=limit))
    return found
