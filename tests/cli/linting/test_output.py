"""Findings as text, JSON and SARIF, and the exit codes of the word."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from flaggerpy.cli import main, offline
from flaggerpy.cli.example import EXAMPLE
from flaggerpy.cli.linting.findings import RULES
from flaggerpy.cli.linting.output import as_json, as_sarif, as_text, summary
from tests.api.broken_specs import GOOD, patched
from tests.cli.linting.test_single import findings

TESTS = Path(__file__).parent
EXAMPLES = Path(__file__).parents[3] / "examples"


def flaggerpy(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    screen = main.Screen(Console(file=out, soft_wrap=True, highlight=False), Console(file=err, soft_wrap=True, highlight=False))
    code = offline.perform(main.parser().parse_args(["lint", *words]), screen)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "canary file.yaml"
    path.write_text(yaml.safe_dump(patched(GOOD, {"analysis": {"interval": "often"}}), sort_keys=False))
    return str(path)


def test_text_is_a_line_that_editors_and_pipelines_know(broken: str) -> None:
    code, out, err = flaggerpy(broken)
    assert code == 1
    assert out.splitlines()[-1] == (
        f"{broken}:15:5: error: spec.analysis.interval: interval must be a duration longer than zero, such as 30s, 1m or 1m30s "
        "[invalid-field]"
    )
    assert err == "1 error in 1 object\n"


def test_exit_codes(broken: str, tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text(yaml.safe_dump(patched(GOOD, {"analysis": {"stepWeight": 60}})))
    assert flaggerpy(str(good))[0] == 0
    assert flaggerpy(str(good), "--strict")[0] == 1
    assert flaggerpy(broken)[0] == 1
    code, _, err = flaggerpy(str(tmp_path / "none.yaml"))
    assert code == 2
    assert "none.yaml:1: No such file" in err
    (tmp_path / "chart.yaml").write_text("kind: {{ .Values.x }}\n")
    code, _, err = flaggerpy(str(tmp_path))
    assert code == 2
    assert "render it first" in err


def test_json_has_the_place_the_rule_and_the_field(broken: str) -> None:
    told = json.loads(flaggerpy(broken, "-o", "json")[1])
    assert told[-1] == {
        "file": broken,
        "line": 15,
        "column": 5,
        "severity": "error",
        "rule": "invalid-field",
        "object": "Canary podinfo",
        "field": "spec.analysis.interval",
        "message": "spec.analysis.interval: interval must be a duration longer than zero, such as 30s, 1m or 1m30s",
    }


def test_sarif_is_a_log_of_version_2_1_0(broken: str) -> None:
    log = json.loads(flaggerpy(broken, "-o", "sarif")[1])
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    result = run["results"][-1]
    assert result["level"] in ("none", "note", "warning", "error")
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    place = result["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 15, "startColumn": 5}
    assert place["artifactLocation"]["uri"].startswith("file:///")
    assert place["artifactLocation"]["uri"].endswith("canary%20file.yaml")
    assert json.loads(as_sarif([]))["runs"][0]["results"] == []


def test_a_relative_path_stays_relative_in_sarif() -> None:
    result = json.loads(as_sarif(findings(GOOD)))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "f.yaml"


def test_nothing_is_said_of_nothing() -> None:
    assert (as_text([]), as_json([]), summary([], 3)) == ("", "[]", "nothing wrong in 3 objects")


def test_every_rule_has_a_test() -> None:
    text = "".join(path.read_text() for path in TESTS.glob("test_*.py"))
    assert [rule for rule in RULES if f'"{rule}"' not in text] == []


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.yaml"))])
def test_no_example_has_an_error(name: str) -> None:
    code, out, _ = flaggerpy(str(EXAMPLES / name), "--for-flagger")
    assert code == 0, out


def test_the_built_in_example_is_clean(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE)
    assert flaggerpy(str(path), "--for-flagger", "--strict")[:2] == (0, "")
