"""The last page of the demo: one table of the releases, what to look at next, and whether all went as the play says. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from e2e.demo.play import Story


@dataclass(frozen=True)
class Result:
    """What came of a story. Seconds from the change to the verdict; `reported` from the kubelet's first report of a failure, if any."""

    story: Story
    outcome: str
    seconds: float
    reported: float | None
    sent: int
    lost: int
    highest_weight: int
    cause: str
    how: Counter[str] = field(default_factory=Counter)
    pods: int = 0
    """Pods of the canary that were made for it."""

    def faults(self) -> tuple[str, ...]:
        """Where this is not what the play says; empty when all is well."""
        story = self.story
        found = []
        if self.outcome != story.outcome:
            found.append(f"ended {self.outcome}, not {story.outcome}")
        if self.seconds > story.within:
            found.append(f"took {self.seconds:.1f} s, more than {story.within:g} s")
        if self.highest_weight > story.highest_weight:
            found.append(f"carried {self.highest_weight} %, more than {story.highest_weight} %")
        if self.lost and not story.may_lose:
            found.append(f"lost {self.lost} requests ({', '.join(f'{count} x {name}' for name, count in self.how.items())})")
        if story.checks_images and self.pods:
            found.append(f"made {self.pods} pods for an image that is not there")
        found += [f"its cause does not name {word!r}" for word in story.cause_names if word.lower() not in self.cause.lower()]
        return tuple(found)


def table(results: Sequence[Result]) -> RenderableType:
    """Release, outcome, time to verdict, requests sent, requests lost, cause named."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    grid.add_column("release", overflow="fold", min_width=26)
    grid.add_column("outcome", no_wrap=True)
    grid.add_column("time to verdict", no_wrap=True)
    grid.add_column("sent", justify="right", no_wrap=True)
    grid.add_column("lost", justify="right", no_wrap=True)
    grid.add_column("cause named", overflow="fold", ratio=1, min_width=30)
    for result in results:
        story = result.story
        good = result.outcome == "Succeeded"
        outcome = "promoted" if good else f"{result.outcome} at {result.highest_weight} %"
        style = ("green" if good else "red") if not result.faults() else "bold yellow"
        verdict = f"{result.seconds:.1f} s"
        if result.reported is not None and not good:
            verdict += f"\n{result.reported:.1f} s from report"
        elif story.checks_images and not result.pods:
            verdict += "\nno pod was made"
        release = f"{story.key}) {story.title}"
        grid.add_row(release, Text(outcome, style), verdict, f"{result.sent:,}", f"{result.lost:,}", result.cause or "-")
    faults = [f"{result.story.key}) {fault}" for result in results for fault in result.faults()]
    lines: list[RenderableType] = [grid]
    if faults:
        lines.append(Text("Not as the play says:", "bold yellow"))
        lines += [Text(f"  {fault}", "yellow") for fault in faults]
    return Group(*lines)


def farewell(commands: Sequence[tuple[str, str]]) -> RenderableType:
    """Commands to look around with: text and what it shows."""
    lines: list[RenderableType] = [Text("Look around:", "bold")]
    for command, what in commands:
        lines += [Text(f"  # {what}", "dim"), Text(f"  {command}")]
    return Group(*lines)


def good(results: Sequence[Result], expected: int) -> bool:
    """True when every story was played and ended as it should."""
    return len(results) == expected and not any(result.faults() for result in results)
