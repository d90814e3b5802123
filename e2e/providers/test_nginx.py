"""Provider nginx on the real API server: releases by the annotations of the canary Ingress, and the built-in checks against a real
Prometheus with series as ingress-nginx exports them. ingress-nginx itself does not run here: what it reads of our annotations is shown by
its own parsers (tests/routers/test_nginx_reads.py)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.core.controllers import ROOT
from e2e.core.stage import PORT, Stage
from e2e.kube import Kube, Object, until
from e2e.providers import series
from flaggerpy.api.canary import Metric, parse_canary
from flaggerpy.http import Http
from flaggerpy.metrics.evaluate import Settings
from flaggerpy.metrics.lookups import Lookups
from flaggerpy.metrics.measuring import Material, Measurer, Result

API = "networking.k8s.io/v1"
PREFIX = "nginx.ingress.kubernetes.io"
REF = {"apiVersion": API, "kind": "Ingress", "name": "web"}


def ingress(stage: Stage, service: str = "") -> Object:
    """The user's Ingress: the application, and something else beside it."""
    paths = [
        {"path": path, "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": PORT}}}}
        for path, name in (("/", service or stage.name), ("/static", "static"))
    ]
    return {
        "apiVersion": API,
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": stage.namespace, "annotations": {f"{PREFIX}/proxy-body-size": "8m"}},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": stage.host, "http": {"paths": paths}}]},
    }


