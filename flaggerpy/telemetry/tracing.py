"""Traces by OpenTelemetry, where an OTLP endpoint is configured: spans as values, their ids, and the way to the exporter.

Ids are derived, not drawn: the trace's from the run's id, a span's from the run and its key. So whoever leads goes on with the same trace,
a child can name its parent before that has ended, and a span that is told twice is the same span. Nothing of OpenTelemetry is imported
unless `from_environment` finds an endpoint; it is the optional extra `flaggerpy[tracing]`.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from flaggerpy import __version__

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
EXPORT_DELAY = "OTEL_BSP_SCHEDULE_DELAY"
EXPORT_MILLISECONDS = 1000.0
"""How long an ended span may wait for others: what a killed controller takes with it. OpenTelemetry's default is five times that."""
REASON_CHARACTERS = 1024
ROOT = ""
"""The key of a run's own span."""

Attributes = Mapping[str, str | int | float | bool]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Span:
    """What was done for a run from `start` to `end` (epoch seconds). `parent` is the key of another span of it, None for the run itself.

    `ok` None: it has an end and no verdict. `outside`: a request to another program. `events`: sentences at its end.
    """

    run: str
    key: str
    parent: str | None
    name: str
    start: float
    end: float
    ok: bool | None = None
    reason: str = ""
    outside: bool = False
    attributes: Attributes = field(default_factory=dict)
    events: tuple[str, ...] = ()


class Tracer(Protocol):
    """Takes ended spans, and never waits."""

    def emit(self, span: Span) -> None:
        """Tell a span."""

    def close(self) -> None:
        """Send what is still there; may take seconds, so call it in a thread."""


def trace_id(run: str) -> str:
    """32 hex digits."""
    return hashlib.sha256(f"trace/{run}".encode()).hexdigest()[:32]


def span_id(run: str, key: str) -> str:
    """16 hex digits."""
    return hashlib.sha256(f"span/{run}/{key}".encode()).hexdigest()[:16]


def traceparent(run: str, key: str) -> str:
    """The W3C header that makes what another program does for this span a part of the trace."""
    return f"00-{trace_id(run)}-{span_id(run, key)}-01"


def wanted(env: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment asks for traces (OpenTelemetry's own variables)."""
    off = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or env.get("OTEL_TRACES_EXPORTER", "otlp").strip() != "otlp"
    return not off and any(env.get(name, "").strip() for name in ENDPOINTS)


def from_environment(env: Mapping[str, str] = os.environ) -> Tracer | None:
    """The tracer that the environment asks for; None, with a warning where it cannot be had, for a release never fails for its traces."""
    if not wanted(env):
        return None
    protocol = next((env[name].strip() for name in PROTOCOLS if env.get(name, "").strip()), "http/protobuf")
    if protocol != "http/protobuf":
        _log.warning("no traces: OTLP is spoken by http/protobuf only, and %s is asked for", protocol)
        return None
    try:
        return _Otlp(env)
    except ImportError as error:
        _log.warning("no traces: an OTLP endpoint is configured, and the extra is missing: pip install 'flaggerpy[tracing]' (%s)", error)
    except Exception as error:
        _log.warning("no traces: %s", error)
    return None


class _Otlp:
    """Ended spans go to OpenTelemetry's batch processor, which has a thread and a bounded queue of its own."""

    def __init__(self, env: Mapping[str, str]) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._trace: Any = trace
        self._sdk: Any = sdk
        own: dict[str, Any] = {"service.version": __version__}
        if not env.get("OTEL_SERVICE_NAME") and "service.name=" not in env.get("OTEL_RESOURCE_ATTRIBUTES", ""):
            own["service.name"] = "flaggerpy"
        self._resource = Resource.create(own)
        self._scope = InstrumentationScope("flaggerpy", __version__)
        delay = None if env.get(EXPORT_DELAY) else EXPORT_MILLISECONDS
        self._processor: Any = BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay)

    def emit(self, span: Span) -> None:
        trace, sdk = self._trace, self._sdk
        status = trace.Status(trace.StatusCode.UNSET)
        if span.ok is not None:
            code = trace.StatusCode.OK if span.ok else trace.StatusCode.ERROR
            status = trace.Status(code, span.reason[:REASON_CHARACTERS] if not span.ok else None)
        attributes = dict(span.attributes)
        if span.reason:
            attributes["flagger.reason"] = span.reason[:REASON_CHARACTERS]
        made = sdk.ReadableSpan(
            span.name,
            context=self._context(span.run, span.key),
            parent=None if span.parent is None else self._context(span.run, span.parent),
            resource=self._resource,
            attributes=attributes,
            events=[sdk.Event(text[:REASON_CHARACTERS], timestamp=_nanoseconds(span.end)) for text in span.events],
            kind=trace.SpanKind.CLIENT if span.outside else trace.SpanKind.INTERNAL,
            status=status,
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(max(span.start, span.end)),
            instrumentation_scope=self._scope,
        )
        self._processor.on_end(made)

    def close(self) -> None:
        self._processor.shutdown()

    def _context(self, run: str, key: str) -> Any:
        sampled = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED)
        return self._trace.SpanContext(int(trace_id(run), 16), int(span_id(run, key), 16), is_remote=False, trace_flags=sampled)


def _nanoseconds(seconds: float) -> int:
    # a float holds no nanoseconds of these years
    return round(seconds * 1e6) * 1000
