"""What the metrics of a run said in each of its steps, kept small: it is in the status with the run, and in the history at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flaggerpy.api.status import Measured, MetricValues
from flaggerpy.rollout.draft import Draft
from flaggerpy.rollout.facts import Measurement

STEPS = 20
METRICS = 8
DIGITS = 5


def remember(d: Draft, said: Mapping[str, Measurement]) -> None:
    """Put what the metrics said (by name) into the column of the present step; a later check of the same step replaces an earlier one."""
    before = d.run.measured or Measured()
    steps, columns = list(before.steps), {metric.name: list(metric.values) for metric in before.metrics}
    for name in said:
        if name not in columns and len(columns) < METRICS:
            columns[name] = [None] * len(steps)
    step = label(d)
    if not steps or steps[-1] != step:
        steps.append(step)
        for values in columns.values():
            values.append(None)
    for name, values in columns.items():
        values[-1] = _compact(said[name]) if name in said else None
    metrics = [MetricValues(name=name, values=values[-STEPS:]) for name, values in columns.items()]
    d.set_run(measured=Measured(steps=steps[-STEPS:], metrics=metrics))


def label(d: Draft) -> str:
    """The present step for people: 20%, #3 (an iteration), or mirror."""
    if d.status.iterations and not (d.run.routed_to_canary and d.status.canary_weight):
        return f"#{d.status.iterations}"
    return "mirror" if d.run.mirrored and not d.status.canary_weight else f"{d.status.canary_weight}%"


def _compact(told: Measurement) -> float | None:
    """A value with five significant digits; None where there was none, or none that JSON has a number for."""
    return float(f"{told.value:.{DIGITS}g}") if told.kind == "value" and math.isfinite(told.value) else None
