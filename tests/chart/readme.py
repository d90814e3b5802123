"""The table of values in the chart's README, from the comments in values.yaml: `python -m tests.chart.readme` writes it.

The comments are helm-docs': `# -- text` above a value, whose later lines `# text` go on. A value with such a comment is one row, whatever
it holds; one without is a folder of others, and every leaf has to be under a comment.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "flaggerpy"
START, END = "<!-- values -->\n", "<!-- /values -->\n"
_COMMENT = re.compile(r"(?P<indent> *)# (?P<first>-- )?(?P<text>.*)")
_KEY = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z][\w-]*):(?P<rest>.*)")
LONG = 60


class Undocumented(ValueError):
    """A value that no comment tells of."""


@dataclass(frozen=True)
class Row:
    """One value: its path with dots, its default as data, and what is said of it."""

    path: str
    default: Any
    text: str


def rows(text: str) -> list[Row]:
    """The values of a values.yaml in their order. Raises Undocumented."""
    data = yaml.safe_load(text)
    found = list(_rows(text, data))
    told = [row.path for row in found]
    for path in leaves(data):
        if not any(path == known or path.startswith(f"{known}.") for known in told):
            raise Undocumented(f"values.yaml: {path} has no `# --` comment")
    return found


def _rows(text: str, data: Any) -> Iterator[Row]:
    at: list[tuple[int, str]] = []
    said: list[str] = []
    covered: int | None = None
    for line in text.splitlines():
        comment, key = _COMMENT.fullmatch(line), _KEY.fullmatch(line)
        if covered is not None and line.strip() and len(line) - len(line.lstrip()) > covered:
            continue
        if comment:
            said = [comment["text"]] if comment["first"] else [*said, comment["text"]] if said else []
        elif key:
            indent, covered = len(key["indent"]), None
            at = [*((depth, name) for depth, name in at if depth < indent), (indent, key["key"])]
            if said:
                path = [name for _, name in at]
                yield Row(".".join(path), _value(data, path), " ".join(said))
                covered = indent
            said = []
        elif not line.strip():
            said = []


def leaves(data: Any, at: str = "") -> Iterator[str]:
    """The paths of all values that hold no others."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from leaves(value, f"{at}.{key}" if at else str(key))
    else:
        yield at


def _value(data: Any, path: list[str]) -> Any:
    for name in path:
        data = data[name]
    return data


def table(text: str) -> str:
    """Markdown."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for row in rows(text):
        shown = json.dumps(row.default)
        default = "" if row.default in ("", None) else f"`{shown}`" if len(shown) <= LONG else "see values.yaml"
        lines.append(f"| `{row.path}` | {default} | {row.text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def readme(chart: Path = CHART) -> str:
    """The README with its table as it should be."""
    before, _, rest = (chart / "README.md").read_text().partition(START)
    _, _, after = rest.partition(END)
    return before + START + table((chart / "values.yaml").read_text()) + END + after


if __name__ == "__main__":
    (CHART / "README.md").write_text(readme())
    sys.stdout.write(f"{CHART / 'README.md'}\n")
