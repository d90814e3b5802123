"""What the router istio writes, translated into routes of a real Envoy: requests are sent through it and counted where they arrive."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from e2e.kube import Object, until
from e2e.providers.istio_envoy import Envoy
from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.routers.base import RouteSplit, Settings
from flaggerpy.routers.registry import router_for

WEIGHTED: Object = {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 10}
AB: Object = {"interval": "10s", "threshold": 5, "iterations": 3}
INSIDERS: list[Object] = [
    {"headers": {"x-user": {"exact": "insider"}, "x-region": {"prefix": "eu-"}}},
    {"headers": {"x-mail": {"suffix": "@a.com"}}},
    {"headers": {"cookie": {"regex": "^(.*;\\s*)?beta=1(;.*)?$"}}},
    {"queryParams": {"who": {"exact": "me"}}},
]
INSIDER = {"x-user": "insider", "x-region": "eu-west"}
AFFINITY: Object = WEIGHTED | {"sessionAffinity": {"cookieName": "fl", "primaryCookieName": "main", "path": "/", "httpOnly": True}}
FULL: Object = {
    "match": [
        {
            "uri": {"prefix": "/api/"},
            "method": {"exact": "GET"},
            "headers": {"x-tenant": {}},
            "withoutHeaders": {"x-robot": {"exact": "yes"}},
        },
        {"uri": {"exact": "/Login"}, "ignoreUriCase": True},
        {"uri": {"regex": "/v[0-9]+"}, "authority": {"prefix": "full"}},
    ],
    "rewrite": {"uri": "/inner", "authority": "inner.example.com"},
    "timeout": "5s",
    "retries": {"attempts": 2, "perTryTimeout": "2s", "retryOn": "5xx"},
    "headers": {
        "request": {"set": {"x-set": "new"}, "add": {"x-add": "more"}, "remove": ["x-gone"]},
        "response": {"set": {"cache-control": "no-store"}, "add": {"x-answer": "1"}},
    },
    "corsPolicy": {"allowOrigins": [{"suffix": ".example.com"}], "allowMethods": ["GET"]},
}


def a_canary(service: Object | None = None, analysis: Object | None = None) -> Canary:
    spec = {
        "provider": "istio",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
        "service": {"port": 80, **(service or {})},
        "analysis": WEIGHTED if analysis is None else analysis,
    }
    return parse_canary({"metadata": {"name": "app", "namespace": "test", "uid": "u"}, "spec": spec})


CASES: dict[str, tuple[Canary, RouteSplit]] = {
    "none": (a_canary(), RouteSplit(0)),
    "third": (a_canary(), RouteSplit(30)),
    "all": (a_canary(), RouteSplit(100)),
    "ab": (a_canary(analysis={**AB, "match": INSIDERS}), RouteSplit(0, match=True)),
    "ab-idle": (a_canary(analysis={**AB, "match": INSIDERS}), RouteSplit(0)),
    "ab-path": (a_canary({"match": [{"uri": {"prefix": "/shop"}}]}, {**AB, "match": INSIDERS}), RouteSplit(0, match=True)),
    "restricted": (a_canary(analysis={**WEIGHTED, "match": INSIDERS}), RouteSplit(50)),
    "mirror": (a_canary(analysis={**WEIGHTED, "mirror": True}), RouteSplit(0, mirror=True)),
    "mirror-fifth": (a_canary(analysis={**WEIGHTED, "mirror": True, "mirrorWeight": 20}), RouteSplit(0, mirror=True)),
    "affinity": (a_canary(analysis=AFFINITY), RouteSplit(30, cookie="a.b", primary_cookie="pp")),
    "affinity-over": (a_canary(analysis=AFFINITY), RouteSplit(0, previous_cookie="a.b")),
    "full": (a_canary(FULL), RouteSplit(50)),
}
CONNECTIONS = {
    "tcp": (a_canary({"appProtocol": "tcp"}), RouteSplit(30)),
    "tcp-none": (a_canary({"appProtocol": "tcp"}), RouteSplit(0)),
}


class Backend:
    """One Service's pod: it answers with its name and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                backend.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                self.send_response(200)
                self.send_header("x-version", name)
                self.send_header("content-length", "0")
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Mesh:
    """Primary and canary behind one Envoy that has all cases, each under its name as host."""

    def __init__(self) -> None:
        self.primary, self.canary = Backend("primary"), Backend("canary")
        router = router_for("istio")

        def spec(canary: Canary, split: RouteSplit) -> Object:
            assert router.problems(canary) == []
            found: Object = router.desired(canary, split, [], Settings())[-1]["spec"]
            return found

        hosts = {name: spec(*case)["http"] for name, case in CASES.items()}
        tcp = {name: spec(*case)["tcp"][0] for name, case in CONNECTIONS.items()}
        self.envoy = Envoy(hosts, tcp, {"app-primary": self.primary.port, "app-canary": self.canary.port})

    def get(self, case: str, path: str = "/", method: str = "GET", **headers: str) -> httpx.Response:
        """One request of a new visitor; underscores in names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(base_url=self.envoy.url, headers={"Host": case, **named}, timeout=5, trust_env=False) as client:
            return client.request(method, path)

    def versions(self, case: str, count: int, path: str = "/", **headers: str) -> Counter[str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        seen: Counter[str] = Counter()
        with httpx.Client(base_url=self.envoy.url, headers={"Host": case, **named}, timeout=5, trust_env=False) as client:
            for _ in range(count):
                seen[client.get(path).headers.get("x-version", "none")] += 1
                client.cookies.clear()
        return seen


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    made = Mesh()
    try:
        with made.envoy:
            yield made
    finally:
        made.primary.close()
        made.canary.close()


@pytest.mark.proves("envoy", "weights", providers=("istio",))
def test_requests_follow_the_weights(mesh: Mesh) -> None:
    assert 85 <= mesh.versions("third", 400)["canary"] <= 155  # 120 expected; nearly four standard deviations
    assert mesh.versions("none", 100) == {"primary": 100}
    assert mesh.versions("all", 100) == {"canary": 100}


@pytest.mark.proves("envoy", "A/B test", providers=("istio",))
@pytest.mark.fault("Q-39", "Q-43")
def test_an_ab_test_leads_by_header_cookie_and_query(mesh: Mesh) -> None:
    insiders: list[tuple[str, dict[str, str]]] = [
        ("/", INSIDER),
        ("/", {"x-mail": "me@a.com"}),
        ("/", {"cookie": "a=b; beta=1; c=d"}),
        ("/?who=me", {}),
    ]
    for path, headers in insiders:
        assert mesh.versions("ab", 5, path, **headers) == {"canary": 5}, (path, headers)
        assert mesh.versions("ab-idle", 5, path, **headers) == {"primary": 5}, (path, headers)
        assert mesh.versions("ab-path", 5, f"/shop{path}", **headers) == {"canary": 5}, (path, headers)
        assert mesh.versions("ab-path", 5, path, **headers) == {"none": 5}, (path, headers)
    others: list[tuple[str, dict[str, str]]] = [
        ("/", {}),
        ("/", {"x-user": "insider"}),
        ("/", {"x-mail": "me@axcom"}),
        ("/", {"x-mail": "me@a.com.org"}),
        ("/?who=you", {"cookie": "beta=12"}),
    ]
    for path, headers in others:
        assert mesh.versions("ab", 5, path, **headers) == {"primary": 5}, (path, headers)


@pytest.mark.proves("envoy", "weights for matching requests", providers=("istio",))
def test_weights_with_a_match_leave_everybody_else_alone(mesh: Mesh) -> None:
    assert set(mesh.versions("restricted", 40, **INSIDER)) == {"primary", "canary"}
    assert mesh.versions("restricted", 100) == {"primary": 100}


@pytest.mark.proves("envoy", "mirror", providers=("istio",))
def test_copies_of_requests_arrive_at_the_canary(mesh: Mesh) -> None:
    mesh.canary.asked.clear()
    assert mesh.versions("mirror", 100) == {"primary": 100}
    until(lambda: len(mesh.canary.asked) >= 100, 10, "a copy of each", lambda: len(mesh.canary.asked))
    assert len(mesh.canary.asked) == 100
    mesh.canary.asked.clear()
    assert mesh.versions("mirror-fifth", 400) == {"primary": 400}
    until(lambda: len(mesh.canary.asked) >= 48, 10, "a fifth of them", lambda: len(mesh.canary.asked))
    assert len(mesh.canary.asked) <= 112  # 80 expected; four standard deviations


@pytest.mark.proves("envoy", "session affinity", providers=("istio",))
@pytest.mark.fault("Q-38")
def test_a_visitor_stays_where_he_was(mesh: Mesh) -> None:
    cookies = {"canary": "fl=a.b; Max-Age=86400; HttpOnly; Path=/", "primary": "main=pp; Max-Age=10; HttpOnly; Path=/"}
    seen = set()
    for _ in range(60):
        answer = mesh.get("affinity")
        version = answer.headers["x-version"]
        seen.add(version)
        assert answer.headers["set-cookie"] == cookies[version]
    assert seen == {"primary", "canary"}
    assert mesh.versions("affinity", 30, cookie="x=1; fl=a.b") == {"canary": 30}
    assert mesh.versions("affinity", 30, cookie="main=pp") == {"primary": 30}
    assert len(mesh.versions("affinity", 60, cookie="fl=axb")) == 2
    assert "set-cookie" not in mesh.get("affinity", cookie="fl=a.b").headers


@pytest.mark.fault("Q-38")
def test_the_cookie_of_a_run_that_is_over_is_taken_back(mesh: Mesh) -> None:
    answer = mesh.get("affinity-over", cookie="fl=a.b")
    assert answer.headers["set-cookie"] == "fl=a.b; Max-Age=-1; HttpOnly; Path=/"
    assert answer.headers["x-version"] == "primary"
    assert "set-cookie" not in mesh.get("affinity-over").headers
    assert mesh.versions("affinity-over", 30, cookie="fl=a.b") == {"primary": 30}


@pytest.mark.proves("envoy", "service.match", "service.headers", "service.rewrite", "service.corsPolicy", providers=("istio",))
def test_the_route_takes_what_it_should_and_changes_it_on_the_way(mesh: Mesh) -> None:
    mesh.primary.asked.clear()
    mesh.canary.asked.clear()
    taken = [mesh.get("full", "/api/a", x_tenant="t", x_gone="1", x_set="old", x_add="first") for _ in range(20)]
    assert {answer.headers["x-version"] for answer in taken} == {"primary", "canary"}
    assert {(answer.headers["cache-control"], answer.headers["x-answer"]) for answer in taken} == {("no-store", "1")}
    for path, headers in (*mesh.primary.asked, *mesh.canary.asked):
        assert (path, headers["host"], headers["x-set"]) == ("/innera", "inner.example.com", "new")
        assert headers["x-add"] in ("first,more", "more")
        assert "x-gone" not in headers
    assert mesh.get("full", "/login").status_code == 200
    assert mesh.get("full", "/v12").status_code == 200
    assert mesh.get("full", "/v12", origin="https://a.example.com").headers["access-control-allow-origin"] == "https://a.example.com"
    assert "access-control-allow-origin" not in mesh.get("full", "/v12", origin="https://a.example.org").headers
    refused = [
        mesh.get("full", "/api/a"),
        mesh.get("full", "/api/a", x_tenant="t", x_robot="yes"),
        mesh.get("full", "/api/a", method="POST", x_tenant="t"),
        mesh.get("full", "/other", x_tenant="t"),
        mesh.get("full", "/v"),
    ]
    assert [answer.status_code for answer in refused] == [404] * len(refused)


def test_connections_follow_the_weights(mesh: Mesh) -> None:
    def connect(name: str) -> str:
        with socket.create_connection(("127.0.0.1", mesh.envoy.tcp_ports[name]), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        return next(line.partition(": ")[2] for line in text.splitlines() if line.startswith("x-version"))

    assert 33 <= Counter(connect("tcp") for _ in range(200))["canary"] <= 87  # 60 expected; more than four standard deviations
    assert {connect("tcp-none") for _ in range(50)} == {"primary"}
