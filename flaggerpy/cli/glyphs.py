"""Bars, sparklines and marks, in two alphabets: block characters, and ASCII for terminals and locales that have no others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Glyphs:
    """One alphabet. `spark` has the heights of a sparkline from the lowest, `rule` is a line's piece."""

    full: str
    empty: str
    spark: str
    done: str
    now: str
    ahead: str
    failed: str
    ready: str
    unready: str
    gone: str
    arrow: str
    about: str
    dots: str
    rule: str
    least: str
    most: str
    between: str

    def bar(self, percent: float, width: int) -> str:
        """A bar of `width` cells; any share above 0 shows at least one cell, any below 100 leaves at least one."""
        cells = round(min(max(percent, 0.0), 100.0) * width / 100)
        if 0 < percent < 100 and width > 1:
            cells = min(max(cells, 1), width - 1)
        return self.full * cells + self.empty * (width - cells)

    def sparkline(self, values: Sequence[float | None], low: float | None = None, high: float | None = None, width: int = 0) -> str:
        """One cell per value (a gap: a blank), scaled so that the bounds are in the picture too; `width` stretches each value."""
        known = [value for value in values if value is not None]
        if not known:
            return " " * len(values)
        bounds = [bound for bound in (low, high) if bound is not None]
        bottom, top = min([*known, *bounds]), max([*known, *bounds])
        if top == bottom:
            # nothing to compare with: in the middle
            bottom, top = bottom - 1.0, top + 1.0
        last = len(self.spark) - 1
        cells = [" " if value is None else self.spark[round((value - bottom) / (top - bottom) * last)] for value in values]
        each = max(min(width // len(cells), 3), 1) if width else 1
        return "".join(cell * each for cell in cells)

    def cut(self, text: str, width: int) -> str:
        """The text in at most `width` cells, with a mark where it goes on."""
        if len(text) <= width:
            return text
        return text[: max(width - len(self.dots), 0)] + self.dots[:width]


BLOCKS = Glyphs(
    full="█", empty="░", spark="▁▂▃▄▅▆▇█", done="✓", now="▶", ahead="·", failed="✗", ready="●", unready="○", gone="◌", arrow="→", about="~",
    dots="…", rule="─", least="≥", most="≤", between="·",
)  # fmt: skip
ASCII = Glyphs(
    full="#", empty=".", spark="_.-=+*#", done="+", now=">", ahead=".", failed="x", ready="*", unready="o", gone="-", arrow="->", about="~",
    dots="..", rule="-", least=">=", most="<=", between="|",
)  # fmt: skip


def glyphs_for(encoding: str | None) -> Glyphs:
    """The alphabet that an encoding of a stream can carry."""
    try:
        "".join((BLOCKS.full, BLOCKS.spark, BLOCKS.done, BLOCKS.now, BLOCKS.ready, BLOCKS.least)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS
