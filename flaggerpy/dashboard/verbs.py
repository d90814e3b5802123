"""What a person can order from the page, and how it says that something makes no sense now. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flaggerpy.api.commanding import Unfit, unfit
from flaggerpy.api.names import COMMAND_PAUSE
from flaggerpy.api.status import CanaryStatus

VERBS = ("promote", "skip", "pause", "resume", "retry", "abort")
SENTENCES: dict[Unfit, str] = {
    Unfit.SUSPENDED: "It is suspended (spec.suspend): no command is taken up.",
    Unfit.NO_RELEASE: "No release is under way.",
    Unfit.NOT_FAILED: "There is nothing to retry: the last release did not fail.",
    Unfit.TOO_LATE: "It is too late to {verb}: the primary has the revision already.",
    Unfit.ROLLING_BACK: "A rollback is under way.",
    Unfit.NOT_PAUSED: "It is not paused.",
    Unfit.PAUSED: "It is paused: resume it first.",
    Unfit.PAUSED_ALREADY: "It is paused already.",
    Unfit.PROMOTED_ALREADY: "It is being promoted already.",
    Unfit.ABORTED_ALREADY: "A rollback is under way.",
}


def why_not(verb: str, status: CanaryStatus, spec: Mapping[str, Any], annotations: Mapping[str, Any]) -> str:
    """Why this cannot be meant now, as a sentence; "" when it can."""
    why = unfit(verb, status, suspended=bool(spec.get("suspend")), paused=COMMAND_PAUSE in annotations)
    return SENTENCES[why].format(verb=verb) if why else ""
