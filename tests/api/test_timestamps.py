"""Moments as texts: back and forth, and moments that no text can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.status import LATEST, from_timestamp, timestamp


@given(st.floats(0, LATEST))
def test_a_moment_comes_back_to_the_second(seconds: float) -> None:
    assert from_timestamp(timestamp(seconds)) == int(seconds)


@pytest.mark.parametrize("seconds", [LATEST + 1, 1e18, float("inf")])
def test_a_deadline_beyond_all_years_is_told_as_the_last_moment_there_is(seconds: float) -> None:
    """Found by `make fuzz`: with progressDeadlineSeconds of 10^12 every look ended in an OverflowError."""
    assert timestamp(seconds) == "9999-12-31T23:59:59Z"
