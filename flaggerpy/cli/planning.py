"""`flaggerpy plan`: the forecast of a release (`rollout/forecast.py`) as a table and as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.text import Text

from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cli.screens import Cell, table
from flaggerpy.cli.simulated import cast_of, default_provider, refusals
from flaggerpy.cli.views import age
from flaggerpy.rollout.forecast import ROUTE_SLOW, Circumstances, Forecast, Part, forecast
from flaggerpy.targets.startup import startup, unavailable, waves

Obj = dict[str, Any]

ROWS_OF_STEPS = 6
"""More steps than that are told in one row for those of a kind."""


def planned(canary: Mapping[str, Any], workload: Mapping[str, Any] | None, provider: str = "") -> tuple[Canary, str, Forecast]:
    """The Canary, its provider, and the forecast of its next release. Raises Problem when the controller would refuse the Canary."""
    provider = provider or default_provider(canary)
    problems = refusals(canary, provider)
    if problems:
        raise Problem(Exit.FAILED, "The controller would refuse this Canary:\n" + "\n".join(f"  {problem}" for problem in problems))
    typed = parse_canary(canary)
    cast = cast_of(typed, provider, workload, "")
    told = startup(workload or {})
    world = Circumstances(start=told.least + told.min_ready, weights=cast.weights, mirror=cast.mirror, judges=cast.judges)
    return typed, typed.spec.provider or provider, forecast(typed, world)


def page(canary: Canary, provider: str, told: Forecast, workload: Mapping[str, Any] | None) -> Text:
    """The forecast for people."""
    out = Text()
    out.append(f"{canary.name}.{canary.namespace}", "bold")
    out.append(f"   {canary.kind} {canary.target}   {provider}   {canary.spec.strategy}\n\n", "dim")
    rows: list[Sequence[Cell]] = [
        (str(number), part.name, _seconds(part.best), "no limit" if part.worst is None else _seconds(part.worst), part.note)
        for number, part in enumerate(_gathered(told.parts), 1)
    ]
    total = ("", ("promoted after", "bold"), (_seconds(told.best), "bold"), (_seconds(told.worst), "bold"), _open_ended(told))
    out.append(table(("", "WHAT HAPPENS", "AT BEST", "AT WORST", ""), [*rows, total]))
    out.append("\nIf it fails\n", "bold underline")
    failures: list[Sequence[Cell]] = [
        (
            failure.cause,
            _seconds(failure.best),
            _seconds(failure.worst),
            f"after {failure.since}{f'; {failure.note}' if failure.note else ''}",
        )
        for failure in told.failures
    ]
    out.append(table(("WHAT FAILS", "AT BEST", "AT WORST", "THE ROLLBACK BEGINS"), failures, "  "))
    quickest, slowest = told.rollback
    out.append(
        f"  The rollback takes {_seconds(quickest)} to {_seconds(slowest)} where the canary had traffic, and no time where it had none.\n"
    )
    for line in _assumed(canary.kind, told, workload):
        out.append(f"  {line}\n", "dim")
    return out


def _gathered(parts: Sequence[Part]) -> list[Part]:
    """The parts, with long rows of like steps made one."""
    rows: list[Part] = []
    for kind, group in groupby(parts, lambda part: part.kind):
        some = list(group)
        if kind != "step" or len(some) <= ROWS_OF_STEPS:
            rows += some
            continue
        count = sum(part.times for part in some)
        name = f"{count} steps: {some[0].name}, {some[1].name} .. {some[-1].name}"
        best, worst = sum(part.best for part in some), sum(part.worst or 0.0 for part in some)
        rows.append(Part("step", name, best, worst, some[-1].weight, some[0].note, count))
    return rows


def _open_ended(told: Forecast) -> str:
    gates = [part.name.partition(" (")[0] for part in told.open_ended]
    return f"and as long as closed: {', '.join(gates)}" if gates else ""


def _assumed(kind: str, told: Forecast, workload: Mapping[str, Any] | None) -> list[str]:
    lines = [f"Assumed: a route's controller accepts a change within {ROUTE_SLOW:g}s."]
    if workload is None:
        lines.append(f"The {kind} is not among the files: pods are taken to be ready as soon as they run (-f {kind.lower()}.yaml).")
    elif kind == "DaemonSet":
        lines.append(
            f"The primary's pods are replaced node by node (maxUnavailable: {unavailable(workload)} at once), each as long as a start."
        )
    elif waves(workload) > 1:
        lines.append(
            f"The primary's pods are replaced in about {waves(workload)} waves (maxSurge, maxUnavailable), each as long as a start."
        )
    lines.append(
        "Pods of the canary that are lost in the middle begin the analysis anew, at most twice; a pause lasts as long as you like."
    )
    return lines


def _seconds(value: float) -> str:
    return age(value) if value >= 1 or value == 0 else f"{value:.1f}s"


def as_data(canary: Canary, provider: str, told: Forecast) -> Obj:
    """The forecast for programs: what `-o json` prints. Seconds; a worst of null has no limit."""
    return {
        "canary": canary.name,
        "namespace": canary.namespace,
        "provider": provider,
        "strategy": canary.spec.strategy,
        "best": round(told.best, 1),
        "worst": round(told.worst, 1),
        "openEnded": [part.name for part in told.open_ended],
        "parts": [
            {
                "kind": part.kind, "name": part.name, "best": part.best, "worst": part.worst,
                "canaryWeight": part.weight, "note": part.note, "times": part.times,
            }
            for part in told.parts
        ],
        "failures": [
            {"cause": each.cause, "since": each.since, "best": each.best, "worst": each.worst, "note": each.note} for each in told.failures
        ],
        "rollback": {"best": told.rollback[0], "worst": told.rollback[1]},
    }
