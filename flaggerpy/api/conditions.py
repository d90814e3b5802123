"""The conditions of a Canary: Flagger's `Promoted` to the letter, and `Ready`, `Reconciling`, `Stalled` by the kstatus rules. Pure.

docs/adr/0003-conditions.md has the table phase x condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from flaggerpy.api.status import Condition, Phase, timestamp

Status = Literal["True", "False", "Unknown"]

PROMOTED = "Promoted"
READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
CONFLICT = "Conflict"
"""Ours, written by the controller beside what is decided: somebody sets fields that flaggerpy sets."""

_PROMOTED: dict[Phase, tuple[Status, str]] = {
    Phase.INITIALIZED: ("True", "{kind} initialization completed."),
    Phase.WAITING: ("Unknown", "Waiting for approval."),
    Phase.WAITING_PROMOTION: ("Unknown", "Waiting for approval."),
    Phase.PROGRESSING: ("Unknown", "New revision detected, progressing canary analysis."),
    Phase.PROMOTING: ("Unknown", "Canary analysis completed, starting primary rolling update."),
    Phase.FINALISING: ("Unknown", "Canary analysis completed, routing all traffic to primary."),
    Phase.SUCCEEDED: ("True", "Canary analysis completed successfully, promotion finished."),
    Phase.FAILED: ("False", "Canary analysis failed, {kind} scaled to zero."),
}
_ELSE: tuple[Status, str] = ("Unknown", "New {kind} detected, starting initialization.")
_KEPT_UP = "Canary analysis failed, {kind} kept up and serving."


def promoted_condition(phase: Phase, kind: str, canary_kept_up: bool = False) -> tuple[Status, str, str]:
    """Status, reason and message of `Promoted`, as Flagger words them.

    The one departure: a failed canary that was kept up is not said to be scaled to zero (Q-56). Reason is the phase, which
    Flagger's Terminating shares; before the first phase it is Initializing.
    """
    status, message = _PROMOTED.get(phase, _ELSE)
    if phase is Phase.FAILED and canary_kept_up:
        message = _KEPT_UP
    return status, str(phase or Phase.INITIALIZING), message.format(kind=kind)


def set_conditions(
    previous: Sequence[Condition],
    phase: Phase,
    kind: str,
    *,
    now: float,
    generation: int,
    stalled: tuple[str, str] | None,
    busy: bool,
    ready: bool,
    reconciling_message: str,
    cause: str = "",
    canary_kept_up: bool = False,
    kstatus: bool = True,
) -> list[Condition]:
    """The conditions that follow on `previous`; equal to it when nothing changed, so that nothing need be written.

    `now` in epoch seconds. `stalled` is (reason, sentence) of what cannot go on without a person; it goes before `busy`, for the
    two must not stand together. `busy`: something is under way or was seen and will begin; it takes Ready away. `cause` is why
    the last release failed: a phase Failed that is neither busy nor stalled otherwise is stalled by it. With `kstatus` False,
    Ready and Reconciling are left out. Conditions of other types are kept.
    """
    status, reason, promoted_message = promoted_condition(phase, kind, canary_kept_up)
    if stalled is None and phase is Phase.FAILED and not busy:
        stalled = (str(Phase.FAILED), cause or promoted_message)
    busy = busy and stalled is None
    ready = ready and not busy and stalled is None
    told = phase or Phase.INITIALIZING

    conditions = [] if phase is Phase.NONE else [_promoted(previous, status, reason, promoted_message, now)]
    if kstatus:
        if ready:
            why, sentence = str(told), promoted_message
        else:
            why, sentence = stalled or (str(told), (reconciling_message if busy else cause) or promoted_message)
        conditions.append(_condition(previous, READY, "True" if ready else "False", why, sentence, now, generation))
        if busy:
            sentence = reconciling_message or promoted_message
            conditions.append(_condition(previous, RECONCILING, "True", str(told), sentence, now, generation))
    if stalled is not None:
        conditions.append(_condition(previous, STALLED, "True", *stalled, now, generation))
    ours = {PROMOTED, READY, RECONCILING, STALLED}
    return conditions + [condition for condition in previous if condition.type not in ours]


def _find(conditions: Sequence[Condition], type_: str) -> Condition | None:
    return next((condition for condition in conditions if condition.type == type_), None)


def _promoted(previous: Sequence[Condition], status: Status, reason: str, message: str, now: float) -> Condition:
    """Flagger's condition, by its rule: untouched while status and reason stand; it has no observedGeneration."""
    before = _find(previous, PROMOTED)
    if before and (before.status, before.reason) == (status, reason):
        return before
    since = before.last_transition_time if before and before.status == status else None
    return Condition(
        type=PROMOTED,
        status=status,
        reason=reason,
        message=message,
        last_update_time=timestamp(now),
        last_transition_time=since or timestamp(now),
    )


def _condition(
    previous: Sequence[Condition], type_: str, status: Status, reason: str, message: str, now: float, generation: int
) -> Condition:
    before = _find(previous, type_)
    since = before.last_transition_time if before and before.status == status else None
    after = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_update_time=before.last_update_time if before else None,
        last_transition_time=since or timestamp(now),
        observed_generation=generation,
    )
    return after if after == before else after.model_copy(update={"last_update_time": timestamp(now)})
