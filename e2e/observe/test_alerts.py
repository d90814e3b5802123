"""The alert rules, read and played by promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from e2e.core.controllers import ROOT
from e2e.observe.alert_cases import CASES, test_file
from e2e.sandbox.build import program
from flaggerpy.observe.alerts import ALERTS

RULES = ROOT / "charts" / "flaggerpy" / "rules" / "flaggerpy.yaml"


def promtool(*arguments: str) -> str:
    """What it says; an AssertionError when it is not content."""
    done = subprocess.run([str(program("promtool", "promtool")), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_rule_file() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", str(RULES))


def test_every_alert_is_played_firing_and_silent() -> None:
    for alert in ALERTS:
        assert {case.labels is None for case in CASES[alert.name]} == {True, False}


def test_alerts_fire_when_they_must_and_only_then(tmp_path: Path) -> None:
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(test_file(str(RULES))))
    promtool("test", "rules", str(file))


def test_a_wrong_rule_is_noticed(tmp_path: Path) -> None:
    wrong = tmp_path / "rules.yaml"
    wrong.write_text(RULES.read_text().replace("flagger_canary_status == 2", "flagger_canary_status == 1"))
    file = tmp_path / "cases.yaml"
    file.write_text(yaml.safe_dump(test_file(str(wrong))))
    with pytest.raises(AssertionError, match="FlaggerCanaryFailed"):
        promtool("test", "rules", str(file))
