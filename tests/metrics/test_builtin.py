"""The built-in queries: exact PromQL, and whose pods they count."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.metrics import builtin
from tests.metrics.canaries import canary, target

POD = 'kubernetes_pod_name=~"podinfo-[bcdfghjklmnpqrstvwxz2456789]{1,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"'
HTTP = f'kubernetes_namespace="test",{POD}'


def query(check: builtin.Builtin, provider: str, interval: str = "1m", **spec: object) -> str:
    observer = builtin.observer_of(provider)
    assert observer
    return builtin.query(canary(**spec), observer, check, interval)


@pytest.mark.parametrize("provider", ["kubernetes", "gatewayapi:v1", "gatewayapi:v1beta1"])
def test_http_success_rate(provider: str) -> None:
    assert query("request-success-rate", provider) == (
        f'(sum(rate(http_request_duration_seconds_count{{{HTTP},status!~"5.*"}}[1m])) or vector(0))'
        f" / sum(rate(http_request_duration_seconds_count{{{HTTP}}}[1m])) * 100"
    )


def test_http_duration() -> None:
    assert query("request-duration", "kubernetes", "30s") == (
        f"histogram_quantile(0.99, sum(rate(http_request_duration_seconds_bucket{{{HTTP}}}[30s])) by (le))"
    )


@pytest.mark.fault("Q-34")
def test_contour_looks_at_the_canary_service() -> None:
    labels = 'envoy_cluster_name=~"test_web-canary_[0-9a-zA-Z-]+"'
    assert query("request-success-rate", "contour", service={"port": 80, "name": "web"}) == (
        f'(sum(rate(envoy_cluster_upstream_rq{{{labels},envoy_response_code!~"5.*"}}[1m])) or vector(0))'
        f" / sum(rate(envoy_cluster_upstream_rq{{{labels}}}[1m])) * 100"
    )
    assert query("request-duration", "contour", service={"port": 80, "name": "web"}) == (
        f"histogram_quantile(0.99, sum(rate(envoy_cluster_upstream_rq_time_bucket{{{labels}}}[1m])) by (le))"
    )


@pytest.mark.fault("Q-34", "Q-35")
def test_traefik_looks_at_the_canary_service_by_its_whole_name() -> None:
    labels = 'service="test-web-canary-8080@kubernetescrd"'
    service = {"port": 8080, "name": "web"}
    assert query("request-success-rate", "traefik", service=service) == (
        f'(sum(rate(traefik_service_requests_total{{{labels},code!~"5.."}}[1m])) or vector(0))'
        f" / sum(rate(traefik_service_requests_total{{{labels}}}[1m])) * 100"
    )
    assert query("request-duration", "traefik", service=service) == (
        f"histogram_quantile(0.99, sum(rate(traefik_service_request_duration_seconds_bucket{{{labels}}}[1m])) by (le))"
    )


@pytest.mark.fault("Q-34")
def test_nginx_looks_at_the_canary_service_behind_the_ingress() -> None:
    labels = 'namespace="test",ingress="front",canary=~"test-web-canary-[0-9a-z]+"'
    spec: dict[str, Any] = {
        "service": {"port": 80, "name": "web"},
        "ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "front"},
    }
    assert query("request-success-rate", "nginx", **spec) == (
        f'(sum(rate(nginx_ingress_controller_requests{{{labels},status!~"5.*"}}[1m])) or vector(0))'
        f" / sum(rate(nginx_ingress_controller_requests{{{labels}}}[1m])) * 100"
    )
    named = spec | {"service": {"port": 80, "portName": "http-web"}}
    assert 'canary=~"test-podinfo-canary-(http-web|[0-9a-z]+)"' in query("request-duration", "nginx", **named)
    assert query("request-duration", "nginx", "30s", **spec) == (
        f"sum(rate(nginx_ingress_controller_response_duration_seconds_sum{{{labels}}}[30s]))"
        f" / sum(rate(nginx_ingress_controller_response_duration_seconds_count{{{labels}}}[30s]))"
    )


@pytest.mark.parametrize("provider", ["linkerd", "smi:v1alpha1", "smi:v1alpha3"])
def test_linkerd(provider: str) -> None:
    labels = 'namespace="test",deployment="podinfo",direction="inbound"'
    assert query("request-success-rate", provider) == (
        f'(sum(rate(response_total{{{labels},classification!="failure"}}[1m])) or vector(0))'
        f" / sum(rate(response_total{{{labels}}}[1m])) * 100"
    )
    assert query("request-duration", provider) == f"histogram_quantile(0.99, sum(rate(response_latency_ms_bucket{{{labels}}}[1m])) by (le))"


def test_linkerd_names_daemonsets_as_such() -> None:
    assert 'daemonset="node-agent"' in query("request-duration", "linkerd", targetRef=target("DaemonSet", "node-agent"))


def test_latencies_are_turned_into_milliseconds() -> None:
    assert {name: observer.milliseconds for name, observer in builtin.OBSERVERS.items()} == {
        "http": 1000, "contour": 1, "traefik": 1000, "linkerd": 1, "nginx": 1000,
    }  # fmt: skip


@pytest.mark.parametrize("provider", ["istio", "skipper", "", "no-such-mesh"])
@pytest.mark.fault("Q-57")
def test_other_providers_have_no_built_in_query_rather_than_that_of_istio(provider: str) -> None:
    assert builtin.observer_of(provider) is None


@pytest.mark.parametrize(
    ("spec", "flag", "chosen"),
    [
        (None, "kubernetes", "kubernetes"),
        ("contour", "kubernetes", "contour"),
        ("gatewayapi:v1", "linkerd", "linkerd"),
        (None, "linkerd", "linkerd"),
    ],
)
def test_the_canary_chooses_before_the_controller_but_for_linkerd(spec: str | None, flag: str, chosen: str) -> None:
    assert builtin.provider_of(canary(provider=spec), flag) == chosen


def counts(kind: str, name: str, pod: str) -> bool:
    """Whether a pod's requests are counted for a target, by Prometheus's rules: matchers are anchored, all must hold."""
    matchers = re.findall(r'pod(=~|!~)"([^"]*)"', builtin.pods("pod", canary(targetRef=target(kind, name))))
    assert matchers
    return all(bool(re.fullmatch(pattern, pod)) == (sign == "=~") for sign, pattern in matchers)


@pytest.mark.parametrize(
    ("kind", "pod", "counted"),
    [
        ("Deployment", "podinfo-5f7d8c9b4-x2k7z", True),
        ("Deployment", "podinfo-primary-5f7d8c9b4-x2k7z", False),
        ("Deployment", "podinfo-db-0", False),
        ("Deployment", "podinfo-cache-x2k7z", False),
        ("Deployment", "podinfo-web-5f7d8c9b4-x2k7z", False),
        ("Deployment", "my-podinfo-5f7d8c9b4-x2k7z", False),
        ("Deployment", "podinfo-primary-x2k7z", False),
        ("DaemonSet", "podinfo-x2k7z", True),
        ("DaemonSet", "podinfo-primary-x2k7z", False),
        ("DaemonSet", "podinfo-0", False),
        ("DaemonSet", "podinfo-5f7d8c9b4-x2k7z", False),
    ],
)
@pytest.mark.fault("Q-34")
def test_only_pods_of_the_target_count(kind: str, pod: str, counted: bool) -> None:
    assert counts(kind, "podinfo", pod) == counted


hashes = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=10)
suffixes = st.text("bcdfghjklmnpqrstvwxz2456789", min_size=5, max_size=5)


@given(st.integers(1, 54), hashes, suffixes, st.sampled_from(["Deployment", "DaemonSet"]))
@pytest.mark.fault("Q-34")
def test_pods_of_long_names_are_told_apart_though_kubernetes_cuts_them(length: int, template: str, suffix: str, kind: str) -> None:
    name = "a" * length

    def pod(workload: str) -> str:
        owner = workload if kind == "DaemonSet" else f"{workload}-{template}"
        return f"{owner}-"[:58] + suffix

    assert counts(kind, name, pod(name))
    assert not counts(kind, name, pod(f"{name}-primary"))


def test_names_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        builtin.pods("pod", canary(targetRef=target("Deployment", "a" * 60)))


def test_dots_in_names_match_only_dots() -> None:
    assert not counts("DaemonSet", "a.b", "axb-x2k7z")
    assert counts("DaemonSet", "a.b", "a.b-x2k7z")
