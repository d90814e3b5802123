"""The page's commands are those of the command line: the same annotations, the same phases in which they make sense."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.names import COMMAND_PAUSE
from flaggerpy.api.status import Phase, parse_status
from flaggerpy.cli import commands
from flaggerpy.cli.problems import Problem
from flaggerpy.cli.views import canary_view
from flaggerpy.dashboard import verbs
from tests.dashboard.scene import NOW, canary, run

PHASES = [phase for phase in Phase if phase not in (Phase.TERMINATING, Phase.TERMINATED, Phase.NONE, Phase.INITIALIZING)]


def there(phase: Phase, paused: bool, suspended: bool) -> dict[str, Any]:
    status = {**run(20), "phase": str(phase)} if phase not in ("Initialized", "Succeeded", "Failed") else {"phase": str(phase)}
    return canary(annotations={COMMAND_PAUSE: "*"} if paused else {}, spec={"suspend": suspended}, **status)


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("verb", verbs.VERBS)
def test_page_and_command_line_agree_on_what_makes_sense_and_write_the_same(verb: str, phase: Phase, suspended: bool) -> None:
    for paused in (False, True):
        obj = there(phase, paused, suspended)
        status = parse_status(obj)
        why = verbs.why_not(verb, status, obj["spec"], obj["metadata"]["annotations"])
        view = canary_view(obj, NOW)
        try:
            theirs = commands.order(verb, view)
        except Problem:
            theirs = None
        if verb == "pause" and paused:
            continue  # the page says that it is paused already; the command line writes the same once more
        if verb == "promote" and phase in verbs.LATE:
            assert why  # told by the controller as an event otherwise
            continue
        if verb == "skip" and paused:
            assert why
            continue
        assert bool(why) == (theirs is None), (why, theirs)
        if theirs is not None and not (verb == "pause" and view.idle):
            ours = verbs.order(verb, view.revision, view.step)
            assert (ours.annotation, ours.value) == (theirs.annotation, theirs.value)


def test_a_rollback_under_way_takes_no_commands() -> None:
    status = parse_status(canary(**run(20, verdict="failed checks")))
    for verb in ("promote", "skip", "pause", "abort"):
        assert verbs.why_not(verb, status, {}, {}) == "A rollback is under way."
