"""The built-in checks `request-success-rate` and `request-duration`: which series each provider's data plane has, as PromQL.

Selectors are Flagger's (its documentation, "metrics analysis"), with two rules of our own:

- the canary's pods are told from others by the names that Kubernetes gives them (a hash and a suffix from an alphabet without
  vowels), so that pods of the primary, of a DaemonSet's neighbours or of a StatefulSet `<target>-0` never count;
- without a single good request the success rate is 0 percent: Flagger's query gives nothing then, which reads as "no traffic".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import canary_name, primary_name

Builtin = Literal["request-success-rate", "request-duration"]
SUCCESS_RATE: Final = "request-success-rate"
DURATION: Final = "request-duration"
DEFAULT_METRIC_INTERVAL = "1m"

# k8s.io/apimachinery util/rand: what hashes and generated suffixes are made of
_HASH_LETTER = "[bcdfghjklmnpqrstvwxz2456789]"
_LONGEST_PREFIX = 58
"""Characters that Kubernetes keeps of a name before it appends its five random ones."""


@dataclass(frozen=True)
class Observer:
    """The series of one data plane.

    `milliseconds` is what one unit of the latency is worth. `good` is the matcher of requests that succeeded. `mean`: the latency is the
    mean and not the 99th percentile, as Flagger measures this data plane; `latency` is then the histogram without its suffix.
    """

    name: str
    requests: str
    good: str
    latency: str
    milliseconds: float
    mean: bool = False


OBSERVERS: dict[str, Observer] = {
    observer.name: observer
    for observer in (
        Observer("http", "http_request_duration_seconds_count", 'status!~"5.*"', "http_request_duration_seconds_bucket", 1000),
        Observer("contour", "envoy_cluster_upstream_rq", 'envoy_response_code!~"5.*"', "envoy_cluster_upstream_rq_time_bucket", 1),
        Observer("traefik", "traefik_service_requests_total", 'code!~"5.."', "traefik_service_request_duration_seconds_bucket", 1000),
        Observer(
            "nginx",
            "nginx_ingress_controller_requests",
            'status!~"5.*"',
            "nginx_ingress_controller_response_duration_seconds",
            1000,
            mean=True,
        ),
        Observer("linkerd", "response_total", 'classification!="failure"', "response_latency_ms_bucket", 1),
    )
}


def provider_of(canary: Canary, mesh_provider: str) -> str:
    """Whose metrics are read: the Canary's provider before the controller's, and Linkerd's wherever the controller's is Linkerd."""
    if "linkerd" in mesh_provider:
        return "linkerd"
    return canary.spec.provider or mesh_provider


def observer_of(provider: str) -> Observer | None:
    """The data plane that a provider's requests are counted by; None when its built-in queries are not supported."""
    if provider == "kubernetes" or provider.startswith("gatewayapi"):
        return OBSERVERS["http"]
    if provider == "linkerd" or provider.startswith("smi:"):
        return OBSERVERS["linkerd"]
    return OBSERVERS[provider] if provider in ("contour", "nginx", "traefik") else None


def query(canary: Canary, observer: Observer, check: Builtin, interval: str) -> str:
    """The PromQL of a built-in check over that interval (a Prometheus duration such as `1m`).

    Raises ValueError, with a sentence, when no query can tell the canary's pods from the primary's.
    """
    labels = _labels(canary, observer)
    if check == DURATION and observer.mean:
        total, count = (f"sum(rate({observer.latency}_{part}{{{labels}}}[{interval}]))" for part in ("sum", "count"))
        return f"{total} / {count}"
    if check == DURATION:
        return f"histogram_quantile(0.99, sum(rate({observer.latency}{{{labels}}}[{interval}])) by (le))"
    good = f"sum(rate({observer.requests}{{{labels},{observer.good}}}[{interval}]))"
    every = f"sum(rate({observer.requests}{{{labels}}}[{interval}]))"
    return f"({good} or vector(0)) / {every} * 100"


def _labels(canary: Canary, observer: Observer) -> str:
    """The label matchers that select the canary's own requests."""
    if observer.name == "contour":
        return f'envoy_cluster_name=~"{canary.namespace}_{_literal(canary_name(canary.apex))}_[0-9a-zA-Z-]+"'
    if observer.name == "traefik":
        return f'service="{_traefik_service(canary)}"'
    if observer.name == "nginx":
        ingress = canary.spec.ingress_ref.name if canary.spec.ingress_ref else canary.target
        return f'namespace="{canary.namespace}",ingress="{ingress}",canary=~"{_nginx_upstream(canary)}"'
    if observer.name == "linkerd":
        workload = "daemonset" if canary.kind == "DaemonSet" else "deployment"
        return f'namespace="{canary.namespace}",{workload}="{canary.target}",direction="inbound"'
    return f'kubernetes_namespace="{canary.namespace}",{pods("kubernetes_pod_name", canary)}'


def _nginx_upstream(canary: Canary) -> str:
    """A pattern of the name that ingress-nginx gives the canary Service: an Ingress may lead to several applications (Flagger takes all).

    Behind the Service stands its port as the Ingress has it, by number or by name. One that is any text would take `shop-canary-eu` for the
    canary of `shop`.
    """
    name = (canary.spec.service.port_name if canary.spec.service else None) or ""
    port = f"({name}|[0-9a-z]+)" if "-" in name else "[0-9a-z]+"
    return f"{canary.namespace}-{_literal(canary_name(canary.apex))}-{port}"


def _traefik_service(canary: Canary) -> str:
    """The name that Traefik gives the canary Service: of the Service, not of the target as in Flagger (Q-34), and the whole of it.

    A pattern behind the name would take `shop-canary-eu` for the canary of `shop`.
    """
    port = canary.spec.service.port if canary.spec.service else 0
    words = "".join(letter if letter.isalnum() else " " for letter in f"{canary.namespace} {canary_name(canary.apex)} {port}").split()
    return f"{'-'.join(words)}@kubernetescrd"


def pods(label: str, canary: Canary) -> str:
    """Matchers of a pod-name label that hold for the target's pods and for nobody else's.

    Kubernetes cuts long names off before it appends its suffix: they are matched by what is left of them. Raises ValueError for
    names so long that the primary's pods would look the same.
    """
    target, suffix = canary.target, f"{_HASH_LETTER}{{5}}"
    generated = f"{target}-" if canary.kind == "DaemonSet" else f"{target}-0123456789-"
    if len(generated) <= _LONGEST_PREFIX:
        middle = "" if canary.kind == "DaemonSet" else f"{_HASH_LETTER}{{1,10}}-"
        return f'{label}=~"{_literal(target)}-{middle}{suffix}"'
    primary = primary_name(target)[:_LONGEST_PREFIX]
    if not primary.startswith(f"{target}-pri"):
        raise ValueError(f"the pods of {target} cannot be told from those of {primary_name(target)} by name, as it is too long")
    return f'{label}=~"{_literal(target)}-{_HASH_LETTER}{{0,10}}-?{suffix}",{label}!~"{_literal(primary)}.*"'


def _literal(name: str) -> str:
    """A Kubernetes name within a regular expression: only its dots mean something there."""
    return name.replace(".", "[.]")
