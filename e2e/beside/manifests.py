"""The application of every scenario, with all that a controller has to copy, rename or leave alone."""

from __future__ import annotations

from typing import Any

from e2e.beside.actor import Actor
from e2e.beside.story import Object

PORT = 9898
GATEWAY = [{"name": "contour", "namespace": "projectcontour"}]
STEPS: Object = {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 40}


def configs(a: Actor) -> tuple[Object, ...]:
    data = {"colour": "blue", "markup": "<a & b>"}
    meta = {"labels": {"app.kubernetes.io/part-of": "beside", "team": "a"}, "annotations": {"example.com/note": "c"}}
    key = {"key": "c2VjcmV0"}
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{a.name}-config", **meta}, "data": data},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{a.name}-secret", **meta}, "type": "Opaque", "data": key},
    )


def deployment(a: Actor, *, tracked: bool = False, replicas: int = 1) -> Object:
    """One pod that is ready within a second. `tracked`: it reads a ConfigMap and a Secret in every way."""
    app: Object = {
        "name": "app",
        "image": a.image("1.0.0"),
        "ports": [
            {"name": "http", "containerPort": PORT},
            {"name": "http-metrics", "containerPort": 9797},
            {"name": "grpc", "containerPort": 9999},
            {"containerPort": 7000},
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 1, "timeoutSeconds": 2},
        "env": [{"name": "LINGER", "value": "3s"}],
        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
    }
    pod: Object = {"terminationGracePeriodSeconds": 6, "containers": [app], **_placed(a)}
    if tracked:
        config, secret = f"{a.name}-config", f"{a.name}-secret"
        app["envFrom"] = [{"configMapRef": {"name": config}}, {"secretRef": {"name": f"{a.name}-absent", "optional": True}}]
        app["env"].append({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": secret, "key": "key"}}})
        app["volumeMounts"] = [{"name": "conf", "mountPath": "/conf"}, {"name": "all", "mountPath": "/all"}]
        sources = [{"configMap": {"name": config}}, {"secret": {"name": secret}}]
        pod["volumes"] = [{"name": "conf", "configMap": {"name": config}}, {"name": "all", "projected": {"sources": sources}}]
    labels = {"app": a.name, "tier": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": a.name,
            "labels": {"app": a.name, "app.kubernetes.io/managed-by": "beside", "team": "a"},
            "annotations": {"app.kubernetes.io/instance": "beside", "example.com/note": "d"},
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 4,
            "minReadySeconds": 1,
            "progressDeadlineSeconds": 60,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels, "annotations": {"example.com/note": "p"}}, "spec": pod},
        },
    }


def _placed(a: Actor) -> Object:
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": [a.name]}]}
    term = {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}}
    spread = {
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": a.name}},
    }  # fmt: skip
    return {
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}},
        "topologySpreadConstraints": [spread],
    }


def canary(
    a: Actor, analysis: Object | None = None, *, provider: str = "gatewayapi:v1", service: Object | None = None, **spec: Any
) -> Object:
    """A Canary with event webhooks and alerts to the receiver."""
    plan = dict(STEPS if analysis is None else analysis)
    plan["webhooks"] = [a.hook("event"), *plan.get("webhooks", [])]
    plan["alerts"] = [{"name": "chat", "severity": "info", "providerRef": {"name": f"{a.name}-chat"}}]
    body: Object = {"port": 80, "targetPort": PORT, **(service or {})}
    if provider.startswith("gatewayapi"):
        body = {"gatewayRefs": GATEWAY, "hosts": [a.host], **body}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": a.name},
        "spec": {
            "provider": provider,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": a.name},
            "progressDeadlineSeconds": 60,
            "service": body,
            "analysis": plan,
            **spec,
        },
    }


def chat(a: Actor) -> Object:
    spec = {"type": "slack", "channel": "releases", "username": "flagger", "address": a.address("slack")}
    return {"apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": f"{a.name}-chat"}, "spec": spec}


def metric(a: Actor, value: float) -> tuple[Object, Object]:
    """A MetricTemplate that always gives that value, and the metric that asks it: more than 1 is a failed check."""
    query = f"vector({value}) + vector({{{{ variables.zero }}}})"
    spec = {"provider": {"type": "prometheus", "address": a.sandbox.prometheus_url}, "query": query}
    template = {"apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": f"{a.name}-errors"}, "spec": spec}
    asked = {
        "name": "errors", "interval": "30s", "templateRef": {"name": f"{a.name}-errors"}, "thresholdRange": {"max": 1},
        "templateVariables": {"zero": "0"},
    }  # fmt: skip
    return template, asked


def root_proxy(a: Actor) -> Object:
    spec = {"virtualhost": {"fqdn": a.host}, "includes": [{"name": a.name, "conditions": [{"prefix": "/"}]}]}
    return {"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": f"root-{a.name}"}, "spec": spec}


def users_service(a: Actor) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": PORT}, {"name": "metrics", "port": 9797, "targetPort": 9797}]
    meta = {"name": a.name, "labels": {"team": "a"}, "annotations": {"example.com/note": "s"}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": a.name}, "ports": ports}}
