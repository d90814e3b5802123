"""The memory of a run: what was seen, when, bounded, and honest about what was not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.dashboard.timeline import EVENTS, MISSED, POINTS, Series, Timeline
from tests.dashboard.scene import NOW, measured, run


def line(now: float = NOW, **state: Any) -> tuple[Timeline, dict[str, Any]]:
    status = run(20, **state)
    return Timeline(status["run"], now), status


def test_weights_phases_and_values_are_noted_once_each_time_they_change() -> None:
    seen, status = line(measured=measured(("20%", 100.0)))
    seen.saw(status, NOW, telling=True)
    seen.saw(status, NOW + 1, telling=True)
    seen.saw(run(40, measured=measured(("20%", 100.0), ("40%", 98.0))), NOW + 10, telling=True)
    seen.saw({**run(0, measured=measured(("20%", 100.0), ("40%", 98.0))), "phase": "Promoting", "failedChecks": 1}, NOW + 20, telling=True)
    told = seen.to_obj()
    assert told["weights"] == [[NOW, 20.0], [NOW + 10, 40.0], [NOW + 20, 0.0]]
    assert told["phases"] == [[NOW, "Progressing"], [NOW + 20, "Promoting"]]
    assert told["metrics"] == {"request-success-rate": [[NOW, 100.0], [NOW + 10, 98.0]]}
    assert told["checks"] == [[NOW + 20, 1.0]]


def test_a_cut_is_the_weight_in_force() -> None:
    seen, _ = line()
    seen.saw(run(40, cut=10), NOW, telling=True)
    assert seen.to_obj()["weights"] == [[NOW, 10.0]]


def test_a_run_seen_from_its_begin_is_whole_and_one_seen_late_says_since_when() -> None:
    whole, _ = line(started=NOW - MISSED)
    late, _ = line(started=NOW - 300)
    assert whole.to_obj()["since"] == whole.to_obj()["started"]
    assert (late.to_obj()["started"], late.to_obj()["since"]) == (NOW - 300, NOW)


def test_where_no_events_are_heard_what_is_waited_for_stands_in() -> None:
    seen, status = line()
    seen.saw(status, NOW, telling=False)
    seen.saw(status, NOW + 1, telling=False)
    assert seen.to_obj()["events"] == [[NOW, "Normal", "waits for the interval of 10s at 20%"]]
    leader, _ = line()
    leader.saw(status, NOW, telling=True)
    assert leader.to_obj()["events"] == []


def test_the_end_has_the_outcome_that_the_history_gives_this_revision() -> None:
    seen, _ = line()
    seen.end({"phase": "Failed", "canaryWeight": 0, "history": [{"revision": "v2", "outcome": "Aborted"}]}, NOW + 30)
    assert (seen.outcome, seen.ended) == ("Aborted", NOW + 30)
    other, _ = line()
    other.end({"phase": "Failed", "history": [{"revision": "v1", "outcome": "Succeeded"}]}, NOW + 30)
    assert other.outcome == ""


def test_a_metric_without_a_value_stays_without_one() -> None:
    seen, _ = line()
    seen.saw(run(20, measured=measured(("20%", None))), NOW, telling=True)
    assert seen.to_obj()["metrics"] == {"request-success-rate": [[NOW, None]]}


def test_events_are_bounded_in_number_and_length() -> None:
    seen, _ = line()
    for number in range(EVENTS * 2):
        seen.heard("Normal", f"{number} " + "x" * 5000, NOW + number)
    told = seen.to_obj()["events"]
    assert len(told) == EVENTS
    assert max(len(text) for _, _, text in told) == 300
    assert told[-1][0] == NOW + EVENTS * 2 - 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=4 * POINTS))
def test_a_series_is_bounded_keeps_order_and_its_newest_half_whole(values: list[float | None]) -> None:
    series = Series()
    for at, value in enumerate(values):
        series.add(float(at), value)
    points = series.points()
    assert len(points) <= POINTS
    assert [at for at, _ in points] == sorted(at for at, _ in points if at is not None)
    newest = POINTS // 2 - 1
    assert points[-newest:] == [[float(at), value] for at, value in enumerate(values)][-newest:]
    assert series.thinned == (len(values) > POINTS)
