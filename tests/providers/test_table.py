"""docs/providers.md is what the marks of the suites and the routers say."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.providers.__main__ import outcomes_in
from e2e.providers.table import FEATURES, PAGE, REFUSING, Mark, canary_for, cell, kept, marks, marks_of, page, proven, refusals, refused
from flaggerpy.routers.registry import BUILT_IN

RUN = "run: python -m e2e.providers"


def test_the_page_in_the_repository_is_the_one_that_the_last_run_gives() -> None:
    assert PAGE.read_text() == page(proven(kept())), RUN


def test_every_test_with_a_mark_passed_in_the_last_run() -> None:
    assert {mark.test for mark in marks()} | set(REFUSING) == kept(), RUN


def test_marks_are_read_of_functions_of_both_kinds() -> None:
    source = """
import pytest

@pytest.mark.proves("live", "weights", "mirror", providers=("contour", "nginx"))
def test_a(): ...

@pytest.mark.proves("accepted", "A/B test", providers=("contour",))
@pytest.mark.fault("Q-1")
async def test_b(): ...
"""
    assert set(marks_of(source, "x.py")) == {
        Mark("x.py::test_a", "live", "weights", "contour"),
        Mark("x.py::test_a", "live", "weights", "nginx"),
        Mark("x.py::test_a", "live", "mirror", "contour"),
        Mark("x.py::test_a", "live", "mirror", "nginx"),
        Mark("x.py::test_b", "accepted", "A/B test", "contour"),
    }


def test_what_did_not_pass_shows_nothing() -> None:
    everything = proven({mark.test for mark in marks()})
    gone = next(mark.test for mark in marks() if mark.feature == "session affinity" and mark.level == "envoy")
    less = proven({mark.test for mark in marks() if mark.test != gone})
    assert cell("istio", "session affinity", everything) == "envoy"
    assert cell("istio", "session affinity", less) == "accepted"
    assert cell("istio", "session affinity", proven(set())) == "unit tests"


def test_a_test_passed_when_all_its_cases_did(tmp_path: Path) -> None:
    cases = [
        '<testcase classname="e2e.core.test_x" name="test_a[one]"/>',
        '<testcase classname="e2e.core.test_x" name="test_a[two]"><failure/></testcase>',
        '<testcase classname="e2e.core.test_x" name="test_b[one]"/>',
        '<testcase classname="e2e.core.test_x" name="test_c"><skipped/></testcase>',
        '<testcase classname="e2e.core.test_x" name="test_d"/>',
        '<testcase classname="e2e.core.test_x" name="test_d"><error/></testcase>',
    ]
    report = tmp_path / "junit.xml"
    report.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    good = outcomes_in(report)
    assert {test.partition("::")[2] for test, well in good.items() if well} == {"test_b"}
    assert len(good) == 4


def test_the_best_that_is_shown_counts_and_what_is_refused_is_never_shown() -> None:
    assert cell("contour", "weights", {("contour", "weights"): {"accepted", "live"}}) == "live"
    assert cell("contour", "weights", {}) == "unit tests"
    assert cell("contour", "session affinity", {}) == "refused"
    assert cell("contour", "service.corsPolicy", {}) == "warned"
    assert not {(mark.provider, mark.feature) for mark in marks()} & set(refused())


@pytest.mark.parametrize("provider", sorted(BUILT_IN))
def test_a_canary_that_asks_for_nothing_special_is_taken(provider: str) -> None:
    assert refusals(provider, "a whole release") == []
    assert canary_for(provider, "service.timeout")["spec"]["service"]["timeout"] == "15s"
    assert set(FEATURES)
