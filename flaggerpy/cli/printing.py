"""Where a command prints, and how data is printed."""

from __future__ import annotations

import json
from typing import Any

import yaml
from rich.console import Console
from rich.text import Text


class Screen:
    """Where a command prints: results to stdout, progress to stderr. Colours only on a terminal and without NO_COLOR."""

    def __init__(self, out: Console | None = None, err: Console | None = None) -> None:
        self.out = out or Console(highlight=False, soft_wrap=True)
        self.err = err or Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, text: Text | str) -> None:
        self.out.print(text, end="" if isinstance(text, Text) else "\n", markup=False)

    def note(self, text: str) -> None:
        self.err.print(text, markup=False)


def dump(screen: Screen, value: Any, form: str) -> None:
    """Data as json or yaml."""
    if form == "json":
        screen.show(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        screen.show(yaml.safe_dump(value, sort_keys=False, allow_unicode=True).rstrip())
