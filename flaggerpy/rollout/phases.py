"""The legal moves between phases. Everything that may cause a move is in this room; a move that is not in the table is a bug.

Two house rules: a phase is only changed through `Draft.enter`, which looks here; and every phase but the idle ones names what it
waits for. Source: Flagger's transitions (its section 2.8), plus the ways out that it lacks.
"""

from __future__ import annotations

from flaggerpy.api.status import IDLE, Phase

P = Phase

MOVES: dict[Phase, frozenset[Phase]] = {
    P.NONE: frozenset({P.INITIALIZING}),
    P.INITIALIZING: frozenset({P.INITIALIZED, P.FAILED}),
    P.INITIALIZED: frozenset({P.WAITING, P.PROGRESSING}),
    P.SUCCEEDED: frozenset({P.WAITING, P.PROGRESSING}),
    # A failed bootstrap goes on when the target is mended: there is no promoted revision to start a run against.
    P.FAILED: frozenset({P.WAITING, P.PROGRESSING, P.INITIALIZING}),
    P.WAITING: frozenset({P.PROGRESSING, P.FAILED, P.SUCCEEDED}),
    P.PROGRESSING: frozenset({P.WAITING_PROMOTION, P.PROMOTING, P.FAILED}),
    P.WAITING_PROMOTION: frozenset({P.PROGRESSING, P.PROMOTING, P.FAILED}),
    P.PROMOTING: frozenset({P.FINALISING, P.FAILED}),
    P.FINALISING: frozenset({P.SUCCEEDED, P.FAILED, P.PROMOTING}),
    P.TERMINATING: frozenset({P.TERMINATED}),
    P.TERMINATED: frozenset(),
}

ACTIVE = frozenset({P.WAITING, P.PROGRESSING, P.WAITING_PROMOTION, P.PROMOTING, P.FINALISING})
ANALYSING = frozenset({P.PROGRESSING, P.WAITING_PROMOTION})

__all__ = ["ACTIVE", "ANALYSING", "IDLE", "MOVES", "legal"]


def legal(before: Phase, after: Phase) -> bool:
    """True when a Canary may go from one phase to the other; staying is always legal, deletion is possible from everywhere."""
    return before == after or after is Phase.TERMINATING or after in MOVES[before]
