"""python -m release.weights: docs/dependencies.md: every Python package, why it is there, and what it weighs.

Disk is counted in the image, bytecode included. Time and memory are those of importing what we import of it, alone, in a fresh Python: what
two packages share is counted with both.
"""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from release import image, trimming, wheels
from release.tree import Tree

PAGE = wheels.ROOT / "docs" / "dependencies.md"
RUNS = 3
# package -> why, and the module of it that we import ("" where only another package does)
DIRECT: Mapping[str, tuple[str, str]] = {
    "kubernetes": ("connection, credentials and TLS of the Kubernetes API (`kubernetes.aio`)", "kubernetes.aio.client.api_client"),
    "kopf": ("watches our three kinds", "kopf"),
    "aiohttp": ("what `kubernetes.aio` speaks HTTP with, and the controller's own pages", "aiohttp.web"),
    "httpx": ("webhooks, alerts, metrics: all HTTP that is not Kubernetes (ADR 4)", "httpx"),
    "sniffio": ("without it httpcore tries to import it four times a request (ADR 4)", "sniffio"),
    "prometheus-api-client": (
        "looks up what a query without data names (ADR 4); loaded then only",
        "prometheus_api_client.prometheus_connect",
    ),
    "requests": ("what prometheus-api-client speaks HTTP with", "requests"),
    "prometheus-client": ("the metrics that we export", "prometheus_client"),
    "tenacity": ("retries", "tenacity"),
    "pydantic": ("the three kinds as typed models, and their CRDs", "pydantic"),
    "pyyaml": ("manifests and kubeconfigs", "yaml"),
    "rich": ("tables and live views of the command line", "rich.console"),
    "opentelemetry-sdk": ("traces of releases, where an endpoint is configured; loaded then only", "opentelemetry.sdk.trace.export"),
    "opentelemetry-exporter-otlp-proto-http": (
        "sends those traces",
        "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    ),
}
_PROBE = """
import importlib, json, sys, time
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20
before, begun = resident(), time.process_time()
importlib.import_module(sys.argv[1])
print(json.dumps([1000 * (time.process_time() - begun), resident() - before]))
"""


def imported(module: str) -> tuple[float, float]:
    """Milliseconds of CPU and MiB of importing a module in a fresh Python: medians of a few runs."""
    command = [sys.executable, "-c", _PROBE, module]
    found = [json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(RUNS)]
    return statistics.median(one[0] for one in found), statistics.median(one[1] for one in found)


def requirers(found: list[wheels.Wheel]) -> dict[str, list[str]]:
    """Who wants each package, by what the wheels say; extras are not followed."""
    wanted: dict[str, list[str]] = {}
    for wheel in found:
        for line in wheel.metadata.get_all("Requires-Dist", []):
            if "extra ==" not in line:
                wanted.setdefault(wheels.normal(re.split(r"[<>=!~\[; (]", line)[0]), []).append(wheel.name)
    return wanted


def in_image(tree: Tree, wheel: wheels.Wheel) -> int:
    """Bytes of a distribution in the image, with its bytecode."""
    total = 0
    for path in wheel.tree:
        total += tree[path].size if path in tree else 0
        folder, _, name = path.rpartition("/")
        compiled = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-311.pyc"
        total += tree[compiled].size if name.endswith(".py") and compiled in tree else 0
    return total


def pinned() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", wheels.REQUIREMENTS.read_text(), re.MULTILINE))


def page(rows: list[str], others: list[str], whole: tuple[float, float]) -> str:
    return f"""# Dependencies

Written by `python -m release.weights`; do not edit. Every Python package of the [image](image.md), pinned in `release/requirements.txt`.
MB are those in the image, with bytecode; ms (of CPU) and MiB what it takes to import what we import of it, alone, in a fresh Python; what
two packages share is counted with both. All of the controller takes {whole[0]:.0f} ms and {whole[1]:.0f} MiB.

## What flaggerpy asks for

| package | why | MB | import ms | import MiB |
|---|---|---|---|---|
{chr(10).join(rows)}

## What those bring along

| package | wanted by | MB |
|---|---|---|
{chr(10).join(others)}

## Known holes

`make audit` asks pip-audit about `release/requirements.txt`. It needs the advisories of PyPI over the network, and says so and ends well
where they cannot be reached. Debian's packages get their security updates by `make pins`.
"""


def main() -> int:
    found = [wheels.read(path) for path in sorted(wheels.fetched("amd64").glob("*.whl"))]
    tree, wanted = image.tree_of(image.build().image), requirers(found)
    rows, others = [], []
    for wheel in found:
        size = f"{in_image(tree, wheel) / 1e6:.1f}"
        if wheel.name in DIRECT:
            why, module = DIRECT[wheel.name]
            ms, mib = imported(module)
            rows.append(f"| {wheel.name} {wheel.version} | {why} | {size} | {ms:.0f} | {mib:.1f} |")
        elif wheel.name in trimming.DISTRIBUTIONS:
            others.append(f"| {wheel.name} {wheel.version} | not in the image: {trimming.DISTRIBUTIONS[wheel.name]} | 0 |")
        else:
            others.append(f"| {wheel.name} {wheel.version} | {', '.join(sorted(wanted.get(wheel.name, ())))} | {size} |")
    Path(PAGE).write_text(page(rows, others, imported("flaggerpy.controller.run")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
