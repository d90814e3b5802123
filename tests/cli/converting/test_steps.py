"""The steps of a Rollout as an analysis."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.durations import parse_duration
from flaggerpy.cli.converting.steps import written


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (20, "20s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (3605, "1h5s"), (36600, "10h10m"), (1e-5, "10µs")],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert written(seconds) == text


@given(st.integers(0, 10**15))
def test_what_is_written_is_what_was_meant(nanos: int) -> None:
    assert parse_duration(written(nanos / 1e9)) == pytest.approx(nanos / 1e9, abs=1e-9)
