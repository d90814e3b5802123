"""Spans as they arrive at a collector; and nothing at all where none is configured."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from e2e.observe.otlp import Collector
from flaggerpy.telemetry import tracing
from flaggerpy.telemetry.tracing import ROOT, Span, from_environment, span_id, trace_id, traceparent


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_spans_arrive_with_their_ids_status_and_reason(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    tracer = from_environment()
    assert tracer is not None
    tracer.emit(Span("r1", "step/a", ROOT, "weight 20%", 1_700_000_000.25, 1_700_000_002.5, ok=True, attributes={"flagger.weight": 20}))
    tracer.emit(Span("r1", "m", "step/a", "metric x", 1_700_000_001.0, 1_700_000_001.1, ok=False, reason="5 > 1", outside=True))
    tracer.emit(Span("r1", ROOT, None, "release", 1_700_000_000.0, 1_700_000_009.0, ok=False, reason="y" * 5_000, events=("told",)))
    tracer.close()
    step, metric, root = sorted(collector.spans, key=lambda span: ("weight", "metric", "release").index(span.name.split()[0]))
    assert {span.trace for span in collector.spans} == {trace_id("r1")}
    assert (step.id, step.parent, root.id, root.parent) == (span_id("r1", "step/a"), root.id, span_id("r1", ROOT), "")
    assert metric.parent == step.id
    assert (step.start, step.end) == pytest.approx((1_700_000_000.25, 1_700_000_002.5), abs=1e-6, rel=0)
    assert (step.status, metric.status, metric.message, metric.kind) == ("OK", "ERROR", "5 > 1", "CLIENT")
    assert step.attributes == {"flagger.weight": 20}
    assert metric.attributes == {"flagger.reason": "5 > 1"}
    assert root.events == ("told",)
    assert len(root.message) == tracing.REASON_CHARACTERS
    assert root.resource["service.name"] == "flaggerpy"


def test_the_service_is_called_as_the_environment_says(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "releases")
    tracer = from_environment()
    assert tracer is not None
    tracer.emit(Span("r1", ROOT, None, "release", 1.0, 2.0))
    tracer.close()
    assert [(span.resource["service.name"], span.status) for span in collector.spans] == [("releases", "UNSET")]


def test_the_header_is_that_of_the_w3c() -> None:
    version, trace, span, flags = traceparent("r1", "hook").split("-")
    assert (version, flags) == ("00", "01")
    assert (len(trace), len(span)) == (32, 16)
    assert (trace, span) == (trace_id("r1"), span_id("r1", "hook"))
    assert trace_id("r2") != trace


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_an_endpoint_there_are_no_traces(env: dict[str, str]) -> None:
    assert from_environment(env) is None


def test_a_protocol_that_is_not_spoken_is_named(caplog: pytest.LogCaptureFixture) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with caplog.at_level(logging.WARNING):
        assert from_environment(env) is None
    assert "grpc" in caplog.text


def test_without_the_extra_it_is_said_what_is_missing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with caplog.at_level(logging.WARNING):
        assert from_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}) is None
    assert "pip install 'flaggerpy[tracing]'" in caplog.text


def test_nothing_of_it_is_imported_where_it_is_not_wanted() -> None:
    code = (
        "import sys, flaggerpy.controller.run; from flaggerpy.telemetry import tracing; assert tracing.from_environment({}) is None;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google.protobuf'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
