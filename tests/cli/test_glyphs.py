"""Bars and sparklines in both alphabets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cli.glyphs import ASCII, BLOCKS, Glyphs, glyphs_for

alphabets = st.sampled_from([BLOCKS, ASCII])
numbers = st.floats(-1e9, 1e9, allow_nan=False)


@given(alphabets, st.floats(-10, 110), st.integers(2, 200))
def test_a_bar_is_as_wide_as_asked_and_hides_no_share(glyphs: Glyphs, percent: float, width: int) -> None:
    bar = glyphs.bar(percent, width)
    assert len(bar) == width
    assert (glyphs.full in bar) == (percent > 0)
    assert (glyphs.empty in bar) == (percent < 100)


@given(alphabets, st.lists(st.none() | numbers, min_size=1, max_size=30), st.none() | numbers, st.none() | numbers, st.integers(0, 60))
def test_a_sparkline_has_the_same_cells_for_each_value_and_rises_with_it(
    glyphs: Glyphs, values: list[float | None], low: float | None, high: float | None, width: int
) -> None:  # fmt: skip
    drawn = glyphs.sparkline(values, low, high, width)
    each = len(drawn) // len(values)
    assert len(drawn) == each * len(values)
    cells = [(value, glyphs.spark.index(drawn[i * each])) for i, value in enumerate(values) if value is not None]
    assert all(one[1] <= other[1] for one in cells for other in cells if one[0] <= other[0])
    assert all(drawn[i * each] == " " for i, value in enumerate(values) if value is None)


def test_the_bound_is_in_the_picture() -> None:
    assert BLOCKS.sparkline([99.9, 95.0], low=99.0) == "█▁"
    assert BLOCKS.sparkline([100.0], high=500.0) == "▁"
    assert BLOCKS.sparkline([5.0, 5.0]) == "▅▅"


@pytest.mark.parametrize(
    ("encoding", "glyphs"), [("utf-8", BLOCKS), ("UTF8", BLOCKS), ("ascii", ASCII), ("iso-8859-1", ASCII), ("odd", ASCII), (None, ASCII)]
)
def test_the_alphabet_is_what_the_encoding_can_carry(encoding: str | None, glyphs: Glyphs) -> None:
    assert glyphs_for(encoding) is glyphs


@given(alphabets, st.text(max_size=50), st.integers(0, 60))
def test_a_cut_text_fits(glyphs: Glyphs, text: str, width: int) -> None:
    assert len(glyphs.cut(text, width)) <= max(width, 0)
