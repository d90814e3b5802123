"""Every row of the catalogue that the core does not play: verdict, time, and the words in condition, event, alert and `describe`."""

from __future__ import annotations

import pytest

from e2e.catalogue.groups import SLOW
from e2e.catalogue.judging import judged
from e2e.catalogue.play import Plays
from e2e.catalogue.row import Row

# in the order in which they are played: none is waited for while others are begun
ROWS = sorted((row for group in SLOW for row in group.rows), key=lambda row: row.turn)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_ends_as_it_must_and_says_why(row: Row, plays: Plays) -> None:
    judged(row, plays)
