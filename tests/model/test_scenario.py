"""A release played from its first second to its end by the real core, with and without faults."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.status import Phase
from flaggerpy.model.faults import KINDS, parse_fault
from flaggerpy.model.scenario import Actor, Cast, Stage
from flaggerpy.rollout.facts import Measurement

SPEC: dict[str, Any] = {
    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
    "service": {"port": 80},
    "progressDeadlineSeconds": 120,
    "analysis": {"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "metrics": [{"name": "errors"}]},
}


def staged(*faults: str, cast: Cast | None = None, analysis: dict[str, Any] | None = None, seed: int = 0, **spec: Any) -> Stage:
    plan = {key: value for key, value in {**SPEC["analysis"], **(analysis or {})}.items() if value is not None}
    canary = {"metadata": {"name": "shop", "namespace": "prod"}, "spec": {**SPEC, **spec, "analysis": plan}}

    def measure(metric: Any, trouble: str, draw: float) -> Measurement:
        return Measurement("value", text="Halt shop.prod advancement errors" if trouble == "errors" else "")

    return Stage(canary, cast or Cast(), measure=measure, faults=[parse_fault(fault) for fault in faults], seed=seed)


def played(stage: Stage, limit: float = 7200.0) -> float:
    """The seconds that the release took."""
    assert stage.prepare()
    for _ in stage.play(limit=limit):
        pass
    return stage.now - stage.released_at


def outcome(stage: Stage) -> tuple[str, str]:
    return stage.typed.history[0].outcome, stage.typed.history[0].cause


def test_a_good_release_is_promoted_with_the_names_of_its_own() -> None:
    stage = staged()
    seconds = played(stage)
    assert outcome(stage) == ("Succeeded", "")
    assert 40 < seconds < 70
    assert stage.primary is not None
    assert stage.primary.name == "shop-primary"
    assert "Advance shop.prod canary weight 40" in [told.message for told in stage.told]
    assert stage.typed.promoted_images == ["app:next"]


def test_a_skip_saves_what_is_left_of_one_step() -> None:
    whole, skipped = staged(analysis={"interval": "60s"}), staged("skip-at=20", analysis={"interval": "60s"})
    assert 50 < played(whole) - played(skipped) < 65
    assert outcome(skipped) == ("Succeeded", "")
    assert [order.command for order in skipped.typed.history[0].orders] == ["skip"]


@pytest.mark.parametrize(
    ("fault", "seconds", "cause"),
    [
        ("image-missing", 15, "image app:next of container app does not exist"),
        ("wrong-credentials", 15, "refuses the credentials"),
        ("registry-down", 60, "refused the connection"),
        ("config-missing", 15, "app-settings"),
        ("no-command", 15, "/app/run"),
        ("crash-loop", 40, "container app crashes with exit code 1 (crashed 3 times"),
        ("oom", 60, "memory limit"),
        ("never-ready", 130, "progress deadline of 120s exceeded: container app runs but does not pass its readiness probe"),
        ("unschedulable", 130, "Insufficient memory"),
        ("quota", 130, "quota compute is used up"),
        ("errors-at=40", 100, "failed checks threshold reached 2: errors"),
        ("abort-at=20", 60, "aborted by a person"),
        ("promotion-fails", 250, "promotion failed"),
    ],
)
def test_a_fault_ends_the_release_in_time_and_by_name(fault: str, seconds: float, cause: str) -> None:
    stage = staged(fault)
    assert played(stage) <= seconds
    assert stage.phase is Phase.FAILED
    assert cause in outcome(stage)[1]
    assert stage.route is not None
    assert stage.route.canary == 0


@pytest.mark.parametrize(
    "fault", ["registry-down=20", "never-ready=60", "unschedulable=30", "quota=30", "route-refused=20", "pods-lost-at=40"]
)
def test_a_fault_that_passes_is_survived(fault: str) -> None:
    stage = staged(fault)
    played(stage)
    assert outcome(stage)[0] == "Succeeded"


def test_a_fault_may_be_a_sidecars() -> None:
    cast = Cast(actors=(Actor("setup", "s:1", "s:1", "init"), Actor("app", "a:1", "a:2"), Actor("proxy", "p:1", "p:1", "sidecar")))
    stage = staged("crash-loop:proxy", cast=cast)
    played(stage)
    assert "sidecar container proxy crashes" in outcome(stage)[1]


def test_the_registry_is_asked_before_the_first_pod() -> None:
    stage = staged("image-missing")
    played(stage)
    assert any(told.message.startswith("Image check of shop.prod: image app:next of container app does not exist") for told in stage.told)
    stage = staged("image-missing", podHealth={"imageCheck": "Fail"})
    assert played(stage) < 1
    assert stage.target is not None
    assert not stage.target.pods
    stage = staged("registry-down=15", podHealth={"imageCheck": "Fail"})
    played(stage)
    assert outcome(stage)[0] == "Succeeded"


def test_a_second_change_restarts_the_run_and_its_end_is_played_too() -> None:
    stage = staged("new-revision-at=40")
    played(stage)
    assert [entry.outcome for entry in stage.typed.history] == ["Succeeded", "Superseded", "Initialized"]


def test_a_gate_that_stays_closed_ends_the_play_and_not_the_release() -> None:
    gate = [{"name": "go", "type": "confirm-promotion", "url": "http://gate.test/"}]
    stage = staged("gate-closed", analysis={"webhooks": gate})
    assert played(stage) < 1000
    assert not stage.ended
    assert stage.phase is Phase.WAITING_PROMOTION
    later = staged("gate-closed=700", analysis={"webhooks": gate})
    assert played(later) > 700
    assert outcome(later)[0] == "Succeeded"


def test_a_suspended_canary_is_played_as_suspended() -> None:
    stage = staged(suspend=True)
    played(stage)
    assert stage.typed.progress is not None
    assert "suspend" in stage.typed.progress.waiting_for


def test_a_primary_that_cannot_start_in_time_is_told() -> None:
    stage = staged(cast=Cast(ready_after=50.0), progressDeadlineSeconds=20)
    assert not stage.prepare()
    assert any("not ready" in told.message for told in stage.told)


def test_a_fault_that_is_never_reached_is_told() -> None:
    stage = staged("errors-at=80")
    played(stage)
    assert [fault.text for fault in stage.unseen_faults()] == ["errors-at=80"]


def test_the_same_seed_plays_the_same_and_another_one_varies_it() -> None:
    assert played(staged(seed=1)) == played(staged(seed=1))
    assert len({played(staged(seed=seed)) for seed in range(2, 5)}) > 1


@pytest.mark.parametrize("name", KINDS)
def test_every_fault_comes_to_an_end_that_is_named(name: str) -> None:
    # the strategies take turns: all three with every fault would take a minute
    strategy = ("weights", "iterations", "services")[list(KINDS).index(name) % 3]
    analysis: dict[str, Any] = {} if strategy == "weights" else {"iterations": 3, "stepWeight": None, "maxWeight": None}
    fault = f"{name}=40" if KINDS[name].takes == "percent" else name
    stage = staged(fault, cast=Cast(weights=strategy != "services", mirror=False), analysis=analysis)
    played(stage)
    assert stage.ended or (stage.typed.progress is not None and stage.typed.progress.waiting_for)
