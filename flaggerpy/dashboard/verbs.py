"""What a person can order from the page, and which annotation that is (docs/adr: commands are annotations). Pure.

The value names the revision (and for `skip` the step) that the person was looking at, so that an order that comes late never hits the
next release. The controller looks at it in any case; what makes no sense now is told before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.api import names
from flaggerpy.api.status import IDLE, CanaryStatus, Phase

VERBS = ("promote", "skip", "pause", "resume", "retry", "abort")
LATE = frozenset({Phase.PROMOTING, Phase.FINALISING})
ANY = "*"


@dataclass(frozen=True)
class Order:
    """The annotation to write; `value` None takes it off."""

    annotation: str
    value: str | None


def why_not(verb: str, status: CanaryStatus, spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> str:
    """Why this cannot be meant now, as a sentence; "" when it can."""
    run, phase = status.run, status.phase
    standing = names.COMMAND_PAUSE in annotations
    if verb == "resume":
        return "" if standing else "It is not paused."
    if verb == "pause" and standing:
        return "It is paused already."
    if spec.get("suspend") and verb != "pause":
        return "It is suspended (spec.suspend): no command is taken up."
    if verb == "retry":
        return "" if phase is Phase.FAILED else "There is nothing to retry: the last release did not fail."
    if phase in LATE and verb in ("pause", "skip", "abort"):
        return f"It is too late to {verb}: the primary has the revision already."
    if verb == "pause":
        return "A rollback is under way." if run is not None and run.verdict else ""
    if phase in IDLE or run is None:
        return "No release is under way."
    if run.verdict:
        return "A rollback is under way."
    if verb == "skip" and standing:
        return "It is paused: resume it first."
    if verb == "promote" and (phase in LATE or run.forced):
        return "It is being promoted already."
    return ""


def order(verb: str, revision: str, step: int) -> Order:
    """What to write. `revision` and `step` are those that the person saw; an empty revision means whichever is there."""
    annotation = names.COMMAND_PAUSE if verb == "resume" else names.COMMANDS[verb]
    if verb == "resume":
        return Order(annotation, None)
    if verb == "skip":
        return Order(annotation, f"{revision or ANY}@{step}")
    return Order(annotation, revision or ANY)
