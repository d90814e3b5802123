"""Many releases in analysis at the same time: how late they are, what they ask, and how long the event loop stands still."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from e2e import releases
from e2e.bench import audit
from e2e.bench.controllers import Controller, buckets, quantile
from e2e.bench.figures import OURS, Measured
from e2e.bench.fleet import HANDS, IMAGE, apply_all, canary, deployment, empty, settled
from e2e.bench.rig import INTERVAL, Rig
from e2e.bench.scenarios.crowd import until_all
from e2e.bench.scenarios.detection import percentile
from e2e.bench.scenarios.length import bound
from e2e.kube import Object
from e2e.recorder import Recorder
from e2e.sandbox.console import step

TITLE = "Many releases in analysis at once"
METHOD = (
    "One pod each, on kwok's nodes; 20, 40, 60 %, 10 s each, with one metric of a MetricTemplate that Prometheus answers at once, a"
    " query of its own for each. All"
    " images are changed as fast as the API server takes it. A release's length is from its change to Succeeded; what its parts take"
    " without pod starts is 45 s (3 x 10 s, 10 s settle, 5 s drain), 30 s for Flagger. Requests and queries are those of the whole run,"
    " divided by releases."
)
WHY = (
    "Why it is missed: 200 images change within seconds, so that all is due at the same moments, and the two cores are shared with the API"
    " server, etcd, the cluster's own controllers, kwok and Prometheus, which is what a release waits for (Flagger, too, takes five times"
    " its 30 s). Looks take turns, so that the event loop is not held up by what is due at once. Of"
    " the passes of the loop over 40 ms that are left (60 releases, each pass measured) most computed for 2 to 8 ms and got no processor"
    " for the rest, and the others were collections of cycles."
)
QUERY = 'label_replace(vector(100), "target", "{{ target }}", "", "")'
LAG = "flagger_event_loop_lag_seconds_bucket"
LIMIT_SECONDS = 600.0
LAG_LIMIT = 50.0
"""Milliseconds; the design's budget for 200 in analysis."""


def template(address: str) -> Object:
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "MetricTemplate",
        "metadata": {"name": "always"},
        # each Canary asks for its own series, as they do: one answer would else serve all of ours
        "spec": {"provider": {"type": "prometheus", "address": address}, "query": QUERY},
    }


def one_side(rig: Rig, side: Controller, size: int) -> list[Measured]:
    kube, namespace, ours = rig.kube, side.namespace, side.name == OURS
    names = [f"busy-{index:04d}" for index in range(size)]
    metric = {"name": "always", "templateRef": {"name": "always"}, "thresholdRange": {"min": 1}, "interval": "1m"}
    analysis = {"interval": INTERVAL, "threshold": 5, "stepWeight": 20, "maxWeight": 60, "metrics": [metric]}
    kube.apply(template(rig.sandbox.prometheus_url), namespace=namespace)
    apply_all(kube, namespace, [deployment(name) for name in names])
    apply_all(kube, namespace, [canary(name, namespace, analysis=analysis) for name in names])
    if until_all(lambda: settled(kube, namespace), size, LIMIT_SECONDS + size) is None:
        raise RuntimeError(f"{side.name}: only {settled(kube, namespace)} of {size} Canaries are Initialized")
    queries, spent, lags, since = rig.queries(), side.cpu_seconds(), buckets(side.scrape(), LAG), time.time()
    changed: dict[str, float] = {}

    def change(name: str) -> None:
        kube.set_image(name, "app", f"{IMAGE}:1.0.1", namespace)
        changed[name] = time.time()

    with Recorder(kube, "Canary", namespace) as seen:
        with ThreadPoolExecutor(HANDS) as pool:
            list(pool.map(change, names))
        until_all(lambda: settled(kube, namespace, ("Succeeded", "Failed")), size, LIMIT_SECONDS)
        ends = {one.name: one.at for one in seen.so_far() if releases.phase(one.obj) == "Succeeded"}
    until = time.time()
    with rig.sandbox.audit_log.open() as lines:
        asked = audit.count(lines, side.user, since, until)
    took = [max(0.0, ends[name] - at) for name, at in changed.items() if name in ends]
    cpu, asked_prometheus = side.cpu_seconds() - spent, rig.queries() - queries
    lag = quantile(lags, buckets(side.scrape(), LAG), 0.99)
    empty(kube, namespace, names)
    what = f"{size} releases at once"
    found = [
        Measured(side.name, f"{what}: promoted", "", len(took)),
        Measured(side.name, f"{what}: length, p50", "s", percentile(took, 50) if took else None),
        Measured(side.name, f"{what}: length, p99", "s", percentile(took, 99) if took else None, limit=1.1 * bound(0.0) if ours else None),
        Measured(side.name, f"{what}: API requests per release", "", asked.asked / size),
        Measured(side.name, f"{what}: Prometheus queries per release", "", asked_prometheus / size),
        Measured(side.name, f"{what}: processor time per release", "ms", 1000 * cpu / size),
    ]
    if lag is not None:
        found.append(Measured(side.name, f"{what}: event-loop lag, p99 at most", "ms", 1000 * lag, limit=LAG_LIMIT))
    return found


def run(rig: Rig) -> list[Measured]:
    size = 10 if rig.quick else 200
    found = []
    for side in rig.sides:
        with step(f"{side.name}: {size} releases at once"):
            found += one_side(rig, side, size)
    return found
