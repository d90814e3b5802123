"""Rollouts become Deployments and Canaries that our own checks accept, and nothing is left out in silence."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml

from flaggerpy.cli import manifests
from flaggerpy.cli.converting import output
from flaggerpy.cli.converting.rollout import Conversion, convert
from flaggerpy.cli.converting.source import Weight
from flaggerpy.cli.linting.findings import Severity
from flaggerpy.cli.linting.run import lint

Obj = dict[str, Any]

TEMPLATE: Obj = {
    "metadata": {"labels": {"app": "shop"}},
    "spec": {"containers": [{"name": "shop", "image": "shop:1.0", "ports": [{"containerPort": 8080}]}]},
}
SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "shop", "namespace": "test"},
    "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
ISTIO: Obj = {"istio": {"virtualService": {"name": "shop-routes"}}}
VIRTUAL: Obj = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "shop-routes", "namespace": "test"},
    "spec": {"hosts": ["shop.example.com"], "gateways": ["public"], "http": [{"timeout": "5s", "route": []}]},
}

INGRESS: Obj = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "shop-in"}


def rollout(strategy: Obj, **spec: Any) -> Obj:
    selector = {"matchLabels": {"app": "shop"}}
    wanted = {"replicas": 3, "selector": selector, "template": copy.deepcopy(TEMPLATE), "strategy": strategy, **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop", "namespace": "test"}, "spec": wanted}


def weighted(*steps: Obj, **more: Any) -> Obj:
    return {"canary": {"stableService": "shop", "canaryService": "shop-new", "trafficRouting": ISTIO, "steps": list(steps), **more}}


def analysis_template(*metrics: Obj, args: list[Obj] | None = None) -> Obj:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "rates", "namespace": "test"},
        "spec": {"args": args or [], "metrics": list(metrics)},
    }


def metric(**fields: Any) -> Obj:
    query = fields.pop("query", "up")
    provider = {"prometheus": {"address": "http://prometheus.example.com:9090", "query": query}}
    return {"name": "rate", "successCondition": "result[0] >= 0.95", "provider": provider, **fields}


def only(found: Conversion, kind: str) -> Obj:
    [obj] = [each for each in found.objects if each["kind"] == kind]
    return obj


def told(found: Conversion, weight: Weight) -> dict[str, str]:
    return {each.path: each.text for each in found.remarks if each.weight is weight}


def test_weights_and_pauses_become_an_analysis() -> None:
    steps: list[Obj] = [{"setWeight": 20}, {"pause": {"duration": "1m"}}, {"setWeight": 40}, {"pause": {"duration": 60}}, {"setWeight": 60}]
    found = convert([rollout(weighted(*steps)), SERVICE, VIRTUAL])
    canary = only(found, "Canary")["spec"]
    assert canary["analysis"] == {"interval": "1m", "stepWeight": 20, "maxWeight": 60, "threshold": 1}
    assert canary["provider"] == "istio"
    assert canary["service"] == {
        "name": "shop", "port": 80, "targetPort": 8080, "hosts": ["shop.example.com"], "gateways": ["public"], "timeout": "5s",
    }  # fmt: skip
    assert told(found, Weight.LOST) == {}
    deployment = only(found, "Deployment")
    assert deployment["metadata"] == {"name": "shop", "namespace": "test"}
    assert deployment["spec"] == {"selector": {"matchLabels": {"app": "shop"}}, "template": TEMPLATE, "replicas": 3}


def test_uneven_weights_are_listed_and_only_rising_ones_are_kept() -> None:
    found = convert([rollout(weighted({"setWeight": 5}, {"setWeight": 50}, {"setWeight": 20}, {"setWeight": 100})), SERVICE])
    assert only(found, "Canary")["spec"]["analysis"]["stepWeights"] == [5, 50]
    assert "spec.strategy.canary.steps[2].setWeight" in told(found, Weight.LOST)
    assert "spec.strategy.canary.steps[3].setWeight" in told(found, Weight.CHANGED)


def test_a_pause_without_an_end_is_said_to_be_lost_or_to_be_a_gate() -> None:
    found = convert([rollout(weighted({"setWeight": 20}, {"pause": {}}, {"setWeight": 40}, {"pause": {}})), SERVICE])
    assert list(told(found, Weight.LOST)) == ["spec.strategy.canary.steps[1].pause"]
    assert "confirm-promotion" in told(found, Weight.TODO)["spec.strategy.canary.steps"]


def test_an_analysis_becomes_metrics_and_templates() -> None:
    analysis = {"templates": [{"templateName": "rates"}], "args": [{"name": "service", "value": "shop-new.test.svc"}]}
    template = analysis_template(metric(failureLimit=2, query='rate(x{s="{{ args.service }}"}[1m])'), args=[{"name": "service"}])
    found = convert([rollout(weighted({"setWeight": 50}, {"analysis": analysis}, analysis=analysis)), SERVICE, template])
    canary = only(found, "Canary")["spec"]["analysis"]
    assert canary["metrics"] == [{"name": "rate", "templateRef": {"name": "rates-rate"}, "thresholdRange": {"min": 0.95}}]
    assert canary["threshold"] == 3, "Argo fails with one failure more than it bears, a Canary with that many"
    query = only(found, "MetricTemplate")["spec"]["query"]
    assert query == 'rate(x{s="shop-canary.test.svc"}[1m])', "the canary's Service has another name"
    assert told(found, Weight.LOST) == {}


@pytest.mark.parametrize("provider", ["datadog", "web", "job", "newRelic", "kayenta", "unheardOf"])
def test_a_provider_that_we_have_not_is_lost_with_a_way_out(provider: str) -> None:
    template = analysis_template({"name": "rate", "successCondition": "result < 1", "provider": {provider: {"query": "x"}}})
    found = convert([rollout(weighted({"setWeight": 50}, analysis={"templates": [{"templateName": "rates"}]})), SERVICE, template])
    assert "metrics" not in only(found, "Canary")["spec"]["analysis"]
    [(path, text)] = told(found, Weight.LOST).items()
    assert path == f"spec.metrics[0].provider.{provider}"
    assert len(text) > 20


def test_a_template_that_is_not_given_and_an_argument_without_a_value_are_said() -> None:
    missing = convert([rollout(weighted({"setWeight": 50}, analysis={"templates": [{"templateName": "rates"}]})), SERVICE])
    assert "rates" in told(missing, Weight.LOST)["spec.strategy.canary.analysis.templates[0].templateName"]
    template = analysis_template(metric(query="{{args.who}}"), args=[{"name": "who"}])
    found = convert([rollout(weighted({"setWeight": 50}, analysis={"templates": [{"templateName": "rates"}]})), SERVICE, template])
    assert "who" in told(found, Weight.LOST)["spec.metrics[0].provider.prometheus.query"]


def test_blue_green_is_tested_beside_the_primary() -> None:
    strategy = {
        "blueGreen": {
            "activeService": "shop",
            "previewService": "shop-preview",
            "autoPromotionEnabled": False,
            "previewReplicaCount": 1,
            "prePromotionAnalysis": {"templates": [{"templateName": "rates"}], "args": [{"name": "s", "value": "shop-preview"}]},
            "scaleDownDelaySeconds": 30,
        }
    }
    template = analysis_template(metric(interval="20s", count=4, query="{{args.s}}"), args=[{"name": "s"}])
    found = convert([rollout(strategy), SERVICE, template])
    canary = only(found, "Canary")["spec"]
    assert canary["provider"] == "kubernetes"
    assert canary["analysis"]["iterations"] == 4
    assert canary["analysis"]["interval"] == "20s"
    assert only(found, "MetricTemplate")["spec"]["query"] == "shop-canary"
    assert set(told(found, Weight.LOST)) == {f"spec.strategy.blueGreen.{key}" for key in ("previewReplicaCount", "scaleDownDelaySeconds")}
    assert "autoPromotionEnabled" in " ".join(told(found, Weight.TODO))


def test_without_a_router_it_says_that_weights_are_gone() -> None:
    found = convert([rollout({"canary": {"steps": [{"setWeight": 20}, {"setWeight": 40}]}}), SERVICE])
    canary = only(found, "Canary")["spec"]
    assert canary["provider"] == "kubernetes"
    assert canary["analysis"]["iterations"] == 2
    assert "spec.strategy.canary.trafficRouting" in told(found, Weight.CHANGED)


@pytest.mark.parametrize(
    ("routing", "provider", "spec"),
    [
        ({"nginx": {"stableIngress": "shop-in"}}, "nginx", {"ingressRef": INGRESS}),
        ({"traefik": {"weightedTraefikServiceName": "shop-split"}}, "traefik", {}),
        ({"smi": {"rootService": "shop"}}, "smi:v1alpha2", {}),
        ({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "shop-route", "namespace": "test"}}}, "gatewayapi:v1", {}),
    ],
)
def test_routers(routing: Obj, provider: str, spec: Obj) -> None:
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop-route"},
        "spec": {"hostnames": ["shop.example.com"], "parentRefs": [{"name": "public"}], "rules": []},
    }
    found = convert([rollout(weighted({"setWeight": 50}, trafficRouting=routing)), SERVICE, route])
    canary = only(found, "Canary")["spec"]
    assert canary["provider"] == provider
    assert spec.items() <= canary.items()
    assert told(found, Weight.LOST) == {}
    if provider == "gatewayapi:v1":
        assert canary["service"]["gatewayRefs"] == [{"name": "public"}]


def test_an_autoscaler_of_the_rollout_is_led_to_the_deployment() -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "shop"},
        "spec": {"maxReplicas": 5, "scaleTargetRef": {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "shop"}},
    }
    found = convert([rollout(weighted({"setWeight": 50})), SERVICE, scaler])
    led = only(found, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert led == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}
    assert only(found, "Canary")["spec"]["autoscalerRef"]["name"] == "shop"


def test_a_header_route_becomes_a_match_and_a_mirror_a_mirror() -> None:
    header = {"setHeaderRoute": {"name": "h", "match": [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]}}
    found = convert([rollout(weighted(header)), SERVICE])
    assert only(found, "Canary")["spec"]["analysis"]["match"] == [{"headers": {"x-beta": {"exact": "yes"}}}]
    mirror = {"setMirrorRoute": {"name": "m", "percentage": 30, "match": [{"path": {"prefix": "/"}}]}}
    found = convert([rollout(weighted({"setWeight": 50}, mirror)), SERVICE])
    analysis = only(found, "Canary")["spec"]["analysis"]
    assert (analysis["mirror"], analysis["mirrorWeight"]) == (True, 30)
    assert "spec.strategy.canary.steps[1].setMirrorRoute.match" in told(found, Weight.LOST)


def test_a_workload_reference_keeps_its_deployment() -> None:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-workload", "scaleDown": "onsuccess"}
    obj = rollout(weighted({"setWeight": 50}), workloadRef=reference)
    del obj["spec"]["template"]
    found = convert([obj, SERVICE])
    assert not [each for each in found.objects if each["kind"] == "Deployment"]
    assert only(found, "Canary")["spec"]["targetRef"]["name"] == "shop-workload"
    assert told(found, Weight.LOST) == {}


def test_no_field_is_left_out_in_silence() -> None:
    """Whatever field a Rollout has: it changes what comes out, or is in the report."""
    obj = rollout(weighted({"setWeight": 50}, notYetThought={"of": 1}), alsoNew=True)
    obj["spec"]["strategy"]["canary"]["trafficRouting"] = {"istio": {"virtualService": {"name": "v", "fresh": 1}}}
    lost = told(convert([obj, SERVICE]), Weight.LOST)
    assert set(lost) == {
        "spec.alsoNew",
        "spec.strategy.canary.notYetThought",
        "spec.strategy.canary.trafficRouting.istio.virtualService.fresh",
    }


def test_what_comes_out_passes_our_own_checks() -> None:
    steps: list[Obj] = [{"setWeight": 20}, {"pause": {"duration": "1m"}}, {"setWeight": 40}]
    template = analysis_template(metric(interval="30s"))
    found = convert([rollout(weighted(*steps, analysis={"templates": [{"templateName": "rates"}]})), SERVICE, VIRTUAL, template])
    documents = manifests.parse(output.as_yaml(found) + "---\n" + yaml.safe_dump(SERVICE), "converted")
    wrong = [each for each in lint(documents, provider="", namespace="") if each.severity >= Severity.WARNING]
    assert wrong == []


def test_the_report_stands_above_the_manifests_and_is_data_too() -> None:
    found = convert([rollout(weighted({"setWeight": 50}, pingPong={})), SERVICE])
    text = output.as_yaml(found)
    assert text.startswith("# Not carried over:\n#   - Rollout shop, spec.strategy.canary.pingPong:")
    assert [each["kind"] for each in yaml.safe_load_all(text) if each] == ["Deployment", "Canary"]
    data = json.loads(output.as_json(found))
    assert {"about", "path", "weight", "text"} == set(data["remarks"][0])
    assert output.summary(found).startswith("1 Rollout converted: 1 Deployment, 1 Canary.")


def test_what_should_be_a_number_and_is_none_is_told_and_never_a_traceback() -> None:
    pauses = ({"pause": {"duration": "12d"}}, {"pause": {"duration": 1_000_000}})
    broken = rollout(weighted({"setWeight": "a fifth"}, {"setWeight": "30"}, *pauses))
    broken["spec"]["progressDeadlineSeconds"] = [600]
    found = convert([broken, SERVICE])
    lost = told(found, Weight.LOST)
    assert {"spec.strategy.canary.steps[0].setWeight", "spec.progressDeadlineSeconds"} <= set(lost)
    analysis = only(found, "Canary")["spec"]["analysis"]
    assert (analysis["stepWeight"], analysis["interval"]) == (30, "277h46m40s")
