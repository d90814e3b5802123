"""The page for people is the table: nothing is missing and nothing is stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from flaggerpy.cli import troubleshooting
from flaggerpy.rollout.causes.table import TABLE


def test_the_page_in_the_repository_is_the_one_that_the_table_gives() -> None:
    assert troubleshooting.main(["--check"]) == 0


def test_every_cause_is_on_the_page() -> None:
    text = troubleshooting.page()
    for cause in TABLE:
        assert text.count(f"### {cause.id}\n") == 1
    assert "{" not in text.replace("{.", "").replace("[?(@", "")


def test_a_stale_page_is_told_and_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(troubleshooting, "PAGE", tmp_path / "docs" / "page.md")
    assert troubleshooting.main(["--check"]) == 1
    assert "run python -m" in capsys.readouterr().out
    assert troubleshooting.main([]) == 0
    assert troubleshooting.main(["--check"]) == 0
