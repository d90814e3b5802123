"""Writes the table of docs/scale.md, computed from docs/scale.json: python -m e2e.scale"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2e.scale.simulate import SETTINGS, table

DOCS = Path(__file__).parents[2] / "docs"


def written(page: str, measured: Mapping[str, Any]) -> str:
    """The page with its table."""
    text = table(measured, SETTINGS)
    return re.sub(r"(<!-- cost -->\n).*?(<!-- end -->)", lambda found: found[1] + text + found[2], page, flags=re.S)


def main() -> int:
    page = DOCS / "scale.md"
    page.write_text(written(page.read_text(), json.loads((DOCS / "scale.json").read_text())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
