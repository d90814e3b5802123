"""The live view of releases: a rich renderable of bars, pods, success rate, p99 and what is waited for. Pure: it shows what it is given.

`flaggerpy watch` draws it from the cluster alone; the demo adds what it measures at its own end of the traffic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from flaggerpy.cli.screens import PHASE_STYLE, phase, span
from flaggerpy.cli.views import CanaryView, PodCount, bar, short_images

BAR = 24


@dataclass(frozen=True)
class Traffic:
    """What was measured of the traffic; None where it is not known. Rates in percent, p99 in milliseconds."""

    success_rate: float | None = None
    p99_ms: float | None = None
    sent: int | None = None
    lost: int | None = None
    per_second: float | None = None


@dataclass(frozen=True)
class LiveView:
    """Canaries with their traffic (same order; may be shorter), a headline above and lines of log below."""

    canaries: Sequence[CanaryView]
    traffic: Sequence[Traffic] = ()
    headline: str = ""
    log: Sequence[str] = ()

    def __rich__(self) -> RenderableType:
        parts: list[RenderableType] = [Text(self.headline, "bold")] if self.headline else []
        for i, view in enumerate(self.canaries):
            parts.append(_panel(view, self.traffic[i] if i < len(self.traffic) else Traffic()))
        parts += [_wrapped(Text(line, "dim")) for line in self.log]
        return Group(*parts)


def _panel(view: CanaryView, traffic: Traffic) -> Panel:
    shown, style = phase(view)
    about = "   ".join(part for part in (f"{view.name}.{view.namespace}", view.provider, view.strategy) if part)
    lines: list[RenderableType] = [_sides(view)]
    measured = _traffic(traffic)
    if measured:
        lines.append(measured)
    if view.failed_checks:
        lines.append(Text(f"{view.failed_checks} of {view.failure_limit} checks failed", "red"))
    lines.append(_wrapped(_waiting(view)))
    for failure in view.failures[:3]:
        more = f" on {failure.pods} pods" if failure.pods > 1 else f" in {failure.pod}"
        told = f"{more}: {failure.diagnosis or failure.message}"
        lines.append(_wrapped(Text.assemble((f"{failure.container}: {failure.reason}", "red"), told)))
    title, state = Text(about, "bold"), Text(shown, f"bold {style}".strip())
    return Panel(
        Group(*lines),
        title=Text.assemble(title, "   ", state),
        title_align="left",
        box=box.ROUNDED,
        border_style=PHASE_STYLE.get(view.phase, "dim"),
    )


def _wrapped(text: Text) -> Text:
    """Sentences go on in the next line, though the console cuts no line of tables."""
    text.no_wrap, text.overflow = False, "fold"
    return text


def _sides(view: CanaryView) -> Table:
    grid = Table.grid(padding=(0, 2))
    for _ in range(5):
        grid.add_column(no_wrap=True)
    promoted = short_images(view.promoted_images)
    here = promoted if view.idle and view.phase != "Failed" else short_images(view.images)
    grid.add_row("primary", Text(bar(100 - view.weight, BAR), "green"), f"{100 - view.weight:>3} %", _pods(view.primary_pods), promoted)
    cut = f" of {view.planned_weight}" if view.weight < view.planned_weight else ""
    grid.add_row("canary", Text(bar(view.weight, BAR), "cyan"), f"{view.weight:>3} %{cut}", _pods(view.canary_pods), here)
    return grid


def _pods(count: PodCount | None) -> Text:
    if count is None:
        return Text("pods ?", "dim")
    style = "dim" if count.total == 0 else "green" if count.ready == count.total else "yellow" if count.ready else "red"
    return Text(f"pods {count}", style)


def _traffic(traffic: Traffic) -> Text | None:
    parts: list[tuple[str, str]] = []
    if traffic.success_rate is not None:
        style = "green" if traffic.success_rate >= 99.95 else "yellow" if traffic.success_rate >= 99 else "red"
        parts.append((f"success {traffic.success_rate:.2f} %", style))
    if traffic.p99_ms is not None:
        parts.append((f"p99 {traffic.p99_ms:.0f} ms", ""))
    if traffic.per_second is not None:
        parts.append((f"{traffic.per_second:.0f} requests/s", ""))
    if traffic.sent is not None:
        parts.append((f"{traffic.sent:,} sent", ""))
    if traffic.lost is not None:
        parts.append((f"{traffic.lost:,} lost", "red" if traffic.lost else "green"))
    if not parts:
        return None
    text = Text()
    for i, (part, style) in enumerate(parts):
        text.append("   " if i else "")
        text.append(part, style)
    return text


def _waiting(view: CanaryView) -> Text:
    if not view.waiting_for:
        return Text("idle" if view.idle else "", "dim")
    text = Text.assemble(("waiting: ", "dim"), view.waiting_for)
    times = span(view.waiting, view.now) if view.waiting else ""
    if times:
        text.append(f"  ({times})", "dim")
    if view.verdict:
        text.append(f"\n{view.verdict}", "red")
    return text
