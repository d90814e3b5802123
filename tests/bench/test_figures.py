"""Figures: side by side, with ratio and goal, and back from what was stored."""

from __future__ import annotations

import json

import pytest

from e2e.bench.figures import OURS, THEIRS, Measured, Outcome, cells, markdown_table, number, outcome_of, page, rows, text_table, together


def both(ours: float | None, theirs: float | None, **goal: float) -> tuple[Measured, Measured]:
    return Measured(OURS, "time", "s", ours, **goal), Measured(THEIRS, "time", "s", theirs)  # type: ignore[arg-type]


def test_the_same_figure_of_both_is_one_row_in_the_order_of_the_first() -> None:
    mine, theirs = both(2.0, 8.0)
    other = Measured(THEIRS, "lost", "", 5.0)
    found = rows([other, mine, theirs])
    assert [(row.what, row.ours, row.theirs) for row in found] == [("lost", None, other), ("time", mine, theirs)]


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio"),
    [(2.0, 8.0, 4.0), (8.0, 2.0, 0.25), (0.0, 5.0, None), (None, 5.0, None), (5.0, None, None), (5.0, 0.0, None)],
)
def test_the_ratio_says_how_many_times_less_ours_is(ours: float | None, theirs: float | None, ratio: float | None) -> None:
    assert rows(both(ours, theirs))[0].ratio == ratio


@pytest.mark.parametrize(
    ("ours", "theirs", "goal", "met"),
    [
        (1.0, 9.0, {"limit": 1.0}, True),
        (1.1, 9.0, {"limit": 1.0}, False),
        (None, 9.0, {"limit": 1.0}, False),
        (0.0, None, {"limit": 0.0}, True),
        (2.0, 100.0, {"share": 0.02}, True),
        (2.1, 100.0, {"share": 0.02}, False),
        (2.0, None, {"share": 0.02}, None),
        (2.0, 1.0, {}, None),
    ],
)
def test_a_goal_is_met_or_missed(ours: float | None, theirs: float | None, goal: dict[str, float], met: bool | None) -> None:
    assert rows(both(ours, theirs, **goal))[0].met is met


def test_a_figure_that_only_the_other_has_is_no_goal_of_ours() -> None:
    [row] = rows([Measured(THEIRS, "time", "s", 1.0, limit=0.5)])
    assert (row.goal, row.met) == ("", None)


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (5367.0, "5,367"), (0.123, "0.12"), (12.34, "12.3"), (123.4, "123")])
def test_numbers_have_the_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_what_did_not_happen_is_told_in_words() -> None:
    ours = Measured(OURS, "time", "s", 4.2, note="pods 1.0 s", limit=10.0)
    theirs = Measured(THEIRS, "time", "s", None, note="no verdict in 300 s")
    assert cells(rows([ours, theirs])[0]) == ("time", "4.20 s (pods 1.0 s)", "no verdict in 300 s", "", "≤ 10 ✓")


def test_tables_line_up() -> None:
    lines = text_table(both(2.0, 80.0, limit=1.0)).splitlines()
    assert lines[0].index("Flagger 1.44") == lines[1].index("80 s")
    assert lines[1].endswith("≤ 1 ✗ missed")
    assert markdown_table(both(2.0, 80.0)).splitlines()[1] == "| --- | --- | --- | --- | --- |"


def test_an_outcome_comes_back_from_json_and_stands_on_the_page() -> None:
    outcome = Outcome("Title", "How.", "2026-01-02", "a machine", both(2.0, 8.0, limit=3.0), "abc1234")
    assert outcome_of(json.loads(json.dumps(outcome.to_obj()))) == outcome
    text = page({"scenario": outcome}, {"scenario": ""}, {"flagger": "v1.44.0"})
    assert "## Title\n\nHow.\n\n| figure |" in text
    assert "| time | 2 s | 8 s | 4× | ≤ 3 ✓ |" in text
    assert "2026-01-02, flaggerpy abc1234, a machine." in text
    assert text.endswith("flagger v1.44.0.\n")


def test_of_several_runs_the_median_counts_and_the_spread_is_told() -> None:
    runs = [[Measured(OURS, "time", "s", value, limit=limit)] for value, limit in ((3.0, 5.0), (1.0, 7.0), (20.0, 6.0))]
    assert together(runs) == [Measured(OURS, "time", "s", 3.0, "1 to 20 in 3 runs", limit=6.0)]
    assert together(runs[:1]) == runs[0]


def test_what_did_not_happen_in_half_of_the_runs_did_not_happen() -> None:
    never, once = Measured(OURS, "time", "s", None, "not within 60 s"), Measured(OURS, "time", "s", 4.0)
    assert together([[never], [once]]) == [Measured(OURS, "time", "s", None, "not within 60 s, in 1 of 2 runs")]
    assert together([[once], [never], [once]])[0].value == 4.0
    assert "1 of them never" in together([[once], [never], [once]])[0].note


def test_a_goal_that_is_missed_is_explained_and_one_that_is_met_is_not() -> None:
    outcomes = [Outcome("Memory", "How.", "2026-01-01", "a machine", both(ours, 2.0, share=1.0)) for ours in (3.0, 1.0)]
    assert [("Python." in page({"memory": outcome}, {"memory": "Python."}, {})) for outcome in outcomes] == [True, False]
