"""Fixtures: those of the core, with a controller that sends traces to a collector of ours and that the sandbox's Prometheus scrapes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from e2e.core.conftest import _log_folder, kube, namespace, pytest_terminal_summary, receiver, sandbox, stage  # noqa: F401
from e2e.core.controllers import Controller, install
from e2e.kube import Kube
from e2e.observe.otlp import Collector
from e2e.sandbox import Sandbox
from e2e.sandbox.programs import scrape


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the spans arrive."""
    made = Collector()
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = made.url
    yield made
    del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
    made.close()


@pytest.fixture(scope="session")
def controller(kube: Kube, sandbox: Sandbox, collector: Collector) -> Iterator[Controller]:  # noqa: F811
    """The one controller of the run."""
    install(kube)
    started = Controller(kube, _log_folder(), sandbox.prometheus_url).start()
    scrape(sandbox.layout, "flaggerpy", f"127.0.0.1:{started.port}")
    yield started
    started.stop()
