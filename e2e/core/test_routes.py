"""Routes and Services as the routers write them: the real API server takes them, Contour accepts them, and Envoy splits by them.

What a router says about an object that came back from the API server, with every default filled in, must be what it wrote.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.kube import Kube, KubeError, Object, until
from e2e.sandbox import Sandbox
from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.routers.base import Observed, Router, RouteSplit, Settings
from flaggerpy.routers.registry import router_for
from flaggerpy.routers.services import desired_services, in_shape, restored_apex

SETTINGS = Settings()
MANAGER = "flaggerpy"
PORT = 9898
EDGES = ["gatewayapi:v1", "gatewayapi:v1beta1", "contour"]
WEIGHTED: Object = {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 10}
AB: Object = {"interval": "10s", "threshold": 5, "iterations": 3}


def a_canary(namespace: str, service: Object | None = None, analysis: Object | None = None) -> Canary:
    """A Canary of Deployment app; it need not be in the cluster, as nothing here reads it."""
    gateway = {"gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}], "hosts": [f"{namespace}.example.com"]}
    spec = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
        "service": {"port": PORT, **gateway, **(service or {})},
        "analysis": WEIGHTED if analysis is None else analysis,
    }
    return parse_canary({"metadata": {"name": "app", "namespace": namespace, "uid": "00000000-0000-0000-0000-000000000001"}, "spec": spec})


def apply(kube: Kube, manifest: Object, **params: str) -> Object:
    """Server-side apply as the controller does it, with every unknown field an error. The owner is left out: it is in no cluster here,
    and the garbage collector would take the object away."""
    meta = {key: value for key, value in manifest["metadata"].items() if key != "ownerReferences"}
    path = kube.path(manifest["kind"], meta["namespace"], meta["name"], manifest["apiVersion"])
    params = {"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict", **params}
    stored: Object = kube.ask("PATCH", path, {**manifest, "metadata": meta}, "application/apply-patch+yaml", **params)
    return stored


def owned(canary: Canary, stored: Object) -> Object:
    """The object as it would be with its owner."""
    owner = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": canary.name, "uid": canary.uid, "controller": True}
    return {**stored, "metadata": {**stored["metadata"], "ownerReferences": [owner]}}


FULL: Object = {
    "match": [{"uri": {"prefix": "/api"}, "headers": {"b": {"regex": "x.*"}, "a": {"exact": "1"}}}, {"uri": {"exact": "/login"}}],
    "timeout": "15s",
    "headers": {"request": {"set": {"x": "1", "w": "2"}, "remove": ["v"]}, "response": {"set": {"y": "2"}}},
    "apex": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
}
GATEWAY_ONLY: Object = {
    "backendTimeout": "1.5s",
    "rewrite": {"uri": "/new", "authority": "inner.example.com"},
    "mirror": [{"backendRef": {"name": "shadow", "port": 80}}],
    "corsPolicy": {"allowOrigin": ["https://a.example.com"], "allowMethods": ["GET"], "allowCredentials": True, "maxAge": "1h"},
}
CONTOUR_ONLY: Object = {"retries": {"attempts": 3, "perTryTimeout": "5s", "retryOn": "5xx,gateway-error"}}
MATCH = [{"headers": {"x-user": {"exact": "insider"}, "cookie": {"regex": "^(.*;)?beta=1(;.*)?$"}}}, {"queryParams": {"q": {"exact": "1"}}}]
AFFINITY = {
    "cookieName": "flagger-cookie",
    "primaryCookieName": "primary-cookie",
    "path": "/",
    "httpOnly": True,
    "sameSite": "Lax",
    "secure": True,
    "partitioned": True,
    "domain": "example.com",
}
PROVIDERS = [*EDGES, "linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3"]


def admitted(provider: str) -> list[tuple[Object, Object, RouteSplit]]:
    """Specs of everything that a provider supports, with a split each."""
    cases: list[tuple[Object, Object, RouteSplit]] = [({}, WEIGHTED, RouteSplit(30)), ({}, WEIGHTED, RouteSplit(0))]
    if provider in EDGES:
        extra = CONTOUR_ONLY if provider == "contour" else GATEWAY_ONLY
        mirror = {**WEIGHTED, "mirror": True, "mirrorWeight": 20}
        cases += [
            ({**FULL, **extra}, WEIGHTED, RouteSplit(100)),
            ({}, {**AB, "match": MATCH}, RouteSplit(0, match=True)),
            (FULL, {**AB, "match": MATCH}, RouteSplit(0, match=True)),
            ({}, {**WEIGHTED, "match": MATCH}, RouteSplit(40)),
            ({}, mirror, RouteSplit(0, mirror=True)),
        ]
    if provider.startswith("gatewayapi"):
        affinity = {**WEIGHTED, "sessionAffinity": AFFINITY}
        parent = {"name": "app", "group": "", "kind": "Service", "port": PORT}
        cases += [
            ({}, affinity, RouteSplit(20, cookie="abc", primary_cookie="xyz")),
            ({}, affinity, RouteSplit(0, previous_cookie="abc")),
            ({"hosts": [], "gatewayRefs": [parent]}, WEIGHTED, RouteSplit(10)),
            ({"hosts": [], "gatewayRefs": [{**parent, "group": "core"}]}, WEIGHTED, RouteSplit(10)),
        ]
    return cases


@pytest.mark.proves("accepted", "weights", providers=("linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3"))
@pytest.mark.proves(
    "accepted", "service.match", "service.timeout", "service.headers", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour")
)
@pytest.mark.proves(
    "accepted", "service.rewrite", "service.mirror", "service.corsPolicy", providers=("gatewayapi:v1", "gatewayapi:v1beta1")
)
@pytest.mark.proves("accepted", "service.retries", providers=("contour",))
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_written_is_admitted_and_read_back(kube: Kube, namespace: str, provider: str) -> None:
    router = router_for(provider)
    for service, analysis, split in admitted(provider):
        canary = a_canary(namespace, service, analysis)
        assert router.problems(canary) == []
        [wanted] = router.desired(canary, split, [], SETTINGS)
        stored = owned(canary, apply(kube, wanted, dryRun="All"))
        observed = router.observed(canary, [stored], SETTINGS)
        assert (observed.split, observed.in_shape) == (split, True), (service, analysis, stored["spec"])


@dataclass
class Edge:
    """An application behind the Gateway: the primary answers as 1.0.0, the canary as 1.0.1."""

    kube: Kube
    sandbox: Sandbox
    namespace: str

    def show(self, router: Router, canary: Canary, split: RouteSplit) -> Observed:
        """Writes the split and waits until the route's controller took it."""
        [wanted] = router.desired(canary, split, [], SETTINGS)
        apply(self.kube, wanted)
        if wanted["kind"] == "HTTPProxy":
            self.include()
        return until(lambda: self.accepted(router, canary, split), 20, f"{split} accepted", lambda: self.read(router, canary))

    def read(self, router: Router, canary: Canary) -> Observed:
        [ref] = router.objects(canary)
        found = self.kube.find(ref.kind, ref.name, self.namespace, f"{ref.group}/{ref.version}")
        return router.observed(canary, [owned(canary, found)] if found else [], SETTINGS)

    def accepted(self, router: Router, canary: Canary, split: RouteSplit) -> Observed | None:
        observed = self.read(router, canary)
        return observed if observed.accepted and observed.split == split and observed.in_shape else None

    def include(self) -> None:
        """The root proxy of the user, who includes what the controller writes."""
        spec = {"virtualhost": {"fqdn": f"{self.namespace}.example.com"}, "includes": [{"name": "app"}]}
        root = {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": "root"}, "spec": spec}
        self.kube.apply(root, namespace=self.namespace)

    def client(self) -> httpx.Client:
        headers = {"Host": f"{self.namespace}.example.com"}
        return httpx.Client(base_url=self.sandbox.gateway_url, headers=headers, timeout=5, trust_env=False)

    def versions(self, count: int, path: str = "/", **headers: str) -> Counter[str]:
        """Who answered that many requests, each of a new visitor."""
        seen: Counter[str] = Counter()
        with self.client() as client:
            for _ in range(count):
                seen[client.get(path, headers=headers).headers.get("x-version", "none")] += 1
                client.cookies.clear()
        return seen

    def served(self, service: str) -> int:
        """How many requests the pod behind a Service has answered, as it counts itself."""
        address = self.kube.get("Service", service, self.namespace)["spec"]["clusterIP"]
        text = httpx.get(f"http://{address}:{PORT}/metrics", timeout=5, trust_env=False).text
        return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith("http_requests_total"))

    def becomes(self, check: Callable[[], object], what: str) -> None:
        until(check, 15, what)


