"""Figures that tests leave behind for the table of `python -m e2e.disorder`: JSON lines in the file that DISORDER_FIGURES names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

Row = dict[str, str | int | float]


def note(table: str, row: str, **values: str | int | float) -> None:
    """Leave figures of a row behind; without DISORDER_FIGURES nobody asked for them."""
    path = os.environ.get("DISORDER_FIGURES")
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps({"table": table, "row": row, "values": values}) + "\n")


def collect(lines: Iterable[str]) -> dict[str, dict[str, Row]]:
    """Tables of rows of figures: numbers that were noted more than once are added up, the last text counts."""
    tables: dict[str, dict[str, Row]] = {}
    for line in lines:
        told = json.loads(line)
        row = tables.setdefault(told["table"], {}).setdefault(told["row"], {})
        for name, value in told["values"].items():
            before = row.get(name)
            row[name] = before + value if isinstance(value, int) and isinstance(before, int) else value
    return tables


def printed(tables: dict[str, dict[str, Row]]) -> str:
    """The tables as text, for a terminal."""
    lines: list[str] = []
    for name, rows in tables.items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        cells = [["", *columns], *([row, *(str(values.get(column, "")) for column in columns)] for row, values in rows.items())]
        widths = [max(len(line[index]) for line in cells) for index in range(len(columns) + 1)]
        lines += [name, "=" * len(name)]
        lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
        lines.append("")
    return "\n".join(lines)
