"""The exported metrics: Flagger's names, labels and values to the letter, and no series of canaries that are gone."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flaggerpy.telemetry.metrics import Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


def of(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    return samples(metrics).get((series, tuple(sorted(labels.items()))))


def told_everything(metrics: Metrics, name: str = "podinfo") -> None:
    metrics.info("0.1.0", "istio")
    metrics.canaries("test", 2)
    metrics.phase(name, "test", "Progressing")
    metrics.weight(name, "test", 90, 10)
    metrics.analysed(name, "test", 0.3)
    metrics.measured(name, "test", "request-success-rate", 99.5)
    metrics.finished(name, "test", succeeded=True, strategy="canary", analysis="completed")
    metrics.finished(name, "test", succeeded=False, strategy="blue-green", analysis="skipped")


def test_names_labels_and_values_are_flaggers(metrics: Metrics) -> None:
    told_everything(metrics)
    own = {"name": "podinfo", "namespace": "test"}
    assert of(metrics, "flagger_info", version="0.1.0", mesh_provider="istio") == 1
    assert of(metrics, "flagger_canary_total", namespace="test") == 2
    assert of(metrics, "flagger_canary_status", **own) == 0
    assert of(metrics, "flagger_canary_weight", workload="podinfo-primary", namespace="test") == 90
    assert of(metrics, "flagger_canary_weight", workload="podinfo", namespace="test") == 10
    assert of(metrics, "flagger_canary_metric_analysis", metric="request-success-rate", **own) == 99.5
    assert of(metrics, "flagger_canary_duration_seconds_sum", **own) == 0.3
    done = {"deployment_strategy": "canary", "analysis_status": "completed"}
    assert of(metrics, "flagger_canary_successes_total", **own, **done) == 1
    failed = {"deployment_strategy": "blue-green", "analysis_status": "skipped"}
    assert of(metrics, "flagger_canary_failures_total", **own, **failed) == 1


def test_the_duration_has_the_buckets_of_gos_client(metrics: Metrics) -> None:
    metrics.analysed("podinfo", "test", 0.3)
    bounds = [dict(labels)["le"] for name, labels in samples(metrics) if name == "flagger_canary_duration_seconds_bucket"]
    assert sorted(bounds, key=float) == ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0", "+Inf"]


@pytest.mark.parametrize(("phase", "value"), [("Progressing", 0), ("Failed", 2), ("Succeeded", 1), ("Initializing", 1), ("Promoting", 1)])
def test_the_status_is_a_number(metrics: Metrics, phase: str, value: int) -> None:
    metrics.phase("podinfo", "test", phase)
    assert of(metrics, "flagger_canary_status", name="podinfo", namespace="test") == value


@pytest.mark.fault("Q-54")
def test_a_canary_that_is_gone_leaves_no_series(metrics: Metrics) -> None:
    told_everything(metrics, "stays")
    before = samples(metrics)
    told_everything(metrics, "podinfo")
    assert samples(metrics) != before
    metrics.forget("podinfo", "test")
    metrics.forget("podinfo", "test")
    metrics.forget("never-seen", "test")
    assert samples(metrics) == before
    metrics.canaries("test", 0)
    assert of(metrics, "flagger_canary_total", namespace="test") is None


def test_our_own_are_there(metrics: Metrics) -> None:
    metrics.api_request("patch", "canaries/status", "200", 0.01)
    metrics.reacted("pod_failure", 0.4)
    metrics.lagged(0.002)
    metrics.restarted("kopf")
    metrics.leading(True)
    assert of(metrics, "flagger_api_requests_total", verb="patch", resource="canaries/status", code="200") == 1
    assert of(metrics, "flagger_reaction_seconds_count", reaction="pod_failure") == 1
    assert of(metrics, "flagger_event_loop_lag_seconds_count") == 1
    assert of(metrics, "flagger_restarts_total", part="kopf") == 1
    assert of(metrics, "flagger_leader") == 1


def test_no_counter_has_a_second_series_for_its_birth(metrics: Metrics) -> None:
    told_everything(metrics)
    assert not [name for name, _ in samples(metrics) if name.endswith("_created")]


def test_the_process_is_measured_too() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()
