"""Provider traefik, live: Traefik reads the TraefikServices that the controller writes, and real requests go through it.

The sandbox needs Traefik: `python -m e2e.sandbox up --with traefik`, as `make test-providers` boots it. It runs with Traefik's own
defaults, under which a TraefikService with a backend without endpoints leads nowhere at all.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "providers" / "traefik.md"
EXAMPLE = ROOT / "examples" / "traefik.yaml"
STEPS: Object = {"interval": "2s", "threshold": 2, "stepWeight": 15, "maxWeight": 30}
RATE = {"name": "request-success-rate", "interval": "30s", "thresholdRange": {"min": 99}}
DURATION = {"name": "request-duration", "interval": "30s", "thresholdRange": {"max": 500}}


@pytest.fixture
def stage(stage: Stage) -> Stage:
    """The application with an IngressRoute that leads to the TraefikService of its name."""
    if "traefik" not in stage.sandbox.asked_for():
        pytest.fail("this sandbox has no Traefik: python -m e2e.sandbox up --with traefik")
    stage.url = stage.sandbox.traefik_url
    stage.kube.apply(ingress_route(stage))
    return stage


def ingress_route(stage: Stage) -> Object:
    route = {"kind": "Rule", "match": f"Host(`{stage.host}`)", "services": [{"kind": "TraefikService", "name": stage.name}]}
    meta = {"name": "entrance", "namespace": stage.namespace}
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": meta, "spec": {"routes": [route]}}


def traefik_service(stage: Stage, *services: Object) -> Object:
    meta = {"name": stage.name, "namespace": stage.namespace}
    spec = {"weighted": {"services": list(services)}}
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": meta, "spec": spec}


def service(stage: Stage, name: str, app: str) -> Object:
    meta = {"name": name, "namespace": stage.namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": app}, "ports": [{"port": PORT}]}}


def weights(stage: Stage) -> dict[str, int]:
    """Backend to weight, as the TraefikService has it."""
    found = stage.kube.get("TraefikService", stage.name, stage.namespace)
    return {each["name"]: each["weight"] for each in found["spec"]["weighted"]["services"]}


def answers(stage: Stage, count: int) -> Counter[str]:
    """Who answered so many requests, by version; those that nobody answered by their status."""
    seen: Counter[str] = Counter()
    with httpx.Client(base_url=stage.url, headers={"Host": stage.host}, timeout=5, trust_env=False) as client:
        for _ in range(count):
            answer = client.get("/version")
            seen[answer.json()["version"] if answer.status_code == 200 else str(answer.status_code)] += 1
    return seen


def is_served_by(stage: Stage, *versions: str) -> None:
    until(lambda: set(answers(stage, 10)) == set(versions), 20, f"answers of {versions}", lambda: answers(stage, 10))


def held(receiver: Receiver) -> Object:
    """A gate before the promotion that stays closed: the greatest weight stands for as long as a test looks at it."""
    receiver.answers["/hold"] = 403
    return {"webhooks": [{"name": "hold", "type": "confirm-promotion", "url": f"{receiver.url}/hold"}]}


@pytest.mark.proves("live", "a whole release", "weights", "built-in metrics", providers=("traefik",))
def test_a_release_is_measured_at_traefik_and_promoted_and_its_weights_are_those_of_the_requests(stage: Stage, receiver: Receiver) -> None:
    analysis = {**STEPS, "metrics": [RATE, DURATION], **held(receiver)}
    stage.initialise(stage.canary(provider="traefik", analysis=analysis))
    is_served_by(stage, "1.0.0")
    assert weights(stage) == {"app-primary": 100}
    with stage.load(rate=50) as load:
        stage.release("1.0.1")
        stage.phase("WaitingPromotion", seconds=60)
    assert load.result["lost"] == 0, load.result
    assert set(load.result["versions"]) == {"1.0.0", "1.0.1"}
    assert weights(stage) == {"app-primary": 70, "app-canary": 30}
    seen = answers(stage, 200)
    assert abs(seen["1.0.1"] - 60) <= 2, seen  # its round robin is exact, but for where it begins
    assert sum(seen.values()) == seen["1.0.0"] + seen["1.0.1"]
    with stage.load(rate=50) as load:
        del receiver.answers["/hold"]
        stage.phase("Succeeded", seconds=60)
        is_served_by(stage, "1.0.1")
    assert load.result["lost"] == 0, load.result
    assert weights(stage) == {"app-primary": 100}
    assert stage.primary_image().endswith(":1.0.1")
    assert stage.replicas() == 0


@pytest.mark.fault("Q-34", "Q-35")
def test_a_version_that_fails_every_request_is_rolled_back_by_the_built_in_success_rate(stage: Stage) -> None:
    stage.initialise(stage.canary(provider="traefik", analysis={**STEPS, "threshold": 1, "metrics": [RATE]}))
    is_served_by(stage, "1.0.0")
    broken = [{"name": "app", "image": stage.image("1.0.1"), "env": [{"name": "FAIL_PERCENT", "value": "100"}]}]
    with stage.load(rate=50) as load:
        stage.change(containers=broken)
        stage.phase("Failed", seconds=60)
        is_served_by(stage, "1.0.0")
    assert "success rate 0.00% < 99%" in stage.status()["history"][0]["cause"], stage.story()
    assert weights(stage) == {"app-primary": 100}
    assert set(load.result["codes"]) == {"200", "500"}, load.result  # nobody but the visitors of the canary met an error


@pytest.mark.proves("live", "mirror", providers=("traefik",))
def test_requests_are_mirrored_and_answered_by_the_primary(stage: Stage) -> None:
    stage.initialise(stage.canary(provider="traefik", analysis={**STEPS, "interval": "10s", "mirror": True}))
    is_served_by(stage, "1.0.0")

    def copies() -> int:
        address = stage.kube.get("Service", "app-canary", stage.namespace)["spec"]["clusterIP"]
        told = httpx.get(f"http://{address}:{PORT}/metrics", timeout=5, trust_env=False).text
        return sum(int(line.split()[-1]) for line in told.splitlines() if line.startswith("http_requests_total"))

    with stage.load(rate=50) as load:
        stage.release("1.0.1")
        until(lambda: copies() > 50, 60, "requests mirrored to the canary", stage.story)
        assert stage.status()["canaryWeight"] == 0
        assert weights(stage) == {"app-mirrored": 100}
        assert set(answers(stage, 50)) == {"1.0.0"}
        stage.until_status(lambda status: status.get("canaryWeight") == 15, 30, "the first weight after the mirror")
        until(lambda: weights(stage) == {"app-primary": 85, "app-canary": 15}, 5, "the weights", lambda: weights(stage))
    assert load.result["lost"] == 0, load.result


@pytest.mark.proves("live", "a route of the user taken over", providers=("traefik",))
def test_a_traefik_service_of_the_user_is_taken_over_and_given_back_without_a_lost_request(stage: Stage) -> None:
    kube = stage.kube
    backend = {"name": "app", "port": PORT, "passHostHeader": True}
    [theirs] = kube.apply(traefik_service(stage, backend), manager="user")
    kube.apply(stage.deployment(), service(stage, "app", "app"), manager="user")
    is_served_by(stage, "1.0.0")
    with stage.load(rate=50) as load:
        kube.apply(stage.canary(provider="traefik", revertOnDeletion=True))
        stage.phase("Initialized", seconds=60)
        until(lambda: stage.replicas() == 0, 10, "the target at zero")
        taken = kube.get("TraefikService", "app", stage.namespace)
        primary = {"name": "app-primary", "namespace": stage.namespace, "port": PORT, "passHostHeader": True, "weight": 100}
        assert taken["spec"]["weighted"]["services"] == [primary]
        kube.delete("Canary", "app", stage.namespace)
        until(lambda: kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.texts)
        until(lambda: kube.get("TraefikService", "app", stage.namespace)["spec"] == theirs["spec"], 5, "the spec given back")
        is_served_by(stage, "1.0.0")
    assert load.result["lost"] == 0, load.result
    assert stage.replicas() == 2


def test_a_traefik_service_of_ours_goes_with_its_canary(stage: Stage) -> None:
    stage.initialise(stage.canary(provider="traefik"))
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 30, "the Canary to go", stage.texts)
    until(lambda: stage.kube.find("TraefikService", "app", stage.namespace) is None, 30, "the TraefikService to go")


def test_a_canary_that_loses_its_pods_is_taken_out_and_the_route_leads_on(stage: Stage, receiver: Receiver) -> None:
    stage.initialise(stage.canary(provider="traefik", analysis={**STEPS, **held(receiver)}))
    stage.release("1.0.1")
    stage.phase("WaitingPromotion", seconds=60)
    is_served_by(stage, "1.0.0", "1.0.1")
    pods = [pod for pod in stage.kube.items("Pod", stage.namespace, "app=app") if not pod["metadata"].get("deletionTimestamp")]
    for pod in pods:
        httpx.post(f"http://{pod['status']['podIP']}:{PORT}/unready", timeout=5, trust_env=False).raise_for_status()
    until(lambda: weights(stage) == {"app-primary": 100}, 10, "the canary out of the round robin", lambda: weights(stage))
    is_served_by(stage, "1.0.0")


def test_a_backend_without_pods_takes_all_requests_away_even_at_weight_0(stage: Stage) -> None:
    """Why a side with weight 0 is left out. If this fails, Traefik has become kinder, and the router may name both sides always."""
    primary = {"name": "app-primary", "port": PORT, "weight": 100}
    stage.kube.apply(stage.deployment(), service(stage, "app-primary", "app"), service(stage, "app-canary", "nobody"))
    stage.kube.apply(traefik_service(stage, primary))
    is_served_by(stage, "1.0.0")
    stage.kube.apply(traefik_service(stage, primary, {"name": "app-canary", "port": PORT, "weight": 0}))
    until(lambda: set(answers(stage, 5)) == {"404"}, 15, "no route at all", lambda: answers(stage, 5))


def test_the_manifests_of_the_manual_do_what_it_says(kube: Kube, sandbox: Sandbox, stage: Stage) -> None:
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)]
    [route] = [block for block in shown if block["kind"] == "IngressRoute"]
    canary: Any = yaml.safe_load(EXAMPLE.read_text())
    podinfo = Stage(kube, sandbox, stage.namespace, name="podinfo")
    podinfo.url, podinfo.host = sandbox.traefik_url, re.findall(r"Host\(`(.*)`\)", route["spec"]["routes"][0]["match"])[0]
    for found in (route, canary):
        found["metadata"]["namespace"] = stage.namespace
    canary["spec"]["podHealth"] = {"settle": "2s"}
    path = kube.path("IngressRoute", stage.namespace, route["metadata"]["name"])
    kube.ask("PATCH", path, route, "application/apply-patch+yaml", fieldManager="user", fieldValidation="Strict")
    podinfo.initialise(canary)
    is_served_by(podinfo, "1.0.0")
