"""Provider istio on a real API server with Istio's published CustomResourceDefinitions, strict: what is written is admitted, releases are
carried through, and what the user had is given back. No program of Istio is there: `test_istio_envoy` has the traffic."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.core.test_routes import apply, owned
from e2e.kube import Kube, KubeError, Object, until
from e2e.providers import istio_crds
from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.routers.base import RouteSplit, Settings
from flaggerpy.routers.registry import router_for

SETTINGS = Settings()
API = "networking.istio.io/v1beta1"
STEPS: Object = {"interval": "2s", "threshold": 1, "stepWeight": 20, "maxWeight": 40}
AB: Object = {"interval": "10s", "threshold": 5, "iterations": 3}
INSIDERS: list[Object] = [
    {"headers": {"x-user": {"exact": "insider"}, "x-mail": {"suffix": "@a.com"}}, "queryParams": {"q": {"prefix": "a"}}},
    {"sourceLabels": {"app": "tester"}},
]
AFFINITY: Object = {
    "cookieName": "flagger-cookie",
    "primaryCookieName": "primary-cookie",
    "path": "/",
    "httpOnly": True,
    "sameSite": "Lax",
    "secure": True,
    "partitioned": True,
    "domain": "example.com",
}
FULL: Object = {
    "hosts": ["shop.example.com"],
    "gateways": ["istio-system/public", "mesh"],
    "match": [
        {
            "name": "api",
            "uri": {"prefix": "/api"},
            "method": {"regex": "GET|HEAD"},
            "headers": {"b": {"regex": "x.*"}, "a": {}},
            "port": 80,
        },
        {"uri": {"exact": "/login"}, "ignoreUriCase": True, "authority": {"exact": "a"}, "scheme": {"prefix": "http"}},
        {"withoutHeaders": {"x": {"exact": "1"}}, "queryParams": {"q": {"exact": "1"}}, "sourceLabels": {"app": "web"}},
        {"gateways": ["mesh"], "sourceNamespace": "shop"},
    ],
    "rewrite": {"uri": "/new", "authority": "inner.example.com"},
    "timeout": "1.5s",
    "retries": {"attempts": 3, "perTryTimeout": "500ms", "retryOn": "5xx,gateway-error"},
    "headers": {
        "request": {"set": {"x": "1"}, "add": {"w": "2"}, "remove": ["v"]},
        "response": {"set": {"y": "2"}, "add": {"z": "3"}, "remove": ["server"]},
    },
    "corsPolicy": {
        "allowOrigin": ["https://a.example.com"],
        "allowOrigins": [{"exact": "https://b.example.com"}, {"regex": ".*c"}, {"suffix": ".d.com"}],
        "allowMethods": ["GET"],
        "allowHeaders": ["x"],
        "exposeHeaders": ["y"],
        "allowCredentials": True,
        "maxAge": "24h",
    },
    "trafficPolicy": {
        "connectionPool": {
            "tcp": {"maxConnections": 100, "connectTimeout": "30ms"},
            "http": {
                "h2UpgradePolicy": "UPGRADE",
                "http1MaxPendingRequests": 10,
                "http2MaxRequests": 100,
                "maxRetries": 3,
                "idleTimeout": "1m",
            },
        },
        "loadBalancer": {"consistentHash": {"httpCookie": {"name": "user", "ttl": "0s"}}, "localityLbSetting": {"enabled": True}},
        "outlierDetection": {"consecutive5xxErrors": 5, "interval": "5m", "baseEjectionTime": "15m", "maxEjectionPercent": 50},
        "tls": {"mode": "ISTIO_MUTUAL"},
    },
    "apex": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
}
CASES: list[tuple[Object, Object, RouteSplit]] = [
    ({}, STEPS, RouteSplit(0)),
    ({}, STEPS, RouteSplit(30)),
    (FULL, STEPS, RouteSplit(100)),
    ({"delegation": True, "portDiscovery": True}, STEPS, RouteSplit(30)),
    ({}, {**AB, "match": INSIDERS}, RouteSplit(0, match=True)),
    (FULL, {**AB, "match": INSIDERS}, RouteSplit(0, match=True)),
    (FULL, {**STEPS, "match": INSIDERS}, RouteSplit(40)),
    ({}, {**STEPS, "mirror": True}, RouteSplit(0, mirror=True)),
    ({"portDiscovery": True, "gateways": ["public"]}, {**STEPS, "mirror": True, "mirrorWeight": 20}, RouteSplit(0, mirror=True)),
    ({}, {**STEPS, "sessionAffinity": AFFINITY}, RouteSplit(20, cookie="abc", primary_cookie="xyz")),
    ({"match": FULL["match"]}, {**STEPS, "sessionAffinity": AFFINITY}, RouteSplit(0, previous_cookie="abc")),
    ({"appProtocol": "tcp", "match": [{"port": 5432}], "trafficPolicy": FULL["trafficPolicy"]}, STEPS, RouteSplit(30)),
]


@pytest.fixture(scope="session", autouse=True)
def istio(kube: Kube) -> None:
    istio_crds.install(kube)


def a_canary(namespace: str, service: Object, analysis: Object) -> Canary:
    spec = {
        "provider": "istio",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
        "service": {"port": 80, **service},
        "analysis": analysis,
    }
    return parse_canary({"metadata": {"name": "app", "namespace": namespace, "uid": "00000000-0000-0000-0000-000000000001"}, "spec": spec})


@pytest.mark.proves("accepted", "weights", "A/B test", "weights for matching requests", "mirror", "session affinity", providers=("istio",))
@pytest.mark.proves(
    "accepted", "service.match", "service.timeout", "service.retries", "service.headers", "service.rewrite", providers=("istio",)
)
@pytest.mark.proves("accepted", "service.corsPolicy", "service.trafficPolicy", providers=("istio",))
def test_what_is_written_is_admitted_and_read_back(kube: Kube, namespace: str) -> None:
    router = router_for("istio")
    for service, analysis, split in CASES:
        canary = a_canary(namespace, service, analysis)
        assert router.problems(canary) == []
        wanted = router.desired(canary, split, [], SETTINGS)
        stored = [owned(canary, apply(kube, manifest, dryRun="All")) for manifest in wanted]
        observed = router.observed(canary, stored, SETTINGS)
        assert (observed.split, observed.in_shape) == (split, True), (service, analysis, stored[-1]["spec"])


def test_the_api_server_judges_as_strictly_as_istio_would(kube: Kube, namespace: str) -> None:
    canary = a_canary(namespace, {}, STEPS)
    *_, route = router_for("istio").desired(canary, RouteSplit(0), [], SETTINGS)
    for wrong in ({"timeout": "0s"}, {"match": [{"uri": {"suffix": "/x"}}]}, {"unheard": 1}):
        spec = {**route["spec"], "http": [{**route["spec"]["http"][0], **wrong}]}
        with pytest.raises(KubeError):
            apply(kube, {**route, "spec": spec}, dryRun="All")


def test_a_policy_that_is_taken_out_of_the_canary_goes_and_what_others_said_stays(kube: Kube, namespace: str) -> None:
    """Ownership as the API server keeps it: what we said once and do not say any more is seen, written once, and gone."""
    router = router_for("istio")
    before = a_canary(namespace, {"trafficPolicy": {"tls": {"mode": "DISABLE"}, "loadBalancer": {"simple": "RANDOM"}}}, STEPS)
    after = a_canary(namespace, {"trafficPolicy": {"tls": {"mode": "DISABLE"}}}, STEPS)

    def stand(canary: Canary) -> list[Object]:
        return [owned(canary, kube.get(ref.kind, ref.name, namespace, API)) for ref in router.objects(canary)]

    for manifest in router.desired(before, RouteSplit(0), [], SETTINGS):
        apply(kube, manifest)
    kube.patch("DestinationRule", "app-canary", {"spec": {"exportTo": ["."]}}, namespace, api_version=API)
    assert router.observed(before, stand(before), SETTINGS).in_shape
    assert not router.observed(after, stand(after), SETTINGS).in_shape
    for manifest in router.desired(after, RouteSplit(0), stand(after), SETTINGS):
        apply(kube, manifest)
    assert router.observed(after, stand(after), SETTINGS).in_shape
    assert kube.get("DestinationRule", "app-canary", namespace, API)["spec"] == {
        "host": "app-canary",
        "trafficPolicy": {"tls": {"mode": "DISABLE"}},
        "exportTo": ["."],
    }


# --- releases -------------------------------------------------------------------------------------------------------------------------


def mesh_canary(stage: Stage, **fields: Any) -> Object:
    return stage.canary(provider="istio", **fields)


def spec_of(stage: Stage, kind: str = "VirtualService", name: str = "app") -> Object:
    found: Object = stage.kube.get(kind, name, stage.namespace, API)["spec"]
    return found


def shares(stage: Stage) -> list[dict[str, int]]:
    """Of each rule: the weight of each host."""
    return [{each["destination"]["host"]: each["weight"] for each in rule["route"]} for rule in spec_of(stage)["http"]]


HOME = [{"app-primary": 100, "app-canary": 0}]


@pytest.mark.proves("accepted", "a whole release", providers=("istio",))
def test_a_release_by_weights_is_carried_through(stage: Stage, receiver: Receiver) -> None:
    """Each rollout hook is asked at a step: what the VirtualService says then is the step's weight."""
    gate = {"name": "gate", "type": "confirm-traffic-increase", "url": f"{receiver.url}/gate"}
    service = {"port": PORT, "trafficPolicy": {"tls": {"mode": "DISABLE"}}, "apex": {"labels": {"team": "a"}}}
    stage.initialise(mesh_canary(stage, service=service, analysis={**STEPS, "webhooks": [gate]}))
    assert shares(stage) == HOME
    assert spec_of(stage)["hosts"] == ["app"]
    assert spec_of(stage)["gateways"] == ["mesh"]
    assert stage.kube.get("VirtualService", "app", stage.namespace, API)["metadata"]["labels"] == {"team": "a"}
    for name in ("app-primary", "app-canary"):
        assert spec_of(stage, "DestinationRule", name) == {"host": name, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    receiver.answers["/gate"] = 403
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("phase") == "Progressing" and bool(receiver.at("/gate")), 60, "the gate to be asked")
    del receiver.answers["/gate"]
    stage.until_status(lambda status: status.get("canaryWeight") == 40, 60, "the second step")
    until(lambda: shares(stage) == [{"app-primary": 60, "app-canary": 40}], 10, "its weight", lambda: shares(stage))
    stage.phase("Succeeded", seconds=90)
    assert stage.primary_image().endswith(":1.0.1")
    assert shares(stage) == HOME


