"""One look at one Canary: what was seen, so that the effects of the decision act on the same objects that it was made on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.status import CanaryStatus
from flaggerpy.controller.gather import Snapshot
from flaggerpy.controller.inbox import Key

Obj = dict[str, Any]


class StaleError(Exception):
    """A cache was older than what the API server has: look again at once, nothing is wrong."""


class RefusedError(Exception):
    """Something cannot be done until a person changes something; the text is the sentence for that person."""


@dataclass
class Look:
    """`obj` is the Canary as it was decided on and `status` the one that was decided (written by the time effects run)."""

    key: Key
    obj: Obj
    snapshot: Snapshot
    status: CanaryStatus
    again: bool = field(default=False)
    """Set by an effect that changed a fact which no watch reports: look again without waiting."""

    @property
    def canary(self) -> Canary:
        return self.snapshot.canary
