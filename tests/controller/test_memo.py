"""The memo: worked out again exactly when one of the given objects is another."""

from __future__ import annotations

import pytest

from flaggerpy.controller.memo import Memo

ONE, OTHER = {"a": 1}, {"a": 1}


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        ((ONE,), (ONE,), False),
        ((ONE,), (OTHER,), True),
        ((ONE, "text"), (ONE, "te" + "xt".strip()), False),
        ((ONE, "text"), (ONE, "another"), True),
        ((ONE,), (ONE, OTHER), True),
        ((None,), (None,), False),
        ((ONE,), (None,), True),
    ],
)
def test_what_is_the_same_is_not_worked_out_again(before: tuple[object, ...], after: tuple[object, ...], anew: bool) -> None:
    memo, results = Memo(), iter((1, 2))
    assert memo.of("facts", before, lambda: next(results)) == 1
    assert memo.of("facts", after, lambda: next(results)) == (2 if anew else 1)


def test_each_name_is_of_its_own_and_nothing_is_kept_of_a_canary_at_rest() -> None:
    memo = Memo()
    assert memo.of("route", (ONE,), lambda: "r") == "r"
    assert memo.of("target", (ONE,), lambda: "t") == "t"
    memo.clear()
    assert memo.of("route", (ONE,), lambda: "anew") == "anew"
