"""The figures as one picture: how many times less than Flagger's each of ours is, or how many times more. Pure."""

from __future__ import annotations

import io
from collections.abc import Iterable

from e2e.bench.figures import Outcome, Row, number, rows

INK, PAPER = "#1f2933", "#ffffff"
LESS, MORE = "#2a9d8f", "#e76f51"
INCHES_EACH = 0.24


def compared(outcomes: Iterable[Outcome]) -> list[Row]:
    """The figures that both have, in the order of the page."""
    return [row for outcome in outcomes for row in rows(outcome.measured) if row.ratio is not None and row.ratio != 1.0]


def drawn(outcomes: Iterable[Outcome]) -> str:
    """An SVG: a bar for each figure that both have, on a logarithmic scale, to the right where ours is less. The same text each time."""
    # loaded only to draw: `make bench` installs it (the extra `bench`)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    lines = compared(outcomes)[::-1]
    ratios = [row.ratio or 1.0 for row in lines]
    with rc_context({"svg.hashsalt": "flaggerpy", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 8}):
        figure = Figure(figsize=(9, 1.1 + INCHES_EACH * max(1, len(lines))), facecolor=PAPER, layout="constrained")
        axes = figure.add_subplot()
        places = range(len(lines))
        widths = [ratio - 1.0 for ratio in ratios]
        axes.barh(places, widths, left=1.0, color=[LESS if ratio > 1 else MORE for ratio in ratios], height=0.7)
        axes.set_xscale("log")
        axes.axvline(1.0, color=INK, linewidth=0.8)
        axes.set_yticks(places, [row.what for row in lines])
        for place, ratio in zip(places, ratios, strict=True):
            axes.annotate(f" {number(ratio)}× ", (ratio, place), va="center", ha="left" if ratio > 1 else "right", color=INK)
        axes.set_xlabel("Flagger's figure divided by flaggerpy's: right of 1 flaggerpy needs less")
        axes.margins(x=0.12, y=0.01)
        axes.tick_params(colors=INK)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
