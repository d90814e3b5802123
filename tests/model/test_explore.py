"""The core explored: after one event at any moment of any release the invariants hold, and once all is mended there is an end.

The deeper exploration is `make prove`; here is the part that belongs to each commit, and the proof that it would see a fault.
"""

from __future__ import annotations

import pytest

from flaggerpy.model.explore import Explorer, uncovered
from flaggerpy.model.keys import key
from flaggerpy.model.scene import Scene
from flaggerpy.model.strategies import STRATEGIES, WEIGHTED
from flaggerpy.rollout import effects as fx
from flaggerpy.rollout import promoting, rollback, running, safety, traffic
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.phases import TABLE

GOOD_RELEASE = "a good release"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_event_at_any_moment_of_a_release_breaks_nothing(strategy: str) -> None:
    report = Explorer(STRATEGIES[strategy], prove=20).run(1, begins=(GOOD_RELEASE,))
    assert report.faults == {}
    assert report.states > 300
    assert report.proven > 0


def test_death_between_looks_at_one_instant_breaks_nothing() -> None:
    """Events at every single look, not only where the world has come to rest."""
    report = Explorer(STRATEGIES["skipped"], fine=True).run(1, begins=(GOOD_RELEASE,))
    assert report.faults == {}


def faults_of(strategy: str = "weighted") -> dict[str, list[str]]:
    return Explorer(STRATEGIES[strategy]).run(1, begins=(GOOD_RELEASE,)).faults


def test_a_core_that_does_not_drain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promoting, "drained", lambda d: True)
    monkeypatch.setattr(rollback, "drained", lambda d: True)
    assert "the canary is scaled down before requests under way had their time to end" in faults_of()


def test_a_core_that_does_not_guard_its_traffic_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safety, "guard", lambda d: None)
    assert any("to a canary without a ready pod" in fault for fault in faults_of())


def test_a_core_that_promotes_without_analysis_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "next_weight", lambda analysis, current: None if current else 30)
    assert "promoted before the last weight of its plan" in faults_of()


def test_a_core_that_promotes_what_the_target_holds_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpinned(d: Draft, effect: fx.Effect) -> None:
        if isinstance(effect, fx.EnsurePrimary) and effect.revision != d.status.last_promoted_spec and d.target is not None:
            effect = fx.EnsurePrimary(d.target_revision, effect.run_id, effect.replicas)
        d.effects.append(effect)

    monkeypatch.setattr(Draft, "do", unpinned)
    assert "the primary gets a template that is not the run's" in faults_of()


def test_a_core_that_never_leaves_a_phase_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_analyse", lambda d: d.wait("Godot"))
    assert any(fault.startswith("trap: all is mended") for fault in faults_of())


def test_a_core_that_asks_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "UNTOLD", 5.0)
    monkeypatch.setattr(running, "_analyse", lambda d: d.wait("Godot", until=d.now + 10))
    assert any(fault.startswith("livelock: all is mended") for fault in faults_of())


def test_a_core_that_wakes_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_analyse", lambda d: d.wait("Godot", until=d.now))
    assert any("wakes at once" in fault for fault in faults_of())


@pytest.mark.slow
def test_every_row_of_the_transition_table_is_taken() -> None:
    """The one strategy that has all gates takes nearly all of them, with one event after each beginning."""
    report = Explorer(STRATEGIES["gated"], prove=0).run(1)
    report.add(Explorer(STRATEGIES["skipped"], prove=0).run(1, begins=("a release without image",)))
    assert report.faults == {}
    assert uncovered([(move.before, move.cause, move.after) for move in TABLE], report.moves) == []


def test_a_row_that_no_decision_took_is_named() -> None:
    explorer = Explorer(STRATEGIES["weighted"])
    report = explorer.run(0)
    taken = list(report.moves)
    missing = (taken[0][0], taken[0][1], taken[0][0])
    assert uncovered([*taken, missing], report.moves) == [missing]


def test_a_fork_is_the_same_scene_and_goes_its_own_way() -> None:
    scene = Scene(analysis=WEIGHTED)
    for _ in range(8):
        scene.come_to_rest()
        scene.advance()
    fork = scene.fork()
    assert key(fork) == key(scene)
    fork.release("v2")
    fork.come_to_rest()
    assert key(fork) != key(scene)
    assert scene.target is not None
    assert scene.target.template == "v1"


def test_the_same_release_an_hour_later_is_the_same_state() -> None:
    def through(delay: float) -> bytes:
        scene = Scene(analysis=WEIGHTED)
        scene.come_to_rest()
        while scene.advance():
            scene.come_to_rest()
        scene.now += delay
        scene.release("v9")
        scene.come_to_rest()
        return key(scene)

    assert through(20) == through(3600)
