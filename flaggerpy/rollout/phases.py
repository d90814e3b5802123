"""The transition table: every legal move of a release, with its cause and what is waited for until it comes. A move not here is a bug.

House rules: a phase is only changed through `Draft.enter`, which looks here; and every phase but the idle ones names what it waits for.
A row whose phase stays is a turn within it: a rollback begins, or the run goes back to its first step. `flaggerpy.model` explores the
core and counts which rows it meets; docs/state-machine.md is generated from here. Source: Flagger's transitions (its section 2.8), plus
the ways out that it lacks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from flaggerpy.api.status import IDLE, Phase

P = Phase

ACTIVE = frozenset({P.WAITING, P.PROGRESSING, P.WAITING_PROMOTION, P.PROMOTING, P.FINALISING})
ANALYSING = frozenset({P.PROGRESSING, P.WAITING_PROMOTION})
RUNNING = frozenset({*ANALYSING, P.PROMOTING, P.FINALISING, P.TERMINATING})
"""In these the canary may have traffic."""


class Cause(StrEnum):
    """Why a release moves."""

    SEEN = "the Canary is seen for the first time"
    REFUSED = "its spec cannot be honoured"
    INITIALISED = "the primary serves, the target is at zero"
    BOOTSTRAP_FAILED = "the primary fails, or its progress deadline expires"
    BOOTSTRAP_MENDED = "the target was changed, or the primary got ready after all or was taken away"
    GATE_CLOSED = "a new revision, and a confirm-rollout gate is closed"
    NEW_REVISION = "a new revision, and the confirm-rollout gates are open"
    RETRIED = "a person retries the revision that failed"
    GATE_PASSED = "the confirm-rollout gates are open"
    FORCED = "a person promotes: gates and analysis are waived"
    WAIVED = "a person skips the wait for the confirm-rollout gates"
    WENT_BACK = "the target went back to the promoted revision"
    SUPERSEDED = "the target moved on to another revision"
    ABORTED = "a person aborts"
    HOOK_ASKED = "a rollback hook asks for it"
    PODS_FAILED = "the canary's pods fail, or its progress deadline expires"
    IMAGE_MISSING = "an image certainly cannot be pulled, and podHealth.imageCheck is Fail"
    PODS_LOST = "all pods of the canary are lost"
    PODS_LOST_AGAIN = "all pods of the canary are lost once too often"
    TARGET_GONE = "the target is gone"
    CHECKS_FAILED = "failed checks reach the threshold"
    UNMEASURED = "the metrics server could not be reached for progressDeadlineSeconds"
    PROMOTION_HELD = "a confirm-promotion gate is closed"
    PASSED = "the analysis passed, and the confirm-promotion gates are open, or a person skipped them"
    SKIPPED = "skipAnalysis: the canary is ready"
    PROMOTION_FAILED = "the primary fails with the new revision, or its progress deadline expires"
    PRIMARY_TOOK_OVER = "the primary is rolled out, and the weight is led to it"
    PRIMARY_LOST = "the primary lost all its pods while the canary still has some"
    DRAINED = "the route left the canary, it is drained and at zero"
    ROLLED_BACK = "the route left the canary, it is drained and at zero, and the run has a verdict"
    NO_WAY_BACK = "neither is the last promoted template to be had, or not ready either: traffic stays where pods are ready"
    DELETED = "the Canary is deleted, and revertOnDeletion is set"
    RESTORED = "the Canary was made anew from a backup"


@dataclass(frozen=True)
class Move:
    """A row: in phase `before`, while `waits` is waited for, `cause` leads to phase `after` (the same one: a turn within it)."""

    before: Phase
    cause: Cause
    after: Phase
    waits: str


def _rows(before: Iterable[Phase], cause: Cause, after: Phase | None, waits: str) -> tuple[Move, ...]:
    return tuple(Move(phase, cause, after if after is not None else phase, waits) for phase in before)


_BETWEEN = (P.INITIALIZED, P.SUCCEEDED, P.FAILED)
_ANALYSIS = (P.PROGRESSING, P.WAITING_PROMOTION)
_EVERY = tuple(phase for phase in Phase if phase is not P.TERMINATING)
_TEMPLATE = "a template of the target that is not the promoted one"
_CHECKS = "pods, settling, route, interval, hooks and metrics of each step"
_PRIMARY = "the primary's pods with the new revision"
_BACK = "traffic on the primary, the drain, the canary at zero"

TABLE: tuple[Move, ...] = (
    Move(P.NONE, Cause.SEEN, P.INITIALIZING, "the controller"),
    Move(P.NONE, Cause.REFUSED, P.INITIALIZING, "the controller"),
    Move(P.INITIALIZING, Cause.INITIALISED, P.INITIALIZED, "the primary's pods, Services, route, drain, the target at zero"),
    Move(P.INITIALIZING, Cause.BOOTSTRAP_FAILED, P.FAILED, "the primary's pods"),
    Move(P.FAILED, Cause.BOOTSTRAP_MENDED, P.INITIALIZING, "a person, or the primary's pods"),
    *_rows(_BETWEEN, Cause.GATE_CLOSED, P.WAITING, _TEMPLATE),
    *_rows(_BETWEEN, Cause.NEW_REVISION, P.PROGRESSING, _TEMPLATE),
    Move(P.FAILED, Cause.RETRIED, P.WAITING, "a person"),
    Move(P.FAILED, Cause.RETRIED, P.PROGRESSING, "a person"),
    Move(P.WAITING, Cause.GATE_PASSED, P.PROGRESSING, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.FORCED, P.PROGRESSING, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.WAIVED, P.PROGRESSING, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.WENT_BACK, P.SUCCEEDED, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.ABORTED, P.WAITING, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.HOOK_ASKED, P.WAITING, "the confirm-rollout gates"),
    Move(P.WAITING, Cause.ROLLED_BACK, P.FAILED, _BACK),
    *_rows(_ANALYSIS, Cause.SUPERSEDED, P.PROGRESSING, _CHECKS),
    *_rows(_ANALYSIS, Cause.PODS_LOST, P.PROGRESSING, _CHECKS),
    *_rows(_ANALYSIS, Cause.UNMEASURED, P.PROGRESSING, _CHECKS),
    Move(P.PROGRESSING, Cause.PROMOTION_HELD, P.WAITING_PROMOTION, _CHECKS),
    *_rows(_ANALYSIS, Cause.PASSED, P.PROMOTING, _CHECKS),
    *_rows(_ANALYSIS, Cause.FORCED, P.PROMOTING, _CHECKS),
    *_rows(_ANALYSIS, Cause.SKIPPED, P.PROMOTING, "the canary's pods and their settling"),
    *_rows(_ANALYSIS, Cause.ABORTED, None, _CHECKS),
    *_rows(_ANALYSIS, Cause.HOOK_ASKED, None, _CHECKS),
    *_rows(_ANALYSIS, Cause.PODS_FAILED, None, _CHECKS),
    Move(P.PROGRESSING, Cause.IMAGE_MISSING, P.PROGRESSING, "the registries' answers about the images"),
    Move(P.PROGRESSING, Cause.PODS_LOST_AGAIN, P.PROGRESSING, _CHECKS),
    *_rows(_ANALYSIS, Cause.TARGET_GONE, None, _CHECKS),
    *_rows(_ANALYSIS, Cause.CHECKS_FAILED, None, _CHECKS),
    *_rows(_ANALYSIS, Cause.WENT_BACK, None, _CHECKS),
    *_rows(_ANALYSIS, Cause.ROLLED_BACK, P.FAILED, _BACK),
    Move(P.PROMOTING, Cause.PRIMARY_TOOK_OVER, P.FINALISING, _PRIMARY),
    Move(P.PROMOTING, Cause.PROMOTION_FAILED, P.PROMOTING, _PRIMARY),
    Move(P.PROMOTING, Cause.ROLLED_BACK, P.FAILED, f"the primary with its last promoted template, then {_BACK}"),
    Move(P.PROMOTING, Cause.NO_WAY_BACK, P.FAILED, "the primary with its last promoted template"),
    *_rows((P.WAITING, *_ANALYSIS), Cause.NO_WAY_BACK, P.FAILED, "a release after a promotion that failed, all traffic on the canary"),
    Move(P.FINALISING, Cause.PRIMARY_LOST, P.PROMOTING, _BACK),
    Move(P.FINALISING, Cause.DRAINED, P.SUCCEEDED, _BACK),
    *_rows(_EVERY, Cause.DELETED, P.TERMINATING, "what the phase waits for"),
    *_rows((P.TERMINATING, P.TERMINATED), Cause.RESTORED, P.NONE, "the end of the deletion"),
)
MOVES: frozenset[tuple[Phase, Cause, Phase]] = frozenset((move.before, move.cause, move.after) for move in TABLE)

__all__ = ["ACTIVE", "ANALYSING", "IDLE", "MOVES", "RUNNING", "TABLE", "Cause", "Move", "legal"]


def legal(before: Phase, cause: Cause, after: Phase) -> bool:
    """True when the table has this move."""
    return (before, cause, after) in MOVES
