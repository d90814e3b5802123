"""What a Canary asks of its route beside the split, by real requests through Contour's Envoy: for the providers that write HTTPRoutes and
HTTPProxies. The split itself is shown in e2e/core/test_routes.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from e2e.core.test_routes import EDGES, PORT, WEIGHTED, Edge, a_canary, apply, is_gone
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox
from flaggerpy.routers.base import RouteSplit
from flaggerpy.routers.registry import router_for
from flaggerpy.routers.services import desired_services

GATEWAYS = ["gatewayapi:v1", "gatewayapi:v1beta1"]


def podinfo(sandbox: Sandbox, name: str) -> Object:
    """It tells the headers that arrived at /headers, waits at /delay/N and answers N at /status/N."""
    probe = {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1}
    container = {"name": "app", "image": f"{sandbox.registry}/podinfo:1.0.0", "ports": [{"containerPort": PORT}], "readinessProbe": probe}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def ground(sandbox: Sandbox, kube: Kube) -> Iterator[Edge]:
    """Primary, canary and a third application beside them."""
    namespace = f"edges-{os.getpid()}"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    until(lambda: kube.find("ServiceAccount", "default", namespace), 15, f"the default service account of {namespace}")
    names = ("app", "app-primary", "shadow")
    kube.apply(*(podinfo(sandbox, name) for name in names), namespace=namespace)
    for service in desired_services(a_canary(namespace), selector_label="app", label_value="app", ports=[], current={}, with_apex=True):
        apply(kube, service)
    beside = {"selector": {"app": "shadow"}, "ports": [{"port": PORT}]}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "shadow"}, "spec": beside}, namespace=namespace)
    for name in names:
        until(lambda name=name: kube.get("Deployment", name, namespace)["status"].get("availableReplicas"), 60, f"{name} available")  # type: ignore[misc]
    yield Edge(kube, sandbox, namespace)
    kube.delete("Namespace", namespace)


@pytest.fixture
def edge(ground: Edge) -> Iterator[Edge]:
    """The applications without a route: the test writes its own."""
    yield ground
    for kind, name in (("HTTPRoute", "app"), ("HTTPProxy", "app"), ("HTTPProxy", "root")):
        ground.kube.delete(kind, name, ground.namespace)
    until(lambda: is_gone(ground), 15, "the route gone")


@contextmanager
def show(
    edge: Edge, provider: str, service: Object, split: RouteSplit, probe: str, analysis: Object | None = None
) -> Iterator[httpx.Client]:
    """Writes a route and waits until it leads in; gives a client of its host."""
    edge.show(router_for(provider), a_canary(edge.namespace, service, analysis), split)
    with edge.client() as client:
        edge.becomes(lambda: reached(client, probe), f"an answer to {probe}")
        yield client


def reached(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code not in (404, 503)
    except httpx.ConnectError:
        return False


def counted(edge: Edge, service: str, path: str, status: int) -> int:
    """How many requests of that path the pod behind a Service has answered so, as it counts itself."""
    address = edge.kube.get("Service", service, edge.namespace)["spec"]["clusterIP"]
    text = httpx.get(f"http://{address}:{PORT}/metrics", timeout=5, trust_env=False).text
    wanted = (f'path="{path}"', f'status="{status}"')
    lines = [line for line in text.splitlines() if line.startswith("http_request_duration_seconds_count{")]
    return sum(int(line.split()[-1]) for line in lines if all(word in line for word in wanted))


@pytest.mark.proves(
    "live", "service.match", "service.headers", "service.timeout", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour")
)
@pytest.mark.parametrize("provider", EDGES)
def test_the_route_takes_what_it_should_and_changes_it_on_the_way(edge: Edge, provider: str) -> None:
    service = {
        "match": [{"uri": {"prefix": "/headers"}, "headers": {"x-tenant": {"exact": "a"}}}, {"uri": {"prefix": "/delay"}}],
        "timeout": "1s",
        "headers": {
            "request": {"set": {"x-set": "new"}, "remove": ["x-gone"]},
            "response": {"set": {"cache-control": "no-store"}, "remove": ["x-content-type-options"]},
        },
    }
    for split in (RouteSplit(0), RouteSplit(100)):
        with show(edge, provider, service, split, "/delay/0") as client:
            answer = client.get("/headers", headers={"x-tenant": "a", "x-set": "old", "x-gone": "1"})
            assert answer.status_code == 200
            arrived = answer.text.lower()
            assert "new" in arrived, arrived
            assert "x-gone" not in arrived, arrived
            assert answer.headers["cache-control"] == "no-store"
            assert "x-content-type-options" not in answer.headers
            assert [client.get("/headers", headers={"x-tenant": each}).status_code for each in ("b", "")] == [404, 404]
            assert client.get("/version").status_code == 404
            assert client.get("/delay/3").status_code == 504


@pytest.mark.proves("live", "service.retries", providers=("contour",))
def test_contour_asks_again_as_often_as_it_is_told(edge: Edge) -> None:
    service = {"retries": {"attempts": 2, "perTryTimeout": "2s", "retryOn": "5xx"}}
    with show(edge, "contour", service, RouteSplit(0), "/version") as client:
        before = counted(edge, "app-primary", "status", 500)
        assert client.get("/status/500").status_code == 500
        edge.becomes(lambda: counted(edge, "app-primary", "status", 500) == before + 3, "the request and two retries")


@pytest.mark.proves("live", "service.rewrite", providers=("gatewayapi:v1", "gatewayapi:v1beta1"))
@pytest.mark.parametrize("provider", GATEWAYS)
def test_paths_are_rewritten(edge: Edge, provider: str) -> None:
    whole = {"match": [{"uri": {"prefix": "/old"}}], "rewrite": {"uri": "/status/202"}}
    with show(edge, provider, whole, RouteSplit(0), "/old") as client:
        assert client.get("/old/a").status_code == 202
    prefix = {"match": [{"uri": {"prefix": "/old"}}], "rewrite": {"uri": "/status", "type": "ReplacePrefixMatch"}}
    with show(edge, provider, prefix, RouteSplit(0), "/old/204") as client:
        edge.becomes(lambda: client.get("/old/204").status_code == 204, "the prefix replaced")


@pytest.mark.proves("live", "service.mirror", providers=("gatewayapi:v1", "gatewayapi:v1beta1"))
@pytest.mark.parametrize("provider", GATEWAYS)
def test_requests_are_mirrored_to_where_the_user_says(edge: Edge, provider: str) -> None:
    service = {"mirror": [{"backendRef": {"name": "shadow", "port": PORT}}]}
    with show(edge, provider, service, RouteSplit(0), "/version") as client:
        before = counted(edge, "shadow", "version", 200)
        edge.becomes(lambda: client.get("/version") and counted(edge, "shadow", "version", 200) > before, "the first copy")
        before = counted(edge, "shadow", "version", 200)
        for _ in range(20):
            assert client.get("/version").status_code == 200
        edge.becomes(lambda: counted(edge, "shadow", "version", 200) == before + 20, "a copy of each")


@pytest.mark.parametrize("provider", GATEWAYS)
def test_a_cookie_of_the_users_own_stands_beside_those_of_affinity(edge: Edge, provider: str) -> None:
    service = {"headers": {"response": {"add": {"set-cookie": "theme=dark; Max-Age=-1"}}}}
    analysis = {**WEIGHTED, "sessionAffinity": {"cookieName": "fl", "primaryCookieName": "main"}}
    with show(edge, provider, service, RouteSplit(50, cookie="abc", primary_cookie="xyz"), "/version", analysis) as client:

        def cookies() -> list[str]:
            client.cookies.clear()
            return sorted(client.get("/version").headers.get_list("set-cookie"))

        seen = {tuple(cookies()) for _ in range(60)}
    assert seen == {("fl=abc; Max-Age=86400", "theme=dark; Max-Age=-1"), ("main=xyz; Max-Age=10", "theme=dark; Max-Age=-1")}
