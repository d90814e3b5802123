"""What is exported of each Canary: Flagger's series to the letter, bounded whatever stands in a Canary, and gone with it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from flaggerpy.telemetry import canaries
from flaggerpy.telemetry.canaries import FAMILIES, MOST_METRICS, MOST_SERIES, Canaries

FLAGGER: dict[str, Any] = json.loads((Path(__file__).parent / "flagger-1.44.json").read_text())
OWN = {"name": "podinfo", "namespace": "test"}


def told_everything(made: Canaries, name: str = "podinfo", namespace: str = "test") -> Canaries:
    made.info("0.1.0", "istio")
    made.count(namespace, 2)
    made.phase(name, namespace, "Progressing", 1_700_000_000.0)
    made.weight(name, namespace, 90, 10)
    made.state(name, namespace, failed_checks=1, stalled="TargetMissing")
    made.analysed(name, namespace, 0.3)
    made.measured(name, namespace, "request-success-rate", 99.5)
    for succeeded in (True, False):
        for strategy in ("canary", "blue-green", "ab-testing"):
            for analysis in ("completed", "skipped"):
                made.finished(name, namespace, succeeded=succeeded, strategy=strategy, analysis=analysis)
    return made


def samples(made: Canaries) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = [sample for family in text_string_to_metric_families(made.render()) for sample in family.samples]
    by_series = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in found}
    assert len(by_series) == len(found), "no series stands twice"
    return by_series


def of(made: Canaries, series: str, /, **labels: str) -> float | None:
    return samples(made).get((series, tuple(sorted(labels.items()))))


@pytest.fixture
def made() -> Canaries:
    return told_everything(Canaries())


def test_names_types_helps_and_labels_are_those_of_a_scrape_of_flagger(made: Canaries) -> None:
    ours = {
        family.name: {"type": family.type, "help": family.help, "labels": sorted(family.labels)} for family in FAMILIES if family.flaggers
    }
    assert ours == FLAGGER["families"]


def test_lines_have_the_labels_that_the_catalogue_names(made: Canaries) -> None:
    told = {family.name: family for family in FAMILIES}
    seen = set()
    for name, labels in samples(made):
        stem = next(each for each in (name, *(name.removesuffix(end) for end in ("_bucket", "_sum", "_count"))) if each in told)
        seen.add(stem)
        assert {label for label, _ in labels} - {"le"} == set(told[stem].labels)
    assert seen == set(told)


def test_each_line_of_flaggers_is_written_as_flagger_writes_it(made: Canaries) -> None:
    def shapes(lines: list[str]) -> Counter[str]:
        return Counter(line.rpartition(" ")[0] for line in lines if line and not line.startswith("#"))

    ours = Canaries()
    ours.info("1.44.0", "gatewayapi:v1")
    ours.count("seen", 1)
    ours.phase("app", "seen", "Failed", 0.0)
    ours.weight("app", "seen", 100, 0)
    ours.analysed("app", "seen", 0.2)
    ours.measured("app", "seen", "one", 1)
    ours.finished("app", "seen", succeeded=True, strategy="canary", analysis="completed")
    ours.finished("app", "seen", succeeded=False, strategy="canary", analysis="completed")
    assert shapes(ours.render().splitlines()) == shapes(FLAGGER["lines"])


@pytest.mark.parametrize(("phase", "value"), [("Progressing", 0), ("Failed", 2), ("Succeeded", 1), ("Initializing", 1), ("Promoting", 1)])
def test_the_status_is_a_number(made: Canaries, phase: str, value: int) -> None:
    made.phase("podinfo", "test", phase, 5.0)
    assert of(made, "flagger_canary_status", **OWN) == value
    assert of(made, "flagger_canary_phase_start_time_seconds", phase=phase, **OWN) == 5.0


def test_values_are_what_was_told(made: Canaries) -> None:
    assert of(made, "flagger_info", version="0.1.0", mesh_provider="istio") == 1
    assert of(made, "flagger_canary_total", namespace="test") == 2
    assert of(made, "flagger_canary_weight", workload="podinfo-primary", namespace="test") == 90
    assert of(made, "flagger_canary_weight", workload="podinfo", namespace="test") == 10
    assert of(made, "flagger_canary_metric_analysis", metric="request-success-rate", **OWN) == 99.5
    assert of(made, "flagger_canary_duration_seconds_sum", **OWN) == 0.3
    assert of(made, "flagger_canary_duration_seconds_bucket", le="0.25", **OWN) == 0
    assert of(made, "flagger_canary_duration_seconds_bucket", le="0.5", **OWN) == 1
    assert of(made, "flagger_canary_duration_seconds_bucket", le="+Inf", **OWN) == 1
    assert of(made, "flagger_canary_successes_total", deployment_strategy="canary", analysis_status="completed", **OWN) == 1
    assert of(made, "flagger_canary_failures_total", deployment_strategy="blue-green", analysis_status="skipped", **OWN) == 1
    assert of(made, "flagger_canary_failed_checks", **OWN) == 1
    assert of(made, "flagger_canary_stalled", reason="TargetMissing", **OWN) == 1


def test_what_is_over_is_not_told(made: Canaries) -> None:
    made.state("podinfo", "test", failed_checks=None, stalled="")
    assert of(made, "flagger_canary_failed_checks", **OWN) is None
    assert not [name for name, _ in samples(made) if name == "flagger_canary_stalled"]


@pytest.mark.fault("Q-54")
def test_a_canary_that_is_gone_leaves_no_series() -> None:
    made = told_everything(Canaries(), "stays")
    before = samples(made)
    told_everything(made)
    assert samples(made) != before
    for name in ("podinfo", "podinfo", "never-seen"):
        made.forget(name, "test")
    assert samples(made) == before
    made.count("test", 0)
    assert of(made, "flagger_canary_total", namespace="test") is None


def test_a_thousand_hostile_canaries_have_a_bounded_number_of_series() -> None:
    hostile = ['"} 1', "a\nflagger_leader 1", "\\", "ä" * 5_000, "x" * 100_000, "", "le", "{}", "# HELP"]
    made = Canaries()
    for number in range(1_000):
        name, namespace = f"t{number}{hostile[number % len(hostile)][:200]}", f"n{number % 10}"
        told_everything(made, name, namespace)
        for metric in (f"{text}{again}" for text in hostile for again in range(5)):
            made.measured(name, namespace, metric, float(number))
    text = made.render()
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(set(series)) == len(series) <= 1_000 * MOST_SERIES + 11
    assert sum(line.startswith("flagger_canary_metric_analysis{") for line in series) == 1_000 * MOST_METRICS
    assert max(len(line) for line in series) < 1_500
    some = told_everything(Canaries(), f't"}}{hostile[1]}')
    assert {dict(labels).get("name") for name, labels in samples(some) if name == "flagger_canary_status"} == {f't"}}{hostile[1]}'}


def test_metrics_that_left_the_analysis_leave_the_scrape(made: Canaries) -> None:
    made.measured("podinfo", "test", "old", 1.0)
    made.keep_metrics("podinfo", "test", ["request-success-rate"])
    made.keep_metrics("never-seen", "test", [])
    assert of(made, "flagger_canary_metric_analysis", metric="old", **OWN) is None
    assert of(made, "flagger_canary_metric_analysis", metric="request-success-rate", **OWN) == 99.5


def test_a_target_called_as_anothers_primary_has_the_series_of_its_own_canary(made: Canaries) -> None:
    made.weight("podinfo-primary", "test", 70, 30)
    assert of(made, "flagger_canary_weight", workload="podinfo-primary", namespace="test") == 30


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e300, 12.5, float("inf"), float("-inf")])
def test_any_value_can_be_read_back(made: Canaries, value: float) -> None:
    made.measured("podinfo", "test", "any", value)
    assert of(made, "flagger_canary_metric_analysis", metric="any", **OWN) == value


def test_openmetrics_can_be_read_by_a_strict_parser(made: Canaries) -> None:
    families = {family.name: family.type for family in openmetrics_families(made.render(openmetrics=True) + "# EOF\n")}  # type: ignore[no-untyped-call]
    assert families["flagger_canary_successes"] == "counter"
    assert families["flagger_canary_total"] == "gauge"
    assert 'le="1.0"' in made.render(openmetrics=True)


def test_a_scrape_in_a_thread_bears_with_changes_meanwhile() -> None:
    made, over, failed = Canaries(), threading.Event(), []

    def scrape() -> None:
        while not over.is_set():
            try:
                made.render()
            except Exception as error:
                failed.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    for number in range(400):
        told_everything(made, f"t{number}")
        made.measured(f"t{number}", "test", f"m{number}", 1.0)
        if number % 3 == 0:
            made.forget(f"t{number // 2}", "test")
    over.set()
    thread.join()
    assert failed == []


def test_an_idle_canary_is_a_small_row() -> None:
    import tracemalloc

    names = [f"target-{number}" for number in range(1_000)]
    tracemalloc.start()
    try:
        made = Canaries()
        for name in names:
            made.phase(name, "test", "Succeeded", 1_700_000_000.0)
            made.weight(name, "test", 100, 0)
            made.state(name, "test", failed_checks=None, stalled="")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / 1_000 < 500


def test_the_catalogue_says_what_each_one_means() -> None:
    assert all(family.meaning and family.help for family in FAMILIES)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    assert canaries.MOST_SERIES < 100
