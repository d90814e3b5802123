"""docs/state-machine.md is the generated one, and its diagram has every move of the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model import statemachine
from flaggerpy.rollout.phases import TABLE


def test_the_committed_page_is_the_generated_one() -> None:
    assert statemachine.PAGE.read_text() == statemachine.page()


def test_the_page_has_every_row_and_the_diagram_every_pair_of_phases() -> None:
    text = statemachine.page()
    for move in TABLE:
        assert f"| {statemachine.name(move.before)} | {move.cause}" in text
        if move.before not in (move.after, Phase.NONE) and move.after not in (Phase.TERMINATING, Phase.NONE):
            assert f"    {move.before} --> {move.after}: " in text


def test_check_tells_that_the_page_drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(statemachine, "PAGE", tmp_path / "state-machine.md")
    assert statemachine.main(["--check"]) == 1
    assert "run python -m flaggerpy.model.statemachine" in capsys.readouterr().out
    assert statemachine.main([]) == 0
    assert statemachine.main(["--check"]) == 0
