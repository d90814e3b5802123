"""Whole screens of text from view models: the table of `get`, the page of `describe`, the list of `history`. Pure, rich.

Tables have kubectl's look (upper-case heads, three spaces), so that awk and used eyes feel at home; on a terminal phases have colours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from flaggerpy.cli.advice import advice
from flaggerpy.cli.glyphs import Glyphs
from flaggerpy.cli.views import CanaryView, HistoryLine, OrderLine, Waiting, age, bar, short_images

PHASE_STYLE = {
    "Initializing": "cyan",
    "Initialized": "green",
    "Waiting": "yellow",
    "Progressing": "cyan",
    "WaitingPromotion": "yellow",
    "Promoting": "cyan",
    "Finalising": "cyan",
    "Succeeded": "green",
    "Failed": "red",
    "Terminating": "magenta",
    "Terminated": "magenta",
}
OUTCOME_STYLE = {"Succeeded": "green", "Initialized": "green", "Failed": "red", "Aborted": "red", "Superseded": "yellow"}
WIDE_HEADS = ("SUSPENDED", "FAILEDCHECKS", "INTERVAL", "MIRROR", "STEPWEIGHT", "STEPWEIGHTS", "MAXWEIGHT")
Cell = str | tuple[str, str]
"""A text, or a text with its style."""


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], indent: str = "", *, widths: list[int] | None = None) -> Text:
    """Columns as wide as their widest cell, three spaces apart, the last one unpadded; always a newline at the end.

    `widths` remembers the columns of a table that goes on later: given empty it is filled, given filled there are no heads.
    """
    cells = [[cell if isinstance(cell, tuple) else (cell, "") for cell in row] for row in rows]
    wide = [max(len(text) for text in [heads[i], *(row[i][0] for row in cells)]) for i in range(len(heads))]
    goes_on = bool(widths)
    if widths is not None:
        wide = [max(pair) for pair in zip(wide, widths or wide, strict=True)]
        widths[:] = wide
    out = Text()
    for row in cells if goes_on else [[(head, "dim") for head in heads], *cells]:
        out.append(indent)
        last = max((i for i, (text, _) in enumerate(row) if text), default=0)
        for i, (text, style) in enumerate(row[: last + 1]):
            out.append(text, style)
            if i < last:
                out.append(" " * (wide[i] - len(text) + 3))
        out.append("\n")
    return out


def fitted(text: Text, width: int | None, glyphs: Glyphs) -> Text:
    """Each line cut to a terminal's width; None: nothing is cut."""
    if width is None:
        return text
    out = Text()
    for line in text.split("\n", allow_blank=True)[:-1]:
        if line.cell_len > width:
            line.truncate(width - len(glyphs.dots))
            line.append(glyphs.dots, "dim")
        out.append_text(line)
        out.append("\n")
    return out


PHASES = (
    "Failed", "WaitingPromotion", "Waiting", "Progressing", "Promoting", "Finalising", "Initializing", "Terminating", "Terminated",
    "Initialized", "Succeeded",
)  # fmt: skip
def folded(text: Text, width: int | None) -> Text:
    """Lines that are longer than a terminal is wide go on below themselves, under the last column of a table; None: they stay."""
    if width is None:
        return text
    out = Text()
    for line in text.split("\n", allow_blank=True)[:-1]:
        hang = _hang(line.plain, width)
        while line.cell_len > width:
            at = line.plain.rfind(" ", hang + 1, width + 1)
            cut = at if at > hang else width
            out.append_text(line[:cut])
            out.append("\n")
            line = Text(" " * hang).append_text(line[cut + (at > hang) :])
        out.append_text(line)
        out.append("\n")
    return out


