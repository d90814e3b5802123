"""Versions: where a tree names its own, what a release writes, and what is refused."""

from __future__ import annotations

import re

import pytest

from flaggerpy import __version__
from release.version import CHANGELOG, PLACES, named, prepared, problems, section, texts
from release.wheels import ROOT

TREE = texts(ROOT)
NEXT = "99.0.0"


def test_this_tree_names_one_version_everywhere() -> None:
    assert named(TREE) == {name: {__version__} for name in PLACES}


def test_a_prepared_tree_is_of_the_new_version_and_nothing_else_is_changed() -> None:
    found = prepared(TREE, NEXT, "2026-12-01")
    assert problems(found, NEXT) == []
    for name in PLACES:
        assert found[name].replace(NEXT, __version__) == TREE[name]
    assert found[CHANGELOG].replace(f"\n## [{NEXT}] - 2026-12-01\n", "") == TREE[CHANGELOG]


def test_what_was_unreleased_is_the_new_versions_and_nothing_is_left_of_it() -> None:
    log = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.0.1] - 2025-01-01\n\n- Old.\n"
    found = prepared({**TREE, CHANGELOG: log}, NEXT, "2026-12-01")[CHANGELOG]
    told = section(found, NEXT)
    assert told is not None
    assert (told.date, told.text) == ("2026-12-01", "### Added\n\n- A thing.")
    assert re.search(r"## \[Unreleased\]\n\n## \[99", found)
    assert section(found, "0.0.1") is not None


@pytest.mark.parametrize(
    ("version", "log", "why"),
    [
        ("1.2", "", "is no version"),
        ("v1.2.3", "", "is no version"),
        ("0.0.1", "", "is older than"),
        (NEXT, "## [Unreleased]\n\n## [0.1.0] - 2025-01-01\n\n- x\n", "tells nothing of what is unreleased"),
        (NEXT, f"## [Unreleased]\n\n- y\n\n## [{NEXT}] - 2025-01-01\n\n- x\n", "has 99.0.0 already"),
    ],
)
def test_what_cannot_be_released_is_refused(version: str, log: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        prepared({**TREE, CHANGELOG: log or TREE[CHANGELOG]}, version, "2026-12-01")


def test_whatever_does_not_fit_is_said() -> None:
    found = prepared(TREE, NEXT, "2026-12-01")
    mixed = {**found, "pyproject.toml": TREE["pyproject.toml"], CHANGELOG: f"## [{NEXT}] - 2026-12-01\n\n## [0.1.0] - 2025-01-01\n"}
    assert problems(mixed, NEXT) == [
        f"pyproject.toml names {__version__}, not {NEXT}",
        f"CHANGELOG.md tells nothing of {NEXT}",
    ]
    assert problems(TREE, __version__)[-1] == f"CHANGELOG.md has no section ## [{__version__}] - DATE"
