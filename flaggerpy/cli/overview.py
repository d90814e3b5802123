"""Many releases as one table that fits a terminal: `flaggerpy top`, and `watch` of more than one Canary. Pure.

Columns go where the terminal is narrow, the least telling first; what needs a person stands on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from flaggerpy.cli.course import Course, count
from flaggerpy.cli.frames import Scene, eta
from flaggerpy.cli.glyphs import Glyphs
from flaggerpy.cli.screens import OUTCOME_STYLE, clock, phase
from flaggerpy.cli.views import CanaryView, MetricLine, age, short_images

BAR = 12
LATELY = 5
"""So many ended releases are told of below the table."""


@dataclass(frozen=True)
class Column:
    """A column of the table; `rank`: those with the highest number go first where there is no room. `least` is its least width."""

    head: str
    cells: Sequence[Text]
    rank: int = 0
    least: int = 0

    @property
    def width(self) -> int:
        return max([len(self.head), *(cell.cell_len for cell in self.cells)])


def overview(scenes: Sequence[Scene], width: int, height: int, glyphs: Glyphs, *, title: str, running_only: bool, problem: str = "",
             now: float = 0.0) -> list[Text]:  # fmt: skip
    """The lines, at most `height` of them (0: as many as there are), none wider than `width` (0: as wide as they are)."""
    shown = sorted((scene for scene in scenes if scene.course or not running_only), key=_urgency)
    lines = [_headline(scenes, title, width, glyphs, now), Text()]
    foot = [Text(glyphs.cut(problem, width or len(problem)), "bold red")] if problem else []
    room = height - len(lines) - len(foot) if height else len(shown) + 1
    if shown:
        rows = table(columns(shown, glyphs), width, glyphs)
        if len(rows) > room:
            hidden = len(rows) - room + 1
            rows = [*rows[: room - 1], Text(f"{glyphs.dots} {hidden} more", "dim")]
        lines += rows
    else:
        lines.append(Text("No release is under way." if running_only else "There are no Canaries.", "dim"))
    lately = _lately(scenes, width, glyphs, now)
    free = height - len(lines) - len(foot) - 2 if height else 0
    if lately and free > 0:
        lines += [Text(), Text("LATELY", "bold dim"), *lately[:free]]
    if height:
        lines += [Text()] * (height - len(lines) - len(foot))
    return [*lines, *foot]


def columns(scenes: Sequence[Scene], glyphs: Glyphs) -> list[Column]:
    """The columns of these scenes, in their order from the left."""
    views = [scene.view for scene in scenes]
    return [
        Column("NAMESPACE", [Text(view.namespace) for view in views], rank=1),
        Column("NAME", [Text(view.name, "bold") for view in views]),
        Column("PHASE", [Text(*phase(view)) for view in views], rank=4),
        Column("STAGE", [stage(scene.course) for scene in scenes]),
        Column("CANARY", [_weight(scene, glyphs) for scene in scenes], rank=3),
        Column("ENDS IN", [_ends(scene, glyphs) for scene in scenes]),
        Column("WORST METRIC", [worst(scene.metrics, glyphs) if scene.course else Text() for scene in scenes], rank=2),
        Column("WAITS FOR", [_waits(view) for view in views], least=16),
    ]


def table(all_columns: Sequence[Column], width: int, glyphs: Glyphs) -> list[Text]:
    """Head and rows. The last column takes what is left and is cut; where it would get too little, the column of the highest rank goes."""
    kept = list(all_columns)
    while width and len(kept) > 2:
        *firm, last = kept
        room = width - sum(column.width + 2 for column in firm)
        if room >= min(last.least or last.width, last.width):
            break
        droppable = max(kept, key=lambda column: column.rank)
        if not droppable.rank:
            break
        kept.remove(droppable)
    heads = Text()
    rows = [Text() for _ in kept[0].cells]
    for i, column in enumerate(kept):
        wide = column.width + 2 if i < len(kept) - 1 else 0
        heads.append(f"{column.head:<{wide}}", "dim")
        for row, cell in zip(rows, column.cells, strict=True):
            row.append_text(cell)
            row.append(" " * (wide - cell.cell_len))
    for row in rows if width else ():
        if row.cell_len > width:
            row.truncate(width - len(glyphs.dots))
            row.append(glyphs.dots, "dim")
    if width:
        heads.truncate(width)
    return [heads, *rows]


def stage(course: Course | None) -> Text:
    """Where it stands: the step and its number, or the stage before or after the steps."""
    if course is None or course.current is None:
        return Text()
    now = course.current
    if now.kind == "step":
        return Text(f"{now.name.replace('%', ' %')}  {course.step_number}/{count(course.steps)}")
    return Text(f"gate {now.name}" if now.kind == "gate" else now.name, "red" if course.failing else "")


def worst(metrics: Sequence[MetricLine], glyphs: Glyphs) -> Text:
    """The metric that has used most of its room."""
    told = [(metric.used, metric) for metric in metrics if metric.used is not None]
    if not told:
        return Text()
    used, metric = max(told, key=lambda each: each[0] or 0.0)
    over = metric.high is not None and metric.value is not None and (metric.low is None or metric.value > metric.low)
    bound, sign = (metric.high, glyphs.most) if over else (metric.low, glyphs.least)
    style = "bold red" if metric.missed else "yellow" if (used or 0.0) > 0.8 else "green"
    return Text.assemble(f"{glyphs.cut(metric.name, 22)} ", (f"{metric.value:g}", style), (f" {sign} {bound:g}", "dim"))


def _weight(scene: Scene, glyphs: Glyphs) -> Text:
    view = scene.view
    if scene.course is None:
        return Text(f"{view.weight:>3} %", "dim") if view.weight else Text()
    drawn = glyphs.bar(view.weight, BAR)
    filled = drawn.count(glyphs.full)
    return Text.assemble((drawn[:filled], "cyan"), (drawn[filled:], "dim"), f"{view.weight:>4} %")


def _ends(scene: Scene, glyphs: Glyphs) -> Text:
    view, course = scene.view, scene.course
    if course is None:
        ended = view.history[0].ended if view.history else None
        return Text(f"ended {age(view.now - ended)} ago" if ended else "", "dim")
    style = eta(course, glyphs)[1]
    if course.held:
        return Text("paused" if course.held == "resume" else "a person", style)
    return Text(f"{glyphs.about}{age(course.left)}" if course.left >= 1 else "now", style)


def _waits(view: CanaryView) -> Text:
    if view.verdict:
        return Text(f"rolled back: {view.verdict}", "red")
    left = view.waiting.until - view.now if view.waiting and view.waiting.until is not None else None
    told = view.waiting_for or (f"{view.history[0].cause}" if view.idle and view.phase == "Failed" and view.history else "")
    out = Text(told, "red" if view.problem else "")
    if left is not None and left >= 1:
        out.append(f" ({age(left)} left)", "dim")
    return out


def _urgency(scene: Scene) -> tuple[int, str, str]:
    """What fails first, then what waits for a person, then what runs, then the rest; by name within, so that rows stay in place."""
    course = scene.course
    if course is None:
        rank = 3
    elif course.failing or scene.view.failures or any(metric.missed for metric in scene.metrics):
        rank = 0
    else:
        rank = 1 if course.held else 2
    return rank, scene.view.namespace, scene.view.name


def _headline(scenes: Sequence[Scene], title: str, width: int, glyphs: Glyphs, now: float) -> Text:
    running = [scene.course for scene in scenes if scene.course]
    failing, held = sum(course.failing for course in running), sum(bool(course.held) for course in running)
    out = Text.assemble((title, "bold"), f"   {len(running)} of {len(scenes)} in a release")
    if held:
        out.append(f", {held} wait{'s' if held == 1 else ''} for a person", "yellow")
    if failing:
        out.append(f", {failing} rolled back", "red")
    told = clock(now)
    gap = width - out.cell_len - len(told)
    if gap >= 2:
        out.append(" " * gap + told, "dim")
    if width:
        out.truncate(width)
    return out


def _lately(scenes: Sequence[Scene], width: int, glyphs: Glyphs, now: float) -> list[Text]:
    ended = [(line, scene.view) for scene in scenes for line in scene.view.history[:1] if line.outcome != "Initialized"]
    lines = []
    for line, view in sorted(ended, key=lambda each: -each[0].ended)[:LATELY]:
        row = Text.assemble(
            (f"{age(now - line.ended):>6} ago  ", "dim"), (f"{line.outcome:<10}", OUTCOME_STYLE.get(line.outcome, "")),
            f"  {view.name}.{view.namespace}  {short_images(line.images)}", (f"  {line.cause}" if line.cause else "", "dim"),
        )  # fmt: skip
        if width and row.cell_len > width:
            row.truncate(width - len(glyphs.dots))
            row.append(glyphs.dots, "dim")
        lines.append(row)
    return lines
