"""Long releases to which anything happens, and pods of which anything is told, go as they went when somebody last looked at a change."""

from __future__ import annotations

import pytest

from tests.rollout import longtales, podtales
from tests.rollout.telling import kept

RELEASES = kept(longtales.KEPT)
PODS = kept(podtales.KEPT)
BLOCK = 20


@pytest.mark.parametrize("first", longtales.NUMBERS[::BLOCK])
def test_long_releases_go_as_they_went(first: int) -> None:
    for number in longtales.NUMBERS[first : first + BLOCK]:
        told = f"`python -m tests.rollout.longtales {number}` tells it, here and before the change"
        assert longtales.marks(number) == RELEASES[number], told


@pytest.mark.parametrize("first", podtales.NUMBERS[::BLOCK])
def test_pods_are_thought_of_as_they_were(first: int) -> None:
    for number in podtales.NUMBERS[first : first + BLOCK]:
        assert podtales.mark(number) == PODS[number], f"`python -m tests.rollout.podtales {number}` tells it, here and before the change"


def test_as_many_are_kept_as_are_told() -> None:
    assert (len(RELEASES), len(PODS)) == (len(longtales.NUMBERS), len(podtales.NUMBERS))
