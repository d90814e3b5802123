"""Releases on a real cluster: every strategy and provider from the change of an image to its end, under real requests."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest

from e2e.core.commands import flaggerpy
from e2e.core.receiver import Receiver
from e2e.core.stage import GATEWAY, PORT, Stage
from e2e.kube import Object, until
from e2e.sandbox import Sandbox

QUICK: Object = {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}
ITERATIONS: Object = {"interval": "2s", "threshold": 2, "iterations": 2}


def hook(receiver: Receiver, name: str, kind: str) -> Object:
    return {"name": name, "type": kind, "url": f"{receiver.url}/{name}", "timeout": "5s"}


def _among(text: str, said: Callable[[], set[str]]) -> bool:
    return any(text in found for found in said())


def is_served(stage: Stage, url: str, version: str) -> None:
    def check() -> bool:
        answer = httpx.get(f"{url}/version", headers={"Host": stage.host}, timeout=2, trust_env=False)
        return answer.status_code == 200 and version in answer.text

    until(check, 15, f"version {version} through the gateway")


@pytest.mark.proves("live", "a whole release", providers=("gatewayapi:v1",))
def test_a_good_image_is_promoted_without_a_lost_request(stage: Stage, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary())
    assert stage.replicas() == 0
    is_served(stage, sandbox.gateway_url, "1.0.0")
    with stage.load(rate=50) as load:
        stage.release("1.0.1")
        seen: set[int] = set()

        def done(status: Object) -> bool:
            seen.add(status.get("canaryWeight", 0))
            return status.get("phase") == "Succeeded"

        stage.until_status(done, 60, "the promotion")
    assert load.result["lost"] == 0, load.result
    assert load.result["sent"] > 100
    assert {20, 40, 60} <= seen
    assert stage.primary_image().endswith(":1.0.1")
    assert stage.replicas() == 0
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}
    stage.told(
        "Initialization done!", "New revision detected! Scaling up", "Starting canary analysis for", "canary weight 40",
        "Copying app.", "Routing all traffic to primary", "Promotion completed! Scaling down",
    )  # fmt: skip
    history = stage.status()["history"]
    assert [entry["outcome"] for entry in history] == ["Succeeded", "Initialized"]


def test_a_target_under_load_is_initialised_without_a_lost_request(stage: Stage, sandbox: Sandbox) -> None:
    kube = stage.kube
    service = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "app", "namespace": stage.namespace},
        "spec": {"selector": {"app": "app"}, "ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }  # fmt: skip
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "app", "namespace": stage.namespace},
        "spec": {"parentRefs": GATEWAY, "hostnames": [stage.host], "rules": [{"backendRefs": [{"name": "app", "port": PORT}]}]},
    }  # fmt: skip
    kube.apply(stage.deployment(), service, route)
    is_served(stage, sandbox.gateway_url, "1.0.0")
    with stage.load(rate=50) as load:
        kube.apply(stage.canary())
        stage.phase("Initialized", seconds=60)
        until(lambda: stage.replicas() == 0, 10, "the target to be at zero")
    assert load.result["sent"] > 50
    assert load.result["lost"] == 0, load.result


@pytest.mark.proves("live", "a whole release", providers=("gatewayapi:v1beta1", "contour"))
@pytest.mark.parametrize("provider", ["gatewayapi:v1beta1", "contour"])
def test_other_routers_carry_a_release(stage: Stage, provider: str) -> None:
    if provider == "contour":
        root = {
            "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": "root", "namespace": stage.namespace},
            "spec": {"virtualhost": {"fqdn": stage.host}, "includes": [{"name": "app", "conditions": [{"prefix": "/"}]}]},
        }  # fmt: skip
        stage.kube.apply(root)
    stage.initialise(stage.canary(provider=provider))
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=60)
    assert stage.primary_image().endswith(":1.0.1")
    is_served(stage, stage.sandbox.gateway_url, "1.0.1")


def test_a_traffic_split_is_written_through_a_release(stage: Stage) -> None:
    """One of them for the core; e2e/providers/test_smi.py has all."""
    stage.initialise(stage.canary(provider="smi:v1alpha2", analysis={**QUICK, "maxWeight": 20}))
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=90)
    assert stage.primary_image().endswith(":1.0.1")


@pytest.mark.proves("live", "a whole release", providers=("kubernetes",))
def test_blue_green_by_services(stage: Stage) -> None:
    stage.initialise(stage.canary(provider="kubernetes", analysis=ITERATIONS))
    address = stage.kube.get("Service", "app", stage.namespace)["spec"]["clusterIP"]
    stage.url = f"http://{address}:{PORT}"
    with stage.load(rate=20) as load:
        stage.release("1.0.1")
        stage.phase("Succeeded", seconds=60)
        is_served(stage, stage.url, "1.0.1")
    assert load.result["lost"] == 0, load.result
    assert stage.primary_image().endswith(":1.0.1")
    stage.told("canary iteration 2/2")


def test_blue_green_behind_a_gateway(stage: Stage) -> None:
    stage.initialise(stage.canary(analysis=ITERATIONS))
    with stage.load(rate=20) as load:
        stage.release("1.0.1")
        stage.phase("Succeeded", seconds=60)
    assert load.result["lost"] == 0, load.result
    stage.told("Routing all traffic to canary")


def test_ab_testing_leads_only_who_matches(stage: Stage, sandbox: Sandbox) -> None:
    analysis = {"interval": "3s", "threshold": 2, "iterations": 3, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}
    stage.initialise(stage.canary(analysis=analysis))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("iterations", 0) >= 1, 30, "the first iteration")

    def version(**headers: str) -> str:
        answer = httpx.get(f"{sandbox.gateway_url}/version", headers={"Host": stage.host, **headers}, timeout=2, trust_env=False)
        return answer.text

    until(lambda: "1.0.1" in version(**{"x-canary": "insider"}), 8, "the canary for insiders")
    assert "1.0.0" in version()
    stage.phase("Succeeded", seconds=60)


def test_session_affinity_keeps_a_visitor(stage: Stage, sandbox: Sandbox) -> None:
    analysis = {**QUICK, "interval": "4s", "stepWeight": 50, "maxWeight": 50, "sessionAffinity": {"cookieName": "flagger-cookie"}}
    stage.initialise(stage.canary(analysis=analysis))
    stage.release("1.0.1")

    def canary_cookie() -> str:
        answer = httpx.get(f"{sandbox.gateway_url}/version", headers={"Host": stage.host}, timeout=2, trust_env=False)
        cookie = answer.headers.get("set-cookie", "")
        return cookie if "1.0.1" in answer.text and "flagger-cookie=" in cookie else ""

    cookie = until(canary_cookie, 30, "a visitor who is sent to the canary and gets the cookie").split(";")[0]
    told = [
        httpx.get(f"{sandbox.gateway_url}/version", headers={"Host": stage.host, "Cookie": cookie}, timeout=2, trust_env=False).text
        for _ in range(10)
    ]
    assert all("1.0.1" in text for text in told)
    stage.phase("Succeeded", seconds=60)
    assert stage.status()["previousSessionAffinityCookie"] == cookie

    def taken_back() -> bool:
        answer = httpx.get(f"{sandbox.gateway_url}/version", headers={"Host": stage.host, "Cookie": cookie}, timeout=2, trust_env=False)
        return "Max-Age=-1" in answer.headers.get("set-cookie", "")

    until(taken_back, 10, "the cookie to be taken back")


def test_skip_analysis(stage: Stage) -> None:
    stage.initialise(stage.canary(skipAnalysis=True))
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=40)
    stage.told("Canary analysis was skipped")


def test_gates_hooks_and_alerts(stage: Stage, receiver: Receiver) -> None:
    gates = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
    kinds = (*gates, "pre-rollout", "rollout", "post-rollout", "event", "rollback")
    receiver.answers |= {"/confirm-rollout": 403, "/rollback": 403}
    stage.kube.apply({
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "chat", "namespace": stage.namespace},
        "spec": {"type": "slack", "channel": "c", "username": "u", "address": f"{receiver.url}/slack"},
    })  # fmt: skip
    analysis: Object = {
        **QUICK,
        "maxWeight": 20,
        "webhooks": [hook(receiver, kind, kind) for kind in kinds],
        "alerts": [{"name": "all", "providerRef": {"name": "chat"}}],
    }
    stage.initialise(stage.canary(analysis=analysis))
    stage.release("1.0.1")
    stage.phase("Waiting", seconds=20)
    assert stage.replicas() == 0
    receiver.answers.pop("/confirm-rollout")
    stage.phase("Succeeded", seconds=60)
    for kind in kinds:
        until(partial(receiver.at, f"/{kind}"), 15, f"the hook {kind}")
    body = receiver.at("/pre-rollout")[0].body
    assert body["name"] == "app"
    assert body["phase"] == "Progressing"
    assert receiver.at("/pre-rollout")[0].headers["idempotency-key"]
    assert receiver.at("/post-rollout")[0].body["phase"] == "Succeeded"

    def said() -> set[str]:
        return {item.body["attachments"][0]["text"] for item in receiver.at("/slack")}

    for text in ("Canary is waiting for approval.", "Canary analysis completed successfully, promotion finished."):
        until(partial(_among, text, said), 10, f"the alert {text}", said)


def test_failing_requests_roll_back_at_the_measurement(stage: Stage, sandbox: Sandbox) -> None:
    stage.kube.apply({
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "errors", "namespace": stage.namespace},
        "spec": {
            "provider": {"type": "prometheus", "address": sandbox.prometheus_url},
            "query": 'sum(rate(envoy_cluster_upstream_rq_xx{envoy_response_code_class="5",envoy_cluster_name=~"{{ namespace }}_.*"}'
            '[{{ interval }}])) or vector(0)',
        },
    })  # fmt: skip
    analysis = {
        **QUICK, "threshold": 1,
        "metrics": [{"name": "errors", "interval": "10s", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 0.1}}],
    }  # fmt: skip
    stage.initialise(stage.canary(analysis=analysis))
    broken = [{"name": "app", "image": stage.image("1.0.1"), "env": [{"name": "FAIL_PERCENT", "value": "100"}]}]
    with stage.load(rate=50):
        stage.change(containers=broken)
        stage.phase("Failed", seconds=60)
    stage.told("advancement errors")
    assert "failed checks threshold reached 1" in stage.status()["history"][0]["cause"]
    assert stage.weights() == {"app-primary": 100, "app-canary": 0}


def test_what_kubectl_says(stage: Stage, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary())

    def kubectl(*arguments: str) -> str:
        command = [str(sandbox.kubectl), "-n", stage.namespace, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    kubectl("wait", "canary/app", "--for=condition=Ready", "--timeout=20s")
    kubectl("wait", "canary/app", "--for=condition=promoted", "--timeout=20s")
    assert "Initialized" in kubectl("get", "canaries")
    stage.release("1.0.1")
    kubectl("wait", "canary/app", "--for=condition=Ready=false", "--timeout=20s")
    kubectl("wait", "canary/app", "--for=condition=promoted", "--timeout=60s")
    assert "Succeeded" in kubectl("get", "canaries")
    assert "stepWeight" in kubectl("explain", "canary.spec.analysis")


def test_a_refused_spec_moves_nothing_and_recovers(stage: Stage) -> None:
    canary: dict[str, Any] = stage.canary()
    stage.kube.apply(stage.deployment(), {**canary, "spec": {**canary["spec"], "autoscalerRef": {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "app",
    }}})  # fmt: skip
    until(lambda: stage.condition("Stalled").get("status") == "True", 15, "the refusal", stage.story)
    assert "autoscalerRef" in stage.condition("Stalled")["message"]
    assert stage.kube.find("Deployment", "app-primary", stage.namespace) is None
    assert stage.replicas() == 2
    stage.kube.apply(canary)
    stage.phase("Initialized", seconds=40)
    assert stage.condition("Stalled").get("status") != "True"


@pytest.mark.fault("Q-19")
def test_configs_are_copied_in_versions_and_released(stage: Stage) -> None:
    where = {"namespace": stage.namespace}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf", **where}, "data": {"k": "one"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden", **where}, "stringData": {"s": "one"}}
    stage.kube.apply(config, secret)
    deployment = stage.deployment()
    uses = [{"configMapRef": {"name": "conf"}}, {"secretRef": {"name": "hidden"}}]
    deployment["spec"]["template"]["spec"]["containers"][0]["envFrom"] = uses
    stage.initialise(stage.canary(analysis={**QUICK, "maxWeight": 20}), deployment)

    def primary_config(kind: str = "configMapRef") -> str:
        spec = stage.kube.get("Deployment", "app-primary", stage.namespace)["spec"]["template"]["spec"]
        return str(next(each[kind]["name"] for each in spec["containers"][0]["envFrom"] if kind in each))

    first, hidden = primary_config(), primary_config("secretRef")
    assert first.startswith("conf-primary-")
    assert hidden.startswith("hidden-primary-")
    stage.kube.apply({**secret, "stringData": {"s": "two"}}, {**config, "data": {"k": "two"}})
    stage.until_status(lambda status: status.get("phase") == "Progressing", 10, "a run for the changed config")
    stage.phase("Succeeded", seconds=60)
    second = primary_config()
    assert second != first
    assert stage.kube.get("ConfigMap", second, stage.namespace)["data"] == {"k": "two"}
    assert primary_config("secretRef") != hidden
    until(lambda: stage.kube.find("ConfigMap", first, stage.namespace) is None, 10, "the old copy to go")
    until(lambda: stage.kube.find("Secret", hidden, stage.namespace) is None, 10, "the old copy of the Secret to go")


def test_a_budget_that_asks_for_it_is_copied_for_the_primary_and_goes_with_the_users(stage: Stage) -> None:
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "app", "namespace": stage.namespace, "labels": {"flagger.app/copy-to-primary": "true"}},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "app"}}},
    }  # fmt: skip
    stage.kube.apply(budget)
    stage.initialise(stage.canary())

    def copied() -> Object | None:
        return stage.kube.find("PodDisruptionBudget", "app-primary", stage.namespace)

    assert until(copied, 10, "the copy")["spec"]["selector"] == {"matchLabels": {"app": "app-primary"}}
    stage.kube.delete("PodDisruptionBudget", "app", stage.namespace)
    until(lambda: copied() is None, 10, "the copy to go", stage.story)


@pytest.mark.fault("Q-61")
def test_deletion_with_revert_gives_the_target_its_traffic_back(stage: Stage, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary(revertOnDeletion=True))
    stage.kube.delete("Canary", "app", stage.namespace)
    until(lambda: stage.kube.find("Canary", "app", stage.namespace) is None, 60, "the Canary to go", stage.texts)
    assert stage.replicas() == 2


def test_abort_and_retry_by_the_command_line(stage: Stage, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary(analysis={**QUICK, "interval": "5s"}))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 30, "the first step")
    assert flaggerpy(sandbox, "abort", "app", "-n", stage.namespace).returncode == 0
    stage.phase("Failed", seconds=20)
    assert flaggerpy(sandbox, "wait", "app", "-n", stage.namespace, "--image", ":1.0.1", "--timeout", "10s").returncode == 1
    assert flaggerpy(sandbox, "retry", "app", "-n", stage.namespace).returncode == 0
    stage.until_status(lambda status: status.get("canaryWeight") == 20, 30, "the first step again")
    assert flaggerpy(sandbox, "promote", "app", "-n", stage.namespace).returncode == 0
    stage.phase("Succeeded", seconds=30)
    said = flaggerpy(sandbox, "describe", "app", "-n", stage.namespace)
    assert said.returncode == 0
    assert "Succeeded" in said.stdout
