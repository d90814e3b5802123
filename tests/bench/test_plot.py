"""The picture of the figures."""

from __future__ import annotations

from e2e.bench.figures import OURS, THEIRS, Measured, Outcome
from e2e.bench.plot import compared


def outcome(*measured: Measured) -> Outcome:
    return Outcome("Title", "How.", "2026-01-01", "a machine", measured)


def test_only_what_both_have_is_compared() -> None:
    both = [Measured(OURS, "time", "s", 2.0), Measured(THEIRS, "time", "s", 8.0)]
    alone, never = Measured(OURS, "lag", "ms", 1.0), Measured(THEIRS, "end", "s", None)
    found = compared([outcome(*both, alone), outcome(Measured(OURS, "end", "s", 3.0), never)])
    assert [(row.what, row.ratio) for row in found] == [("time", 4.0)]
