"""The forecast is held to what the real core does: a release that is played lies between its best and its worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.status import Phase
from flaggerpy.model.faults import parse_fault
from flaggerpy.model.scenario import Cast, Stage
from flaggerpy.rollout.facts import Measurement
from flaggerpy.rollout.forecast import Circumstances, Forecast, forecast, steps

SPEC: dict[str, Any] = {
    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
    "service": {"port": 80},
    "progressDeadlineSeconds": 90,
    "analysis": {"interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 60, "metrics": [{"name": "errors"}]},
}
MATCH = [{"headers": {"x": {"exact": "y"}}}]


@dataclass(frozen=True)
class Case:
    """A Canary in a world, and how many of its checks fail before the rest passes."""

    spec: dict[str, Any]
    cast: Cast
    failing: int = 0
    seed: int = 0
    faults: tuple[str, ...] = ()

    @property
    def canary(self) -> dict[str, Any]:
        return {"metadata": {"name": "shop", "namespace": "prod", "uid": "u"}, "spec": self.spec}

    @property
    def told(self) -> Forecast:
        world = Circumstances(
            start=self.cast.ready_after + self.cast.min_ready, weights=self.cast.weights, mirror=self.cast.mirror, judges=self.cast.judges
        )
        return forecast(parse_canary(self.canary), world)

    def played(self) -> Stage:
        left = self.failing

        def measure(metric: Any, trouble: str, draw: float) -> Measurement:
            nonlocal left
            left -= 1
            failed = "Halt shop.prod advancement errors"
            if trouble == "no-data":
                return Measurement("no-data", text=failed)
            return Measurement("value", text=failed if left >= 0 else "")

        stage = Stage(self.canary, self.cast, measure=measure, faults=[parse_fault(fault) for fault in self.faults], seed=self.seed)
        assert stage.prepare()
        for _ in stage.play(limit=86400):
            pass
        return stage


def seconds(stage: Stage) -> float:
    return stage.now - stage.released_at


@st.composite
def cases(draw: st.DrawFn) -> Case:
    threshold = draw(st.integers(1, 4))
    analysis: dict[str, Any] = {
        "interval": f"{draw(st.sampled_from([1, 3, 10, 30]))}s", "threshold": threshold, "metrics": [{"name": "errors"}],
    }  # fmt: skip
    strategy = draw(st.sampled_from(["step", "steps", "blue-green", "ab", "services", "skip"]))
    if strategy in ("step", "skip"):
        analysis |= {"stepWeight": draw(st.integers(10, 60)), "maxWeight": draw(st.integers(10, 100)), "mirror": draw(st.booleans())}
    elif strategy == "steps":
        analysis["stepWeights"] = sorted(draw(st.sets(st.integers(1, 100), min_size=1, max_size=5)))
    else:
        analysis |= {"iterations": draw(st.integers(1, 5)), "mirror": draw(st.booleans())}
        if strategy == "ab":
            analysis["match"] = MATCH
    if draw(st.booleans()):
        analysis["stepWeightPromotion"] = draw(st.integers(10, 100))
    if draw(st.booleans()):
        analysis["webhooks"] = [
            {"name": "gate", "type": draw(st.sampled_from(["confirm-rollout", "confirm-promotion"])), "url": "http://x"}
        ]
    spec = {**SPEC, "analysis": analysis, "skipAnalysis": strategy == "skip", "podHealth": {"settle": draw(st.sampled_from(["0s", "10s"]))}}
    cast = Cast(
        replicas=draw(st.integers(1, 3)), ready_after=draw(st.floats(1, 40)), jitter=draw(st.floats(0, 5)),
        min_ready=draw(st.sampled_from([0.0, 5.0])), weights=strategy != "services", mirror=draw(st.booleans()), judges=draw(st.booleans()),
    )  # fmt: skip
    faults = draw(st.sampled_from([(), (), ("never-ready=60",), ("registry-down=20",), ("unschedulable=30",)]))
    return Case(spec, cast, draw(st.integers(0, threshold - 1)), draw(st.integers(0, 9)), faults)


@given(cases())
@settings(max_examples=15)
def test_a_release_that_is_promoted_lies_between_best_and_worst(case: Case) -> None:
    stage = case.played()
    assume(stage.phase is Phase.SUCCEEDED)
    told = case.told
    assert told.best <= seconds(stage) <= told.worst


def test_a_plain_release_is_not_much_slower_than_at_best() -> None:
    case = Case(SPEC, Cast(ready_after=5.0, jitter=0.0))
    assert seconds(case.played()) - case.told.best < 6


@pytest.mark.parametrize(
    ("analysis", "world", "names"),
    [
        ({"stepWeight": 20, "maxWeight": 50}, {}, ["weight 20 %", "weight 40 %", "weight 60 %"]),
        ({"stepWeights": [5, 50]}, {}, ["weight 5 %", "weight 50 %"]),
        ({"stepWeight": 50, "mirror": True}, {"mirror": True}, ["mirrored requests", "weight 50 %", "weight 100 %"]),
        ({"stepWeight": 100, "mirror": True}, {"mirror": False}, ["weight 100 %"]),
        ({"iterations": 2}, {}, ["iteration 1 of 2", "iteration 2 of 2", "all traffic on the canary"]),
        ({"iterations": 2}, {"weights": False}, ["iteration 1 of 2", "iteration 2 of 2"]),
        ({"iterations": 1, "match": MATCH}, {}, ["iteration 1 of 1"]),
    ],
)
def test_the_steps_of_each_strategy(analysis: dict[str, Any], world: dict[str, bool], names: list[str]) -> None:
    spec = {**SPEC, "analysis": {"interval": "10s", "threshold": 1, **analysis}}
    assert [each.name for each in steps(parse_canary({"spec": spec}), Circumstances(**world))] == names


@pytest.mark.parametrize(
    ("fault", "row", "slack"),
    [
        ("image-missing", 0, 3.0),
        ("registry-down", 1, 3.0),
        ("crash-loop", 2, 8.0),
        ("never-ready", 3, 3.0),
        ("quota", 3, 3.0),
    ],
)
def test_a_failure_of_pods_is_noticed_when_it_is_forecast(fault: str, row: int, slack: float) -> None:
    case = Case(SPEC, Cast(), faults=(fault,))
    told = case.told.failures[row]
    # the report itself comes a second or two after the pods are made
    assert told.best <= seconds(case.played()) <= told.worst + slack


@pytest.mark.parametrize("interval", [2, 10, 30])
@pytest.mark.parametrize("fault", ["errors", "no-data"])
def test_failed_checks_are_noticed_when_it_is_forecast(interval: int, fault: str) -> None:
    spec = {**SPEC, "analysis": {**SPEC["analysis"], "interval": f"{interval}s"}}
    case = Case(spec, Cast(), failing=99 if fault == "errors" else 0, faults=("no-data",) if fault == "no-data" else ())
    stage = case.played()
    began = next(told.at for told in stage.told if told.message.startswith("Advance"))
    back = next(told.at for told in stage.told if told.message.startswith("Rolling back"))
    told = case.told.failures[-1]
    assert told.cause == "3 failed checks"
    assert told.best <= back - began <= told.worst + 1.0
    quickest, slowest = case.told.rollback
    assert quickest <= stage.now - back <= slowest + 1.0


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_the_analysis_alone_lies_between_its_own_parts(failing: int) -> None:
    # with long steps nothing else in the forecast has room to hide a check that was forgotten
    spec = {**SPEC, "analysis": {**SPEC["analysis"], "interval": "5m"}}
    case = Case(spec, Cast(), failing=failing)
    stage = case.played()
    began = next(told.at for told in stage.told if told.message.startswith("Starting canary analysis"))
    over = next(told.at for told in stage.told if told.message.startswith("Copying"))
    parts = [part for part in case.told.parts if part.kind in ("step", "check")]
    assert sum(part.best for part in parts) <= over - began <= sum(part.worst or 0.0 for part in parts)
    assert over - began - failing * 300 < sum(part.best for part in parts) + 6


def test_gates_have_no_limit_and_count_for_nothing() -> None:
    roles = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion")
    hooks = [{"name": role, "type": role, "url": "http://x"} for role in roles]
    told = Case({**SPEC, "analysis": {**SPEC["analysis"], "webhooks": hooks}}, Cast()).told
    assert [part.name for part in told.open_ended] == [f"gate {role} ({role})" for role in roles]
    assert told.best == Case(SPEC, Cast()).told.best


def test_hooks_cost_their_time_outs_at_worst() -> None:
    hooks = [{"name": "load", "type": "rollout", "url": "http://x", "timeout": "30s", "retries": 1}]
    plain = Case({**SPEC, "analysis": {**SPEC["analysis"], "threshold": 1}}, Cast()).told
    slow = Case({**SPEC, "analysis": {**SPEC["analysis"], "threshold": 1, "webhooks": hooks}}, Cast()).told
    assert slow.worst - plain.worst == 3 * 60
    assert slow.best == plain.best


def test_an_image_check_that_may_fail_comes_before_the_pods() -> None:
    case = Case({**SPEC, "podHealth": {"imageCheck": "Fail"}}, Cast(), faults=("image-missing",))
    assert case.told.parts[0].worst == 5.0
    assert case.told.failures[0].best <= seconds(case.played()) <= case.told.failures[0].worst
    good = Case({**SPEC, "podHealth": {"imageCheck": "Fail"}}, Cast())
    assert good.told.best <= seconds(good.played()) <= good.told.worst


def test_pods_that_are_not_judged_are_left_to_the_deadline() -> None:
    told = Case({**SPEC, "podHealth": {"enabled": False}}, Cast()).told
    assert [failure.cause for failure in told.failures] == ["pods that do not get ready, or are not made", "3 failed checks"]


def test_a_check_of_the_images_that_may_end_the_release_is_part_of_it_and_one_that_only_tells_is_not() -> None:
    told = {mode: Case(SPEC | {"podHealth": {"imageCheck": mode}}, Cast()).told for mode in ("Fail", "Warn")}
    assert told["Fail"].worst - told["Warn"].worst == 5.0
    assert told["Fail"].best == told["Warn"].best
    assert [failure.cause for failure in told["Fail"].failures if failure not in told["Warn"].failures] == [
        "an image that its registry says it has not"
    ]
