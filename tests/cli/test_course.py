"""Where a release stands, what its stages took, and how long the rest is estimated to take."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.status import IDLE, Phase, parse_status
from flaggerpy.cli.course import Course, World, beginnings, course, planned
from tests.cli.objects import NOW, Obj, at, canary, ended, run

GATED = {
    "analysis": {
        "interval": "10s", "threshold": 5, "stepWeight": 20, "maxWeight": 60, "metrics": [],
        "webhooks": [
            {"name": "start", "type": "confirm-rollout", "url": "http://gate/"},
            {"name": "try", "type": "pre-rollout", "url": "http://gate/"},
            {"name": "ask-ops", "type": "confirm-promotion", "url": "http://gate/"},
        ],
    }
}  # fmt: skip
BLUE_GREEN = {"analysis": {"interval": "10s", "threshold": 5, "iterations": 2, "webhooks": GATED["analysis"]["webhooks"]}}


def of(obj: Obj, *, seen: dict[str, float] | None = None, world: World | None = None, now: float = NOW) -> Course | None:
    return course(parse_canary(obj), parse_status(obj), now, seen=seen or {}, world=world or World())


def names(spec: Obj | None = None, world: World | None = None) -> list[str]:
    return [stage.name for stage in planned(parse_canary(canary(spec=spec)), world or World())]


def told(obj: Obj, **more: Any) -> tuple[str, float]:
    found = of(obj, **more)
    assert found is not None
    assert found.current is not None
    return found.current.name, round(found.left, 1)


def test_the_stages_of_each_strategy_in_their_order() -> None:
    assert names() == ["pods start", "settle", "20%", "40%", "60%", "promotion", "traffic back"]
    assert names(GATED) == ["start", "pods start", "settle", "checks", "20%", "40%", "60%", "ask-ops", "promotion", "traffic back"]
    assert names(BLUE_GREEN) == ["start", "pods start", "settle", "checks", "#1", "#2", "ask-ops", "100%", "promotion", "traffic back"]
    assert names(BLUE_GREEN, World(weights=False))[4:] == ["#1", "#2", "ask-ops", "promotion", "traffic back"]
    assert names({"skipAnalysis": True}) == ["pods start", "settle", "promotion", "traffic back"]
    mirrored = {"analysis": {"interval": "10s", "stepWeight": 50, "maxWeight": 50, "mirror": True}}
    assert names(mirrored, World(mirror=True)) == ["pods start", "settle", "mirror", "50%", "promotion", "traffic back"]


@pytest.mark.parametrize("phase", sorted({*IDLE, Phase.NONE, Phase.INITIALIZING, Phase.TERMINATING}))
def test_between_releases_there_is_no_course(phase: Phase) -> None:
    assert of(canary(phase, run=run("r2", "app:2"))) is None
    assert of(canary("Progressing")) is None


def test_pods_that_start_then_settle_then_the_steps() -> None:
    started = canary(run=run("r2", "app:2", startedAt=NOW - 3))
    assert told(started, world=World(least_start=8.0)) == ("pods start", 5 + 10 + 30 + 8 + 6)
    settling = canary(run=run("r2", "app:2", startedAt=NOW - 10, settledSince=NOW - 6))
    assert told(settling) == ("settle", 4 + 30 + 4 + 6)


def test_a_step_ends_when_the_controller_says_and_the_next_ones_take_as_long_as_the_last() -> None:
    progress = {"waitingFor": "the canary at weight 40%", "since": at(-2), "until": at(8)}
    obj = canary(
        canaryWeight=40, progress=progress,
        run=run("r2", "app:2", startedAt=NOW - 34, settledSince=NOW - 30, settled=True, analysedAt=NOW - 2),
    )  # fmt: skip
    found = of(obj, seen={"20%": NOW - 20, "40%": NOW - 3})
    assert found is not None
    assert [(stage.name, stage.state, stage.took) for stage in found.stages[:4]] == [
        ("pods start", "done", 4.0), ("settle", "done", 10.0), ("20%", "done", 17.0), ("40%", "now", None),
    ]  # fmt: skip
    # what the step has left, a step as long as the last, pods of the primary as long as those of the canary, drain
    assert [round(stage.left or 0.0, 1) for stage in found.stages[3:]] == [8.0, 17.0, 4.0, 6.0]


def test_a_closed_gate_holds_and_the_rest_is_told_without_it() -> None:
    held = run("r2", "app:2", settled=True, closedGate="confirm-promotion gate ask-ops")
    found = of(canary("WaitingPromotion", spec=GATED, canaryWeight=60, run=held))
    assert found is not None
    assert (found.held, found.current and found.current.name, found.current and found.current.left) == ("ask-ops", "ask-ops", None)
    assert found.left == 5.0 + 6.0
    waiting = of(canary("Waiting", spec=GATED, run=run("r2", "app:2")))
    assert waiting is not None
    assert (waiting.held, waiting.gates_ahead) == ("start", ("ask-ops",))
    between = of(canary(canaryWeight=20, run=run("r2", "app:2", settled=True, closedGate="confirm-traffic-increase gate more")))
    assert between is not None
    assert (between.held, between.current and between.current.name) == ("more", "20%")


def test_a_pause_holds_until_somebody_resumes() -> None:
    found = of(canary(canaryWeight=20, run=run("r2", "app:2", settled=True, paused=True)))
    assert found is not None
    assert found.held == "resume"


def test_a_rollback_is_the_way_back_and_what_was_done_before_it() -> None:
    verdict = {"verdict": "container app crashed", "carriedWeight": True, "settled": True}
    found = of(canary(canaryWeight=0, run=run("r2", "app:2", **verdict, drainSince=NOW - 2)))
    assert found is not None
    assert (found.failing, found.current and found.current.name, found.left) == (True, "rollback", 4.0)


def test_promotion_then_traffic_back() -> None:
    assert told(canary("Promoting", canaryWeight=60, run=run("r2", "app:2", settled=True)))[0] == "promotion"
    shifting = run("r2", "app:2", settled=True, primaryWeightStepAt=NOW)
    assert told(canary("Promoting", canaryWeight=40, run=shifting))[0] == "traffic back"
    assert told(canary("Finalising", run=run("r2", "app:2", settled=True)))[0] == "traffic back"


def test_blue_green_goes_through_its_iterations_and_all_traffic() -> None:
    assert told(canary(spec=BLUE_GREEN, iterations=2, run=run("r2", "app:2", settled=True)))[0] == "#2"
    routed = run("r2", "app:2", settled=True, routedToCanary=True)
    assert told(canary(spec=BLUE_GREEN, iterations=3, canaryWeight=100, run=routed))[0] == "100%"


def test_a_weight_that_is_not_of_the_plan_counts_as_the_step_below_it() -> None:
    assert told(canary(canaryWeight=47, run=run("r2", "app:2", settled=True)))[0] == "40%"


def test_the_last_release_tells_how_long_pods_take() -> None:
    measured = {"steps": ["20%", "40%", "60%"], "metrics": []}
    history = [ended("r1", "app:1", "Succeeded", started=-1000, end=-1000 + 10 + 30 + 5 + 2 + 40, measured=measured)]
    assert told(canary(run=run("r2", "app:2", startedAt=NOW), history=history)) == ("pods start", 20 + 10 + 30 + 20 + 6)


def event(message: str, when: float) -> Obj:
    return {"message": message, "lastTimestamp": at(when)}


def test_events_tell_when_stages_began_and_those_of_earlier_runs_do_not_count() -> None:
    events = [
        event("New revision detected! Scaling up app.test", -50),
        event("Advance app.test canary weight 20", -900),
        event("Advance app.test canary weight 20", -40),
        event("Advance app.test canary weight 20", -30),
        event("Advance app.test canary weight 40", -20),
        event("Copying app.test template spec to app-primary.test", -10),
        event("Advance app.test primary weight 80", -8),
        event("Routing all traffic to primary", -4),
        event("Halt app.test advancement success rate 93% < 99%", -35),
    ]
    assert {name: when - NOW for name, when in beginnings(events, NOW - 50).items()} == {
        "pods start": -50, "20%": -30, "40%": -20, "promotion": -10, "traffic back": -8,
    }  # fmt: skip
    others = [event("Advance a.b canary iteration 3/10", -5), event("Advance a.b canary weight 0", -7)]
    others.append(event("Routing all traffic to canary", -2))
    assert set(beginnings(others, NOW - 50)) == {"#3", "mirror", "100%"}


phases = st.sampled_from(["Waiting", "Progressing", "WaitingPromotion", "Promoting", "Finalising"])
moments = st.none() | st.floats(-1000, 1000).map(lambda seconds: NOW + seconds)


@given(
    phases, st.sampled_from([None, GATED, BLUE_GREEN, {"skipAnalysis": True}]), st.integers(0, 100), st.integers(0, 12), st.booleans(),
    st.booleans(), moments, moments, st.none() | st.just("it crashed"), st.sampled_from(["", "confirm-promotion gate ask-ops", "odd"]),
    st.dictionaries(st.sampled_from(["20%", "40%", "#1", "promotion", "settle"]), st.floats(-1000, 1000).map(lambda s: NOW + s)),
)  # fmt: skip
def test_whatever_a_status_says_there_is_one_present_stage_and_no_time_is_negative(
    phase: str, spec: Obj | None, weight: int, iterations: int, settled: bool, routed: bool, settled_since: float | None,
    analysed: float | None, verdict: str | None, gate: str, seen: dict[str, float],
) -> None:  # fmt: skip
    more = {"settled": settled, "routedToCanary": routed, "settledSince": settled_since, "analysedAt": analysed, "verdict": verdict,
            "closedGate": gate}  # fmt: skip
    found = of(canary(phase, spec=spec, canaryWeight=weight, iterations=iterations, run=run("r2", "app:2", **more)), seen=seen)
    assert found is not None
    assert [stage.state for stage in found.stages].count("now") == 1
    states = [stage.state for stage in found.stages]
    assert states == ["done"] * found.at + ["now"] + ["ahead"] * (len(states) - found.at - 1)
    assert all(stage.took is None or stage.took >= 0 for stage in found.stages)
    assert all(stage.left is None or stage.left >= 0 for stage in found.stages)
    assert found.left >= 0