class Watched:
    """The canary Ingress as it is seen over time."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.seen = stage, set[tuple[tuple[str, str], ...]]()

    def get(self) -> Object | None:
        return self.stage.kube.find("Ingress", "web-canary", self.stage.namespace, API)

    def switches(self) -> dict[str, str]:
        """The annotations of a canary, noted as seen."""
        annotations = ((self.get() or {"metadata": {}})["metadata"].get("annotations") or {}).items()
        found = {key.removeprefix(f"{PREFIX}/"): text for key, text in annotations if key.startswith(f"{PREFIX}/canary")}
        self.seen.add(tuple(sorted(found.items())))
        return found

    def until_phase(self, phase: str, seconds: float) -> list[dict[str, str]]:
        """Look until the Canary is in that phase; what was seen on the way."""
        self.stage.until_status(lambda status: bool(self.switches()) and status.get("phase") == phase, seconds, f"phase {phase}")
        return [dict(each) for each in self.seen]


def user_ingress(stage: Stage) -> Object:
    return stage.kube.get("Ingress", "web", stage.namespace, API)


@pytest.mark.proves("accepted", "weights", "a whole release", providers=("nginx",))
def test_a_weighted_release_moves_the_weight_of_the_canary_ingress(stage: Stage) -> None:
    stage.kube.apply(ingress(stage))
    before = user_ingress(stage)
    stage.initialise(stage.canary(provider="nginx", ingressRef=REF))
    watched = Watched(stage)
    assert watched.switches() == {"canary": "true", "canary-weight": "0"}
    made = watched.get()
    assert made is not None
    backends = [path["backend"]["service"] for rule in made["spec"]["rules"] for path in rule["http"]["paths"]]
    assert backends == [{"name": f"{stage.name}-canary", "port": {"number": PORT}}]
    assert made["metadata"]["annotations"][f"{PREFIX}/proxy-body-size"] == "8m"
    stage.release("1.0.1")
    seen = watched.until_phase("Succeeded", 90)
    assert {each["canary-weight"] for each in seen} >= {"0", "20", "40", "60"}
    assert watched.switches() == {"canary": "true", "canary-weight": "0"}
    assert stage.primary_image() == stage.image("1.0.1")
    assert user_ingress(stage)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    stage.kube.delete("Canary", stage.name, stage.namespace)
    until(lambda: watched.get() is None, 40, "the canary Ingress to go with its Canary")
    assert user_ingress(stage)["spec"] == before["spec"]


@pytest.mark.proves("accepted", "A/B test", providers=("nginx",))
def test_an_ab_test_asks_for_header_and_cookie_while_it_runs(stage: Stage) -> None:
    match = [{"headers": {"x-user": {"exact": "insider"}}}, {"headers": {"cookie": {"exact": "beta"}}}]
    analysis = {"interval": "2s", "threshold": 2, "iterations": 3, "match": match}
    stage.kube.apply(ingress(stage))
    stage.initialise(stage.canary(provider="nginx", ingressRef=REF, analysis=analysis))
    watched = Watched(stage)
    stage.release("1.0.1")
    asked = {"canary-by-cookie": "beta", "canary-by-header": "x-user", "canary-by-header-value": "insider"}
    assert {"canary": "true", "canary-weight": "0", **asked} in watched.until_phase("Succeeded", 90)
    assert watched.switches() == {"canary": "true", "canary-weight": "0"}


@pytest.mark.fault("Q-41")
def test_edits_of_either_ingress_keep_the_weight(stage: Stage) -> None:
    gate = {"name": "hold", "type": "confirm-promotion", "url": "http://127.0.0.1:9/"}
    analysis = {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 20, "webhooks": [gate]}
    stage.kube.apply(ingress(stage))
    stage.initialise(stage.canary(provider="nginx", ingressRef=REF, analysis=analysis))
    stage.release("1.0.1")
    watched = Watched(stage)
    until(lambda: watched.switches().get("canary-weight") == "20", 60, "weight 20", stage.story)
    changed = ingress(stage)
    changed["metadata"]["annotations"] = {f"{PREFIX}/proxy-read-timeout": "5"}
    stage.kube.apply(changed)
    wanted = {f"{PREFIX}/canary": "true", f"{PREFIX}/canary-weight": "20", f"{PREFIX}/proxy-read-timeout": "5"}

    def annotations() -> dict[str, str]:
        return dict((watched.get() or {})["metadata"].get("annotations") or {})

    until(lambda: annotations() == wanted, 20, "the user's change in the copy", annotations)
    edit = {"metadata": {"annotations": {f"{PREFIX}/canary-weight": "90", f"{PREFIX}/canary-by-cookie": "me"}}}
    path = stage.kube.path("Ingress", stage.namespace, "web-canary", API)
    stage.kube.ask("PATCH", path, edit, "application/merge-patch+json")
    until(lambda: annotations() == wanted, 20, "the edit to be put right", annotations)


def test_what_is_in_the_way_is_said_and_waited_for(stage: Stage) -> None:
    def said(words: str) -> None:
        stage.until_status(lambda status: words in str(status), 40, words)

    stage.kube.apply(stage.deployment(), stage.canary(provider="nginx", ingressRef=REF))
    said("Ingress web of spec.ingressRef is not there")
    stage.kube.apply(ingress(stage, "other"))
    said(f"Ingress web has no path that leads to Service {stage.name}")
    stage.kube.apply(ingress(stage))
    stage.phase("Initialized", seconds=40)


def test_the_manifests_of_the_documentation_are_taken(kube: Kube, namespace: str) -> None:
    text = (ROOT / "docs" / "providers" / "nginx.md").read_text()
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)]
    documents = [block for block in blocks if "kind" in block] + [yaml.safe_load((ROOT / "examples" / "nginx.yaml").read_text())]
    assert [document["kind"] for document in documents] == ["Ingress", "Canary"]
    for document in documents:
        document["metadata"]["namespace"] = namespace
        path = kube.path(document["kind"], namespace, document["metadata"]["name"], document["apiVersion"])
        params = {"fieldManager": "e2e", "force": "true", "fieldValidation": "Strict", "dryRun": "All"}
        kube.ask("PATCH", path, document, "application/apply-patch+yaml", **params)


# --- the built-in checks -----------------------------------------------------------------------------------------------------------------


class Exporter:
    """Exports what ingress-nginx's socket collector does, for requests that a test says there were."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str, str], tuple[int, float]] = {}

    def count(self, namespace: str, canary: str, status: str, requests: int, seconds: float = 0.1) -> None:
        """So many more requests, each answered after `seconds`; `canary` is the alternative upstream, "" for none."""
        known, spent = self.series.get((namespace, canary, status), (0, 0.0))
        self.series[namespace, canary, status] = (known + requests, spent + requests * seconds)

    def text(self) -> str:
        lines = ["# TYPE nginx_ingress_controller_requests counter"]
        told: list[str] = []
        for (namespace, canary, status), (requests, seconds) in list(self.series.items()):
            labels = (
                f'canary="{canary}",controller_class="k8s.io/ingress-nginx",controller_namespace="ingress-nginx",controller_pod="nginx-0",'
                f'host="app.example.com",ingress="web",method="GET",namespace="{namespace}",path="/",service="web",status="{status}"'
            )
            lines.append(f"nginx_ingress_controller_requests{{{labels}}} {requests}")
            name = "nginx_ingress_controller_response_duration_seconds"
            told += [f'{name}_bucket{{{labels},le="{le}"}} {requests}' for le in ("0.5", "10", "+Inf")]
            told += [f"{name}_sum{{{labels}}} {seconds:.3f}", f"{name}_count{{{labels}}} {requests}"]
        return "\n".join([*lines, "# TYPE nginx_ingress_controller_response_duration_seconds histogram", *told, ""])