def workload(sandbox: Sandbox, name: str, tag: str) -> Object:
    probe = {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1}
    container = {"name": "app", "image": f"{sandbox.registry}/toggle:{tag}", "ports": [{"containerPort": PORT}], "readinessProbe": probe}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def ground(sandbox: Sandbox, kube: Kube) -> Iterator[Edge]:
    """One application for all tests of this file."""
    namespace = f"routes-{os.getpid()}"
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    until(lambda: kube.find("ServiceAccount", "default", namespace), 15, f"the default service account of {namespace}")
    kube.apply(workload(sandbox, "app", "1.0.1"), workload(sandbox, "app-primary", "1.0.0"), namespace=namespace)
    made = desired_services(a_canary(namespace), selector_label="app", label_value="app", ports=[], current={}, with_apex=True)
    for service in made:
        stored = apply(kube, service)
        assert in_shape(service, owned(a_canary(namespace), stored))
    for name in ("app", "app-primary"):
        until(lambda name=name: kube.get("Deployment", name, namespace)["status"].get("availableReplicas"), 40, f"{name} available")  # type: ignore[misc]
    yield Edge(kube, sandbox, namespace)
    kube.delete("Namespace", namespace)


@pytest.fixture
def edge(ground: Edge) -> Iterator[Edge]:
    """The application without a route: the test writes its own."""
    yield ground
    for kind, name in (("HTTPRoute", "app"), ("HTTPProxy", "app"), ("HTTPProxy", "root")):
        ground.kube.delete(kind, name, ground.namespace)
    until(lambda: is_gone(ground), 15, "the route gone")


