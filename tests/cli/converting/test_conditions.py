"""Conditions as ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cli.converting.conditions import Range, Unclear, passing


@pytest.mark.parametrize(
    ("success", "failure", "low", "high"),
    [
        ("result[0] >= 0.95", "", 0.95, None),
        ("result >= 99", "", 99, None),
        ("result[0] <= 500", "", None, 500),
        ("0.95 <= result[0]", "", 0.95, None),
        ("result[0] >= 1 && result[0] <= 5", "", 1, 5),
        ("(result[0] >= 1)", "", 1, None),
        ("default(result, 0) <= 5", "", None, 5),
        ("", "result[0] < 0.95", 0.95, None),
        ("", "result[0] > 5 || result[0] < 1", 1, 5),
        ("result[0] >= 0.9", "result[0] < 0.95", 0.95, None),
    ],
)
def test_comparisons_are_bounds(success: str, failure: str, low: float | None, high: float | None) -> None:
    found = passing(success, failure)
    assert (found.low, found.high, found.edge, found.guarded) == (low, high, False, False)


@pytest.mark.parametrize(
    ("success", "failure"),
    [("result[0] > 0.95", ""), ("result[0] < 0.95", ""), ("", "result[0] <= 0.95"), ("", "result[0] >= 0.95")],
)
def test_a_bound_that_a_condition_excludes_is_told(success: str, failure: str) -> None:
    assert passing(success, failure).edge


@pytest.mark.parametrize(
    "success",
    [
        "len(result) == 0 || result[0] >= 0.95",
        "isNaN(result[0]) || result[0] >= 0.95",
        "!isNaN(result[0]) && result[0] >= 0.95",
        "!(isInf(result)) && result >= 0.95",
        "result != nil && result >= 0.95",
    ],
)
def test_what_is_said_of_answers_without_data_is_told_apart(success: str) -> None:
    assert passing(success, "") == Range(low=0.95, guarded=True)


@pytest.mark.parametrize(
    ("success", "failure"),
    [
        ("result.ok == true", ""),
        ("result[0] == 5", ""),
        ("result[1] > 5", ""),
        ("all(result, # > 5)", ""),
        ("result[0] < 1 || result[0] > 5", ""),
        ("", "result[0] > 1 && result[0] < 5"),
        ("(result[0] > 1 && result[0] < 5) || result[0] > 9", ""),
        ("result[0] > 5 && result[0] < 1", ""),
        ("isNaN(result[0])", ""),
        ("result[0] >= a", ""),
    ],
)
def test_what_is_no_range_is_not_guessed(success: str, failure: str) -> None:
    with pytest.raises(Unclear):
        passing(success, failure)


_SIGNS = {"<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}
_numbers = st.integers(-20, 20)


@given(st.lists(st.tuples(st.sampled_from(sorted(_SIGNS)), _numbers), min_size=1, max_size=3), st.booleans(), _numbers)
def test_a_range_says_of_every_value_what_its_condition_says(parts: list[tuple[str, int]], failing: bool, value: int) -> None:
    joint = " || " if failing else " && "
    text = joint.join(f"result[0] {sign} {bound}" for sign, bound in parts)
    holds = [_SIGNS[sign](value, bound) for sign, bound in parts]
    passes = not any(holds) if failing else all(holds)
    try:
        found = passing("", text) if failing else passing(text, "")
    except Unclear:
        assert not passes, "a condition that some value meets was not understood"
        return
    within = (found.low is None or value >= found.low) and (found.high is None or value <= found.high)
    at_edge = found.edge and value in (found.low, found.high)
    assert within == passes or at_edge
