"""Writes the table of docs/scale.md, from what docs/benchmarks.json measured and docs/scale.json assumes: python -m e2e.scale"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.bench.figures import OURS
from e2e.scale.simulate import SETTINGS, table

DOCS = Path(__file__).parents[2] / "docs"


def requests_of_a_release(benchmarks: Mapping[str, Any]) -> float:
    """As the scenario of many releases at once measured it."""
    [found] = [
        float(one["value"])
        for one in benchmarks["busy"]["measured"]
        if one["side"] == OURS and one["what"].endswith("API requests per release")
    ]
    return found


def written(page: str, requests: float, assumed: Mapping[str, Any]) -> str:
    """The page with its table."""
    share = 100 * assumed["release"]["writes"]
    text = f"{requests:.0f} requests a release (measured), {share:.0f} % of them writes (assumed):\n\n{table(requests, assumed, SETTINGS)}"
    return re.sub(r"(<!-- cost -->\n).*?(<!-- end -->)", lambda found: found[1] + text + found[2], page, flags=re.S)


def current(page: str) -> str:
    """The page with its table, from what is in docs/ now."""
    benchmarks, assumed = (json.loads((DOCS / name).read_text()) for name in ("benchmarks.json", "scale.json"))
    return written(page, requests_of_a_release(benchmarks), assumed)


def write() -> None:
    """The page anew."""
    page = DOCS / "scale.md"
    page.write_text(current(page.read_text()))


if __name__ == "__main__":
    write()
