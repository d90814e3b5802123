"""What is exported of the controller itself, in both formats of a scrape."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from flaggerpy.telemetry.metrics import CATALOGUE, OURS, Metrics


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


def told_everything(metrics: Metrics) -> None:
    metrics.api_request("patch", "canaries/status", "200", 0.01)
    metrics.outside_request("metrics", "prometheus", "2xx", 0.02)
    metrics.watch_restarted("pods", "gone")
    metrics.expect("flagger_verdicts_total", ["passed", "aborted"])
    metrics.judged("aborted")
    metrics.released("Succeeded", 61.0)
    metrics.left_phase("Progressing", 50.0)
    metrics.reacted("pods_failed", 0.4)
    metrics.waited(0.003)
    metrics.worker_failed("api")
    metrics.lagged(0.002)
    metrics.event_dropped()
    metrics.restarted("kopf")
    metrics.leading(True)
    metrics.attended("test", False)
    metrics.shard(0, True)
    metrics.workers, metrics.waiting = (lambda: 3), (lambda: 2)


def test_everything_that_is_told_is_there(metrics: Metrics) -> None:
    told_everything(metrics)
    assert of(metrics, "flagger_api_requests_total", verb="patch", resource="canaries/status", code="200") == 1
    assert of(metrics, "flagger_api_request_duration_seconds_sum", verb="patch") == 0.01
    assert of(metrics, "flagger_outside_requests_total", kind="metrics", provider="prometheus", outcome="2xx") == 1
    assert of(metrics, "flagger_outside_request_duration_seconds_count", kind="metrics", provider="prometheus") == 1
    assert of(metrics, "flagger_watch_restarts_total", resource="pods", reason="gone") == 1
    assert of(metrics, "flagger_verdicts_total", reason="passed") == 0
    assert of(metrics, "flagger_verdicts_total", reason="aborted") == 1
    assert of(metrics, "flagger_releases_total", outcome="Succeeded") == 1
    assert of(metrics, "flagger_release_duration_seconds_bucket", outcome="Succeeded", le="120.0") == 1
    assert of(metrics, "flagger_phase_duration_seconds_sum", phase="Progressing") == 50
    assert of(metrics, "flagger_reaction_seconds_count", reaction="pods_failed") == 1
    assert of(metrics, "flagger_inbox_wait_seconds_count") == 1
    assert of(metrics, "flagger_inbox_waiting") == 2
    assert of(metrics, "flagger_workers") == 3
    assert of(metrics, "flagger_worker_failures_total", kind="api") == 1
    assert of(metrics, "flagger_event_loop_lag_seconds_count") == 1
    assert of(metrics, "flagger_events_dropped_total") == 1
    assert of(metrics, "flagger_restarts_total", part="kopf") == 1
    assert of(metrics, "flagger_leader") == 1


def test_the_catalogue_is_what_is_exported(metrics: Metrics) -> None:
    told_everything(metrics)
    # of a counter this parser tells the name without its suffix
    stem = {each.name.removesuffix("_total") if each.type == "counter" else each.name: each for each in OURS}
    families = {family.name: family for family in text_string_to_metric_families(metrics.render().decode())}
    assert families.keys() == stem.keys()
    for name, family in families.items():
        assert (family.type, family.documentation) == (stem[name].type, stem[name].help)
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == set(stem[name].labels)
    assert len({each.name for each in CATALOGUE}) == len(CATALOGUE)


def test_what_canaries_tell_stands_beside_it(metrics: Metrics) -> None:
    metrics.canaries.count("test", 2)
    assert of(metrics, "flagger_canary_total", namespace="test") == 2
    assert of(metrics, "flagger_leader") == 0


def test_openmetrics_has_exemplars_and_can_be_read_by_a_strict_parser(metrics: Metrics) -> None:
    metrics.canaries.count("test", 2)
    metrics.exemplar = lambda: {"canary": "podinfo.test"}
    told_everything(metrics)
    text = metrics.render(openmetrics=True).decode()
    families = {family.name: family for family in openmetrics_families(text)}  # type: ignore[no-untyped-call]
    assert {"flagger_canary_total", "flagger_reaction_seconds"} <= families.keys()
    exemplars = [sample.exemplar for sample in families["flagger_reaction_seconds"].samples if sample.exemplar]
    assert [exemplar.labels for exemplar in exemplars] == [{"canary": "podinfo.test"}]
    assert b"podinfo.test" not in metrics.render()


def test_an_exemplar_that_is_too_long_is_left_out(metrics: Metrics) -> None:
    metrics.exemplar = lambda: {"canary": "x" * 123}
    metrics.lagged(0.1)
    assert b"xxx" not in metrics.render(openmetrics=True)
    assert of(metrics, "flagger_event_loop_lag_seconds_count") == 1


def test_no_counter_has_a_second_series_for_its_birth(metrics: Metrics) -> None:
    told_everything(metrics)
    assert not [name for name, _ in samples(metrics) if name.endswith("_created")]


def test_the_process_is_measured_too() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()
