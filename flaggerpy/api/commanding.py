"""What a person orders of a release: when it makes sense, and which annotation that is (docs/adr: commands are annotations). Pure.

The value names the revision (and for `skip` the step) that the person was looking at, so that an order that comes late never hits the
next release. The controller looks at it in any case; what makes no sense now is told before anything is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from flaggerpy.api.names import COMMAND_PAUSE, COMMANDS
from flaggerpy.api.status import CanaryStatus, Phase

UNDER_WAY = frozenset({Phase.WAITING, Phase.PROGRESSING, Phase.WAITING_PROMOTION})
"""Phases in which a release can still be ended, promoted by hand, or led to its next step."""
LATE = frozenset({Phase.PROMOTING, Phase.FINALISING})
ANY = "*"
ANNOTATIONS: dict[str, str] = {**COMMANDS, "resume": COMMAND_PAUSE}


class Unfit(Enum):
    """Why a command makes no sense now."""

    SUSPENDED = auto()
    NO_RELEASE = auto()
    NOT_FAILED = auto()
    TOO_LATE = auto()
    """The primary has the revision already."""
    ROLLING_BACK = auto()
    NOT_PAUSED = auto()
    PAUSED = auto()
    """It has to be resumed first."""
    PAUSED_ALREADY = auto()
    PROMOTED_ALREADY = auto()
    ABORTED_ALREADY = auto()
    """A rollback is under way, whatever began it."""


REPEATED = frozenset({Unfit.PAUSED_ALREADY, Unfit.PROMOTED_ALREADY, Unfit.ABORTED_ALREADY})
"""It is so already: whoever orders it once more gets what they want."""


@dataclass(frozen=True)
class Order:
    """The annotation to write; `value` None takes it off."""

    verb: str
    annotation: str
    value: str | None


def unfit(verb: str, status: CanaryStatus, *, suspended: bool, paused: bool) -> Unfit | None:
    """Why this cannot be meant now; None when it can. `paused`: the annotation stands. Which way back there is, is not looked at."""
    run, phase = status.run, status.phase
    if verb == "resume":
        return None if paused else Unfit.NOT_PAUSED
    if verb == "pause" and paused:
        return Unfit.PAUSED_ALREADY
    if suspended and verb != "pause":
        return Unfit.SUSPENDED
    if verb == "rollback-to":
        return None
    if verb == "retry":
        return None if phase is Phase.FAILED else Unfit.NOT_FAILED
    if phase in LATE and verb in ("pause", "skip", "abort"):
        return Unfit.TOO_LATE
    if run is None or between(phase):
        return None if verb == "pause" else Unfit.NO_RELEASE
    if run.verdict:
        return Unfit.ABORTED_ALREADY if verb == "abort" else Unfit.ROLLING_BACK
    if verb == "skip" and paused:
        return Unfit.PAUSED
    if verb == "promote" and (phase in LATE or run.forced):
        return Unfit.PROMOTED_ALREADY
    return None


def between(phase: str) -> bool:
    """Whether no release is under way in this phase (an initialisation is none): a pause is meant for the next one."""
    return phase not in UNDER_WAY | LATE


def order(verb: str, revision: str, step: int, phase: str) -> Order:
    """What to write, for the revision, step and phase that the person saw."""
    annotation = ANNOTATIONS[verb]
    if verb == "resume":
        return Order(verb, annotation, None)
    named = "" if verb == "pause" and between(phase) else revision
    return Order(verb, annotation, f"{named or ANY}@{step}" if verb == "skip" else named or ANY)
