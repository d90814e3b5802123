"""Figures as data: what was measured of whom, the table with ratios, and the page that keeps them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

OURS = "flaggerpy"
THEIRS = "flagger"


@dataclass(frozen=True)
class Measured:
    """One figure of one controller. `value` None: it did not happen within the time that `note` tells.

    `limit` is the most that ours may be; `share` the most that ours may be of the other's.
    """

    side: str
    what: str
    unit: str
    value: float | None
    note: str = ""
    limit: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: the same figure of both."""

    what: str
    unit: str
    ours: Measured | None
    theirs: Measured | None

    @property
    def ratio(self) -> float | None:
        """Theirs divided by ours: how many times less ours is. None where one is missing or 0."""
        ours, theirs = value_of(self.ours), value_of(self.theirs)
        return theirs / ours if ours and theirs else None

    @property
    def goal(self) -> str:
        if self.ours is None:
            return ""
        if self.ours.limit is not None:
            return f"≤ {number(self.ours.limit)}"
        return f"≤ {number(100 * self.ours.share)} % of it" if self.ours.share is not None else ""

    @property
    def met(self) -> bool | None:
        """Whether ours is within its goal; None where there is none, or nothing to compare with."""
        if self.ours is None:
            return None
        most = self.ours.limit
        if most is None and self.ours.share is not None:
            theirs = value_of(self.theirs)
            if theirs is None:
                return None
            most = self.ours.share * theirs
        if most is None:
            return None
        return self.ours.value is not None and self.ours.value <= most


def together(runs: Sequence[Sequence[Measured]]) -> list[Measured]:
    """Several runs of one scenario as one: of each figure the median, and from where to where it went."""
    found: dict[tuple[str, str, str], list[Measured]] = {}
    for one in (one for run in runs for one in run):
        found.setdefault((one.side, one.what, one.unit), []).append(one)
    return [_median(several) for several in found.values()]


def _median(several: Sequence[Measured]) -> Measured:
    """One figure of several runs; one that did not happen in half of them or more did not happen."""
    if len(several) == 1:
        return several[0]
    values = sorted(one.value for one in several if one.value is not None)
    limits = [one.limit for one in several if one.limit is not None]
    limit = median(limits) if limits else None
    if 2 * len(values) <= len(several):
        failed = next(one for one in several if one.value is None)
        return replace(failed, note=f"{failed.note or 'never'}, in {len(several) - len(values)} of {len(several)} runs", limit=limit)
    missing = f", {len(several) - len(values)} of them never" if len(values) < len(several) else ""
    note = f"{number(values[0])} to {number(values[-1])} in {len(several)} runs{missing}"
    return replace(several[-1], value=median(values), note=note, limit=limit)


def value_of(measured: Measured | None) -> float | None:
    return None if measured is None else measured.value


def rows(measured: Iterable[Measured]) -> list[Row]:
    """The figures side by side, in the order in which they first came."""
    found: dict[tuple[str, str], dict[str, Measured]] = {}
    for one in measured:
        found.setdefault((one.what, one.unit), {})[one.side] = one
    return [Row(what, unit, sides.get(OURS), sides.get(THEIRS)) for (what, unit), sides in found.items()]


def number(value: float) -> str:
    """A figure with the digits that mean something."""
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def told(measured: Measured | None, unit: str) -> str:
    if measured is None:
        return "–"
    if measured.value is None:
        return measured.note or "never"
    text = f"{number(measured.value)} {unit}".strip()
    return f"{text} ({measured.note})" if measured.note else text


def cells(row: Row) -> tuple[str, ...]:
    """What, ours, theirs, their ratio, goal and whether it was met."""
    ratio = "" if row.ratio is None else f"{number(row.ratio)}×"
    verdict = {None: "", True: " ✓", False: " ✗ missed"}[row.met]
    return row.what, told(row.ours, row.unit), told(row.theirs, row.unit), ratio, f"{row.goal}{verdict}"


HEAD = ("figure", "flaggerpy", "Flagger 1.44", "ratio", "goal")


def text_table(measured: Sequence[Measured]) -> str:
    """The table for a terminal."""
    lines = [HEAD, *(cells(row) for row in rows(measured))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def markdown_table(measured: Sequence[Measured]) -> str:
    lines = [HEAD, ("---",) * len(HEAD), *(cells(row) for row in rows(measured))]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


@dataclass(frozen=True)
class Outcome:
    """What one scenario gave: its title and method, when (a date) and where it ran, and the commit of ours that was measured."""

    title: str
    method: str
    date: str
    machine: str
    measured: tuple[Measured, ...]
    commit: str = "unknown"

    def to_obj(self) -> dict[str, Any]:
        return asdict(self)


def outcome_of(obj: Mapping[str, Any]) -> Outcome:
    """The reverse of `to_obj`."""
    return Outcome(**{**obj, "measured": tuple(Measured(**one) for one in obj["measured"])})


PAGE = """# Benchmarks

Measured by `make bench`, which also writes this page. flaggerpy and Flagger 1.44 run in one cluster (the sandbox of docs/sandbox.md) at the
same time, each restricted to a namespace of its own, each by a service account of its own, with equal Canaries of the provider
`gatewayapi:v1` behind Contour and Envoy. What only one of them has stands at its default. A ratio is Flagger's figure divided by ours.

Seconds and bytes depend on the machine and on what else it does (its load average, the cluster's own part included, stands below each
table); the ratios hardly do.

![How many times less than Flagger's each figure of ours is](pictures/benchmarks.svg)

"""


def page(outcomes: Mapping[str, Outcome], whys: Mapping[str, str], versions: Mapping[str, str]) -> str:
    """docs/benchmarks.md. `whys`: by scenario, the measured reason of a goal that is missed; "" where there is none."""
    parts = [PAGE.rstrip("\n")]
    for name, outcome in outcomes.items():
        where = f"{outcome.date}, flaggerpy {outcome.commit}, {outcome.machine}."
        missed = any(row.met is False for row in rows(outcome.measured))
        why = f"\n\n{whys[name]}" if missed and whys[name] else ""
        parts.append(f"## {outcome.title}\n\n{outcome.method}\n\n{markdown_table(outcome.measured)}{why}\n\n{where}")
    parts.append("## Versions\n\n" + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".")
    return "\n\n".join(parts) + "\n"
