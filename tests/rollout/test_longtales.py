"""Long releases to which anything happens go as they went when somebody last looked at what a change of the core changed in them."""

from __future__ import annotations

import pytest

from tests.rollout.longtales import KEPT, NUMBERS, marks

WENT = dict(enumerate(KEPT.read_text().splitlines()))
BLOCK = 20


@pytest.mark.parametrize("first", NUMBERS[::BLOCK])
def test_long_tales_go_as_they_went(first: int) -> None:
    for number in NUMBERS[first : first + BLOCK]:
        assert marks(number) == WENT[number], f"`python -m tests.rollout.longtales {number}` tells it, here and before the change"


def test_as_many_are_kept_as_are_told() -> None:
    assert len(WENT) == len(NUMBERS)
