"""The built-in queries of provider istio in a real Prometheus, over series of the shape that Istio's sidecars have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.kube import until
from e2e.providers import series
from flaggerpy.api.canary import Canary, Metric, parse_canary
from flaggerpy.http import Http
from flaggerpy.metrics.evaluate import Settings
from flaggerpy.metrics.measuring import Material, Measurer, Result

# what Istio's proxies give as the histogram's bounds, in milliseconds
BOUNDS = (0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000)
RATE = {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}}
DURATION = {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}


class Sidecars:
    """The statistics of all sidecars of a mesh on one page."""

    def __init__(self) -> None:
        self._requests: dict[str, int] = {}
        self._buckets: dict[str, dict[float, int]] = {}

    def count(self, workload: str, code: str, number: int, *, namespace: str = "shop", reporter: str = "destination", ms: int = 3) -> None:
        """So many more requests to a workload, each of so many milliseconds, as both ends or one of them tell it."""
        labels = {
            "reporter": reporter,
            "source_workload": "istio-ingressgateway",
            "source_workload_namespace": "istio-system",
            "source_canonical_service": "istio-ingressgateway",
            "source_cluster": "Kubernetes",
            "source_principal": "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway",
            "destination_workload": workload,
            "destination_workload_namespace": namespace,
            "destination_service": f"web-canary.{namespace}.svc.cluster.local",
            "destination_service_name": "web-canary",
            "destination_service_namespace": namespace,
            "destination_app": "web",
            "destination_version": "unknown",
            "destination_canonical_service": "web",
            "destination_cluster": "Kubernetes",
            "request_protocol": "http",
            "response_code": code,
            "grpc_response_status": "",
            "response_flags": "-",
            "connection_security_policy": "mutual_tls" if reporter == "destination" else "unknown",
        }
        key = ",".join(f'{name}="{value}"' for name, value in labels.items())
        self._requests[key] = self._requests.get(key, 0) + number
        buckets = self._buckets.setdefault(key, dict.fromkeys(BOUNDS, 0))
        for bound in BOUNDS:
            buckets[bound] += number if ms <= bound else 0

    def page(self) -> str:
        """The text that Prometheus reads."""
        lines = ["# TYPE istio_requests_total counter"]
        lines += [f"istio_requests_total{{{key}}} {value}" for key, value in self._requests.items()]
        lines.append("# TYPE istio_request_duration_milliseconds histogram")
        for key, buckets in self._buckets.items():
            name = "istio_request_duration_milliseconds"
            lines += [f'{name}_bucket{{{key},le="{bound}"}} {value}' for bound, value in buckets.items()]
            total = self._requests[key]
            lines += [f'{name}_bucket{{{key},le="+Inf"}} {total}', f"{name}_count{{{key}}} {total}", f"{name}_sum{{{key}}} {total}"]
        return "\n".join(lines) + "\n"


@pytest.fixture
def sidecars() -> Sidecars:
    return Sidecars()


@pytest.fixture
def server(sidecars: Sidecars, tmp_path: Path) -> Iterator[str]:
    with series.page(sidecars.page) as port, series.prometheus(port, "istio", tmp_path) as url:
        yield url


def scraped(url: str, sidecars: Sidecars) -> None:
    """Waits until Prometheus has all that was counted."""
    until(lambda: series.scraped(url, "istio_requests_total", sidecars.page()), 30, "all requests in Prometheus")


def a_canary(kind: str = "Deployment") -> Canary:
    spec = {
        "provider": "istio",
        "targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": "web.app"},
        "service": {"port": 80, "name": "web"},
        "analysis": {"interval": "10s"},
    }
    return parse_canary({"metadata": {"name": "web", "namespace": "shop", "uid": "u"}, "spec": spec})


async def measured(url: str, metric: dict[str, Any], kind: str = "Deployment") -> Result:
    async with Http() as http:
        settings = Settings(metrics_server=url, mesh_provider="istio")
        return await Measurer(http).measure(a_canary(kind), Metric.model_validate(metric), Material(), settings)


def others(sidecars: Sidecars, number: int) -> None:
    """Requests that all fail slowly, and are not the canary's: each of these workloads gets as many."""
    sidecars.count("web.app-primary", "503", number, ms=9000)
    sidecars.count("web-app", "503", number, ms=9000)
    sidecars.count("web.app", "503", number, ms=9000, namespace="other")
    # what a client's side tells has been told by the canary's sidecar, or has never reached it
    sidecars.count("web.app", "503", number, ms=9000, reporter="source")


@pytest.mark.proves("accepted", "built-in metrics", providers=("istio",))
@pytest.mark.fault("Q-34")
async def test_the_canarys_own_requests_are_measured_and_nobody_elses(sidecars: Sidecars, server: str) -> None:
    for code in ("200", "404", "500"):
        sidecars.count("web.app", code, 0)
    others(sidecars, 0)
    scraped(server, sidecars)
    sidecars.count("web.app", "200", 60, ms=3)
    sidecars.count("web.app", "404", 15, ms=3)
    sidecars.count("web.app", "500", 25, ms=200)
    others(sidecars, 1000)
    scraped(server, sidecars)
    rate = await measured(server, RATE)
    assert (rate.kind, round(rate.value, 6)) == ("value", 75.0)
    assert rate.text == "Halt web.shop advancement success rate 75.00% < 99%"
    duration = await measured(server, DURATION)
    # the slowest hundredth lies in the bucket from 100 to 250 ms
    assert duration.kind == "value"
    assert 240 < duration.value <= 250
    assert duration.passed
    assert (await measured(server, RATE, "DaemonSet")).text == rate.text


@pytest.mark.fault("Q-35")
async def test_nothing_but_errors_is_zero_percent_and_no_request_is_no_data(sidecars: Sidecars, server: str) -> None:
    others(sidecars, 0)
    scraped(server, sidecars)
    assert (await measured(server, RATE)).kind == "no-data"
    sidecars.count("web.app", "503", 0, ms=700)
    scraped(server, sidecars)
    sidecars.count("web.app", "503", 50, ms=700)
    scraped(server, sidecars)
    rate = await measured(server, RATE)
    assert (rate.kind, rate.value) == ("value", 0.0)
    slow = await measured(server, DURATION)
    assert 900 < slow.value <= 1000
    assert not slow.passed
