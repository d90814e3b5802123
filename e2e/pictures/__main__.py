"""Makes the pictures of the docs from real releases, in a sandbox: `python -m e2e.sandbox with -- python -m e2e.pictures [NAME ...]`.

`ACTS` is the list: each act plays releases and takes pictures of them while they run. Acts are given one after another; an act that is not
asked for is left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from e2e.pictures import page, terminal
from e2e.pictures.theatre import ROOT, Theatre

FOLDER = ROOT / "docs" / "pictures"
ACTS: dict[str, Callable[[Theatre, Path], None]] = {"terminal": terminal.play, "page": page.play}


def main(argv: list[str] | None = None) -> int:
    """Play the acts that are named (all of them), and write their pictures."""
    parser = argparse.ArgumentParser(prog="python -m e2e.pictures", description=__doc__)
    parser.add_argument("acts", nargs="*", metavar="ACT", help=f"which of {', '.join(ACTS)} (default: all)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go (default: docs/pictures)")
    options = parser.parse_args(argv)
    for name in options.acts:
        if name not in ACTS:
            parser.error(f"there is no act {name}")
    with Theatre.opened() as theatre:
        for name, play in ACTS.items():
            if not options.acts or name in options.acts:
                play(theatre, options.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
