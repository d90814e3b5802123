"""`python -m e2e.providers` runs every test that shows what a provider can do, on a sandbox of its own, keeps what passed in
docs/providers.json, and writes docs/providers.md. With `--page` nothing is run: the page is written from what was kept."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from e2e.providers.table import KEPT, PAGE, REFUSING, ROOT, kept, marks, page, proven

WITH_TRAEFIK = [sys.executable, "-m", "e2e.sandbox", "with", "--with", "traefik", "--"]
PYTEST = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "-r", "aR"]


def passed_in(junit: Path) -> set[str]:
    """The tests of a report of pytest of which every case passed, as `file::function`."""
    good: dict[str, bool] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        test = f"{file}::{case.get('name', '').partition('[')[0]}"
        good[test] = good.get(test, True) and not any(case.find(trouble) is not None for trouble in ("failure", "error", "skipped"))
    return {test for test, well in good.items() if well}


def run() -> int:
    """Exit code 0 when all of them passed; what failed is not kept."""
    files = sorted({mark.test.partition("::")[0] for mark in marks()} | {REFUSING.partition("::")[0]})
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        code = subprocess.run([*WITH_TRAEFIK, *PYTEST, "-m", "proves or refuses", f"--junitxml={junit}", *files], cwd=ROOT).returncode
        if not junit.exists():
            return code or 1
        KEPT.write_text(json.dumps({"passed": sorted(passed_in(junit))}, indent=1) + "\n")
    return code


def main() -> int:
    code = 0 if sys.argv[1:] == ["--page"] else run()
    PAGE.write_text(page(proven(kept())))
    return code


if __name__ == "__main__":
    sys.exit(main())
