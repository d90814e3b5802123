"""The steps of a Rollout as the weights and the interval of a Canary's analysis."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from flaggerpy.api.durations import format_duration, parse_duration
from flaggerpy.cli.converting.source import Obj, Report, Source

DEFAULT_INTERVAL = 60.0
"""Seconds of a step where the Rollout names none."""


@dataclass
class Plan:
    """`weights`: percent of each step, rising. `pauses`: seconds of each pause that ends by itself. `matches`: the match of an A/B test."""

    weights: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    matches: list[Obj] = field(default_factory=list)
    mirror: int | None = None
    gate: bool = False
    """The last thing before the promotion is a pause that only a person ends."""

    def analysis(self, default: float) -> Obj:
        """`stepWeight` and `maxWeight` where weights are even, else `stepWeights`; `default`: seconds where no pause tells the interval."""
        found: Obj = {"interval": written(max(self.pauses, default=default))}
        if not self.weights:
            return found
        first = self.weights[0]
        if self.weights == [first * (index + 1) for index in range(len(self.weights))]:
            return found | {"stepWeight": first, "maxWeight": self.weights[-1]}
        return found | {"stepWeights": self.weights}


def of(steps: list[Source], analyse: Callable[[Source], None], report: Report) -> Plan:
    """The plan of `steps`. `analyse` takes the `analysis` of a step."""
    found = Plan()
    mirrored: dict[str, int] = {}
    for index, step in enumerate(steps):
        for key in step.names():
            match key:
                case "setWeight":
                    _weight(step, found, report)
                case "pause":
                    _pause(step, found, report, last=not any("setWeight" in later for later in steps[index + 1 :]))
                case "analysis":
                    analyse(step.inner("analysis"))
                case "setHeaderRoute":
                    _header_route(step, found, report)
                case "setMirrorRoute":
                    _mirror_route(step, mirrored, report)
                case _:
                    step.take(key)
                    report.lost(step, key, _OTHERS.get(key, "there is no such step"))
    if mirrored:
        found.mirror = max(mirrored.values())
    if len(set(found.pauses)) > 1 and steps:
        told = ", ".join(written(each) for each in dict.fromkeys(found.pauses))
        report.changed(steps[0], "", f"a Canary has one interval for all steps: of {told} the longest was taken")
    return found


def written(seconds: float) -> str:
    """A duration as people write it: `1h` where Go prints `1h0m0s`."""
    return re.sub("(?<=[hm])0[ms]", "", format_duration(seconds))


_OTHERS = {
    "setCanaryScale": "the canary always has the size of its target: what is analysed is what is promoted",
    "experiment": "there are no experiments: a second Canary on a copy of the workload can play one",
    "plugin": "there are no step plugins: a webhook of type `rollout` can do its work at every step",
    "replicaProgressThreshold": "a step waits for analysis.canaryReadyThreshold percent of the canary's pods",
}


def _weight(step: Source, plan: Plan, report: Report) -> None:
    weight = int(step.number("setWeight", -1, report))
    if weight < 0:
        return  # no number
    if weight >= 100:
        report.changed(step, "setWeight", "100 % is the promotion itself: the primary takes the new revision after the last step")
    elif weight == 0:
        report.changed(step, "setWeight", "a Canary starts at 0 % and waits there until its pods are ready and settled")
    elif plan.weights and weight <= plan.weights[-1]:
        report.lost(step, "setWeight", f"weights only rise: {weight} after {plan.weights[-1]} was left out")
    else:
        plan.weights.append(weight)


def _pause(step: Source, plan: Plan, report: Report, *, last: bool) -> None:
    pause = step.inner("pause")
    duration = pause.take("duration")
    if duration is None:
        if last:
            plan.gate = True
        else:
            where = f"{plan.weights[-1]} %" if plan.weights else "the start"
            report.lost(
                step,
                "pause",
                f"no step of its own waits for a person: at {where} use `flaggerpy pause`, or a webhook of type"
                " `confirm-traffic-increase`, which is asked before every step",
            )
        return
    text = str(duration)
    try:
        plan.pauses.append(float(text) if text.isdigit() else parse_duration(text))
    except ValueError as error:
        report.lost(step, "pause.duration", str(error))


def _header_route(step: Source, plan: Plan, report: Report) -> None:
    route = step.inner("setHeaderRoute")
    route.take("name")
    headers: Obj = {}
    for each in route.each("match"):
        name = str(each.take("headerName", ""))
        value = each.take("headerValue", {})
        headers[name] = {key: value[key] for key in ("exact", "prefix", "regex") if key in value}
    if not headers:
        return
    plan.matches.append({"headers": headers})
    report.changed(
        step,
        "setHeaderRoute",
        "became analysis.match: with it a Canary is an A/B test, in which these requests go to the canary in all `iterations`",
    )


def _mirror_route(step: Source, mirrored: dict[str, int], report: Report) -> None:
    route = step.inner("setMirrorRoute")
    name = str(route.take("name", ""))
    percentage = route.number("percentage", 100, report) if "percentage" in route else None
    if "match" in route:
        route.take("match")
        report.lost(route, "match", "all requests are mirrored, or mirrorWeight percent of them")
    elif percentage is None:
        return  # takes the mirror away again, as a Canary does by itself
    mirrored[name] = int(percentage if percentage is not None else 100)
    report.changed(step, "setMirrorRoute", "became analysis.mirror: requests are mirrored once, before the first weight")
