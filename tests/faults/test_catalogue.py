"""Every fault of Flagger has a test that shows it absent, or a word on what is not built yet."""

from __future__ import annotations

import pytest

from tests.faults.catalogue import FAULTS, NEVER_GIVEN
from tests.faults.marks import ROOT, marked, marks_of
from tests.faults.page import page

MARKED = marked()


def test_every_number_is_in_the_catalogue() -> None:
    assert [int(number.removeprefix("Q-")) for number in FAULTS] == sorted(set(range(1, 66)) - NEVER_GIVEN)


@pytest.mark.parametrize("number", FAULTS)
def test_a_fault_has_a_test_or_is_not_built_yet(number: str) -> None:
    assert MARKED.get(number) or FAULTS[number].later, f"{number} ({FAULTS[number].text}) has neither a test nor a note"


def test_marks_name_faults_that_there_are() -> None:
    assert set(MARKED) <= set(FAULTS)


def test_the_page_in_the_repository_is_the_one_that_the_marks_give() -> None:
    assert (ROOT / "docs" / "flagger-faults.md").read_text() == page(MARKED), "run: python -m tests.faults"


def test_marks_are_found_on_tests_and_on_single_parameters() -> None:
    source = """
import pytest

@pytest.mark.fault("Q-1", "Q-2")
@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.fault("Q-3"))])
async def test_a(x): ...

@pytest.mark.fault("Q-4")
def helper(): ...
"""
    assert sorted(marks_of(source)) == [("Q-1", "test_a"), ("Q-2", "test_a"), ("Q-3", "test_a")]
