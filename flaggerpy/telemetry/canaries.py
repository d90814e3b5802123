"""What is exported of each Canary: Flagger's series to the letter, and a few of ours, kept as small rows and written as text at a scrape.

Thousands of idle Canaries must not cost what the library's objects cost (some 0.7 kB and 10 µs a series), and their histograms would be
most of the memory. So a Canary is one row here (some 300 bytes while it is idle), and its lines are made when somebody asks for them.

The label `name` is the name of the target (`targetRef.name`), as in Flagger; `workload` is `<target>` or `<target>-primary`. Unlike
Flagger's, the series of a deleted Canary are removed (`forget`), and so are those of a metric that is no longer part of the analysis.
No label comes from elsewhere: a Canary has at most `MOST_SERIES` series, whatever stands in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

# the default buckets of Go's client, in seconds
GO_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
MOST_METRICS = 32
"""Of how many metrics of an analysis the values are exported, those that were measured last."""
LONGEST_NAME = 128
"""Characters of a metric's name that are exported; every other label is a name that the API server has checked."""
PHASES = {"Progressing": 0, "Failed": 2}
OUTCOMES = 6
"""Strategies (3) x analysis (2): the series of each of the two counters, at most."""
MOST_SERIES = MOST_METRICS + len(GO_BUCKETS) + 3 + 2 * OUTCOMES + 6
"""Of one Canary: metrics, the histogram, both counters; status, two weights, phase, failed checks, stalled."""


class Row:
    """What is known of one Canary."""

    __slots__ = ("buckets", "checks", "failures", "measured", "phase", "since", "stalled", "successes", "total", "weight")

    def __init__(self) -> None:
        self.phase = ""
        self.since = 0.0
        self.weight: tuple[float, float] | None = None
        self.checks: int | None = None
        self.stalled = ""
        self.measured: dict[str, float] | None = None
        self.buckets: list[int] | None = None
        self.total = 0.0
        self.successes: Counter[tuple[str, str]] | None = None
        self.failures: Counter[tuple[str, str]] | None = None


