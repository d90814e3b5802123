"""Numbers and texts as Go prints them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.metrics.goformat import format_float, quote, sprint, sprintf


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (99.0, "99"), (99.5, "99.5"), (0.0, "0"), (-0.0, "-0"), (-1.25, "-1.25"),
        (0.0001, "0.0001"), (0.00001, "1e-05"), (100000.0, "100000"),
        (999999.0, "999999"), (1000000.0, "1e+06"), (1000001.0, "1.000001e+06"), (123456789.0, "1.23456789e+08"), (1e21, "1e+21"),
        (1.5e-7, "1.5e-07"), (1e100, "1e+100"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_floats_print_as_in_go(value: float, text: str) -> None:
    assert format_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_as_itself(value: float) -> None:
    assert float(format_float(value)) == value


def test_mistakes_in_a_layout_show_as_go_shows_them() -> None:
    assert sprintf("%d %s", ["x"]) == "%!d(string=x) %!s(MISSING)"
    assert sprintf("%", []) == "%!(NOVERB)"
    assert sprintf("%d", [None]) == "%!d(<nil>)"


def test_a_width_cannot_fill_the_memory() -> None:
    assert len(sprintf("%1000000000d", [1])) == 1000


def test_neighbours_that_are_no_texts_are_set_apart() -> None:
    assert sprint([1, 2, "a", "b", 3, True]) == "1 2ab3 true"


@given(st.text())
def test_a_quoted_text_is_one_line(text: str) -> None:
    assert "\n" not in quote(text)
