"""Every object that the demo makes, as data: the application, its Canary, and the kubeconfig of the controller's own account. Pure."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2e.demo.play import APP, PORT, Images, Template, template

Obj = dict[str, Any]

NAMESPACE = "demo"
SYSTEM = "flagger-system"
LABELS = {"app.kubernetes.io/part-of": "flaggerpy-demo"}


@dataclass(frozen=True)
class Place:
    """Where the play is given: how traffic gets in, and who measures it. `prometheus` is "" where nobody does."""

    gateway_namespace: str
    gateway: str
    url: str
    host: str
    prometheus: str
    images: Images
    envoy_metrics: bool = False
    """True where Prometheus scrapes the Gateway's Envoy, so that success is measured where users see it."""


def namespace(name: str) -> Obj:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LABELS}}


def deployment(pods: Template) -> Obj:
    """The application as its owner applies it."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": APP, "namespace": NAMESPACE, "labels": {"app": APP}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": APP}}, "template": pods},
    }


def first_release(images: Images) -> Obj:
    return deployment(template(images, images.first))


def canary(place: Place, gate: str = "", *, check_images: bool = False) -> Obj:
    """20, 40, 60 %, then promotion: an analysis every 4 seconds: nobody waits long, and what fails is measured within its step.

    `gate` is the URL of a hook that is asked before a promotion; with `check_images` registries are asked before a pod is made.
    """
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "provider": "gatewayapi:v1",
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "progressDeadlineSeconds": 60,
            "service": {
                "port": 80,
                "targetPort": PORT,
                "hosts": [place.host],
                "gatewayRefs": [{"name": place.gateway, "namespace": place.gateway_namespace}],
            },
            "analysis": {
                "interval": "4s",
                "threshold": 1,
                "stepWeight": 20,
                "maxWeight": 60,
                **({"metrics": [metric(place)]} if place.prometheus else {}),
                **({"webhooks": [{"name": "ask-ops", "type": "confirm-promotion", "url": gate}]} if gate else {}),
            },
            "podHealth": {"settle": "2s", **({"imageCheck": "Fail"} if check_images else {})},
        },
    }


def metric(place: Place) -> Obj:
    """The success rate: of the canary as the Gateway's Envoy counts it, or Flagger's built-in one of the pods."""
    if not place.envoy_metrics:
        return {"name": "request-success-rate", "thresholdRange": {"min": 95}, "interval": "10s"}
    requests = 'envoy_cluster_upstream_rq{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"%s}[{{ interval }}]'
    good = requests % ',envoy_response_code!~"5.*"'
    query = f"100 * sum(rate({good})) / sum(rate({requests % ''}))"
    return {"name": "success-rate", "thresholdRange": {"min": 95}, "interval": "4s", "query": query}


def account_kubeconfig(config: Mapping[str, Any], context: str, token: str) -> Obj:
    """A kubeconfig for a token, with the cluster of a context of an existing one. Raises KeyError, naming the context that is not there."""
    chosen = context or str(config.get("current-context") or "")
    contexts = {entry["name"]: entry["context"] for entry in config.get("contexts") or ()}
    if chosen not in contexts:
        raise KeyError(chosen)
    cluster = next(entry for entry in config.get("clusters") or () if entry["name"] == contexts[chosen]["cluster"])
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [copy.deepcopy(dict(cluster))],
        "users": [{"name": "flaggerpy", "user": {"token": token}}],
        "contexts": [{"name": "flaggerpy", "context": {"cluster": cluster["name"], "user": "flaggerpy"}}],
        "current-context": "flaggerpy",
    }
