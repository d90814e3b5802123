"""Flagger's own end-to-end scenarios that no other file plays, with the checks that theirs leave out.

Their names stand in each test; what they share with test_releases.py and test_routes.py is not repeated here.
"""

from __future__ import annotations

import httpx
import pytest

from e2e.core.receiver import Receiver
from e2e.core.stage import PORT, Stage
from e2e.kube import Object, until

pytestmark = pytest.mark.slow
WEIGHTS: Object = {"interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 40}
FLUX = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled", "helm.toolkit.fluxcd.io/driftDetection": "disabled"}


def version(stage: Stage, **headers: str) -> str:
    sent = {"Host": stage.host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = httpx.get(f"{stage.sandbox.gateway_url}/version", headers=sent, timeout=2, trust_env=False)
    return str(answer.json()["version"])


def hook(receiver: Receiver, kind: str) -> Object:
    return {"name": kind, "type": kind, "url": f"{receiver.url}/{kind}", "timeout": "5s"}


def metric_of(stage: Stage, value: int) -> Object:
    """A metric that always has this value, and fails above 1."""
    spec = {"provider": {"type": "prometheus", "address": stage.sandbox.prometheus_url}, "query": f"vector({value})"}
    meta = {"name": "errors", "namespace": stage.namespace}
    stage.kube.apply({"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": meta, "spec": spec})
    return {"name": "errors", "interval": "10s", "templateRef": {"name": "errors"}, "thresholdRange": {"max": 1}}


def pods(stage: Stage) -> set[str]:
    """The primary's, by uid."""
    return {str(pod["metadata"]["uid"]) for pod in stage.kube.items("Pod", stage.namespace, "app=app-primary")}


def test_a_failed_image_that_comes_again_is_analysed_again_and_a_good_one_after_it_is_promoted(stage: Stage) -> None:
    """nginx/test-lifecycle: theirs does not look at the primary's pods nor at who serves."""
    stage.initialise(stage.canary(analysis={**WEIGHTS, "metrics": [metric_of(stage, 50)]}))
    before = pods(stage)
    stage.release("1.0.1")
    stage.phase("Failed", seconds=60)
    stage.release("1.0.0")
    stage.until_status(lambda status: status.get("lastAppliedSpec") == status.get("lastPromotedSpec"), 20, "the promoted image to be seen")
    assert stage.status()["phase"] == "Failed"
    assert stage.replicas() == 0
    stage.release("1.0.1")
    stage.phase("Progressing", seconds=20)
    stage.phase("Failed", seconds=60)
    assert version(stage) == "1.0.0"
    assert pods(stage) == before
    metric_of(stage, 0)
    stage.release("1.0.2")
    stage.phase("Succeeded", seconds=60)
    assert version(stage) == "1.0.2"
    assert [entry["outcome"] for entry in stage.status()["history"]][:3] == ["Succeeded", "Failed", "Failed"]


def test_a_skipped_analysis_promotes_and_a_missing_image_fails_and_leaves_the_primary(stage: Stage) -> None:
    """istio/test-skip-analysis: their loop over the untouched primary compares two empty texts."""
    stage.initialise(stage.canary(skipAnalysis=True, analysis=WEIGHTS))
    stage.release("1.0.1")
    stage.phase("Succeeded", seconds=60)
    primary = stage.kube.get("Deployment", "app-primary", stage.namespace)
    stage.release("9.9.9")
    stage.phase("Failed", seconds=60)
    after = stage.kube.get("Deployment", "app-primary", stage.namespace)
    assert after["spec"]["template"] == primary["spec"]["template"]
    assert after["status"]["availableReplicas"] == primary["status"]["availableReplicas"]
    assert version(stage) == "1.0.1"
    stage.told("does not exist")


def test_a_service_of_the_user_is_led_to_the_primary_and_keeps_what_is_the_users(stage: Stage, receiver: Receiver) -> None:
    """kubernetes/test-deployment: theirs does not look at the Service's other ports, nor at who serves in between."""
    ports = [{"name": "http", "port": 80, "targetPort": PORT}, {"name": "metrics", "port": 9797, "targetPort": PORT}]
    meta = {"name": "app", "namespace": stage.namespace, "labels": {"team": "a"}, "annotations": {"note": "b"}}
    stage.kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": "app"}, "ports": ports}})
    analysis = {"interval": "2s", "threshold": 2, "iterations": 3, "webhooks": [hook(receiver, "confirm-promotion")]}
    receiver.answers["/confirm-promotion"] = 403
    stage.initialise(stage.canary(provider="kubernetes", service={"port": 80, "targetPort": PORT}, analysis=analysis))

    def served() -> str:
        address = stage.kube.get("Service", "app", stage.namespace)["spec"]["clusterIP"]
        return str(httpx.get(f"http://{address}/version", timeout=5, trust_env=False).json()["version"])

    service = stage.kube.get("Service", "app", stage.namespace)
    assert service["spec"]["selector"] == {"app": "app-primary"}
    assert {port["name"] for port in service["spec"]["ports"]} == {"http", "metrics"}
    assert service["metadata"]["labels"] == {"team": "a"}
    assert {"note": "b", **FLUX}.items() <= service["metadata"]["annotations"].items()
    stage.release("1.0.1")
    stage.phase("WaitingPromotion", seconds=60)
    assert served() == "1.0.0"
    del receiver.answers["/confirm-promotion"]
    stage.phase("Succeeded", seconds=60)
    until(lambda: served() == "1.0.1", 10, "the new version by the Service")


def test_ab_testing_by_an_httpproxy_is_promoted(stage: Stage) -> None:
    """contour/test-canary, its A/B part: theirs never sends a request with the header."""
    spec = {"virtualhost": {"fqdn": stage.host}, "includes": [{"name": "app", "conditions": [{"prefix": "/"}]}]}
    meta = {"name": "root", "namespace": stage.namespace}
    stage.kube.apply({"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": meta, "spec": spec})
    analysis = {"interval": "3s", "threshold": 2, "iterations": 3, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}
    stage.initialise(stage.canary(provider="contour", analysis=analysis))
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("iterations", 0) >= 1, 30, "the first iteration")
    until(lambda: version(stage, x_canary="insider") == "1.0.1", 8, "insiders at the canary")
    assert version(stage) == "1.0.0"
    stage.phase("Succeeded", seconds=60)
    until(lambda: version(stage) == "1.0.1", 10, "the new version for all")


def test_step_weights_are_followed_one_by_one(stage: Stage) -> None:
    """linkerd/test-steps: theirs looks at the end only."""
    stage.initialise(stage.canary(analysis={"interval": "2s", "threshold": 2, "stepWeights": [5, 15, 60], "maxWeight": 50}))
    seen: list[int] = []
    stage.release("1.0.1")

    def done(status: Object) -> bool:
        if status.get("canaryWeight", 0) not in seen[-1:]:
            seen.append(status.get("canaryWeight", 0))
        return status.get("phase") == "Succeeded"

    stage.until_status(done, 60, "the promotion")
    assert seen == [0, 5, 15, 60, 0]


@pytest.mark.parametrize("gate", ["confirm-traffic-increase", "confirm-promotion"])
def test_a_gate_holds_the_release_until_it_opens(stage: Stage, receiver: Receiver, gate: str) -> None:
    """None of theirs closes a gate."""
    receiver.answers[f"/{gate}"] = 403
    stage.initialise(stage.canary(analysis={**WEIGHTS, "webhooks": [hook(receiver, gate)]}))
    stage.release("1.0.1")
    until(lambda: len(receiver.at(f"/{gate}")) >= 3, 60, "the gate to be asked again and again", stage.story)
    held = stage.status()
    weight = 0 if gate == "confirm-traffic-increase" else 40
    assert (held["phase"], held["canaryWeight"]) == ("Progressing" if weight == 0 else "WaitingPromotion", weight)
    assert stage.weights()["app-canary"] == weight
    assert stage.texts().count(next(text for text in stage.texts() if "approval" in text)) == 1
    receiver.answers[f"/{gate}"] = 200
    stage.phase("Succeeded", seconds=60)
    assert version(stage) == "1.0.1"
