"""Measuring against a real Prometheus: the built-in queries over what podinfo and Envoy really export, and answers without a value."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox
from flaggerpy.api.canary import Canary, Metric, parse_canary
from flaggerpy.http import Http
from flaggerpy.metrics.evaluate import Settings
from flaggerpy.metrics.lookups import Lookups
from flaggerpy.metrics.measuring import Material, Measurer, Result
from tests.metrics.canaries import template

INTERVAL = "30s"
RATE = {"name": "request-success-rate", "interval": INTERVAL, "thresholdRange": {"min": 99}}
DURATION = {"name": "request-duration", "interval": INTERVAL, "thresholdRange": {"max": 500}}


@pytest.fixture
async def measurer() -> AsyncIterator[Measurer]:
    async with Http() as http:
        yield Measurer(http, Lookups(http))


def workload(name: str, image: str, kind: str = "Deployment") -> Object:
    labels = {"app": name}
    scrape = {"prometheus.io/scrape": "true", "prometheus.io/port": "9898"}
    probe = {"httpGet": {"path": "/readyz", "port": 9898}, "periodSeconds": 1}
    container = {"name": "app", "image": image, "ports": [{"containerPort": 9898}], "readinessProbe": probe}
    pod = {"metadata": {"labels": labels, "annotations": scrape}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    spec = {"selector": {"matchLabels": labels}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(name: str, app: str) -> Object:
    spec = {"selector": {"app": app}, "ports": [{"port": 9898}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def proxy(host: str, backend: str) -> Object:
    spec = {"virtualhost": {"fqdn": host}, "routes": [{"services": [{"name": backend, "port": 9898}]}]}
    return {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": "route"}, "spec": spec}


def canary(namespace: str, provider: str, kind: str = "Deployment", **spec: Any) -> Canary:
    target = {"apiVersion": "apps/v1", "kind": kind, "name": "web"}
    fields = {"provider": provider, "targetRef": target, "service": {"port": 9898}, "analysis": {"interval": "1s"}} | spec
    return parse_canary({"metadata": {"name": "web", "namespace": namespace, "uid": "u"}, "spec": fields})


def ready(kube: Kube, name: str, namespace: str, kind: str = "Deployment") -> bool:
    status = kube.get(kind, name, namespace).get("status", {})
    return bool(status.get("availableReplicas") or status.get("numberAvailable"))


def send(url: str, paths: dict[str, int], host: str = "") -> None:
    """So many requests of each path."""
    with httpx.Client(base_url=url, headers={"Host": host} if host else {}, timeout=10) as client:
        for path, count in paths.items():
            for _ in range(count):
                client.get(path)


async def measured(measurer: Measurer, sandbox: Sandbox, subject: Canary, metric: dict[str, Any], **material: Any) -> Result:
    settings = Settings(metrics_server=sandbox.prometheus_url, mesh_provider="kubernetes")
    return await measurer.measure(subject, Metric.model_validate(metric), Material(**material), settings)


@pytest.mark.proves("live", "built-in metrics", providers=("kubernetes", "gatewayapi:v1", "gatewayapi:v1beta1"))
@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet"])
@pytest.mark.fault("Q-34")
async def test_only_the_canarys_own_requests_are_measured(
    sandbox: Sandbox, kube: Kube, namespace: str, measurer: Measurer, kind: str
) -> None:
    image = f"{sandbox.registry}/podinfo:1.0.0"
    for name in ("web", "web-primary"):
        kube.apply(workload(name, image, kind), service(name, name), namespace=namespace)
    until(lambda: all(ready(kube, name, namespace, kind) for name in ("web", "web-primary")), 60, "both ready")
    urls = {name: f"http://{kube.get('Service', name, namespace)['spec']['clusterIP']}:9898" for name in ("web", "web-primary")}
    subject = canary(namespace, "kubernetes", kind)

    # series must exist before they grow, as a rate sees only what grows between two scrapes
    for url in urls.values():
        until(lambda url=url: httpx.get(f"{url}/version").status_code == 200, 10, "the Service")  # type: ignore[misc]
        send(url, {"/status/500": 1})
    query = f'count(http_request_duration_seconds_count{{kubernetes_namespace="{namespace}",status="500"}})'
    until(lambda: prometheus(sandbox, query) == 2, 40, "both pods' failures in Prometheus")
    send(urls["web"], {"/version": 60, "/status/500": 20})
    send(urls["web-primary"], {"/status/500": 200})

    async def rate() -> Result:
        return await measured(measurer, sandbox, subject, RATE)

    result = await eventually(rate, lambda found: found.kind == "value" and 65 < found.value < 85)
    assert result.text == f"Halt web.{namespace} advancement success rate {result.value:.2f}% < 99%"
    duration = await measured(measurer, sandbox, subject, DURATION)
    assert duration.kind == "value"
    assert 0 < duration.value < 500
    assert duration.passed


@pytest.mark.proves("live", "built-in metrics", providers=("contour",))
@pytest.mark.fault("Q-35")
async def test_envoys_requests_to_the_canary_service_are_measured_and_nothing_but_errors_is_zero_percent(
    sandbox: Sandbox, kube: Kube, namespace: str, measurer: Measurer
) -> None:
    host = f"{namespace}.example.com"
    kube.apply(workload("web", f"{sandbox.registry}/podinfo:1.0.0"), service("web-canary", "web"), namespace=namespace)
    kube.apply(proxy(host, "web-canary"), namespace=namespace)
    until(lambda: ready(kube, "web", namespace), 60, "ready")
    until(lambda: httpx.get(f"{sandbox.gateway_url}/status/500", headers={"Host": host}).text != "" or None, 20, "the route")
    subject = canary(namespace, "contour")

    async def rate() -> Result:
        send(sandbox.gateway_url, {"/status/500": 10}, host)
        return await measured(measurer, sandbox, subject, RATE)

    failing = await eventually(rate, lambda found: found.kind == "value")
    assert failing.value == 0.0
    assert failing.text == f"Halt web.{namespace} advancement success rate 0.00% < 99%"

    async def slow() -> Result:
        send(sandbox.gateway_url, {"/delay/1": 2}, host)
        return await measured(measurer, sandbox, subject, DURATION)

    late = await eventually(slow, lambda found: found.kind == "value" and found.value > 900)
    assert late.text.startswith(f"Halt web.{namespace} advancement request duration ")
    assert late.text.endswith(" > 500ms")


async def test_queries_without_a_value_say_what_is_wrong(sandbox: Sandbox, namespace: str, measurer: Measurer) -> None:
    subject = canary(namespace, "contour")
    server = sandbox.prometheus_url

    async def text(query: str) -> tuple[str, str]:
        result = await measured(measurer, sandbox, subject, {"name": "mine", "query": query})
        return result.kind, result.text

    nothing = "Halt advancement no values found for metric: mine; "
    assert await text("sum(rate(foo_total[1m]))") == ("no-data", f"{nothing}metric foo_total does not exist on {server}")
    assert await text('up{cluster="x"}') == ("no-data", f"{nothing}metric up has no label cluster on {server}")
    kind, said = await text('sum(up{job="envoi"})')
    assert kind == "no-data"
    assert said.startswith(f'{nothing}no series of up has job="envoi" on {server} (there: envoy')
    kind, said = await text("sum(")
    assert kind == "error"
    assert said.startswith("Prometheus query failed for mine: error response: Status 400 Bad Request: ")
    assert "parse error" in said
    kind, said = await text('label_replace(vector(1), "a", "b", "", "") or vector(2)')
    assert kind == "error"
    assert said.startswith("Prometheus query failed for mine: query returned 2 series, but one value is needed")
    assert '{a="b"}' in said
    assert (await text("vector(0) / 0"))[0] == "no-data"
    assert "+Inf" in (await text("vector(1) / 0"))[1]
    assert await measurer.unavailable(subject, [(Metric(name="mine", query="up"), Material())], Settings(server, "contour")) == ()


async def test_templates_are_measured_and_a_server_that_is_not_there_is_no_verdict(
    sandbox: Sandbox, namespace: str, measurer: Measurer
) -> None:
    subject, metric = canary(namespace, "contour"), {"name": "mine", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}}
    there = template("# two\nvector({{ index variables `x` | len }} + 2)", address=sandbox.prometheus_url)
    result = await measured(measurer, sandbox, subject, metric, template=there)
    assert result == Result("value", 2.0, f"Halt web.{namespace} advancement mine 2.00 > 1")
    absent = template(address="http://127.0.0.1:9")
    result = await measured(measurer, sandbox, subject, metric, template=absent)
    assert result.kind == "unreachable"
    assert "connection refused" in result.text


def prometheus(sandbox: Sandbox, query: str) -> float | None:
    answer = httpx.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": query}, timeout=5).json()["data"]["result"]
    return float(answer[0]["value"][1]) if answer else None


async def eventually(ask: Callable[[], Awaitable[Result]], good: Callable[[Result], bool], tries: int = 40) -> Result:
    """The first result that is as wished; scrapes come once a second."""
    result = Result("error", text="never asked")
    for _ in range(tries):
        result = await ask()
        if good(result):
            return result
        await asyncio.sleep(0.6)
    raise AssertionError(f"last result: {result}")
