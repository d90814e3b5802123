"""The answer of `decide`: the status to store, the effects to carry out, and when to look again without an event."""

from __future__ import annotations

from dataclasses import dataclass

from flaggerpy.api.status import CanaryStatus, Phase
from flaggerpy.rollout.effects import Effect
from flaggerpy.rollout.phases import Cause


@dataclass(frozen=True)
class Decision:
    """`wake` is an epoch time in seconds, None when only an event can change anything."""

    status: CanaryStatus
    effects: tuple[Effect, ...] = ()
    wake: float | None = None
    moves: tuple[tuple[Phase, Cause, Phase], ...] = ()
    """The rows of the transition table that this decision took."""
