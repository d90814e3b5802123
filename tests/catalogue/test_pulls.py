"""The rows about pulls, as data: every published cause has one, every fault that may end has a twin in which it does."""

from __future__ import annotations

import pytest

from e2e.catalogue import pulls
from e2e.catalogue.row import Row, Verdict

BY_ID = {row.id: row for row in pulls.ROWS}
PUBLISHED = (
    "image missing",
    "tag missing",
    "image or tag misspelt",
    "image name invalid",
    "image corrupted",
    "plain-HTTP registry",
    "self-signed certificate",
    "private certificate authority",
    "authentication",
    "private registry without credentials",
    "rate limit",
    "network",
    "time-out of a large pull",
    "pull time-out behind queued large pulls",
)


@pytest.mark.parametrize("cause", PUBLISHED)
def test_every_cause_in_the_usual_lists_has_a_row(cause: str) -> None:
    assert [row.id for row in pulls.ROWS if row.note == f"{pulls.LISTED}{cause}."]


@pytest.mark.parametrize("row", [row for row in pulls.ROWS if row.verdict in (Verdict.GRACE, Verdict.DEADLINE)], ids=lambda row: row.id)
def test_every_fault_that_may_end_has_a_twin_in_which_it_does(row: Row) -> None:
    if row.id == "layer-no-archive":
        return  # the image itself is broken: only a new one mends it
    twin = BY_ID[f"{row.id}-heals"]
    assert (twin.verdict, twin.heal is not None) == (Verdict.PROMOTED, True)


def test_no_two_rows_share_a_name_or_an_image() -> None:
    images = [row.pod["containers"][0]["image"] for row in pulls.ROWS]
    assert len(set(images)) == len(images) == len(BY_ID)