def test_a_failed_check_leads_everybody_back(stage: Stage, receiver: Receiver) -> None:
    check = {"name": "check", "type": "rollout", "url": f"{receiver.url}/check"}
    stage.initialise(mesh_canary(stage, analysis={**STEPS, "webhooks": [check]}))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 60, "the first step")
    receiver.answers["/check"] = 500
    stage.phase("Failed", seconds=60)
    assert shares(stage) == HOME
    assert stage.primary_image().endswith(":1.0.0")
    until(lambda: stage.replicas() == 0, 20, "the target to be at zero", stage.story)


def test_an_ab_test_leads_who_matches_while_it_runs(stage: Stage, receiver: Receiver) -> None:
    gate = {"name": "gate", "type": "confirm-promotion", "url": f"{receiver.url}/gate"}
    receiver.answers["/gate"] = 403
    analysis = {"interval": "2s", "threshold": 2, "iterations": 1, "match": INSIDERS, "webhooks": [gate]}
    stage.initialise(mesh_canary(stage, analysis=analysis))
    assert shares(stage) == HOME * 2
    stage.release("1.0.1")
    stage.phase("WaitingPromotion", seconds=60)
    assert shares(stage) == [{"app-primary": 0, "app-canary": 100}, *HOME]
    del receiver.answers["/gate"]
    stage.phase("Succeeded", seconds=90)
    assert shares(stage) == HOME * 2


