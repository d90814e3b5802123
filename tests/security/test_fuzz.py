"""A part of what `make fuzz` plays in full."""

from __future__ import annotations

import random

import pytest

from tests.security import answers, specs
from tests.security.__main__ import fuzz_answers, fuzz_specs


def test_every_admitted_spec_is_borne_by_all_that_a_release_does_with_it() -> None:
    taken, wrong = fuzz_specs(300, "unit")
    assert wrong == []
    assert taken > 60, "the generator draws too little that is admitted"


def test_every_answer_is_read_without_a_surprise() -> None:
    assert fuzz_answers(120, "unit") == []


def test_the_same_number_is_the_same_spec() -> None:
    assert specs.spec(7) == specs.spec(7) != specs.spec(8)


@pytest.mark.parametrize("kind", answers.KINDS)
def test_a_reader_that_trusts_is_noticed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def trusting(draw: random.Random) -> None:
        raise KeyError(kind)

    monkeypatch.setitem(answers.KINDS, kind, trusting)
    assert len(fuzz_answers(1, "unit")) == 1
