"""Canaries, templates and answers that the tests of this room share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.api.canary import Canary, Metric, parse_canary
from flaggerpy.api.metrictemplate import MetricTemplate, parse_metric_template
from flaggerpy.http import HttpResponse
from tests.fake_http import answer


def canary(**spec: Any) -> Canary:
    """A Canary `podinfo.test` on Deployment `podinfo` with these fields of its spec (camelCase)."""
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}
    base = {"targetRef": target, "service": {"port": 80}, "analysis": {"interval": "10s"}}
    return parse_canary({"metadata": {"name": "podinfo", "namespace": "test", "uid": "u"}, "spec": base | spec})


def target(kind: str, name: str) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name}


def metric(name: str = "request-success-rate", **fields: Any) -> Metric:
    """A metric with these fields (camelCase)."""
    return Metric.model_validate({"name": name, **fields})


def template(query: str = "vector(2)", **provider: Any) -> MetricTemplate:
    """A MetricTemplate `errors.flagger` with these fields of its provider."""
    source = {"type": "prometheus", "address": "http://prometheus.monitoring:9090"} | provider
    return parse_metric_template({"metadata": {"name": "errors", "namespace": "flagger"}, "spec": {"provider": source, "query": query}})


def vector(*values: str, labels: Mapping[str, str] | None = None) -> HttpResponse:
    """Prometheus's answer with one series per value."""
    result = [{"metric": {"n": str(number)} | dict(labels or {}), "value": [1.0, value]} for number, value in enumerate(values)]
    return answer({"status": "success", "data": {"resultType": "vector", "result": result}})
