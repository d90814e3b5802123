"""The ground holds: what every other end-to-end test takes for granted about the sandbox."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from e2e.kube import Kube, KubeError, Object, until
from e2e.sandbox import Sandbox


def deployment(name: str, image: str, replicas: int = 1) -> Object:
    labels = {"app": name}
    container: Object = {
        "name": "app",
        "image": image,
        "ports": [{"containerPort": 9898}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 9898}, "periodSeconds": 1},
    }
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}
    spec["template"]["spec"] = {"containers": [container], "terminationGracePeriodSeconds": 1}  # type: ignore[index]
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"name": "http", "port": 9898}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def available(kube: Kube, name: str, namespace: str) -> bool:
    return bool(kube.get("Deployment", name, namespace).get("status", {}).get("availableReplicas"))


def waiting(pod: Object) -> Any:
    return pod["status"]["containerStatuses"][0]["state"].get("waiting", {})


def http_route(host: str, weights: dict[str, int]) -> Object:
    backends = [{"name": name, "port": 9898, "weight": weight} for name, weight in weights.items()]
    parent = {"name": "contour", "namespace": "projectcontour"}
    spec = {"parentRefs": [parent], "hostnames": [host], "rules": [{"backendRefs": backends}]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "split"}, "spec": spec}


def http_proxy(host: str, weights: dict[str, int]) -> Object:
    services = [{"name": name, "port": 9898, "weight": weight} for name, weight in weights.items()]
    spec = {"virtualhost": {"fqdn": host}, "routes": [{"conditions": [{"prefix": "/"}], "services": services}]}
    return {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": "split"}, "spec": spec}


@pytest.mark.parametrize(("app", "tag"), [("podinfo", "1.0.3"), ("toggle", "1.0.4")])
def test_an_image_pulled_from_the_registry_runs_and_tells_its_tag(sandbox: Sandbox, kube: Kube, namespace: str, app: str, tag: str) -> None:
    kube.apply(deployment(app, f"{sandbox.registry}/{app}:{tag}"), service(app), namespace=namespace)
    until(lambda: available(kube, app, namespace), 30, f"{app} available")
    address = kube.get("Service", app, namespace)["spec"]["clusterIP"]
    answer = until(lambda: httpx.get(f"http://{address}:9898/version", timeout=2).json(), 10, "an answer through the Service")
    assert answer["version"] == tag


def test_a_tag_that_the_registry_does_not_have_is_a_real_not_found(sandbox: Sandbox, kube: Kube, namespace: str) -> None:
    kube.apply(deployment("absent", f"{sandbox.registry}/podinfo:9.9.9"), namespace=namespace)

    def said() -> Any:
        found = waiting(kube.items("Pod", namespace)[0])
        return found if found["reason"] == "ErrImagePull" else None

    state = until(said, 20, "ErrImagePull", lambda: kube.items("Pod", namespace)[0]["status"])
    assert "code = NotFound" in state["message"]
    assert state["message"].endswith("podinfo:9.9.9: not found")


def test_a_container_that_exits_is_seen_to_crash(sandbox: Sandbox, kube: Kube, namespace: str) -> None:
    kube.apply(deployment("crasher", f"{sandbox.registry}/crasher:1.0.0"), namespace=namespace)
    status = until(
        lambda: next((c for c in kube.items("Pod", namespace)[0]["status"]["containerStatuses"] if c["restartCount"] >= 1), None),
        20,
        "the first restart",
    )
    last = status["lastState"].get("terminated") or status["state"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("Error", 1)


@pytest.mark.parametrize("route", [http_route, http_proxy])
def test_the_gateway_splits_by_weight(sandbox: Sandbox, kube: Kube, namespace: str, route: Callable[[str, dict[str, int]], Object]) -> None:
    host = f"{namespace}.example.com"
    names = {"stable": "1.0.0", "canary": "1.0.1"}
    for name, tag in names.items():
        kube.apply(deployment(name, f"{sandbox.registry}/toggle:{tag}"), service(name), namespace=namespace)
    kube.apply(route(host, {"stable": 80, "canary": 20}), namespace=namespace)
    until(lambda: all(available(kube, name, namespace) for name in names), 30, "both available")
    with httpx.Client(base_url=sandbox.gateway_url, headers={"Host": host}, timeout=5) as client:

        def answered(count: int) -> Counter[str]:
            return Counter(client.get("/").headers.get("x-version", "none") for _ in range(count))

        until(lambda: set(answered(30)) == {"1.0.0", "1.0.1"}, 20, "answers of both versions, and no others, through the Gateway")
        assert 60 <= answered(500)["1.0.1"] <= 140  # 100 expected; five standard deviations
        kube.apply(route(host, {"stable": 100, "canary": 0}), namespace=namespace)
        until(lambda: set(answered(30)) == {"1.0.0"}, 10, "no request to a backend of weight 0")

    query = f'sum(envoy_cluster_upstream_rq_total{{envoy_cluster_name=~"{namespace}_(stable|canary)_.*"}})'

    def counted() -> bool:
        answer = httpx.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": query}, timeout=5).json()
        return float(answer["data"]["result"][0]["value"][1]) >= 500

    until(counted, 15, "Envoy's counters of these backends in Prometheus")


def test_prometheus_scrapes_pods_that_ask_for_it(sandbox: Sandbox, kube: Kube, namespace: str) -> None:
    scraped = deployment("scraped", f"{sandbox.registry}/toggle:1.0.0")
    scraped["spec"]["template"]["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "9898"}
    kube.apply(scraped, namespace=namespace)
    query = f'http_requests_total{{kubernetes_namespace="{namespace}",kubernetes_pod_name=~"scraped-.*"}}'

    def found() -> Any:
        return httpx.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": query}, timeout=5).json()["data"]["result"]

    until(found, 40, "the pod's series")


def test_a_service_account_that_nothing_is_bound_to_may_do_nothing(kube: Kube, namespace: str) -> None:
    nobody = kube.as_token(kube.token("default", namespace))
    for kind in ("Pod", "Secret", "HTTPRoute"):
        with pytest.raises(KubeError, match="cannot list") as refused:
            nobody.items(kind, namespace)
        assert refused.value.status == 403


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2", "v1alpha3"])
def test_traffic_splits_are_accepted_in_every_version(kube: Kube, namespace: str, version: str) -> None:
    weights = ("90", "10") if version == "v1alpha1" else (90, 10)
    backends = [{"service": name, "weight": weight} for name, weight in zip(("app-primary", "app-canary"), weights, strict=True)]
    split = {"apiVersion": f"split.smi-spec.io/{version}", "kind": "TrafficSplit", "metadata": {"name": "app"}}
    split["spec"] = {"service": "app", "backends": backends}
    (stored,) = kube.apply(split, namespace=namespace)
    assert stored["spec"] == {"service": "app", "backends": backends}


def test_the_audit_log_tells_who_asked(sandbox: Sandbox, kube: Kube, namespace: str) -> None:
    somebody = kube.as_token(kube.token("default", namespace))
    with pytest.raises(KubeError):
        somebody.items("Pod", namespace)
    user = f'"username":"system:serviceaccount:{namespace}:default"'
    until(lambda: any(user in line for line in sandbox.audit_log.read_text().splitlines()), 10, "the request in the audit log")


def test_nothing_outside_can_be_reached() -> None:
    interfaces = {name for _, name in socket.if_nameindex()}
    assert not {name for name in interfaces if not name.startswith(("lo", "node0", "pods0", "veth"))}
    started = time.monotonic()
    with pytest.raises(OSError, match=r"unreachable|timed out|No route"):
        socket.create_connection(("192.0.2.1", 80), timeout=3)
    assert time.monotonic() - started < 5
