"""The page's commands are those of the command line: the same annotations, the same moments in which they make sense."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.commanding import ANNOTATIONS, REPEATED, Unfit
from flaggerpy.api.names import COMMAND_PAUSE
from flaggerpy.api.status import IDLE, Phase, parse_status
from flaggerpy.cli import commands
from flaggerpy.cli.problems import Problem
from flaggerpy.cli.views import canary_view
from flaggerpy.dashboard import verbs
from flaggerpy.dashboard.detail import ordered
from tests.dashboard.scene import NOW, canary, run


def there(phase: Phase, paused: bool, suspended: bool) -> dict[str, Any]:
    status = {**run(20), "phase": str(phase)} if phase not in IDLE else {"phase": str(phase)}
    return canary(annotations={COMMAND_PAUSE: "*"} if paused else {}, spec={"suspend": suspended}, **status)


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.NONE])
@pytest.mark.parametrize("verb", verbs.VERBS)
def test_page_and_command_line_write_the_same_but_for_what_is_so_already(verb: str, phase: Phase, paused: bool, suspended: bool) -> None:
    obj = there(phase, paused, suspended)
    view = canary_view(obj, NOW)
    found = ordered(verb, obj, view.revision, view.step)
    try:
        theirs = commands.order(verb, view)
    except Problem:
        assert isinstance(found, str)
        return
    if view.unfit.get(verb) in REPEATED:
        assert isinstance(found, str)
        assert theirs.annotation == ANNOTATIONS[verb]
    else:
        assert found == theirs


def test_a_rollback_under_way_takes_no_commands() -> None:
    status = parse_status(canary(**run(20, verdict="failed checks")))
    for verb in ("promote", "skip", "pause", "abort"):
        assert verbs.why_not(verb, status, {}, {}) == "A rollback is under way."


def test_each_reason_has_its_sentence() -> None:
    assert set(verbs.SENTENCES) == set(Unfit)
