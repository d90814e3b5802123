"""The controller dies before each write in turn, in each strategy, and every story ends the same."""

from __future__ import annotations

import pytest

from flaggerpy.model.deaths import STORIES, try_all
from flaggerpy.model.strategies import STRATEGIES
from flaggerpy.rollout import running


def dies(strategy: str, name: str) -> None:
    spec, story = STRATEGIES[strategy], STORIES[name]
    if story.applies(spec):
        death = try_all(spec, story)
        assert death.differ == {}
        assert death.deaths == death.writes + 1 > 10


@pytest.mark.parametrize("story", ["good release", "primary unfit"])
def test_a_weighted_release_survives_a_death_at_any_write(story: str) -> None:
    dies("weighted", story)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("story", STORIES)
def test_every_release_survives_a_death_at_any_write(strategy: str, story: str) -> None:
    dies(strategy, story)


def test_a_core_that_does_its_deeds_only_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary is scaled up by the decision that begins the run and by no other: a death in between leaves it at zero."""
    monkeypatch.setattr(running, "_keep_up", lambda d, target, *, may_scale: None)
    assert try_all(STRATEGIES["by Services"], STORIES["good release"]).differ