def test_a_tcp_release_with_a_foreign_edit_in_its_middle(stage: Stage) -> None:
    def weights() -> dict[str, int]:
        return {each["destination"]["host"]: each["weight"] for each in spec_of(stage)["tcp"][0]["route"]}

    stage.initialise(mesh_canary(stage, service={"port": PORT, "appProtocol": "tcp"}, analysis={**STEPS, "interval": "6s"}))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 60, "the first step")
    until(lambda: weights() == {"app-primary": 80, "app-canary": 20}, 10, "its weight", weights)
    edit = {"spec": {"tcp": [{"route": [{"destination": {"host": "app-canary"}}]}]}}
    stage.kube.patch("VirtualService", "app", edit, stage.namespace, api_version=API)
    until(lambda: weights().get("app-primary", 0) in (80, 60), 10, "the edit put right", weights)
    stage.phase("Succeeded", seconds=120)
    assert weights() == {"app-primary": 100, "app-canary": 0}


THEIRS: Object = {
    "hosts": ["shop.example.com"],
    "gateways": ["istio-system/public"],
    "exportTo": ["*"],
    "http": [
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}},
        {"timeout": "3s", "route": [{"destination": {"host": "app", "port": {"number": PORT}}}]},
    ],
}


@pytest.mark.proves("accepted", "a route of the user taken over", providers=("istio",))
@pytest.mark.fault("Q-39")
def test_a_virtual_service_of_the_user_is_taken_over_and_given_back(stage: Stage) -> None:
    meta = {"name": "app", "namespace": stage.namespace, "labels": {"by": "user"}}
    rule = {"host": "app-canary", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    stage.kube.apply(
        {"apiVersion": API, "kind": "VirtualService", "metadata": meta, "spec": THEIRS},
        {"apiVersion": API, "kind": "DestinationRule", "metadata": {"name": "app-canary", "namespace": stage.namespace}, "spec": rule},
    )
    service = {"port": PORT, "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    stage.initialise(mesh_canary(stage, service=service, revertOnDeletion=True, analysis={**STEPS, "maxWeight": 20}), seconds=90)
    assert shares(stage) == HOME
    assert {name: spec_of(stage)[name] for name in ("hosts", "gateways", "exportTo")} == {
        name: THEIRS[name] for name in ("hosts", "gateways", "exportTo")
    }
    assert spec_of(stage, "DestinationRule", "app-canary")["trafficPolicy"] == {**rule["trafficPolicy"], **service["trafficPolicy"]}  # type: ignore[dict-item]
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=90)
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 90, "the Canary to go", stage.texts)
    assert spec_of(stage) == THEIRS
    assert spec_of(stage, "DestinationRule", "app-canary") == rule
    given = stage.kube.get("VirtualService", "app", stage.namespace, API)["metadata"]
    assert given["labels"] == {"by": "user"}
    assert not any("flagger" in name for name in given.get("annotations", {}))
    assert stage.replicas() == 2
    until(lambda: stage.kube.find("DestinationRule", "app-primary", stage.namespace, API) is None, 30, "what was ours to go", stage.texts)


def test_what_connections_cannot_do_is_refused_before_anything_moves(stage: Stage) -> None:
    service = {"port": PORT, "appProtocol": "TCP"}
    stage.kube.apply(stage.deployment(), mesh_canary(stage, service=service, analysis={**AB, "match": INSIDERS}))
    until(lambda: stage.condition("Stalled").get("status") == "True", 20, "the refusal", stage.story)
    assert "spec.analysis.match: is not supported by provider istio with appProtocol tcp" in stage.condition("Stalled")["message"]
    assert stage.kube.find("VirtualService", "app", stage.namespace, API) is None
    assert stage.kube.find("Deployment", "app-primary", stage.namespace) is None
    assert stage.replicas() == 2
