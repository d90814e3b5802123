"""The full view of one release as lines of a terminal: (scene, width, height, alphabet) -> lines. Pure; `flaggerpy watch NAME` shows them.

What matters most gets room first: head, weights, where the release stands and what it waits for are there at 60 x 15; metrics, pods, gates
and events take what is left. A wide terminal has the stages in a column of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.text import Text

from flaggerpy.cli.course import Course, Stage, count
from flaggerpy.cli.glyphs import Glyphs
from flaggerpy.cli.pods import PodLine
from flaggerpy.cli.screens import PHASE_STYLE, clock, phase
from flaggerpy.cli.views import CanaryView, MetricLine, PodCount, age, short_images

WIDE, TALL = 110, 22
"""From this width and height on the stages stand in a column."""
COLUMN = 34
DOTS = 10
"""More pods than that are a number, no row of dots."""
MARKS = {"done": "green", "now": "bold cyan", "ahead": "dim"}


@dataclass(frozen=True)
class Scene:
    """What is to be shown. `problem`: why the picture may be old."""

    view: CanaryView
    course: Course | None = None
    primary_pods: tuple[PodLine, ...] | None = None
    canary_pods: tuple[PodLine, ...] | None = None
    metrics: tuple[MetricLine, ...] = ()
    problem: str = ""
    hint: str = "q quits"


@dataclass(frozen=True)
class Section:
    """Lines that belong together. `least`: fewer than that are no use. `tail`: when cut, the last lines stay. `title` is a line more."""

    lines: Sequence[Text]
    least: int = 1
    tail: bool = False
    title: str = ""

    def cut(self, rows: int, glyphs: Glyphs) -> list[Text]:
        """The section in so many rows, the title among them."""
        head = [Text(self.title, "bold dim")] if self.title else []
        room = rows - len(head)
        if room >= len(self.lines):
            return [*head, *self.lines]
        if self.tail:
            return [*head, *self.lines[-room:]]
        if room < 2:
            return [*head, *self.lines[:room]]
        hidden = len(self.lines) - room + 1
        return [*head, *self.lines[: room - 1], Text(f"  {glyphs.dots} {hidden} more", "dim")]

    @property
    def floor(self) -> int:
        return min(self.least, len(self.lines)) + bool(self.title)

    @property
    def whole(self) -> int:
        return len(self.lines) + bool(self.title)


def frame(scene: Scene, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """The lines, at most `height` of them, none wider than `width`."""
    columns = width >= WIDE and height >= TALL and scene.course is not None
    head = _head(scene, width, glyphs)
    sides = _sides(scene, width, glyphs)
    foot = [_foot(scene, width, glyphs)]
    room = height - len(head) - len(sides) - len(foot)
    inner = width - COLUMN - 3 if columns else width
    course = [] if scene.course is None or columns else _chips(scene.course, width, glyphs, rows=3 if height >= 20 else 2)
    tall = height >= 20
    titles = ("METRICS", "PODS", "GATES", "EVENTS") if tall else ("",) * 4
    sections = [
        Section(course, least=len(course)),
        Section(_waiting(scene, inner), least=3),
        Section(_failures(scene, inner, glyphs), least=2),
        Section(_metrics(scene, inner, glyphs), least=3, title=titles[0]),
        Section(_pods(scene, inner, glyphs), least=2, title=titles[1]),
        # where there is little room the stages tell of them
        Section(_gates(scene, inner, glyphs) if tall else [], least=1, title=titles[2]),
        Section(_events(scene, inner, glyphs), least=2, tail=True, title=titles[3]),
    ]
    body = stacked(sections, room, glyphs)
    if columns and scene.course is not None:
        # the stages begin where the other column's first line stands
        offset = 1 if body and not body[0].plain else 0
        body = _beside(_column(scene.course, room - offset, glyphs), body, offset, glyphs)
    lines = [*head, *sides, *body]
    lines += [Text()] * (height - len(foot) - len(lines))
    return [*lines[: height - len(foot)], *foot]


def stacked(sections: Sequence[Section], room: int, glyphs: Glyphs) -> list[Text]:
    """The sections one under the other in `room` rows: the first ones get their least first, then all they want, then air between."""
    rows = [0] * len(sections)
    left = room
    for i, section in enumerate(sections):
        if section.lines and section.floor <= left:
            rows[i] = section.floor
            left -= section.floor
    for i, section in enumerate(sections):
        if rows[i]:
            more = min(section.whole - rows[i], left)
            rows[i] += more
            left -= more
    shown = [i for i in range(len(sections)) if rows[i]]
    # a blank line above each, the titled ones first: they are the ones that stand apart
    airy = set(sorted(shown, key=lambda i: (not sections[i].title, i))[:left])
    lines: list[Text] = []
    for i in shown:
        lines += [Text()] if i in airy else []
        lines += sections[i].cut(rows[i], glyphs)
    return lines


def _head(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    view, course = scene.view, scene.course
    shown, style = phase(view)
    title = Text.assemble((f"{view.name}.{view.namespace}", "bold"), "  ", (shown, f"bold {style}".strip()))
    if view.suspended:
        title.append("  suspended", "yellow")
    about = f" {glyphs.between} ".join(part for part in (view.provider, view.strategy, clock(view.now)) if part)
    if title.cell_len + len(about) + 2 > width:
        about = clock(view.now)
    first = _ends(title, Text(about, "dim"), width)
    second = Text()
    new, old = short_images(view.images), short_images(view.promoted_images)
    if course is not None:
        second.append(f"{old} {glyphs.arrow} ", "dim")
        second.append(new, "bold")
        if view.attempt > 1:
            second.append(f"  attempt {view.attempt}", "dim")
        long, short = _eta(view, course, glyphs), Text.assemble(eta(course, glyphs))
        second = _ends(second, long if second.cell_len + long.cell_len + 2 <= width else short, width)
    else:
        second.append(old if view.promoted_images else new, "bold")
        if view.history:
            end = view.history[0]
            told = f"{end.outcome} {age(view.now - end.ended)} ago, it took {age(end.ended - end.started)}"
            second = _ends(second, Text(told, PHASE_STYLE.get(view.phase, "")), width)
    return [first, second]


def _ends(left: Text, right: Text, width: int) -> Text:
    """One text at each end of a line; the right one goes where there is no room for both."""
    gap = width - left.cell_len - right.cell_len
    if gap >= 2:
        left.append(" " * gap)
        left.append_text(right)
    left.truncate(width)
    return left


def _eta(view: CanaryView, course: Course, glyphs: Glyphs) -> Text:
    so_far = f"{age(view.now - view.started)} so far, " if view.started else ""
    end = "" if course.held or course.left < 1 else f" (at {clock(course.now + course.left)})"
    return Text.assemble((so_far, "dim"), eta(course, glyphs), (end, "dim"))


def eta(course: Course, glyphs: Glyphs) -> tuple[str, str]:
    """When it will be over, as a text and its style."""
    left = f"{glyphs.about}{age(course.left)}"
    if course.failing:
        return f"rolled back in {left}", "red"
    if course.held == "resume":
        return "paused", "yellow"
    if course.held:
        return f"{left} after gate {course.held} opens", "yellow"
    if course.left < 1:
        return "about to end", "cyan"
    return f"{left} to go", "cyan"


def _sides(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    view = scene.view
    pods = [_dots(scene.primary_pods, view.primary_pods, glyphs), _dots(scene.canary_pods, view.canary_pods, glyphs)]
    cut = f" of {view.planned_weight}" if view.weight < view.planned_weight else ""
    shares = [f"{100 - view.weight:>4} %", f"{view.weight:>4} %{cut}"]
    wide = max(map(len, shares))
    taken = 8 + wide + 2 + max(pod.cell_len for pod in pods)
    bars = max(min(width - taken, 80), 4)
    lines = []
    for name, share, weight, style, dots in zip(
        ("primary", "canary"), shares, (100 - view.weight, view.weight), ("green", "cyan"), pods, strict=True
    ):
        drawn = glyphs.bar(weight, bars)
        filled = drawn.count(glyphs.full)
        line = Text.assemble((f"{name:<8}", "bold"), (drawn[:filled], style), (drawn[filled:], "dim"), f"{share:<{wide}}  ", dots)
        line.truncate(width)
        lines.append(line)
    return lines


def _dots(pods: tuple[PodLine, ...] | None, count: PodCount | None, glyphs: Glyphs) -> Text:
    if pods is None or count is None:
        return Text("pods ?" if count is None else f"{count} ready", "dim")
    if count.total == 0 and not any(pod.leaving for pod in pods):
        return Text("no pods", "dim")
    out = Text()
    if len(pods) <= DOTS:
        for pod in pods:
            mark = glyphs.gone if pod.leaving else glyphs.ready if pod.available else glyphs.failed if pod.fails else glyphs.unready
            out.append(mark, _pod_style(pod))
        out.append("  ")
    style = "green" if count.ready == count.total else "yellow" if count.ready else "red"
    out.append(f"{count} ready", style if count.total else "dim")
    return out


def _pod_style(pod: PodLine) -> str:
    return "dim" if pod.leaving else "green" if pod.available else "red" if pod.fails else "yellow"


def _mark(stage: Stage, course: Course, glyphs: Glyphs) -> tuple[str, str]:
    if stage.state == "now" and course.failing:
        return glyphs.failed, "bold red"
    if stage.state == "now" and course.held:
        return glyphs.now, "bold yellow"
    return {"done": glyphs.done, "now": glyphs.now, "ahead": glyphs.ahead}[stage.state], MARKS[stage.state]


def _time(stage: Stage, course: Course, glyphs: Glyphs) -> str:
    """How long it took, what is left of it, or how long it will take."""
    if stage.state == "done":
        return "" if stage.took is None else age(stage.took)
    if stage.state == "now":
        if stage.left is None or course.held:
            return f"for {age(course.now - stage.began)}" if stage.began else "waits"
        return f"{age(stage.left)} left" if stage.left >= 1 else "now"
    if stage.kind == "gate":
        return "asked"
    return f"{glyphs.about}{age(stage.left)}" if stage.left else ""


def _name(stage: Stage) -> str:
    return f"gate {stage.name}" if stage.kind == "gate" else stage.name.replace("%", " %")


def _chips(course: Course, width: int, glyphs: Glyphs, rows: int) -> list[Text]:
    """The stages as words in a row or two; where they do not fit, those far from the present one are counted."""

    def lines(near: int) -> list[Text]:
        return _flowed(list(_gathered(course, near, glyphs)), width)

    # no more than that fit, whatever they are called
    least, most = 0, min(len(course.stages), width * rows)
    if most == len(course.stages) and len(whole := lines(most)) <= rows:
        return whole
    while least < most:
        near = (least + most + 1) // 2
        least, most = (near, most) if len(lines(near)) <= rows else (least, near - 1)
    return lines(least)[:rows]


def _gathered(course: Course, near: int, glyphs: Glyphs) -> Iterator[Text]:
    """Each stage as a chip, those more than `near` away from the present one gathered into one chip at either end."""
    first, last = max(course.at - near, 0), min(course.at + near, len(course.stages) - 1)
    before, after = course.stages[:first], course.stages[last + 1 :]
    if before:
        took = sum(stage.took or 0.0 for stage in before)
        yield Text(f"{glyphs.done} {count(before)} done {age(took)}", MARKS["done"])
    for stage in course.stages[first : last + 1]:
        mark, style = _mark(stage, course, glyphs)
        time = _time(stage, course, glyphs)
        yield Text.assemble((f"{mark} {_name(stage)}", style), (f" {time}" if time else "", "" if stage.state == "now" else "dim"))
    if after:
        yield Text(f"{glyphs.ahead} {count(after)} more {glyphs.about}{age(sum(stage.left or 0.0 for stage in after))}", MARKS["ahead"])


def _flowed(chips: Sequence[Text], width: int) -> list[Text]:
    lines = [Text()]
    for chip in chips:
        if lines[-1].cell_len and lines[-1].cell_len + 3 + chip.cell_len > width:
            lines.append(Text())
        if lines[-1].cell_len:
            lines[-1].append("   ")
        lines[-1].append_text(chip)
    return lines


def _column(course: Course, rows: int, glyphs: Glyphs) -> list[Text]:
    """The stages one under the other, with the present one in sight."""
    # assembled: what is put behind it has a style of its own
    lines = [Text.assemble(("RELEASE", "bold dim"))]
    room = rows - len(lines)
    stages = course.stages
    if len(stages) <= room:
        first, last = 0, len(stages)
    else:
        # a row at each end tells of what is not in sight
        first = min(max(course.at - (room - 2) // 2, 0), len(stages) - (room - 2))
        last = first + room - 2
    if first:
        took = sum(stage.took or 0.0 for stage in stages[:first])
        lines.append(_row(glyphs.done, f"{count(stages[:first])} done", age(took), MARKS["done"]))
    for stage in stages[first:last]:
        mark, style = _mark(stage, course, glyphs)
        lines.append(_row(mark, _name(stage), _time(stage, course, glyphs), style))
    if last < len(stages):
        rest = sum(stage.left or 0.0 for stage in stages[last:])
        lines.append(_row(glyphs.ahead, f"{count(stages[last:])} more", f"{glyphs.about}{age(rest)}", MARKS["ahead"]))
    return lines


def _row(mark: str, name: str, time: str, style: str) -> Text:
    room = COLUMN - 2 - len(time) - 1
    line = Text.assemble((f"{mark} ", style), (f"{name[:room]:<{room}} ", style), (time, "dim" if "bold" not in style else style))
    line.truncate(COLUMN)
    return line


def _beside(left: Sequence[Text], right: Sequence[Text], offset: int, glyphs: Glyphs) -> list[Text]:
    lines: list[Text] = []
    edge = "│" if glyphs.full == "█" else "|"
    for i in range(max(len(left) + offset, len(right))):
        line = left[i - offset].copy() if 0 <= i - offset < len(left) else Text()
        line.append(" " * (COLUMN - line.cell_len))
        line.append(f" {edge} ", "dim")
        if i < len(right):
            line.append_text(right[i])
        lines.append(line)
    return lines


def _waiting(scene: Scene, width: int) -> list[Text]:
    view = scene.view
    lines: list[Text] = []
    if view.problem:
        lines += _wrapped(view.problem, width, "red")
    if view.verdict:
        lines += _wrapped(f"Rolled back: {view.verdict}", width, "red")
    if view.waiting is not None:
        lines += _wrapped(f"Waiting for {view.waiting.sentence}", width, "bold")
        told = span(view)
        if told:
            lines += _wrapped(told, width, "", indent=2)
        lines += _checks(view)
        if view.waiting.advice:
            lines += _wrapped(view.waiting.advice, width, "yellow", indent=2)
    elif view.idle and not view.problem:
        end = view.history[0] if view.history else None
        if end and end.cause:
            lines += _wrapped(f"{end.outcome}: {end.cause}", width, PHASE_STYLE.get(view.phase, ""))
        lines.append(Text("Nothing is under way: the next change of the target begins a release.", "dim"))
    for name in view.pending_commands:
        if name != "pause":
            lines.append(Text(f"{name} is ordered, and not taken up yet", "yellow"))
    for line in lines:
        line.truncate(width)
    return lines


def _checks(view: CanaryView) -> list[Text]:
    if view.idle or not view.failed_checks:
        return []
    return [Text(f"  {view.failed_checks} of {view.failure_limit} checks failed, the last one rolls back", "red")]


def span(view: CanaryView) -> str:
    """Since when and until when something is waited for, for a view that counts the seconds itself."""
    waiting = view.waiting
    if waiting is None:
        return ""
    parts = [f"for {age(view.now - waiting.since)}"] if waiting.since is not None else []
    if waiting.until is not None:
        left = waiting.until - view.now
        parts.append(f"{age(left)} left" if left >= 1 else "due now")
    if waiting.then:
        parts.append(f"then {waiting.then}")
    return ", ".join(parts)


def _failures(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    lines: list[Text] = []
    for failure in scene.view.failures[:4]:
        where = f"{failure.pods} pods" if failure.pods > 1 else failure.pod
        lines.append(Text(glyphs.cut(f"{glyphs.failed} {failure.container}: {failure.reason} ({where})", width), "bold red"))
        told = failure.diagnosis or failure.message
        lines += _wrapped(told, width, "", indent=2) if told else []
    return lines


def _metrics(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    """Name, last value, bounds, and the run as a sparkline in which the cells that missed are red."""
    metrics = scene.metrics
    if not metrics:
        return []
    names = max(min(max(len(metric.name) for metric in metrics), width // 3), 4)
    bounds = [_bounds(metric, glyphs) for metric in metrics]
    wide = max(map(len, bounds))
    lines = []
    for metric, bound in zip(metrics, bounds, strict=True):
        line = Text()
        style = "dim" if metric.value is None else "bold red" if metric.missed else "green"
        line.append(f"{glyphs.cut(metric.name, names):<{names}}  ")
        line.append(f"{'-' if metric.value is None else f'{metric.value:g}':>8}", style)
        line.append(f"  {bound:<{wide}}  ", "dim")
        line.append_text(_spark(metric, width - line.cell_len, glyphs))
        line.truncate(width)
        lines.append(line)
    return lines


def _bounds(metric: MetricLine, glyphs: Glyphs) -> str:
    parts = [
        f"{sign} {bound:g}" for sign, bound in ((glyphs.least, metric.low), (glyphs.most, metric.high)) if bound is not None
    ]  # fmt: skip
    return " ".join(parts) or "any"


def _spark(metric: MetricLine, room: int, glyphs: Glyphs) -> Text:
    values = [value for _, value in metric.values][-max(room, 1) :]
    out = Text()
    if not values:
        return out
    drawn = glyphs.sparkline(values, metric.low, metric.high, width=min(room, 40))
    each = len(drawn) // len(values)
    for i, value in enumerate(values):
        missed = value is not None and (
            (metric.low is not None and value < metric.low) or (metric.high is not None and value > metric.high)
        )
        out.append(drawn[i * each : (i + 1) * each], "red" if missed else "green")
    used = metric.used
    if used is not None and room - out.cell_len > 24:
        told = "missed" if metric.missed else f"{used * 100:.0f} % of its room used"
        out.append(f"  {told}", "red" if metric.missed else "yellow" if used > 0.8 else "dim")
    return out


def _gates(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    lines = []
    for gate in scene.view.gates:
        closed = gate.state.startswith("closed")
        mark = glyphs.now if closed else glyphs.done if gate.state == "passed" else glyphs.ahead
        style = "yellow" if closed else "green" if gate.state == "passed" else "dim"
        text = f"{mark} {gate.name} ({gate.role}){f': {gate.state}' if gate.state else ''}"
        lines.append(Text(glyphs.cut(text, width), style))
    return lines


def _pods(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    """The canary's pods first: they are the ones in question. Those that are not well stand above."""
    rows: list[tuple[str, PodLine]] = []
    for side, pods in (("canary", scene.canary_pods), ("primary", scene.primary_pods)):
        rows += [(side, pod) for pod in sorted(pods or (), key=lambda pod: (pod.available, pod.leaving))]
    if not rows:
        return []
    names = min(max(len(pod.name) for _, pod in rows), max(width - 44, 12))
    states = min(max(len(pod.state) for _, pod in rows), 20)
    lines = []
    for side, pod in rows:
        mark = glyphs.gone if pod.leaving else glyphs.ready if pod.available else glyphs.failed if pod.fails else glyphs.unready
        line = Text.assemble(
            (f"{mark} ", _pod_style(pod)), (f"{side:<7}  ", "dim"), f"{_tail(pod.name, names, glyphs):<{names}}  ",
            (f"{glyphs.cut(pod.state, states):<{states}}", _pod_style(pod)), f"  {pod.ready}/{pod.containers}",
            (f"  {age(pod.age):>6}", "dim"),
        )  # fmt: skip
        if pod.restarts:
            line.append(f"  {pod.restarts} restart{'s' if pod.restarts > 1 else ''}", "red")
        if pod.node and width - line.cell_len > len(pod.node) + 4:
            line.append(f"  {pod.node}", "dim")
        line.truncate(width)
        lines.append(line)
    return lines


def _tail(text: str, width: int, glyphs: Glyphs) -> str:
    """The end of a pod's name is what tells it from others."""
    return text if len(text) <= width else glyphs.dots + text[-(width - len(glyphs.dots)) :]


def _events(scene: Scene, width: int, glyphs: Glyphs) -> list[Text]:
    lines = []
    for event in scene.view.events:
        told = event.message + (f" (x{event.count})" if event.count > 1 else "")
        when = f"{age(scene.view.now - event.at):>6}  "
        style = "yellow" if event.type == "Warning" else ""
        lines.append(Text.assemble((when, "dim"), (glyphs.cut(told, max(width - len(when), 8)), style)))
    return lines


def _foot(scene: Scene, width: int, glyphs: Glyphs) -> Text:
    if scene.problem:
        return Text(glyphs.cut(scene.problem, width), "bold red")
    return _ends(Text(), Text(scene.hint, "dim"), width)


def _wrapped(text: str, width: int, style: str, indent: int = 0) -> list[Text]:
    pad = " " * indent
    return [Text(pad + line, style) for line in wrap(text, max(width - indent, 8), break_on_hyphens=False) or [""]]


__all__ = ["Scene", "Section", "eta", "frame", "span", "stacked"]
