"""Estimates: properties that hold whatever was measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cli import estimates
from flaggerpy.cli.estimates import Past

seconds = st.floats(0, 1e6, allow_nan=False)
positive = st.floats(0.1, 1e5, allow_nan=False)


@given(positive, st.lists(seconds))
def test_a_step_takes_at_least_its_interval_and_never_longer_than_the_longest_that_was_seen(interval: float, took: list[float]) -> None:
    told = estimates.step(interval, took)
    assert interval <= told <= max([interval, *took])


@given(positive, positive, st.integers(1, 20))
def test_steps_that_all_took_the_same_will_take_the_same(interval: float, more: float, count: int) -> None:
    assert estimates.step(interval, [interval + more] * count) == interval + more


@given(positive, st.lists(seconds, min_size=6), seconds)
def test_only_the_last_steps_speak(interval: float, took: list[float], odd: float) -> None:
    assert estimates.step(interval, [odd, *took[-5:]]) == estimates.step(interval, took[-5:])


@given(seconds, st.lists(st.builds(Past, seconds, st.integers(0, 5)), max_size=4), st.integers(0, 5), seconds)
def test_pods_start_no_sooner_than_their_probes_allow(least: float, past: list[Past], steps: int, known: float) -> None:
    told = estimates.start(least, past, steps=steps, known=known)
    assert told >= least
    assert told <= max([least, estimates.UNKNOWN_START, *(release.took / 2 for release in past)])


def test_the_newest_release_with_as_many_steps_tells_how_long_pods_take() -> None:
    past = [Past(500, 9), Past(60, 3), Past(400, 3)]
    assert estimates.start(2.0, past, steps=3, known=40) == 10.0
    assert estimates.start(2.0, [Past(30, 3)], steps=3, known=40) == 2.0
    assert estimates.start(0.0, [], steps=3, known=40) == estimates.UNKNOWN_START


@given(seconds, seconds, seconds, st.none() | st.floats(-1e6, 1e6))
def test_what_is_left_is_never_negative_and_never_grows_as_time_passes(
    expected: float, elapsed: float, later: float, until: float | None
) -> None:  # fmt: skip
    now = estimates.left(expected, elapsed, until)
    then = estimates.left(expected, elapsed + later, None if until is None else until - later)
    assert 0.0 <= then <= now


@given(st.lists(st.none() | seconds))
def test_a_sum_says_whether_a_part_of_it_is_not_known(parts: list[float | None]) -> None:
    told, open_ended = estimates.total(parts)
    assert told == sum(part for part in parts if part is not None)
    assert open_ended == (None in parts)
