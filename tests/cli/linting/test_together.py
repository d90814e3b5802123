"""Objects together: what a Canary says of its target, Services, autoscalers, templates and providers is compared with them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.api.broken_specs import GOOD, patched
from tests.cli.linting.test_single import errors, findings, rules

Obj = dict[str, Any]

RATE: Obj = {"name": "rate", "interval": "1m", "templateRef": {"name": "rate"}, "thresholdRange": {"max": 1}}
TELL_US: Obj = {"name": "us", "severity": "info", "providerRef": {"name": "us"}}
CANARY: Obj = patched(GOOD, {"analysis": {"metrics": [RATE], "alerts": [TELL_US]}})
DEPLOYMENT: Obj = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "podinfo", "namespace": "test"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "podinfo"}},
        "template": {"spec": {"containers": [{"name": "a", "image": "a:1", "ports": [{"name": "http", "containerPort": 9898}]}]}},
    },
}
TEMPLATE: Obj = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "MetricTemplate",
    "metadata": {"name": "rate", "namespace": "test"},
    "spec": {"provider": {"type": "prometheus", "address": "http://p.test"}, "query": 'sum(x{ns="{{ namespace }}"}[{{ interval }}])'},
}
ALERT: Obj = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "AlertProvider",
    "metadata": {"name": "us", "namespace": "test"},
    "spec": {"type": "slack", "address": "http://slack.test"},
}
SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "podinfo", "namespace": "test"},
    "spec": {"selector": {"app": "podinfo"}, "ports": [{"port": 9898}]},
}
SCALER: Obj = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "podinfo", "namespace": "test"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "podinfo"}},
}


def at(obj: Obj, path: str, value: Any) -> Obj:
    """The object with one field changed; None takes it away."""
    result = deepcopy(obj)
    *parents, last = path.split(".")
    place: Any = result
    for part in parents:
        place = place[int(part)] if part.isdigit() else place.setdefault(part, {})
    if value is None:
        place.pop(last)
    else:
        place[last] = value
    return result


CONTAINER = "spec.template.spec.containers.0"


def test_a_complete_set_has_nothing_wrong() -> None:
    assert findings(CANARY, DEPLOYMENT, TEMPLATE, ALERT) == []
    assert rules(findings(CANARY, DEPLOYMENT, TEMPLATE, ALERT, SERVICE)) == {"service-takeover"}


@pytest.mark.parametrize(
    ("rule", "objects", "words"),
    [
        ("target-not-in-files", [CANARY, TEMPLATE, ALERT], "Deployment podinfo is not among the files"),
        ("target-unfit", [at(DEPLOYMENT, "spec.selector.matchLabels", {"tier": "web"})], "must contain one of"),
        ("target-unfit", [at(DEPLOYMENT, "spec.paused", True)], "is paused"),
        ("no-replicas", [at(DEPLOYMENT, "spec.replicas", 0)], "leave replicas out"),
        ("recreate-strategy", [at(DEPLOYMENT, "spec.strategy", {"type": "Recreate"})], "write RollingUpdate"),
        ("generated-name-taken", [DEPLOYMENT, at(DEPLOYMENT, "metadata.name", "podinfo-primary")], "take it out of the files"),
        ("generated-name-taken", [DEPLOYMENT, at(SERVICE, "metadata.name", "podinfo-canary")], "take it out of the files"),
        ("service-takeover", [DEPLOYMENT, SERVICE], "its selector will lead to podinfo-primary"),
        ("service-port-missing", [DEPLOYMENT, at(SERVICE, "spec.ports", [{"port": 80}])], "has no port 9898 but 80"),
        ("port-not-declared", [at(DEPLOYMENT, f"{CONTAINER}.ports", [{"containerPort": 80}])], "declares port 9898; they declare 80"),
        ("template-not-in-files", [DEPLOYMENT, ALERT, CANARY], "MetricTemplate rate of namespace test is not among the files"),
        ("template-namespace", [CANARY, at(TEMPLATE, "metadata.namespace", "metrics")], "is in namespace metrics (f.yaml:"),
        ("template-unusable", [CANARY, at(TEMPLATE, "spec.query", "{{ nosuch }}")], "query render error"),
        ("template-unusable", [CANARY, at(TEMPLATE, "spec.provider", {"type": "datadog"})], "datadog error: not supported"),
        ("provider-not-in-files", [CANARY, TEMPLATE], "AlertProvider us of namespace test is not among the files"),
        ("provider-namespace", [CANARY, at(ALERT, "metadata.namespace", "ops")], "write namespace: ops"),
        ("autoscaler-not-named", [DEPLOYMENT, SCALER], "scales podinfo; autoscalerRef does not name it"),
        ("deadline-below-probes", [at(DEPLOYMENT, f"{CONTAINER}.startupProbe", {"failureThreshold": 90})], "gives up, which takes 900s"),
        (
            "deadline-too-short",
            [at(DEPLOYMENT, f"{CONTAINER}.readinessProbe", {"initialDelaySeconds": 700})],
            "600s are over before any pod of podinfo can be available, which takes 700s",
        ),
        ("target-taken", [at(CANARY, "metadata.name", "second")], "is released by the Canary podinfo already (f.yaml:"),
        ("same-object", [CANARY], "stands in f.yaml:"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_told(rule: str, objects: list[Obj], words: str) -> None:
    everything = objects if CANARY in objects and rule != "same-object" else [CANARY, *objects]
    told = [each for each in findings(*everything) if each.rule.id == rule]
    assert told, findings(*everything)
    assert words in told[0].message


def test_a_named_port_must_be_there() -> None:
    named = at(CANARY, "spec.service.targetPort", "http")
    assert "port-mismatch" not in rules(findings(named, DEPLOYMENT))
    (told,) = errors(findings(at(CANARY, "spec.service.targetPort", "web"), DEPLOYMENT, TEMPLATE, ALERT))
    assert told.message == "spec.service.targetPort: no container of Deployment podinfo has a port named web; there are http"
    sidecar = {"name": "proxy", "restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 1}]}
    other = at(DEPLOYMENT, "spec.template.spec.initContainers", [sidecar])
    assert "port-mismatch" not in rules(findings(at(CANARY, "spec.service.targetPort", "web"), other))


def test_containers_that_declare_no_port_say_nothing() -> None:
    assert "port-not-declared" not in rules(findings(CANARY, at(DEPLOYMENT, f"{CONTAINER}.ports", None)))


def test_two_canaries_may_not_make_one_service() -> None:
    other = at(at(at(CANARY, "metadata.name", "other"), "spec.targetRef.name", "other"), "spec.service.name", "podinfo")
    assert "service-taken" in rules(findings(CANARY, other))


def test_a_ready_threshold_of_no_pod_is_told() -> None:
    told = findings(at(CANARY, "spec.analysis.canaryReadyThreshold", 40), DEPLOYMENT)
    assert any("40 % of 2 pods is rounded down to none" in each.message for each in told)
    assert "ready-threshold-zero" not in rules(findings(at(CANARY, "spec.analysis.canaryReadyThreshold", 50), DEPLOYMENT))


def test_an_autoscaler_that_is_named_is_compared() -> None:
    reference = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "name": "podinfo"}
    named = at(CANARY, "spec.autoscalerRef", reference)
    assert "autoscaler-not-named" not in rules(findings(named, SCALER))
    assert "autoscaler-not-in-files" in rules(findings(named))
    assert "autoscaler-target" in rules(findings(named, at(SCALER, "spec.scaleTargetRef.name", "other")))


INGRESS: Obj = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "web", "namespace": "test"},
    "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "podinfo"}}}]}}]},
}


def test_an_ingress_that_is_named_leads_to_the_canarys_service() -> None:
    named = at(CANARY, "spec.ingressRef", {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"})
    told = {"ingress-without-path", "ingress-not-in-files", "ingress-taken"}
    assert told & rules(findings(named, INGRESS)) == set()
    assert told & rules(findings(named)) == {"ingress-not-in-files"}
    for elsewhere in (at(INGRESS, "spec.rules.0.http.paths.0.backend.service.name", "other"), at(INGRESS, "spec", {"rules": ["?"]})):
        assert told & rules(findings(named, elsewhere)) == {"ingress-without-path"}
    other = at(at(named, "metadata.name", "other"), "spec.targetRef.name", "other")
    assert "ingress-taken" in rules(findings(named, other, INGRESS))


def test_objects_of_other_namespaces_are_others() -> None:
    elsewhere = [at(each, "metadata.namespace", "prod") for each in (DEPLOYMENT, SERVICE, SCALER)]
    assert rules(findings(CANARY, TEMPLATE, ALERT, *elsewhere)) == {"target-not-in-files"}
    bare = [at(each, "metadata.namespace", None) for each in (CANARY, DEPLOYMENT, TEMPLATE, ALERT)]
    assert findings(*bare) == []
    assert findings(CANARY, *bare[1:], namespace="test") == []


def test_a_reference_into_another_namespace_is_followed() -> None:
    other = at(CANARY, "spec.analysis.metrics", [
        {"name": "rate", "interval": "1m", "templateRef": {"name": "rate", "namespace": "metrics"}, "thresholdRange": {"max": 1}}
    ])  # fmt: skip
    assert findings(other, DEPLOYMENT, ALERT, at(TEMPLATE, "metadata.namespace", "metrics")) == []


def test_objects_of_any_shape_are_survived() -> None:
    for wrong in ({"spec": None}, {"spec": {"template": "x", "ports": "y"}}, {"spec": {"ports": [None, 7]}}, {}):
        for kind in ("Deployment", "Service", "HorizontalPodAutoscaler"):
            findings(CANARY, {"kind": kind, "apiVersion": "v1", "metadata": {"name": "podinfo", "namespace": "test"}, **wrong})
