"""Figures of many tests become one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.disorder import figures


def test_numbers_are_added_up_and_the_last_text_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "figures"
    monkeypatch.setenv("DISORDER_FIGURES", str(notes))
    figures.note("crash points", "weighted", deaths=1, writes=25)
    figures.note("crash points", "weighted", deaths=1, told="second")
    figures.note("crash points", "skipped", deaths=0)
    tables = figures.collect(notes.read_text().splitlines())
    assert tables == {"crash points": {"weighted": {"deaths": 2, "writes": 25, "told": "second"}, "skipped": {"deaths": 0}}}
    assert figures.printed(tables).splitlines() == [
        "crash points",
        "============",
        "          deaths  writes  told",
        "weighted  2       25      second",
        "skipped   0",
    ]


def test_nothing_is_left_behind_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISORDER_FIGURES", raising=False)
    figures.note("crash points", "weighted", deaths=1)