def is_gone(edge: Edge) -> bool:
    """No answer of ours any more. Without any route Envoy has no listener either."""
    try:
        return set(edge.versions(2)) == {"none"}
    except httpx.ConnectError:
        return True


@pytest.mark.proves("live", "weights", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", EDGES)
def test_requests_follow_the_weights(edge: Edge, provider: str) -> None:
    router, canary = router_for(provider), a_canary(edge.namespace)
    edge.show(router, canary, RouteSplit(30))
    edge.becomes(lambda: set(edge.versions(30)) == {"1.0.0", "1.0.1"}, "answers of both")
    assert 85 <= edge.versions(400)["1.0.1"] <= 155  # 120 expected; nearly four standard deviations
    edge.show(router, canary, RouteSplit(0))
    edge.becomes(lambda: set(edge.versions(30)) == {"1.0.0"}, "nothing from the canary")
    assert set(edge.versions(200)) == {"1.0.0"}
    edge.show(router, canary, RouteSplit(100))
    edge.becomes(lambda: set(edge.versions(30)) == {"1.0.1"}, "nothing from the primary")


@pytest.mark.proves("live", "A/B test", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", EDGES)
@pytest.mark.fault("Q-43", "Q-40")
def test_an_ab_test_leads_by_header_cookie_and_query(edge: Edge, provider: str) -> None:
    match = [
        {"headers": {"x-user": {"exact": "insider"}}},
        {"headers": {"cookie": {"regex": "^(.*;\\s*)?beta=1(;.*)?$"}}},
        {"queryParams": {"who": {"exact": "me"}}},
    ]
    router, canary = router_for(provider), a_canary(edge.namespace, analysis={**AB, "match": match})
    edge.show(router, canary, RouteSplit(0, match=True))
    edge.becomes(lambda: edge.versions(1, **{"x-user": "insider"})["1.0.1"], "an insider at the canary")
    assert set(edge.versions(20, **{"x-user": "insider"})) == {"1.0.1"}
    assert set(edge.versions(20, Cookie="a=b; beta=1; c=d")) == {"1.0.1"}
    assert set(edge.versions(20, "/?who=me")) == {"1.0.1"}
    assert set(edge.versions(20)) == {"1.0.0"}
    assert set(edge.versions(20, "/?who=you", **{"x-user": "insiders", "Cookie": "beta=12"})) == {"1.0.0"}
    edge.show(router, canary, RouteSplit(0))
    edge.becomes(lambda: set(edge.versions(5, **{"x-user": "insider"})) == {"1.0.0"}, "insiders back at the primary")


@pytest.mark.fault("Q-43")
def test_contour_tells_a_prefix_from_a_substring(edge: Edge) -> None:
    match = [{"headers": {"x-user": {"prefix": "in.side"}}}, {"headers": {"x-mail": {"suffix": "@a.com"}}}]
    router, canary = router_for("contour"), a_canary(edge.namespace, analysis={**AB, "match": match})
    edge.show(router, canary, RouteSplit(0, match=True))
    edge.becomes(lambda: edge.versions(1, **{"x-user": "in.sider"})["1.0.1"], "the prefix at the canary")
    assert set(edge.versions(5, **{"x-mail": "me@a.com"})) == {"1.0.1"}
    for name, value in (("x-user", "an in.sider"), ("x-user", "inxside"), ("x-mail", "me@a.com.org"), ("x-mail", "me@axcom")):
        assert set(edge.versions(5, **{name: value})) == {"1.0.0"}, (name, value)


@pytest.mark.proves("live", "weights for matching requests", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", EDGES)
def test_weights_with_a_match_leave_everybody_else_alone(edge: Edge, provider: str) -> None:
    match = [{"headers": {"x-user": {"exact": "insider"}}}]
    router, canary = router_for(provider), a_canary(edge.namespace, analysis={**WEIGHTED, "match": match})
    edge.show(router, canary, RouteSplit(50))
    edge.becomes(lambda: len(edge.versions(30, **{"x-user": "insider"})) == 2, "insiders at both")
    assert set(edge.versions(100)) == {"1.0.0"}


@pytest.mark.proves("live", "mirror", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", EDGES)
def test_copies_of_requests_arrive_at_the_canary(edge: Edge, provider: str) -> None:
    router, canary = router_for(provider), a_canary(edge.namespace, analysis={**WEIGHTED, "mirror": True})
    edge.show(router, canary, RouteSplit(0))
    edge.becomes(lambda: set(edge.versions(10)) == {"1.0.0"}, "answers of the primary")
    before = edge.served("app-canary")
    edge.show(router, canary, RouteSplit(0, mirror=True))
    edge.becomes(lambda: edge.versions(10) and edge.served("app-canary") > before, "the first copy")
    before = edge.served("app-canary")
    assert set(edge.versions(100)) == {"1.0.0"}
    edge.becomes(lambda: edge.served("app-canary") >= before + 100, "a copy of each")
    edge.show(router, canary, RouteSplit(0))
    edge.becomes(lambda: unchanged(edge), "no more copies")


def unchanged(edge: Edge) -> bool:
    before = edge.served("app-canary")
    edge.versions(20)
    return edge.served("app-canary") == before


def test_contour_mirrors_a_share(edge: Edge) -> None:
    router, canary = router_for("contour"), a_canary(edge.namespace, analysis={**WEIGHTED, "mirror": True, "mirrorWeight": 25})
    edge.show(router, canary, RouteSplit(0, mirror=True))
    edge.becomes(lambda: set(edge.versions(10)) == {"1.0.0"} and not unchanged(edge), "the first copy")
    before = edge.served("app-canary")
    edge.versions(400)
    assert 60 <= edge.served("app-canary") - before <= 140  # 100 expected


@pytest.mark.proves("live", "session affinity", providers=("gatewayapi:v1", "gatewayapi:v1beta1"))
@pytest.mark.parametrize("provider", ["gatewayapi:v1", "gatewayapi:v1beta1"])
@pytest.mark.fault("Q-38")
def test_visitors_stay_where_they_were(edge: Edge, provider: str) -> None:
    affinity = {"cookieName": "fl.gr", "primaryCookieName": "main", "path": "/"}
    router, canary = router_for(provider), a_canary(edge.namespace, analysis={**WEIGHTED, "sessionAffinity": affinity})
    edge.show(router, canary, RouteSplit(50, cookie="abc", primary_cookie="xyz"))
    edge.becomes(lambda: len(edge.versions(30)) == 2, "answers of both")
    cookies: dict[str, str] = {}
    with edge.client() as client:
        for _ in range(40):
            answer = client.get("/")
            cookies[answer.headers["x-version"]] = answer.headers["set-cookie"]
            client.cookies.clear()
        # a visitor who keeps cookies stays where the first answer came from
        first = client.get("/").headers["x-version"]
        assert {client.get("/").headers["x-version"] for _ in range(20)} == {first}
    assert cookies == {"1.0.0": "main=xyz; Max-Age=10; Path=/", "1.0.1": "fl.gr=abc; Max-Age=86400; Path=/"}
    assert set(edge.versions(30, Cookie="z=1; fl.gr=abc")) == {"1.0.1"}
    assert set(edge.versions(30, Cookie="main=xyz")) == {"1.0.0"}
    assert len(edge.versions(40, Cookie="flxgr=abc")) == 2
    edge.show(router, canary, RouteSplit(0, previous_cookie="abc"))
    edge.becomes(lambda: set(edge.versions(5, Cookie="fl.gr=abc")) == {"1.0.0"}, "the cookie leads nowhere any more")
    with edge.client() as client:
        assert client.get("/", headers={"Cookie": "fl.gr=abc"}).headers["set-cookie"] == "fl.gr=abc; Max-Age=-1; Path=/"
        assert not client.cookies
        assert "set-cookie" not in client.get("/").headers


def test_a_refusal_of_the_gateway_is_named(edge: Edge) -> None:
    router, canary = router_for("gatewayapi:v1"), a_canary(edge.namespace, {"name": "absent"})
    [wanted] = router.desired(canary, RouteSplit(0), [], SETTINGS)
    apply(edge.kube, wanted)
    try:
        observed = until(lambda: judged(edge.read(router, canary)), 15, "a refusal", lambda: edge.read(router, canary))
        assert observed.accepted is False
        assert observed.refusal.startswith("Gateway projectcontour/contour refuses HTTPRoute absent (ResolvedRefs is False)")
        assert "BackendNotFound" in observed.refusal
    finally:
        edge.kube.delete("HTTPRoute", "absent", edge.namespace)


def judged(observed: Observed) -> Observed | None:
    return observed if "refuses" in observed.refusal or "orphaned" in observed.refusal else None


def linkerd_says(accepted: str, reason: str) -> Object:
    """The status that Linkerd's policy controller writes for a route with a Service as parent: without a generation."""
    at = "2025-01-01T00:00:00Z"
    ref = {"group": "core", "kind": "Service", "name": "app", "port": PORT}
    conditions = [
        {"type": "Accepted", "status": accepted, "reason": reason, "message": "", "lastTransitionTime": at},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "", "lastTransitionTime": at},
    ]
    return {"parentRef": ref, "controllerName": "linkerd.io/policy-controller", "conditions": conditions}


@pytest.mark.parametrize(("group", "provider"), [("core", "gatewayapi:v1"), ("", "gatewayapi:v1beta1")])
def test_what_linkerd_writes_about_a_route_is_understood(edge: Edge, group: str, provider: str) -> None:
    parent = {"group": group, "kind": "Service", "name": "app", "port": PORT}
    router, canary = router_for(provider), a_canary(edge.namespace, {"hosts": [], "gatewayRefs": [parent]})
    [wanted] = router.desired(canary, RouteSplit(10), [], SETTINGS)
    apply(edge.kube, wanted)
    before = edge.read(router, canary)
    assert (before.split, before.accepted, before.judges) == (RouteSplit(10), False, True)
    for status, reason, accepted, judges in (("True", "Accepted", None, False), ("False", "NoMatchingParent", False, True)):
        report = linkerd_says(status, reason)
        report["parentRef"]["namespace"] = edge.namespace
        edge.kube.patch("HTTPRoute", "app", {"status": {"parents": [report]}}, edge.namespace, "status")
        observed = edge.read(router, canary)
        assert (observed.accepted, observed.judges) == (accepted, judges)
        assert observed.in_shape
    assert "NoMatchingParent" in observed.refusal


def test_a_proxy_that_no_root_includes_is_named(edge: Edge) -> None:
    router, canary = router_for("contour"), a_canary(edge.namespace)
    [wanted] = router.desired(canary, RouteSplit(0), [], SETTINGS)
    apply(edge.kube, wanted)
    observed = until(lambda: judged(edge.read(router, canary)), 15, "orphaned", lambda: edge.read(router, canary))
    assert observed.accepted is False
    assert "no root HTTPProxy includes it" in observed.refusal


@pytest.mark.proves("live", "a route of the user taken over", providers=("gatewayapi:v1", "gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", EDGES)
def test_a_route_of_the_user_is_taken_over_and_given_back(edge: Edge, provider: str) -> None:
    host = f"{edge.namespace}.example.com"
    router, canary = router_for(provider), a_canary(edge.namespace)
    theirs: Object
    if provider == "contour":
        routes = [{"conditions": [{"prefix": "/"}], "services": [{"name": "app-canary", "port": PORT}]}]
        theirs = {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "spec": {"virtualhost": {"fqdn": host}, "routes": routes}}
    else:
        parents = [{"name": "contour", "namespace": "projectcontour"}]
        rules = [{"backendRefs": [{"name": "app-canary", "port": PORT}]}]
        theirs = {"apiVersion": f"gateway.networking.k8s.io/{provider.partition(':')[2]}", "kind": "HTTPRoute"}
        theirs["spec"] = {"parentRefs": parents, "hostnames": [host], "rules": rules}
    theirs["metadata"] = {"name": "app", "annotations": {"mine": "1"}}
    [stored] = edge.kube.apply(theirs, namespace=edge.namespace, manager="user")
    edge.becomes(lambda: edge.versions(1)["1.0.1"], "the user's own route")

    def current() -> Object:
        return edge.kube.get(theirs["kind"], "app", edge.namespace)

    for split in (RouteSplit(0), RouteSplit(10)):
        [wanted] = router.desired(canary, split, [current()], SETTINGS)
        apply(edge.kube, wanted)
    taken = current()
    assert taken["metadata"]["annotations"]["mine"] == "1"
    observed = router.observed(canary, [taken], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(10), True)
    assert taken["spec"].get("virtualhost") == stored["spec"].get("virtualhost")
    edge.becomes(lambda: edge.versions(1)["1.0.0"], "the primary")

    [back] = router.restore(canary, [taken])
    apply(edge.kube, back)
    assert current()["spec"] == stored["spec"]
    assert set(current()["metadata"]["annotations"]) == {"mine"}
    edge.becomes(lambda: set(edge.versions(10)) == {"1.0.1"}, "the user's own route again")


def users_service(namespace: str, *ports: Object, selector: Object) -> Object:
    spec = {"type": "NodePort", "selector": selector, "ports": list(ports)}
    meta = {"name": "app", "namespace": namespace, "labels": {"mine": "1"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


@pytest.mark.proves("accepted", "a route of the user taken over", providers=("kubernetes",))
@pytest.mark.parametrize(
    "ports",
    [
        [{"name": "web", "port": PORT, "targetPort": 8080}, {"name": "metrics", "port": 9797}],
        [{"port": 9797}],
        [{"port": PORT}],
        [{"name": "http", "port": 9797}, {"name": "dns", "port": 53, "protocol": "UDP"}],
    ],
    ids=["named", "unnamed other", "unnamed same", "name taken"],
)
@pytest.mark.fault("Q-49")
def test_a_service_of_the_user_is_taken_over_and_given_back(kube: Kube, namespace: str, ports: list[Object]) -> None:
    canary = a_canary(namespace)
    [before] = kube.apply(users_service(namespace, *ports, selector={"app": "app", "tier": "a"}), manager="user")

    def round_of() -> tuple[Object, Object]:
        current: dict[str, Object | None] = {"app": kube.get("Service", "app", namespace)}
        *_, wanted = desired_services(canary, selector_label="app", label_value="app", ports=[], current=current, with_apex=True)
        return wanted, apply(kube, wanted)

    round_of()
    wanted, stored = round_of()
    assert in_shape(wanted, stored)
    spec = stored["spec"]
    assert (spec["type"], spec["selector"], spec["clusterIP"]) == ("NodePort", {"app": "app-primary"}, before["spec"]["clusterIP"])
    numbers = {(port["port"], port["protocol"]): port for port in spec["ports"]}
    assert numbers.keys() == {(port["port"], port["protocol"]) for port in before["spec"]["ports"]} | {(PORT, "TCP")}
    for port in before["spec"]["ports"]:
        assert numbers[(port["port"], port["protocol"])]["nodePort"] == port["nodePort"]
    assert numbers[(PORT, "TCP")]["targetPort"] == PORT

    back = restored_apex(canary, selector_label="app", label_value="app", current=stored)
    assert back is not None
    after = apply(kube, back)
    assert after["spec"]["selector"] == before["spec"]["selector"]
    assert after["spec"]["ports"] == before["spec"]["ports"]
    assert after["metadata"].get("annotations", {}) == before["metadata"].get("annotations", {})


def test_a_headless_service_stays_headless_and_a_service_with_ports_of_every_protocol_is_admitted(kube: Kube, namespace: str) -> None:
    canary = a_canary(namespace, {"headless": True, "trafficDistribution": "PreferClose", "appProtocol": "kubernetes.io/h2c"})
    ports = [{"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53}]
    current: dict[str, Any] = {}
    for _ in range(2):
        for wanted in desired_services(canary, selector_label="app", label_value="app", ports=ports, current=current, with_apex=True):
            stored = owned(canary, apply(kube, wanted))
            assert in_shape(wanted, stored)
            assert stored["spec"]["clusterIP"] == "None"
            current[stored["metadata"]["name"]] = stored


def test_two_parents_of_one_name_are_refused_by_the_api_server_and_not_by_us(kube: Kube, namespace: str) -> None:
    canary = a_canary(namespace, {"gatewayRefs": [{"name": "contour"}, {"name": "contour"}]})
    [wanted] = router_for("gatewayapi:v1").desired(canary, RouteSplit(0), [], SETTINGS)
    with pytest.raises(KubeError, match="sectionName or port must be"):
        apply(kube, wanted, dryRun="All")