def _hang(line: str, width: int) -> int:
    """Where a long line goes on: under its last column that leaves room to read, else a little to the right of its beginning."""
    begin = len(line) - len(line.lstrip())
    columns = [found.end() for found in re.finditer(r"\S   +(?=\S)", line) if found.end() <= width * 2 // 3]
    return min(columns[-1] if columns else begin + 2, width * 2 // 3)


SORTS: dict[str, Callable[[CanaryView], Any]] = {
    "name": lambda view: (view.namespace, view.name),
    "phase": lambda view: (PHASES.index(view.phase) if view.phase in PHASES else -1),
    "age": lambda view: view.created or 0.0,
    "weight": lambda view: -view.weight,
    "since": lambda view: view.last_transition,
}
"""Orders of `get --sort-by` (`words/looking.py` names them): phase by urgency, age the oldest first, weight the heaviest first, since what
changed longest ago."""


def in_order(views: Iterable[CanaryView], by: str) -> list[CanaryView]:
    """The views sorted; equal ones by namespace and name."""
    return sorted(sorted(views, key=SORTS["name"]), key=SORTS[by])


def canaries(
    views: Sequence[CanaryView], *, all_namespaces: bool = False, wide: bool = False, widths: list[int] | None = None
) -> Text:  # fmt: skip
    """The table of `get`: phase, weight, since when, and what is waited for; wide: with Flagger's printer columns."""
    heads = [*(("NAMESPACE",) if all_namespaces else ()), "NAME", "STATUS", "WEIGHT"]
    heads += [*WIDE_HEADS, "LASTTRANSITIONTIME", "AGE"] if wide else ["SINCE"]
    rows: list[list[Cell]] = []
    for view in views:
        row: list[Cell] = [view.namespace] if all_namespaces else []
        row += [view.name, phase(view), str(view.weight)]
        if wide:
            row += [*_wide(view), view.last_transition, _ago(view.now, view.created)]
        else:
            row.append(_ago(view.now, view.changed))
        rows.append([*row, view.waiting_for])
    return table([*heads, "WAITING FOR"], rows, widths=widths)


def describe(view: CanaryView, coming: str = "") -> Text:
    """Everything that is known about one Canary, the most urgent first; `coming` is what is to come of the release under way."""
    out = Text()
    out.append(f"{view.name}.{view.namespace}", "bold")
    out.append("   ")
    out.append(*phase(view))
    about = [f"{view.kind} {view.target}".strip(), view.provider, view.strategy]
    out.append("   " + "   ".join(part for part in about if part) + "\n", "dim")
    for line in (*_facts(view), *_flags(view)):
        out.append(line)
    if view.problem:
        _head(out, "Cannot be read")
        out.append(f"  {view.problem}\n", "red")
    _waiting_for(out, view)
    if coming:
        _head(out, "Next")
        out.append(f"  {coming}\n")
    _pod_failures(out, view)
    todo = advice(view)
    if todo:
        _head(out, "What you can do")
        for sentence in todo:
            out.append(f"  {sentence}\n")
    if view.metrics:
        _head(out, "Metrics")
        for metric in view.metrics:
            out.append(f"  {metric.name}  {metric.bounds}{f'  over {metric.over}' if metric.over else ''}")
            if metric.step:
                out.append("  last ")
                out.append("no value" if metric.value is None else f"{metric.value:g}", "red" if metric.missed else "green")
                out.append(f" at {metric.step}{', missed' if metric.missed else ''}")
            out.append("\n")
    if view.gates:
        _head(out, "Gates")
        out.append(table(("NAME", "TYPE", "STATE"), [(gate.name, gate.role, gate.state) for gate in view.gates], "  "))
    if view.conditions:
        _head(out, "Conditions")
        rows = [(c.type, c.status, c.reason, _ago(view.now, c.since), c.message) for c in view.conditions]
        out.append(table(("TYPE", "STATUS", "REASON", "AGE", "MESSAGE"), rows, "  "))
    if view.events:
        _head(out, "Events")
        events: list[Sequence[Cell]] = [
            (
                _ago(view.now, event.at),
                (event.type, "yellow") if event.type == "Warning" else event.type,
                event.message + (f" (x{event.count})" if event.count > 1 else ""),
            )
            for event in view.events
        ]
        out.append(table(("AGE", "TYPE", "MESSAGE"), events, "  "))
    if view.history:
        _head(out, "History")
        out.append(history(view.history, view.now, indent="  "))
    return out


def history(lines: Sequence[HistoryLine], now: float, indent: str = "") -> Text:
    """Ended releases, the newest first, with the number that `rollback-to` takes."""
    rows: list[Sequence[Cell]] = [
        (
            str(number),
            _ago(now, line.ended),
            (line.outcome + (" (forced)" if line.forced else ""), OUTCOME_STYLE.get(line.outcome, "")),
            line.revision,
            short_images(line.images),
            age(line.ended - line.started),
            line.cause,
        )
        for number, line in enumerate(lines, 1)
    ]
    return table(("#", "ENDED", "OUTCOME", "REVISION", "IMAGES", "TOOK", "CAUSE"), rows, indent)


def history_wide(lines: Sequence[HistoryLine], now: float, kept: Sequence[str], glyphs: Glyphs) -> Text:
    """The same, one release after the other, with what its metrics said in each step, who ordered what, and if its template is kept."""
    out = Text()
    for number, line in enumerate(lines, 1):
        out.append(f"{number}  ", "bold")
        out.append(line.outcome + (" (forced)" if line.forced else ""), OUTCOME_STYLE.get(line.outcome, ""))
        out.append(f"  {line.revision}  {short_images(line.images)}  {stamp(line.started)}  {age(line.ended - line.started)}")
        out.append("  template kept\n" if line.revision in kept else "\n", "dim")
        if line.cause:
            out.append(f"     {line.cause}\n")
        width = max((len(name) for name, _ in line.measured), default=0)
        steps = max((len(values) for _, values in line.measured), default=0)
        for name, values in line.measured:
            told = "   ".join(f"{step} {'-' if value is None else f'{value:g}'}" for step, value in values)
            out.append(f"     {name.ljust(width)}   ")
            out.append(f"{glyphs.sparkline([value for _, value in values]):<{steps}}", "cyan")
            out.append(f"   {told}\n")
        for order in line.orders:
            out.append(f"     {_ordered(order)}\n")
    return out


def phase(view: CanaryView) -> tuple[str, str]:
    """The phase with its colour; a Canary that no controller has looked at yet says so."""
    return (view.phase or "(not seen)", PHASE_STYLE.get(view.phase, ""))


def change_line(view: CanaryView) -> str:
    """One line for a log: time, canary, phase, weight, pods and what is waited for."""
    pods = f"  pods {view.primary_pods} + {view.canary_pods}" if view.primary_pods and view.canary_pods else ""
    wait = f"  {view.waiting_for}" if view.waiting_for else ""
    first = view.failures[0] if view.failures else None
    # the sentence about what is waited for names the container that holds it up, most often this one
    told = first is None or f"container {first.container}" in wait
    failed = "" if told or first is None else f"  {first.container}: {first.reason}: {first.diagnosis.partition('. ')[0]}"
    checks = f"  {view.failed_checks} of {view.failure_limit} checks failed" if view.failed_checks else ""
    head = f"{clock(view.now)}  {view.name}.{view.namespace}  {view.phase or '(not seen)'}"
    return f"{head}  canary {view.weight} %{pods}{checks}{wait}{failed}"


def clock(seconds: float) -> str:
    """The time of day in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%H:%M:%SZ")


def stamp(seconds: float) -> str:
    """Date and time of day in UTC, to the second."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def span(waiting: Waiting, now: float) -> str:
    """Since when, until when, and then: `for 12s, until 15:31:20Z (8s left), then: rollback`; "" when nothing is known."""
    parts: list[str] = []
    if waiting.since is not None:
        parts.append(f"for {age(now - waiting.since)}")
    if waiting.until is not None:
        left = waiting.until - now
        parts.append(f"until {clock(waiting.until)} ({f'{age(left)} left' if left >= 1 else 'due now'})")
    if waiting.then:
        parts.append(f"then: {waiting.then}")
    return ", ".join(parts)


def _facts(view: CanaryView) -> Iterable[str]:
    if view.revision:
        attempt = f"  attempt {view.attempt}" if view.attempt > 1 else ""
        running = f"  for {age(view.now - view.started)}" if view.started else ""
        yield f"  revision   {view.revision}  {short_images(view.images)}{attempt}{running}\n"
    if view.promoted_revision and view.promoted_revision != view.revision:
        yield f"  promoted   {view.promoted_revision}  {short_images(view.promoted_images)}\n"
    cut = f"  (cut from {view.planned_weight} %: pods were lost)" if view.weight < view.planned_weight else ""
    yield f"  weight     canary {view.weight:>3} %  {bar(view.weight)}  primary {100 - view.weight} %{cut}\n"
    if view.primary_pods or view.canary_pods:
        yield f"  pods       canary {view.canary_pods or '?'} ready, primary {view.primary_pods or '?'} ready\n"
    if not view.idle and (view.failed_checks or view.iterations):
        iterations = f", iteration {view.iterations}" if view.iterations else ""
        yield f"  checks     {view.failed_checks} failed (rollback at {view.failure_limit}){iterations}\n"
    if view.idle and view.history:
        end = view.history[0]
        yield f"  ended      {end.outcome} {age(view.now - end.ended)} ago{f': {end.cause}' if end.cause else ''}\n"
    if view.verdict:
        yield f"  verdict    {view.verdict}\n"


def _flags(view: CanaryView) -> Iterable[str]:
    for order in view.orders:
        yield f"  ordered    {_ordered(order)}\n"
    if view.reverting:
        yield f"  going back {view.kind} {view.target} is given the template of revision {view.reverting} again\n"
    if view.suspended:
        yield "  suspended  spec.suspend is true: nothing moves until it is false\n"
    for name in view.pending_commands:
        if name == "pause":
            yield f"  paused     no step is taken until: flaggerpy resume {view.name} -n {view.namespace}\n"
        else:
            yield f"  command    {name}, not taken up by the controller yet\n"


def _ordered(order: OrderLine) -> str:
    by = f" by {order.by}" if order.by else ""
    return f"{stamp(order.at)}  {order.command}{by}{f', {order.detail}' if order.detail else ''}"


def _waiting_for(out: Text, view: CanaryView) -> None:
    if view.waiting is None:
        return
    _head(out, "Waiting for")
    out.append(f"  {view.waiting.sentence}\n", "bold")
    times = span(view.waiting, view.now)
    if times:
        out.append(f"  {times}\n")


def _pod_failures(out: Text, view: CanaryView) -> None:
    if not view.failures:
        return
    _head(out, "Pods that fail")
    for failure in view.failures:
        more = f"  (and {failure.pods - 1} more)" if failure.pods > 1 else ""
        out.append(f"  {failure.pod}  container {failure.container}: ")
        out.append(failure.reason, "red")
        out.append(f"{more}\n")
        if failure.diagnosis:
            out.append(f"    {failure.diagnosis}\n", "bold")
        if failure.message:
            out.append(f"    {failure.message}\n", "dim")


def _wide(view: CanaryView) -> list[Cell]:
    analysis = view.spec.get("analysis") or view.spec.get("canaryAnalysis") or {}

    def shown(value: object) -> str:
        if value is None:
            return ""
        return str(value).lower() if isinstance(value, bool) else str(value)

    return [
        shown(view.spec.get("suspend")),
        str(view.failed_checks),
        shown(analysis.get("interval")),
        shown(analysis.get("mirror")),
        shown(analysis.get("stepWeight")),
        shown(analysis.get("stepWeights")),
        shown(analysis.get("maxWeight")),
    ]


def _head(out: Text, title: str) -> None:
    out.append(f"\n{title}\n", "bold underline")


def _ago(now: float, then: float | None) -> str:
    return "" if not then else age(now - then)
