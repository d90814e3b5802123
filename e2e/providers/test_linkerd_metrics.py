"""The built-in queries of providers linkerd and smi in a real Prometheus, over series of the shape that Linkerd's proxies have."""

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

# of the proxy's histogram, in milliseconds
BOUNDS = (1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000)
RATE = {"name": "request-success-rate", "interval": "1m", "thresholdRange": {"min": 99}}
DURATION = {"name": "request-duration", "interval": "1m", "thresholdRange": {"max": 500}}
PROVIDERS = ["linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3"]


class Proxies:
    """The statistics of all proxies of a mesh on one page."""

    def __init__(self) -> None:
        self._series: dict[str, tuple[int, int]] = {}

    def count(self, workload: str, code: str, number: int, *, namespace: str = "shop", direction: str = "inbound", ms: int = 3) -> None:
        """So many more requests of a workload, each of so many milliseconds. Outbound ones are those that it sends itself."""
        kind = "daemonset" if workload.startswith("node") else "deployment"
        labels = {
            "direction": direction,
            "tls": "true",
            "status_code": code,
            "classification": "failure" if code.startswith("5") else "success",
            "namespace": namespace,
            "pod": f"{workload}-7d4b9c6f5d-x2x4z",
            kind: workload,
            "pod_template_hash": "7d4b9c6f5d",
        }
        key = ",".join(f'{name}="{value}"' for name, value in labels.items())
        self._series[key] = (self._series.get(key, (0, 0))[0] + number, ms)

    def text(self) -> str:
        lines = ["# TYPE response_total counter"]
        lines += [f"response_total{{{key}}} {number}" for key, (number, _) in self._series.items()]
        lines.append("# TYPE response_latency_ms histogram")
        for key, (number, ms) in self._series.items():
            name = "response_latency_ms"
            lines += [f'{name}_bucket{{{key},le="{bound}"}} {number if ms <= bound else 0}' for bound in BOUNDS]
            lines += [f'{name}_bucket{{{key},le="+Inf"}} {number}', f"{name}_count{{{key}}} {number}", f"{name}_sum{{{key}}} {number * ms}"]
        return "\n".join(lines) + "\n"


@pytest.fixture
def proxies() -> Proxies:
    return Proxies()


@pytest.fixture
def server(proxies: Proxies, tmp_path: Path) -> Iterator[str]:
    with series.page(proxies.text) as port, series.prometheus(port, "linkerd-proxy", tmp_path) as url:
        yield url


def a_canary(provider: str, name: str = "web") -> Canary:
    kind = "DaemonSet" if name.startswith("node") else "Deployment"
    spec = {
        "provider": provider,
        "targetRef": {"apiVersion": "apps/v1", "kind": kind, "name": name},
        "service": {"port": 80},
        "analysis": {"interval": "10s"},
    }
    return parse_canary({"metadata": {"name": name, "namespace": "shop", "uid": "u"}, "spec": spec})


async def measured(url: str, canary: Canary, metric: dict[str, Any]) -> Result:
    async with Http() as http:
        settings = Settings(metrics_server=url, mesh_provider="kubernetes")
        return await Measurer(http).measure(canary, Metric.model_validate(metric), Material(), settings)


def others(proxies: Proxies, number: int) -> None:
    """Requests that all fail slowly, and are not the canary's: as many of each."""
    for workload, where in (("web-primary", {}), ("webshop", {}), ("web", {"namespace": "other"}), ("web", {"direction": "outbound"})):
        proxies.count(workload, "503", number, ms=9000, **where)


@pytest.mark.proves("accepted", "built-in metrics", providers=("linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3"))
@pytest.mark.fault("Q-34", "Q-35")
async def test_what_the_canarys_own_proxy_was_asked_is_measured_and_nothing_else(proxies: Proxies, server: str) -> None:
    def scraped() -> None:
        until(lambda: series.scraped(server, "response_total", proxies.text()), 30, "all requests in Prometheus")

    others(proxies, 0)
    scraped()
    assert {(await measured(server, a_canary(provider), RATE)).kind for provider in PROVIDERS} == {"no-data"}
    proxies.count("web", "500", 0, ms=700)
    for code in ("200", "500"):
        proxies.count("node-agent", code, 0)
    scraped()
    proxies.count("web", "500", 50, ms=700)
    others(proxies, 1000)
    scraped()
    for provider in PROVIDERS:
        # nothing but errors is 0 percent, not silence
        rate, slow = [await measured(server, a_canary(provider), metric) for metric in (RATE, DURATION)]
        assert (rate.kind, rate.value) == ("value", 0.0)
        assert 900 < slow.value <= 1000
        assert not slow.passed
    proxies.count("node-agent", "200", 75)
    proxies.count("node-agent", "500", 25)
    scraped()
    mixed = await measured(server, a_canary("linkerd", "node-agent"), RATE)
    assert (mixed.kind, round(mixed.value, 6)) == ("value", 75.0)
    assert mixed.text == "Halt node-agent.shop advancement success rate 75.00% < 99%"
