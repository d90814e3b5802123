"""What the metrics said, step by step: kept in the run, handed to the history, and never large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flaggerpy.api.status import Measured, MetricValues, Phase
from flaggerpy.model.world import World, ended
from flaggerpy.rollout.facts import Measurement


def world(names: tuple[str, ...] = ("m",), **analysis: Any) -> World:
    metrics = [{"name": name, "thresholdRange": {"min": 90}} for name in names]
    made = World(analysis={"interval": "10s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "metrics": metrics, **analysis})
    return made.initialised()


def newest(w: World) -> Measured:
    found = w.typed.history[0].measured
    assert found is not None
    return found


def test_the_history_has_a_value_of_each_metric_for_each_step() -> None:
    w = world(("m", "n"))
    values = iter((99.987654, 98.5, 100.0))
    w.metrics["m"] = lambda at: Measurement("value", next(values), at=at)
    w.metrics["n"] = lambda at: Measurement("value", 12.0, at=at)
    w.release("v2")
    w.settle(ended)
    told = newest(w)
    assert told.steps == ["20%", "40%", "60%"]
    assert [(metric.name, metric.values) for metric in told.metrics] == [("m", [99.988, 98.5, 100.0]), ("n", [12.0, 12.0, 12.0])]


def test_a_step_that_is_checked_again_has_its_last_value_and_a_failed_one_too() -> None:
    w = world()
    w.metrics["m"] = lambda at: Measurement("value", 50.0, text="Halt app.test advancement m 50.00 < 90", at=at)
    w.release("v2")
    w.settle(ended)
    assert w.is_in(Phase.FAILED)
    assert newest(w) == Measured(steps=["20%"], metrics=[MetricValues(name="m", values=[50.0])])


def test_what_is_asked_only_to_see_whether_the_server_is_back_is_no_step() -> None:
    w = world()
    began = w.now
    w.metrics["m"] = lambda at: Measurement("unreachable" if 20 < at - began < 200 else "value", 99.0, text="", at=at)
    w.release("v2")
    w.settle(lambda w: any("Cut" in text for text in w.texts()))
    w.settle(ended)
    assert w.is_in(Phase.SUCCEEDED)
    assert newest(w).steps == ["20%", "40%", "60%"]


def test_where_there_was_no_value_there_is_none() -> None:
    w = world(("m", "n"))
    kinds = iter(("value", "no-data", "value", "value"))
    w.metrics["m"] = lambda at: Measurement(next(kinds), 99.0, text="", at=at)  # type: ignore[arg-type]
    w.metrics["n"] = lambda at: Measurement("value", float("nan"), at=at)
    w.release("v2")
    w.settle(lambda world: len(world.typed.run.measured.steps) == 2 if world.typed.run and world.typed.run.measured else False)
    run = w.typed.run
    assert run is not None
    assert run.measured is not None
    assert run.measured.steps == ["20%", "40%"]
    assert [metric.values[0] for metric in run.measured.metrics] == [99.0, None]
    json.dumps(w.status, allow_nan=False)


@pytest.mark.parametrize(
    ("analysis", "steps"),
    [
        ({"iterations": 3, "stepWeight": None, "maxWeight": None}, ["#1", "#2", "#3", "100%"]),
        ({"mirror": True}, ["mirror", "20%", "40%", "60%"]),
    ],
)
def test_a_step_is_an_iteration_a_weight_or_the_mirror(analysis: dict[str, Any], steps: list[str]) -> None:
    w = world(**analysis)
    w.release("v2")
    w.settle(ended)
    assert newest(w).steps == steps


def test_many_steps_and_metrics_stay_small() -> None:
    w = world(tuple(f"metric-number-{n}" for n in range(12)), stepWeight=1, maxWeight=40, interval="1s")
    for n in range(12):
        w.metrics[f"metric-number-{n}"] = lambda at: Measurement("value", 99.123456789, at=at)
    w.release("v2")
    w.settle(ended)
    told = newest(w)
    assert told.steps == [f"{weight}%" for weight in range(21, 41)]
    assert len(told.metrics) == 8
    assert all(len(metric.values) == 20 for metric in told.metrics)
    assert len(json.dumps(w.status["history"][0])) < 2500


def test_a_full_history_loses_the_values_of_its_oldest_releases_first() -> None:
    w = world(tuple(f"m{n}" for n in range(8)), stepWeight=5, maxWeight=100, interval="1s")
    for revision in range(2, 8):
        w.release(f"v{revision}")
        w.settle(lambda world, r=revision: world.typed.last_promoted_spec == f"v{r}")  # type: ignore[misc]
    assert [entry.measured is not None for entry in w.typed.history] == [True] * 3 + [False] * 4
    assert len(json.dumps(w.status["history"])) < 9000


def test_without_metrics_nothing_is_kept() -> None:
    w = World().initialised()
    w.release("v2")
    w.settle(ended)
    assert w.typed.history[0].measured is None
    assert "measured" not in w.status["history"][0]
