"""Which suites CI runs."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from e2e import suites
from e2e.sandbox.versions import PARTS, GoModule
from e2e.suites import SUITES, Suite, checksum, due


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "file").write_text("one")
    (tmp_path / "beside").write_text("one")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


def test_a_suite_is_due_where_a_file_of_its_rooms_changed_or_came(tree: Path) -> None:
    suite = Suite(("room",))
    before = checksum(suite, tree)
    (tree / "beside").write_text("two")
    assert checksum(suite, tree) == before
    (tree / "room" / "file").write_text("two")
    changed = checksum(suite, tree)
    assert changed != before
    (tree / "room" / "another").write_text("")
    assert checksum(suite, tree) == changed, "what git does not know is no part of a commit"
    subprocess.run(["git", "add", "."], cwd=tree, check=True)
    assert checksum(suite, tree) != changed


def test_a_new_program_makes_only_the_suite_due_that_asks_for_it(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_keda, without = Suite(("room",), ("keda",)), Suite(("room",), ("traefik",))
    before = checksum(with_keda, tree), checksum(without, tree)
    changed = tuple(replace(part, version="v0") if isinstance(part, GoModule) and part.name == "keda" else part for part in PARTS)
    monkeypatch.setattr(suites, "PARTS", changed)
    assert checksum(with_keda, tree) != before[0]
    assert checksum(without, tree) == before[1]


def test_a_room_that_is_not_there_is_an_error(tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        checksum(Suite(("gone",)), tree)


def test_what_passed_is_not_due() -> None:
    sums = {name: checksum(suite) for name, suite in SUITES.items()}
    assert due(sums) == []
    assert due({}) == list(SUITES)


def test_every_suite_has_a_target_that_remembers_that_it_passed() -> None:
    makefile = (suites.ROOT / "Makefile").read_text()
    for name in SUITES:
        target = re.search(rf"^test-{name}:.*\n((?:\t.*\n)+)", makefile, re.M)
        assert target, f"make test-{name}"
        assert f"e2e.suites passed {name})" in target[1] or f"e2e.suites passed {name}\n" in target[1]


def test_every_part_of_a_suite_is_in_the_sandboxs_table() -> None:
    assert {part for suite in SUITES.values() for part in suite.parts} <= {part.name for part in PARTS if part.on_demand}
