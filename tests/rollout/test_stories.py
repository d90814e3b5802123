"""Whole releases read as they did when a person last looked: words, order and times of all that is told and done."""

from __future__ import annotations

import pytest

from tests.rollout.telling import STORIES, everything, kept

TOLD = everything()


@pytest.mark.parametrize("name", list(TOLD))
def test_a_story_reads_as_it_did(name: str) -> None:
    assert TOLD[name]().splitlines() == kept(STORIES / f"{name}.txt"), "python -m tests.rollout.telling writes it anew: look at the diff"


def test_no_story_is_kept_that_nobody_tells() -> None:
    assert {path.stem for path in STORIES.glob("*.txt")} == set(TOLD)
