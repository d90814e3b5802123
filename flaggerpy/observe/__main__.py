"""Writes what is generated: the rule file and the dashboard of the chart, and the tables of docs/observability.md. --check only looks."""

from __future__ import annotations

import sys
from pathlib import Path

from flaggerpy.observe.files import files

ROOT = Path(__file__).parents[2]


def main(arguments: list[str]) -> int:
    """The exit code: 1 when --check finds a file that is not as it should be."""
    stale = [path for path, text in files(ROOT).items() if not path.exists() or path.read_text() != text]
    for path in stale:
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files(ROOT)[path])
        sys.stdout.write(f"{'not as it should be' if '--check' in arguments else 'wrote'}: {path.relative_to(ROOT)}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
