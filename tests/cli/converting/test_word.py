"""`flaggerpy convert` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flaggerpy.cli import main
from flaggerpy.cli.problems import Exit
from tests.cli.converting.test_rollout import SERVICE, rollout, weighted


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "shop.yaml"
    found.write_text(yaml.safe_dump_all([rollout(weighted({"setWeight": 50}, pingPong={})), SERVICE]))
    return found


def test_manifests_go_to_stdout_and_the_sum_to_stderr(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["convert", "-f", str(file)]) == Exit.OK
    shown = capsys.readouterr()
    assert [each["kind"] for each in yaml.safe_load_all(shown.out) if each] == ["Deployment", "Canary"]
    assert "1 not carried over" in shown.err


def test_strict_fails_where_something_is_lost(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["convert", "--strict", "-o", "json", "-f", str(file)]) == Exit.FAILED
    assert {each["weight"] for each in json.loads(capsys.readouterr().out)["remarks"]} >= {"lost"}


def test_files_without_a_rollout_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "service.yaml").write_text(yaml.safe_dump(SERVICE))
    assert main.main(["convert", "-f", str(tmp_path)]) == Exit.USAGE
    assert f"no Rollout (argoproj.io) in {tmp_path}" in capsys.readouterr().err
