"""Where a command prints, what the stream at its other end can show, and how data is printed.

Colours: not when NO_COLOR is set to anything or TERM is dumb; else on a terminal, and with CLICOLOR_FORCE (not 0) everywhere. CLICOLOR=0
switches them off on a terminal too (bixense.com/clicolors, no-color.org). What the encoding of a stream has no letters for is replaced
and never an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any, Literal

import yaml
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from flaggerpy.api.texts import escaped, visible
from flaggerpy.cli.glyphs import Glyphs, glyphs_for


class Screen:
    """Where a command prints: results to stdout, progress to stderr."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self.out = out or console(sys.stdout)
        self.err = err or console(sys.stderr)

    @property
    def glyphs(self) -> Glyphs:
        """The alphabet that stdout can carry."""
        return glyphs_for(self.out.encoding)

    @property
    def width(self) -> int | None:
        """Cells in a line of a terminal; None where nothing is to be cut, as something else than a person reads."""
        return self.out.width if self.out.is_terminal else None

    def show(self, text: Text | str) -> None:
        self.out.print(harmless(text), end="" if isinstance(text, Text) else "\n", markup=False)

    def note(self, text: str) -> None:
        self.err.print(harmless(text), markup=False)


class SafeConsole(Console):
    """A console on which texts of others can only be seen, in whatever table or panel they stand."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def harmless(text: Text | str) -> Text | str:
    """The text without control characters: what stands in a cluster may have been written to play tricks on a terminal."""
    return cleaned(text) if isinstance(text, Text) else visible(text)


def cleaned(text: Text) -> Text:
    """The same for a text with styles, in place."""
    text.plain = visible(text.plain)
    return text


def console(stream: IO[str], environment: Mapping[str, str] | None = None) -> Console:
    """A rich console on a stream by the rules of this module."""
    where = os.environ if environment is None else environment
    with contextlib.suppress(AttributeError, ValueError, OSError):
        stream.reconfigure(errors="replace")  # type: ignore[attr-defined]
    terminal = stream.isatty()
    coloured = colours(where, terminal)
    # as given: rich would read the environment by rules of its own (FORCE_COLOR makes it see a terminal where there is none)
    styled = coloured or animated(where, terminal)  # bold is no colour
    depth = _depth(where) if styled else None
    return SafeConsole(file=stream, highlight=False, soft_wrap=True, force_terminal=terminal, no_color=not coloured, color_system=depth)


def colours(environment: Mapping[str, str], terminal: bool) -> bool:
    """Whether to print in colours."""
    if environment.get("NO_COLOR"):
        return False
    if environment.get("CLICOLOR_FORCE", "0") not in ("", "0"):
        return True
    return terminal and environment.get("TERM") not in ("dumb", "unknown") and environment.get("CLICOLOR") != "0"


def animated(environment: Mapping[str, str], terminal: bool) -> bool:
    """Whether a stream can be drawn upon: a terminal that knows how to move its cursor."""
    return terminal and environment.get("TERM", "") not in ("", "dumb", "unknown")


def _depth(environment: Mapping[str, str]) -> Literal["standard", "256", "truecolor"]:
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256color" in environment.get("TERM", "") else "standard"


def dump(screen: Screen, value: Any, form: str) -> None:
    """Data as json or yaml."""
    if form == "json":
        screen.show(escaped(json.dumps(value, indent=2, ensure_ascii=False)))
    else:
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip()
        screen.show(text if text == visible(text) else yaml.safe_dump(value, sort_keys=False).rstrip())
