"""The weights of a run: rising, bounded, ending where the spec says; and what lost pods leave of a weight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.canary import Analysis
from flaggerpy.rollout.weights import next_weight, plan, promotion_weight, safe_weight


@pytest.mark.parametrize(
    ("spec", "weights"),
    [
        ({"stepWeight": 20, "maxWeight": 50}, (20, 40, 60)),
        ({"stepWeight": 20, "maxWeight": 60}, (20, 40, 60)),
        ({"stepWeight": 10, "maxWeight": 30}, (10, 20, 30)),
        ({"stepWeight": 50}, (50, 100)),
        ({"stepWeight": 30}, (30, 60, 90, 100)),
        ({"stepWeight": 100, "maxWeight": 10}, (100,)),
        ({"stepWeights": [1, 2, 10, 80]}, (1, 2, 10, 80)),
        ({"stepWeights": [1, 2, 10, 80], "maxWeight": 5}, (1, 2, 10, 80)),
        ({"stepWeights": [5, 5, 3, 120]}, (5, 100)),
        ({"stepWeight": 0}, ()),
        ({"iterations": 5}, ()),
    ],
)
def test_the_plan_is_flaggers(spec: dict[str, object], weights: tuple[int, ...]) -> None:
    assert plan(Analysis.model_validate(spec)) == weights


@given(step=st.integers(1, 100), top=st.integers(1, 100))
def test_a_stepped_plan_rises_and_ends_at_the_top_or_one_step_beyond(step: int, top: int) -> None:
    weights = plan(Analysis(step_weight=step, max_weight=top))
    assert list(weights) == sorted(set(weights))
    assert all(1 <= weight <= 100 for weight in weights)
    assert min(top, 100) <= weights[-1] < top + step or weights[-1] == 100


@given(weights=st.lists(st.integers(1, 100), min_size=1, max_size=10, unique=True).map(sorted), edited=st.integers(0, 100))
@pytest.mark.fault("Q-22")
def test_an_edited_weight_goes_on_with_the_next_higher_step(weights: list[int], edited: int) -> None:
    following = next_weight(Analysis(step_weights=weights), edited)
    assert following == min((weight for weight in weights if weight > edited), default=None)


@given(step=st.integers(0, 100), weight=st.integers(0, 100))
@pytest.mark.fault("Q-4")
def test_the_way_back_ends_at_nought(step: int, weight: int) -> None:
    analysis = Analysis(step_weight_promotion=step)
    left, looks = weight, 0
    while left:
        following = promotion_weight(analysis, left)
        assert 0 <= following < left
        left, looks = following, looks + 1
    assert looks <= 100


@given(weight=st.integers(0, 100), ready=st.integers(0, 50), base=st.integers(0, 50))
def test_lost_pods_take_their_share_with_them(weight: int, ready: int, base: int) -> None:
    left = safe_weight(weight, ready, base)
    assert 0 <= left <= weight
    assert ready > 0 or left == 0
    if 0 < ready < base:
        assert left * base <= weight * ready