class Canaries:
    """All rows, by namespace and target. Changed in the event loop; `render` may be called in a thread meanwhile."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self._namespaces: dict[str, int] = {}
        self._info = ("", "")

    # --- what the controller says ------------------------------------------------------------------------------------------------------

    def info(self, version: str, mesh_provider: str) -> None:
        """Set once, at start."""
        self._info = (version, mesh_provider)

    def count(self, namespace: str, count: int) -> None:
        """The number of Canaries in a namespace; 0 takes the series away."""
        if count:
            self._namespaces[namespace] = count
        else:
            self._namespaces.pop(namespace, None)

    def phase(self, name: str, namespace: str, phase: str, since: float) -> None:
        """The phase, and since when (epoch seconds)."""
        row = self._row(name, namespace)
        row.phase, row.since = phase, since

    def weight(self, name: str, namespace: str, primary: float, canary: float) -> None:
        """The traffic weights, percent 0-100."""
        self._row(name, namespace).weight = (primary, canary)

    def state(self, name: str, namespace: str, *, failed_checks: int | None, stalled: str) -> None:
        """Failed checks of the run under way (None: there is none), and why nothing goes on without a person ("": it does)."""
        row = self._row(name, namespace)
        row.checks, row.stalled = failed_checks, stalled

    def blocked(self, name: str, namespace: str) -> None:
        """Nothing can be decided for it."""
        self._row(name, namespace).stalled = "Blocked"

    def analysed(self, name: str, namespace: str, seconds: float) -> None:
        """How long one measurement took."""
        row = self._row(name, namespace)
        if row.buckets is None:
            row.buckets = [0] * (len(GO_BUCKETS) + 1)
        row.buckets[bisect_left(GO_BUCKETS, seconds)] += 1
        row.total += seconds

    def measured(self, name: str, namespace: str, metric: str, value: float) -> None:
        """The last value of a metric of the analysis; durations in seconds."""
        row = self._row(name, namespace)
        if row.measured is None:
            row.measured = {}
        row.measured.pop(metric[:LONGEST_NAME], None)
        row.measured[metric[:LONGEST_NAME]] = value
        while len(row.measured) > MOST_METRICS:
            del row.measured[next(iter(row.measured))]

    def keep_metrics(self, name: str, namespace: str, metrics: Iterable[str]) -> None:
        """Forget the values of metrics that are no longer part of the analysis."""
        row = self._rows.get((namespace, name))
        if row is not None and row.measured:
            kept = {metric[:LONGEST_NAME] for metric in metrics}
            if not row.measured.keys() <= kept:
                row.measured = {metric: value for metric, value in row.measured.items() if metric in kept} or None

    def finished(self, name: str, namespace: str, *, succeeded: bool, strategy: str, analysis: str) -> None:
        """A run ended; `strategy`: canary, blue-green or ab-testing; `analysis`: completed or skipped."""
        row = self._row(name, namespace)
        if succeeded:
            row.successes = row.successes or Counter()
            row.successes[strategy, analysis] += 1
        else:
            row.failures = row.failures or Counter()
            row.failures[strategy, analysis] += 1

    def expect(self, name: str, namespace: str, *, strategy: str, analysis: str) -> None:
        """A run began, and may end either way: both counters are there, at 0, so that its end is an increase."""
        row = self._row(name, namespace)
        row.successes = row.successes or Counter()
        row.successes[strategy, analysis] += 0
        row.failures = row.failures or Counter()
        row.failures[strategy, analysis] += 0

    def forget(self, name: str, namespace: str) -> None:
        """Remove all series of a Canary that is gone."""
        self._rows.pop((namespace, name), None)

    def clear(self) -> None:
        """Remove all series of Canaries: somebody else tells of them now."""
        self._rows, self._namespaces = {}, {}

    def _row(self, name: str, namespace: str) -> Row:
        key = (namespace, name)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = Row()
        return row

    # --- what a scrape gets ------------------------------------------------------------------------------------------------------------

    def render(self, openmetrics: bool = False) -> str:
        """The text of all families that have a series (OpenMetrics' without its end mark)."""
        # each list is made at once by the interpreter, so that the loop may go on to change the dict meanwhile
        rows = [
            # a target is called as somebody wrote it, and what is not a name must not be read as a line
            (f'name="{_escaped(name)}",namespace="{namespace}"', name, namespace, row)
            for (namespace, name), row in list(self._rows.items())
        ]
        lines: list[str] = []
        for family in FAMILIES:
            samples = list(family.samples(self, rows, openmetrics))
            if samples:
                name = family.name.removesuffix("_total") if openmetrics and family.type == "counter" else family.name
                lines += (f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}", *samples)
        return "\n".join([*lines, ""]) if lines else ""

    def totals(self) -> list[tuple[str, int]]:
        """Namespaces and how many Canaries they have."""
        return list(self._namespaces.items())

    def about(self) -> tuple[str, str]:
        """Version and mesh provider."""
        return self._info

    def has(self, namespace: str, name: str) -> bool:
        """Whether a target of that name has a row."""
        return (namespace, name) in self._rows


Named = tuple[str, str, str, Row]
"""A row as it is rendered: its two labels as text, name, namespace, the row."""


class Family(NamedTuple):
    """A metric: how it is named and told, its labels, whose it is, and how its lines are made."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]
    flaggers: bool
    meaning: str
    samples: Callable[[Canaries, list[Named], bool], Iterable[str]]


def _info(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    version, provider = of.about()
    if version:
        yield f'flagger_info{{mesh_provider="{_escaped(provider)}",version="{_escaped(version)}"}} 1'


def _total(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (f'flagger_canary_total{{namespace="{namespace}"}} {count}' for namespace, count in of.totals())


def _status(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (f"flagger_canary_status{{{own}}} {PHASES.get(row.phase, 1)}" for own, _, _, row in rows if row.phase)


def _weight(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    for _, name, namespace, row in rows:
        if row.weight is not None:
            primary, canary = row.weight
            # another Canary's target may be called as our primary: a series that stands twice spoils a scrape, and its owner goes first
            if not of.has(namespace, f"{name}-primary"):
                yield f'flagger_canary_weight{{namespace="{namespace}",workload="{_escaped(name)}-primary"}} {_number(primary)}'
            yield f'flagger_canary_weight{{namespace="{namespace}",workload="{_escaped(name)}"}} {_number(canary)}'


def _duration(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    # Go's client writes 1 in the text format, and both formats write 1.0 in OpenMetrics
    bounds = [str(bound) if openmetrics else f"{bound:g}" for bound in GO_BUCKETS] + ["+Inf"]
    for own, _, _, row in rows:
        if row.buckets is not None:
            count = 0
            for bound, more in zip(bounds, row.buckets, strict=True):
                count += more
                yield f'flagger_canary_duration_seconds_bucket{{{own},le="{bound}"}} {count}'
            yield f"flagger_canary_duration_seconds_sum{{{own}}} {row.total!r}"
            yield f"flagger_canary_duration_seconds_count{{{own}}} {count}"


def _analysis(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    for own, _, _, row in rows:
        if row.measured:
            for metric, value in list(row.measured.items()):
                yield f'flagger_canary_metric_analysis{{metric="{_escaped(metric)}",{own}}} {_number(value)}'


def _outcomes(family: str, own: str, counted: Counter[tuple[str, str]] | None) -> Iterator[str]:
    for (strategy, analysis), count in list(counted.items()) if counted else ():
        yield f'{family}{{analysis_status="{analysis}",deployment_strategy="{strategy}",{own}}} {count}'


def _successes(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (line for own, _, _, row in rows for line in _outcomes("flagger_canary_successes_total", own, row.successes))


def _failures(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (line for own, _, _, row in rows for line in _outcomes("flagger_canary_failures_total", own, row.failures))


def _since(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (
        f'flagger_canary_phase_start_time_seconds{{{own},phase="{row.phase}"}} {_number(row.since)}'
        for own, _, _, row in rows
        if row.phase and row.since
    )


def _checks(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (f"flagger_canary_failed_checks{{{own}}} {row.checks}" for own, _, _, row in rows if row.checks is not None)


def _stalled(of: Canaries, rows: list[Named], openmetrics: bool) -> Iterator[str]:
    return (f'flagger_canary_stalled{{{own},reason="{_escaped(row.stalled)}"}} 1' for own, _, _, row in rows if row.stalled)


OWN = ("name", "namespace")
OUTCOME = (*OWN, "deployment_strategy", "analysis_status")
FAMILIES = (
    Family(
        "flagger_info", "gauge", "Flagger version and mesh provider information", ("version", "mesh_provider"), True,
        "always 1; the controller's version and its flag `-mesh-provider`", _info,
    ),
    Family(
        "flagger_canary_total", "gauge", "Total number of canary object", ("namespace",), True,
        "Canaries in the namespace", _total,
    ),
    Family(
        "flagger_canary_status", "gauge", "Last canary analysis result", OWN, True,
        "0 while Progressing, 2 when Failed, 1 in any other phase", _status,
    ),
    Family(
        "flagger_canary_weight", "gauge", "The virtual service destination weight current value", ("workload", "namespace"), True,
        "percent of the traffic; `workload` is the target's name for the canary, and that with `-primary`", _weight,
    ),
    Family(
        "flagger_canary_duration_seconds", "histogram", "Seconds spent performing canary analysis.", OWN, True,
        "how long a measurement of the analysis took", _duration,
    ),
    Family(
        "flagger_canary_metric_analysis", "gauge", "Last canary analysis result per metric", (*OWN, "metric"), True,
        "the last value of a metric of the analysis; `request-duration` in seconds", _analysis,
    ),
    Family(
        "flagger_canary_successes_total", "counter", "Total number of canary successes", OUTCOME, True,
        "releases that were promoted; `deployment_strategy`: canary, blue-green, ab-testing; `analysis_status`: completed, skipped",
        _successes,
    ),
    Family(
        "flagger_canary_failures_total", "counter", "Total number of canary failures", OUTCOME, True,
        "releases that were rolled back", _failures,
    ),
    Family(
        "flagger_canary_phase_start_time_seconds", "gauge", "When the canary came into its phase, in epoch seconds", (*OWN, "phase"), False,
        "one series for each Canary: `time() -` it is how long it has been in its phase", _since,
    ),
    Family(
        "flagger_canary_failed_checks", "gauge", "Failed checks of the run under way", OWN, False,
        "there only while a run is under way; `analysis.threshold` of them roll it back", _checks,
    ),
    Family(
        "flagger_canary_stalled", "gauge", "1 while the canary cannot go on without a person", (*OWN, "reason"), False,
        "there only while the condition Stalled is True; `reason` is the condition's", _stalled,
    ),
)  # fmt: skip


def _number(value: float) -> str:
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
