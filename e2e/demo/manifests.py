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
    """Where the play is given: how traffic gets in, and who measures it. `prometheus` is "" where nobody does.

    The Gateway is that of the providers `gatewayapi:v1` and `kubernetes`; the others have an entrance of their own behind `url`.
    """

    gateway_namespace: str
    gateway: str
    url: str
    host: str
    prometheus: str
    images: Images
    envoy_metrics: bool = False
    """True where Prometheus scrapes the Gateway's Envoy, so that success is measured where users see it."""
    provider: str = "gatewayapi:v1"
    hands: str = "127.0.0.1"
    """Our address as the controller sees it: where it finds the webhooks of the play."""


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


def entrance(place: Place) -> list[Obj]:
    """What leads visitors to the application where that is its owner's to write: the route in front of what flaggerpy generates."""
    meta = {"name": f"{APP}-entrance", "namespace": NAMESPACE}
    if place.provider == "contour":
        spec: Obj = {"virtualhost": {"fqdn": place.host}, "includes": [{"name": APP, "namespace": NAMESPACE}]}
        return [{"apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": meta, "spec": spec}]
    if place.provider == "traefik":
        route = {"kind": "Rule", "match": f"Host(`{place.host}`)", "services": [{"kind": "TraefikService", "name": APP}]}
        return [{"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": meta, "spec": {"routes": [route]}}]
    if place.provider == "kubernetes":
        spec = {"hostnames": [place.host], "parentRefs": _gateway(place), "rules": [{"backendRefs": [{"name": APP, "port": 80}]}]}
        return [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta, "spec": spec}]
    return []


def _gateway(place: Place) -> list[Obj]:
    return [{"name": place.gateway, "namespace": place.gateway_namespace}]


def canary(place: Place, gate: str = "", *, trial: str = "", check_images: bool = False) -> Obj:
    """20, 40, 60 %, then promotion: an analysis every 4 seconds: nobody waits long, and what fails is measured within its step.

    `gate` is the URL of a hook that is asked before a promotion, `trial` that of one that tries the canary where it gets no share of the
    visitors; with `check_images` registries are asked before a pod is made.
    """
    weights = place.provider != "kubernetes"
    hooks = [{"name": "ask-ops", "type": "confirm-promotion", "url": gate}] if gate else []
    if trial and not weights:
        hooks.append({"name": "trial", "type": "rollout", "url": trial})
    route = {"hosts": [place.host], "gatewayRefs": _gateway(place)} if place.provider == "gatewayapi:v1" else {}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": APP, "namespace": NAMESPACE},
        "spec": {
            "provider": place.provider,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": APP},
            "progressDeadlineSeconds": 60,
            "service": {"port": 80, "targetPort": PORT, **route},
            "analysis": {
                "interval": "4s",
                "threshold": 1,
                **({"stepWeight": 20, "maxWeight": 60} if weights else {"iterations": 3}),
                **({"metrics": [metric(place)]} if place.prometheus and weights else {}),
                **({"webhooks": hooks} if hooks else {}),
            },
            "podHealth": {"settle": "2s", **({"imageCheck": "Fail"} if check_images else {})},
        },
    }


def metric(place: Place) -> Obj:
    """The success rate: of the canary as the Gateway's Envoy or Traefik counts it, or Flagger's built-in one of the pods."""
    if place.provider == "traefik":
        return {"name": "request-success-rate", "thresholdRange": {"min": 95}, "interval": "4s"}
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
