"""What is generated is what is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flaggerpy.observe.__main__ import ROOT, main
from flaggerpy.observe.files import files, put


def test_the_committed_files_are_as_they_should_be() -> None:
    assert main(["--check"]) == 0, "run: python -m flaggerpy.observe"


def test_the_page_has_every_metric_and_every_alert() -> None:
    page = files(ROOT)[ROOT / "docs" / "observability.md"]
    assert "| `flagger_canary_weight` | gauge | `workload`, `namespace` |" in page
    assert "### FlaggerNoLeader" in page
    assert "{{" not in page.split("## Alerts")[1]


def test_a_page_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places for ours"):
        put("nothing", "ours", "table")


def test_a_table_can_be_put_again() -> None:
    page = put("<!-- generated: x -->\nold\n<!-- end: x -->\nrest", "x", "new\\1")
    assert put(page, "x", "new\\1") == page
    assert "old" not in page


def test_nothing_is_written_outside_the_tree(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "observability.md").write_text((ROOT / "docs" / "observability.md").read_text())
    assert all(tmp_path in path.parents for path in files(tmp_path))
