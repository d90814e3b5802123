"""What is analysed is what is promoted: no traffic before the revision's template is kept."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.world import World, ended
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout.decision import Decision


class Forgetful(World):
    """A cluster that refuses to keep templates for a while (a quota, a webhook)."""

    keeps = True

    def carry_out(self, effect: fx.Effect, decision: Decision) -> None:
        if self.keeps or not isinstance(effect, fx.KeepRevision):
            super().carry_out(effect, decision)


@pytest.mark.parametrize(
    "spec", [{}, {"skipAnalysis": True}, {"weights": False, "analysis": {"interval": "10s", "threshold": 2, "iterations": 2}}]
)
def test_a_release_waits_until_its_template_is_kept(spec: dict[str, Any]) -> None:
    world = Forgetful(**spec)
    world.initialised()
    world.keeps = False
    world.release("v2")
    world.run_for(60)
    assert world.is_in(Phase.PROGRESSING)
    assert world.status.get("canaryWeight", 0) == world.status.get("iterations", 0) == 0
    assert world.typed.progress is not None
    assert "template of v2 to be kept" in world.typed.progress.waiting_for
    world.keeps = True
    world.settle(ended)
    assert world.is_in(Phase.SUCCEEDED)
    assert world.primary is not None
    assert world.primary.source_revision == "v2"
