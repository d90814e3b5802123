"""The dashboard asks for metrics that are exported, and its panels stand beside each other. That they show something, e2e/observe sees."""

from __future__ import annotations

import json
import re

from flaggerpy.observe.dashboard import WIDTH, dashboard, expressions, filled
from flaggerpy.telemetry.metrics import CATALOGUE

NAMES = {each.name for each in CATALOGUE}
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def test_every_query_asks_for_what_is_exported() -> None:
    for expr in expressions():
        names = set(re.findall(r"\b(?:flagger|process)_\w+", expr))
        assert names
        assert {re.sub("_(bucket|sum|count)$", "", name) if name not in NAMES else name for name in names} <= NAMES | PROCESS


def test_every_metric_of_releases_is_shown() -> None:
    shown = " ".join(expressions())
    left_out = {"flagger_canary_duration_seconds", "flagger_canary_successes_total", "flagger_canary_failures_total"}
    assert {name for name in NAMES if name not in shown} == left_out


def test_no_variable_is_left_when_a_query_is_filled() -> None:
    assert not [expr for expr in map(filled, expressions()) if "$" in expr]


def test_panels_do_not_overlap_and_fit_the_page() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= WIDTH
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells


def test_it_is_the_same_each_time_and_every_panel_has_a_name_of_its_own() -> None:
    made = dashboard()
    assert json.dumps(made) == json.dumps(dashboard())
    titles = [panel["title"] for panel in made["panels"]]
    assert len(set(titles)) == len(titles)
    assert len({panel["id"] for panel in made["panels"]}) == len(titles)
