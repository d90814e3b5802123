"""The answer of `decide`: the status to store, the effects to carry out, and when to look again without an event."""

from __future__ import annotations

from dataclasses import dataclass

from flaggerpy.api.status import CanaryStatus
from flaggerpy.rollout.effects import Effect


@dataclass(frozen=True)
class Decision:
    """`wake` is an epoch time in seconds, None when only an event can change anything."""

    status: CanaryStatus
    effects: tuple[Effect, ...] = ()
    wake: float | None = None
