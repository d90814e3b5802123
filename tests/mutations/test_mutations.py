"""The mistakes of the table can still be made: each stands on words that are in the code, once."""

from __future__ import annotations

from pathlib import Path

import pytest

import flaggerpy.rollout

from .table import MUTATIONS, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mistake_changes_words_that_stand_once_in_its_file(mutation: Mutation) -> None:
    text = (Path(flaggerpy.rollout.__path__[0]) / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    compile(text.replace(mutation.old, mutation.new), mutation.file, "exec")