@pytest.fixture
def exporter() -> Exporter:
    return Exporter()


@pytest.fixture
def prometheus(exporter: Exporter, tmp_path: Path) -> Iterator[str]:
    with series.page(exporter.text) as port, series.prometheus(port, "ingress-nginx", tmp_path) as url:
        yield url


@pytest.fixture
async def measurer() -> AsyncIterator[Measurer]:
    async with Http() as http:
        yield Measurer(http, Lookups(http))


@pytest.mark.proves("accepted", "built-in metrics", providers=("nginx",))
@pytest.mark.fault("Q-34", "Q-35")
async def test_only_requests_to_the_canary_service_are_measured(exporter: Exporter, prometheus: str, measurer: Measurer) -> None:
    spec = {
        "provider": "nginx",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "ingressRef": REF,
        "service": {"port": 80},
        "analysis": {"interval": "1s"},
    }
    subject = parse_canary({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec})

    async def measured(name: str, **limits: float) -> Result:
        metric: dict[str, Any] = {"name": name, "interval": "30s", "thresholdRange": limits}
        return await measurer.measure(subject, Metric.model_validate(metric), Material(), Settings(prometheus, "kubernetes"))

    async def becomes(name: str, low: float, high: float, **limits: float) -> Result:
        last: Result | None = None
        for _ in range(60):
            last = await measured(name, **limits)
            if last.kind == "value" and low <= last.value <= high:
                return last
            await asyncio.sleep(0.5)
        raise AssertionError(f"last result: {last}")

    def scraped() -> None:
        counter = "nginx_ingress_controller_requests"
        until(lambda: series.scraped(prometheus, counter, exporter.text()), 30, "all requests in Prometheus")

    neighbours = [("shop", ""), ("shop", "-"), ("shop", "shop-other-canary-80"), ("away", "away-web-canary-80")]
    for namespace, canary in [*neighbours, ("shop", "shop-web-canary-80")]:
        exporter.count(namespace, canary, "500", 1)
    scraped()
    # nothing but errors is 0 %, not silence
    for namespace, canary in neighbours:
        exporter.count(namespace, canary, "200", 500)
    exporter.count("shop", "shop-web-canary-80", "500", 10, seconds=0.4)
    failing = await becomes("request-success-rate", 0, 0, min=99)
    assert failing.text == "Halt web.shop advancement success rate 0.00% < 99%"
    # the mean, in milliseconds
    late = await becomes("request-duration", 399, 401, max=100)
    assert late.text.startswith("Halt web.shop advancement request duration ")
    # a series that is new has no rate yet
    exporter.count("shop", "shop-web-canary-80", "200", 1, seconds=0.0)
    scraped()
    for namespace, canary in neighbours:
        exporter.count(namespace, canary, "500", 5000)
    exporter.count("shop", "shop-web-canary-80", "200", 90, seconds=0.0)
    mixed = await becomes("request-success-rate", 85, 92, min=80)
    assert mixed.passed
