"""Specs that must be refused: by `spec_problems`, and where a schema can know it by the API server (`e2e/core/test_crds.py`)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]

GOOD: Obj = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "metadata": {"name": "podinfo", "namespace": "test"},
    "spec": {
        "provider": "contour",
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
        "service": {"port": 9898},
        "analysis": {
            "interval": "10s",
            "threshold": 3,
            "maxWeight": 50,
            "stepWeight": 10,
            "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}],
            "webhooks": [{"name": "smoke", "type": "pre-rollout", "url": "http://tester.test/", "timeout": "15s"}],
        },
    },
}


@dataclass(frozen=True)
class Broken:
    """A patch of GOOD's spec (None takes a key away), the field that the refusal names, and words of it.

    `schema` is False for what only this controller knows, such as a provider that it cannot serve yet; the CRD admits it.
    `server` are the API server's words where they differ.
    """

    name: str
    patch: Obj
    field: str
    words: str
    schema: bool = True
    server: str = ""


def patched(base: Obj, patch: Obj) -> Obj:
    """The object with a merge patch (RFC 7386) applied to its spec."""
    result = deepcopy(base)
    _merge(result["spec"], patch)
    return result


def _merge(into: Obj, patch: Obj) -> None:
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = deepcopy(value)


def _analysis(**fields: Any) -> Obj:
    return {"analysis": fields}


def _metric(**fields: Any) -> Obj:
    return _analysis(metrics=[{"name": "errors", "templateRef": {"name": "errors"}} | fields])


def _hook(**fields: Any) -> Obj:
    return _analysis(webhooks=[{"name": "smoke", "url": "http://tester.test/"} | fields])


WHOLE = "must be a whole number"
INTEGER = 'must be of type integer: "number"'
INSIDERS = [{"headers": {"x": {"exact": "y"}}}]
INGRESS = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}
BLUE_GREEN: Obj = {"stepWeight": None, "maxWeight": None, "iterations": 5}

BROKEN = [
    # steps and strategies
    Broken("fraction in stepWeight", _analysis(stepWeight=2.5), "spec.analysis.stepWeight", WHOLE, server=INTEGER),
    Broken("fraction in threshold", _analysis(threshold=1.5), "spec.analysis.threshold", WHOLE, server=INTEGER),
    Broken(
        "fraction in stepWeights", _analysis(stepWeight=None, stepWeights=[5, 7.5]), "spec.analysis.stepWeights[1]", WHOLE, server=INTEGER
    ),
    Broken("fraction in iterations", _analysis(**BLUE_GREEN | {"iterations": 0.5}), "spec.analysis.iterations", WHOLE, server=INTEGER),
    Broken(
        "fraction in iterations of kubernetes",
        {"provider": "kubernetes", **_analysis(**BLUE_GREEN | {"iterations": 0.5})},
        "spec.analysis.iterations",
        WHOLE,
        server=INTEGER,
    ),
    Broken(
        "fraction in iterations of a match",
        _analysis(**BLUE_GREEN | {"iterations": 2.5}, match=[{"headers": {"x": {"exact": "y"}}}]),
        "spec.analysis.iterations",
        WHOLE,
        server=INTEGER,
    ),
    Broken("fraction in deadline", {"progressDeadlineSeconds": 59.9}, "spec.progressDeadlineSeconds", WHOLE, server=INTEGER),
    Broken("fraction in port", {"service": {"port": 80.5}}, "spec.service.port", WHOLE, server=INTEGER),
    Broken("stepWeight as text", _analysis(stepWeight="10"), "spec.analysis.stepWeight", WHOLE, server='of type integer: "string"'),
    Broken("stepWeight 0", _analysis(stepWeight=0), "spec.analysis.stepWeight", "within 1 and 100", server="greater than or equal to 1"),
    Broken(
        "stepWeight over 100", _analysis(stepWeight=101), "spec.analysis.stepWeight", "within 1 and 100", server="less than or equal to 100"
    ),
    Broken(
        "stepWeight negative",
        _analysis(stepWeight=-10),
        "spec.analysis.stepWeight",
        "within 1 and 100",
        server="greater than or equal to 1",
    ),
    Broken(
        "maxWeight over 100", _analysis(maxWeight=150), "spec.analysis.maxWeight", "within 1 and 100", server="less than or equal to 100"
    ),
    Broken("maxWeight 0", _analysis(maxWeight=0), "spec.analysis.maxWeight", "within 1 and 100", server="greater than or equal to 1"),
    Broken("falling stepWeights", _analysis(stepWeight=None, stepWeights=[10, 30, 20]), "spec.analysis.stepWeights", "must rise"),
    Broken("equal stepWeights", _analysis(stepWeight=None, stepWeights=[10, 10, 20]), "spec.analysis.stepWeights", "must rise"),
    Broken("empty stepWeights", _analysis(stepWeight=None, stepWeights=[]), "spec.analysis.stepWeights", "must rise"),
    Broken(
        "stepWeights over 100",
        _analysis(stepWeight=None, stepWeights=[50, 120]),
        "spec.analysis.stepWeights[1]",
        "within 1 and 100",
        server="less than or equal to 100",
    ),
    Broken(
        "stepWeights from 0",
        _analysis(stepWeight=None, stepWeights=[0, 50]),
        "spec.analysis.stepWeights[0]",
        "within 1 and 100",
        server="greater than or equal to 1",
    ),
    Broken("two strategies", _analysis(iterations=5), "spec.analysis", "exactly one of iterations"),
    Broken("two step forms", _analysis(stepWeights=[10, 50]), "spec.analysis", "exactly one of iterations"),
    Broken("no strategy", _analysis(stepWeight=None), "spec.analysis", "exactly one of iterations"),
    Broken("no iterations", _analysis(**BLUE_GREEN | {"iterations": 0}), "spec.analysis.iterations", "at least 1", server="equal to 1"),
    Broken("negative threshold", _analysis(threshold=-1), "spec.analysis.threshold", "at least 0", server="equal to 0"),
    Broken("stepWeightPromotion over 100", _analysis(stepWeightPromotion=101), "spec.analysis.stepWeightPromotion", "100"),
    Broken("mirrorWeight over 100", _analysis(mirror=True, mirrorWeight=101), "spec.analysis.mirrorWeight", "100"),
    Broken("canaryReadyThreshold over 100", _analysis(canaryReadyThreshold=150), "spec.analysis.canaryReadyThreshold", "100"),
    Broken("primaryReadyThreshold below 0", _analysis(primaryReadyThreshold=-1), "spec.analysis.primaryReadyThreshold", "0"),
    Broken("no analysis", {"analysis": None}, "spec", "analysis is missing"),
    Broken(
        "analysis and canaryAnalysis",
        {"canaryAnalysis": {"interval": "1m", "threshold": 1, "stepWeight": 5}},
        "spec",
        "not be given together",
    ),
    Broken(
        "legacy analysis broken",
        {"analysis": None, "canaryAnalysis": {"interval": "1m", "threshold": 1, "stepWeight": 0}},
        "spec.canaryAnalysis.stepWeight",
        "within 1 and 100",
        server="greater than or equal to 1",
    ),
    # durations
    Broken("interval without unit", _analysis(interval="10"), "spec.analysis.interval", "must be a duration"),
    Broken("interval in words", _analysis(interval="often"), "spec.analysis.interval", "must be a duration"),
    Broken("interval with rest", _analysis(interval="10s please"), "spec.analysis.interval", "must be a duration"),
    Broken("interval empty", _analysis(interval=""), "spec.analysis.interval", "must be a duration"),
    Broken("interval zero", _analysis(interval="0s"), "spec.analysis.interval", "longer than zero"),
    Broken("interval negative", _analysis(interval="-5s"), "spec.analysis.interval", "must be a duration"),
    Broken("interval a number", _analysis(interval=10), "spec.analysis.interval", "must be a text", server='of type string: "integer"'),
    Broken("interval missing", _analysis(interval=None), "spec.analysis", "interval is missing", server="Required value"),
    Broken("threshold missing", _analysis(threshold=None), "spec.analysis", "threshold is missing", server="Required value"),
    Broken("timeout of service", {"service": {"timeout": "15 seconds"}}, "spec.service.timeout", "must be a duration"),
    Broken("perTryTimeout", {"service": {"retries": {"perTryTimeout": "1x"}}}, "spec.service.retries.perTryTimeout", "must be a duration"),
    Broken("deadline 0", {"progressDeadlineSeconds": 0}, "spec.progressDeadlineSeconds", "at least 1", server="equal to 1"),
    Broken("settle", {"podHealth": {"settle": ""}}, "spec.podHealth.settle", "must be a duration"),
    Broken("maxRestarts", {"podHealth": {"maxRestarts": -1}}, "spec.podHealth.maxRestarts", "at least 0", server="equal to 0"),
    # metrics
    Broken("metric without name", _metric(name=None), "spec.analysis.metrics[0].name", "must be a text", server="name"),
    Broken("metric interval", _metric(interval="1 minute"), "spec.analysis.metrics[0].interval", "must be a duration"),
    Broken("metric of nothing", _analysis(metrics=[{"name": "error-rate"}]), "spec.analysis.metrics[0]", "templateRef is missing"),
    Broken("range upside down", _metric(thresholdRange={"min": 9, "max": 1}), "spec.analysis.metrics[0].thresholdRange", "not be greater"),
    Broken(
        "success rate over 100",
        _analysis(metrics=[{"name": "request-success-rate", "thresholdRange": {"min": 101}}]),
        "spec.analysis.metrics[0]",
        "percentage",
    ),
    Broken(
        "range of texts",
        _metric(thresholdRange={"max": "5"}),
        "spec.analysis.metrics[0].thresholdRange.max",
        "a number",
        server="of type number",
    ),
    Broken(
        "templateRef without name",
        _metric(templateRef={}),
        "spec.analysis.metrics[0].templateRef.name",
        "is missing",
        server="Required value",
    ),
    # hooks and alerts
    Broken("webhook without scheme", _hook(url="tester.test/"), "spec.analysis.webhooks[0].url", "must be a URL"),
    Broken("webhook of another scheme", _hook(url="ftp://tester.test/"), "spec.analysis.webhooks[0].url", "must be a URL"),
    Broken("webhook without host", _hook(url="http:///gate"), "spec.analysis.webhooks[0].url", "must be a URL"),
    Broken("webhook type", _hook(type="pre-rollouts"), "spec.analysis.webhooks[0].type", "must be one of", server="supported values"),
    Broken("webhook timeout", _hook(timeout="5"), "spec.analysis.webhooks[0].timeout", "must be a duration"),
    Broken("webhook retries", _hook(retries=-1), "spec.analysis.webhooks[0].retries", "at least 0", server="equal to 0"),
    Broken(
        "alert severity",
        _analysis(alerts=[{"name": "x", "severity": "loud", "providerRef": {"name": "x"}}]),
        "spec.analysis.alerts[0].severity",
        "must be one of",
        server="supported values",
    ),
    Broken(
        "alert without provider",
        _analysis(alerts=[{"name": "x"}]),
        "spec.analysis.alerts[0].providerRef",
        "is missing",
        server="Required value",
    ),
    Broken("metricsServer", {"metricsServer": "prometheus:9090"}, "spec.metricsServer", "must be a URL"),
    # who sees the canary
    Broken(
        "match with weights", {"provider": "nginx", "ingressRef": INGRESS} | _analysis(match=INSIDERS), "spec", "needs analysis.iterations"
    ),
    Broken("match of everybody", _analysis(**BLUE_GREEN, match=[{}]), "spec.analysis.match[0]", "everybody"),
    Broken(
        "header without text", _analysis(**BLUE_GREEN, match=[{"headers": {"x": {}}}]), "spec.analysis.match[0].headers", "exactly one of"
    ),
    Broken(
        "header with two texts",
        _analysis(**BLUE_GREEN, match=[{"headers": {"x": {"exact": "a", "regex": "b"}}}]),
        "spec.analysis.match[0].headers",
        "exactly one of",
    ),
    Broken(
        "service match twice",
        {"service": {"match": [{"uri": {"exact": "/", "prefix": "/"}}]}},
        "spec.service.match[0].uri",
        "at most one of",
    ),
    Broken(
        "cookies alike", _analysis(sessionAffinity={"cookieName": "a", "primaryCookieName": "a"}), "spec.analysis.sessionAffinity", "differ"
    ),
    Broken("cookie name", _analysis(sessionAffinity={"cookieName": "a; b"}), "spec.analysis.sessionAffinity.cookieName", "cookie's name"),
    Broken("cookie maxAge", _analysis(sessionAffinity={"cookieName": "a", "maxAge": 0}), "spec.analysis.sessionAffinity.maxAge", "1"),
    # target, service, provider
    Broken("no target", {"targetRef": None}, "spec.targetRef", "is missing", server="Required value"),
    Broken("kind of target", {"targetRef": {"kind": "StatefulSet"}}, "spec.targetRef.kind", "must be one of", server="supported values"),
    Broken("target without name", {"targetRef": {"name": ""}}, "spec.targetRef.name", "must not be empty", server="at least 1 chars"),
    Broken(
        "apiVersion of target", {"targetRef": {"apiVersion": "apps/v1/deployments"}}, "spec.targetRef.apiVersion", "a group and a version"
    ),
    Broken("name of target", {"targetRef": {"name": "pod.info"}}, "spec", "service.name is missing"),
    Broken("no service", {"service": None}, "spec", "service is missing"),
    Broken("no port", {"service": {"port": None}}, "spec.service.port", "is missing", server="Required value"),
    Broken("port 0", {"service": {"port": 0}}, "spec.service.port", "at least 1", server="greater than or equal to 1"),
    Broken("port too great", {"service": {"port": 70000}}, "spec.service.port", "at most 65535", server="less than or equal to 65535"),
    Broken("targetPort too great", {"service": {"targetPort": 70000}}, "spec.service.targetPort", "the number of a port"),
    Broken("targetPort as digits", {"service": {"targetPort": "9898"}}, "spec.service.targetPort", "the number of a port"),
    Broken("service name", {"service": {"name": "Pod_Info"}}, "spec.service.name", "a Service's name"),
    Broken("port name", {"service": {"portName": "http_main"}}, "spec.service.portName", "a port's name"),
    Broken("unknown provider", {"provider": "countour"}, "spec.provider", "must be one of", server="supported values"),
    Broken("kubernetes by weight", {"provider": "kubernetes"}, "spec", "provider kubernetes (blue/green)"),
    Broken("gateway missing", {"provider": "gatewayapi:v1"}, "spec", "service.gatewayRefs is missing"),
    Broken("ingress missing", {"provider": "nginx"}, "spec", "ingressRef is missing"),
    Broken("route missing", {"provider": "apisix"}, "spec", "routeRef is missing"),
    Broken("knative target elsewhere", {"provider": "knative"}, "spec", "provider knative goes with"),
    Broken(
        "ingressRef of another kind",
        {"ingressRef": {"apiVersion": "v1", "kind": "Route", "name": "x"}},
        "spec.ingressRef.kind",
        "must be one of",
        server="supported values",
    ),
    Broken(
        "delegation with hosts",
        {"service": {"delegation": True, "hosts": ["a.test"]}},
        "spec.service",
        "hosts and gateways must not",
    ),
    # not built yet
    Broken("kuma", {"provider": "kuma"}, "spec.provider", "kuma is not built yet", schema=False),
    Broken(
        "deployment of another group",
        {"targetRef": {"apiVersion": "extensions/v1beta1"}},
        "spec.targetRef",
        "is not built yet",
        schema=False,
    ),
    Broken(
        "autoscaler of a daemonset",
        {
            "targetRef": {"kind": "DaemonSet"},
            "autoscalerRef": {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"},
        },
        "spec.autoscalerRef",
        "a DaemonSet has one pod on each node",
        schema=False,
    ),
    Broken(
        "autoscaler of another group",
        {"autoscalerRef": {"apiVersion": "keda.sh/v1alpha1", "kind": "HorizontalPodAutoscaler", "name": "podinfo"}},
        "spec.autoscalerRef.apiVersion",
        "HorizontalPodAutoscaler is of autoscaling",
        schema=False,
    ),
]
