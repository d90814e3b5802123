"""The mistakes of the table can still be made: each stands on words that are in the code, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.rules.table import RULES

from .table import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS + RULES, ids=lambda mutation: mutation.name)
def test_a_mistake_changes_words_that_stand_once_in_its_file(mutation: Mutation) -> None:
    text = (ROOT / "flaggerpy" / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    compile(text.replace(mutation.old, mutation.new), mutation.file, "exec")


def test_whom_a_mistake_asks_is_there() -> None:
    assert [name for mutation in MUTATIONS for name in mutation.asked if not (ROOT / "tests" / name).exists()] == []
    for rule in RULES:
        [(file, _, test)] = [asked.partition("::") for asked in rule.asked]
        assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text()
