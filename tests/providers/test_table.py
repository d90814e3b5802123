"""docs/providers.md is what the marks of the suites and the routers say."""

from __future__ import annotations

import pytest

from e2e.providers.table import FEATURES, PAGE, canary_for, cell, marks_of, page, proven, refusals, refused
from flaggerpy.routers.registry import BUILT_IN


def test_the_page_in_the_repository_is_the_one_that_the_suites_give() -> None:
    assert PAGE.read_text() == page(proven()), "run: python -m e2e.providers"


def test_marks_are_read_of_functions_of_both_kinds() -> None:
    source = """
import pytest

@pytest.mark.proves("live", "weights", "mirror", providers=("contour", "nginx"))
def test_a(): ...

@pytest.mark.proves("accepted", "A/B test", providers=("contour",))
@pytest.mark.fault("Q-1")
async def test_b(): ...
"""
    assert sorted(marks_of(source)) == [
        ("accepted", "A/B test", "contour"),
        ("live", "mirror", "contour"),
        ("live", "mirror", "nginx"),
        ("live", "weights", "contour"),
        ("live", "weights", "nginx"),
    ]


def test_the_best_that_is_shown_counts_and_what_is_refused_is_never_shown() -> None:
    assert cell("contour", "weights", {("contour", "weights"): {"accepted", "live"}}) == "live"
    assert cell("contour", "weights", {}) == "unit tests"
    assert cell("contour", "session affinity", {}) == "refused"
    assert cell("contour", "service.corsPolicy", {}) == "warned"
    assert not set(proven()) & set(refused())


@pytest.mark.parametrize("provider", sorted(BUILT_IN))
def test_a_canary_that_asks_for_nothing_special_is_taken(provider: str) -> None:
    assert refusals(provider, "a whole release") == []
    assert canary_for(provider, "service.timeout")["spec"]["service"]["timeout"] == "15s"
    assert set(FEATURES)
