"""The catalogue's page: steady from one run to the next, whole, and the same as what was played."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from e2e.catalogue import __main__ as command
from e2e.catalogue import report
from e2e.catalogue.groups import ALL
from e2e.catalogue.judging import Finding
from e2e.catalogue.row import Group, Row, Verdict

ROW = Row("image-missing", {"containers": []}, "app", frozenset({"ErrImagePull"}), ("image x does not exist",))
OTHER = Row("never-ready", {"containers": []}, "app", frozenset(), ("not ready", "deadline"), Verdict.DEADLINE, deadline=20)
GROUP = Group("Some", [ROW, OTHER])
DESCRIBE = """image-missing.pods-4711-0   Failed   Deployment image-missing
  weight     canary   0 %  ----------  primary 100 %
  ended      Failed 3s ago: image x does not exist (1 of 1 pod)

Pods that fail
  image-missing-79f8c6b95d-x7k2p  container app: ErrImagePull
    image x does not exist. Push it. Try: kubectl get

Conditions
  TYPE   STATUS
"""
FINDING = Finding(
    Verdict.NOW, 5.62, 10, "", "image x does not exist (1 of 1 pod) in pods-4711-0",
    "Rolling back image-missing.pods-4711-0: image x does not exist", "Canary failed: image-missing-79f8c6b95d-x7k2p", DESCRIBE,
)  # fmt: skip
ENTRY = report.entry_of(GROUP, ROW, FINDING)


def test_names_that_differ_from_run_to_run_are_left_out() -> None:
    assert ENTRY.event == "Rolling back image-missing.pods: image x does not exist"
    assert ENTRY.alert == "Canary failed: image-missing-…"
    assert ENTRY.seconds == 5.6
    assert "4711" not in str(ENTRY.data())
    assert "79f8c6b95d" not in str(ENTRY.data())


def test_of_describe_the_end_and_the_pods_are_shown() -> None:
    lines = ENTRY.describe.splitlines()
    assert lines[0] == "  ended      Failed now: image x does not exist (1 of 1 pod)"
    assert lines[1] == "Pods that fail"
    assert lines[-1].endswith("Try: kubectl get")
    assert "weight" not in ENTRY.describe


def test_rows_that_were_not_played_stay_as_they_were_and_gone_ones_go() -> None:
    later = dataclasses.replace(ENTRY, seconds=6.0)
    gone = dataclasses.replace(ENTRY, row="no-such-row")
    other = report.broken(GROUP, OTHER, "AssertionError: too late")
    found = report.merged([GROUP], [ENTRY.data(), gone.data(), other.data()], [later])
    assert [(entry.row, entry.seconds) for entry in found] == [("image-missing", 6.0), ("never-ready", None)]


def test_a_row_that_did_not_end_as_it_must_is_seen_at_once() -> None:
    bad = report.broken(GROUP, OTHER, "now, not at the deadline: x\nmore")
    for text in (report.table([ENTRY, bad]), report.page([ENTRY, bad])):
        assert "not as it must" in text.lower()
        assert "now, not at the deadline: x" in text
        assert "more" not in text.split("What a person reads")[0].split("never-ready")[1]


def test_a_fault_that_ended_is_shown_as_it_was_named_meanwhile() -> None:
    healed = dataclasses.replace(FINDING, verdict=Verdict.PROMOTED, named="no pod can be made", condition="promotion finished")
    entry = report.entry_of(GROUP, ROW, healed)
    assert report.table([entry]).endswith("no pod can be made")
    assert "meanwhile  no pod can be made\ncondition  promotion finished" in report.page([entry])


def test_the_table_has_a_line_a_row() -> None:
    lines = report.table([ENTRY]).splitlines()
    assert lines[0].split() == ["ROW", "VERDICT", "SECONDS", "AT", "MOST", "DIAGNOSIS"]
    assert lines[1].split()[:4] == ["image-missing", "now", "5.6", "10"]


def test_rows_have_names_of_their_own() -> None:
    names = Counter(row.id for group in ALL for row in group.rows)
    assert names.most_common(1)[0][1] == 1
    for group in ALL:
        for row in group.rows:
            assert len(row.name) <= 40, "generated names have to fit"
            assert (row.verdict is Verdict.DEADLINE) == bool(row.deadline), row.id
            assert row.verdict is Verdict.PROMOTED or row.cause, row.id


def test_the_page_in_the_repository_is_the_one_of_the_kept_findings() -> None:
    assert command.PAGE.read_text() == report.page(command.kept())


def test_every_row_stands_on_the_page_and_ended_as_it_must() -> None:
    kept = {entry.row: entry.problem for entry in command.kept()}
    assert {row.id for group in ALL for row in group.rows} == set(kept)
    assert not any(kept.values()), kept


def test_rows_are_chosen_by_group_and_by_part_of_their_names() -> None:
    everything = command.chosen([], [])
    assert len(everything) == sum(len(group.rows) for group in ALL)
    assert [row.turn for _, row in everything] == sorted(row.turn for _, row in everything)
    assert not everything[0][1].alone
    assert "secret-missing" not in {row.id for _, row in command.chosen([], [], {"secret-missing"})}
    assert {group.name for group, _ in command.chosen(["core"], [])} == {"The core"}
    assert [row.id for _, row in command.chosen([], ["secret-missing"])] == ["secret-missing"]


@pytest.mark.parametrize(("seconds", "text"), [(None, ""), (5.62, "5.6"), (10.0, "10"), (35.4, "35"), (8.0, "8")])
def test_seconds_are_as_fine_as_they_matter(seconds: float | None, text: str) -> None:
    assert report._number(seconds) == text
