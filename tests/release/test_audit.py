"""The audit: holes are a failure, a network that is not there is a word."""

from __future__ import annotations

import subprocess

import pytest

from release.audit import main, verdict
from release.weights import DIRECT, PAGE, pinned


def done(code: int, said: str) -> subprocess.CompletedProcess[str]:
    return subprocess.CompletedProcess([], code, "", said)


def test_a_hole_is_a_failure() -> None:
    assert verdict(done(1, "Found 1 known vulnerability in 1 package")) == (1, "Found 1 known vulnerability in 1 package")
    assert verdict(done(0, "No known vulnerabilities found"))[0] == 0


def test_data_that_cannot_be_reached_is_said_and_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(lambda: done(1, "requests.exceptions.ConnectionError: Max retries exceeded")) == 0
    assert "left out" in capsys.readouterr().out


@pytest.mark.parametrize("beside", ["404 Client Error: Not Found", "its client raises ConnectionError where it must not"])
def test_a_hole_beside_something_that_could_not_be_reached_is_a_failure(beside: str) -> None:
    said = f"{beside}\nFound 2 known vulnerabilities in 1 package\naiohttp 3.9.0 PYSEC-1"
    assert verdict(done(1, said)) == (1, said)


def test_packages_that_nobody_could_look_at_are_not_called_sound() -> None:
    code, said = verdict(done(0, "No known vulnerabilities found\nyarl  Dependency not found on PyPI and could not be audited: yarl (1)"))
    assert (code, "about 1 packages" in said, "No known" in said) == (0, True, False)


def test_the_page_of_dependencies_names_what_is_pinned_and_no_other() -> None:
    rows = [line.split("|")[1].split() for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    assert dict(row for row in rows if row != ["package"]) == pinned()
    assert DIRECT.keys() <= pinned().keys()
