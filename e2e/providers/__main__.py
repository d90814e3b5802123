"""`python -m e2e.providers` runs every test that shows what a provider can do, on a sandbox of its own, keeps what passed in
docs/providers.json, and writes docs/providers.md. With arguments for pytest (files, -k ...) only these are run, and what was kept of the
others stays; with `--page` nothing is run, and the page is written from what was kept."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from e2e.providers.table import KEPT, PAGE, REFUSING, ROOT, kept, marks, page, proven

WITH_TRAEFIK = [sys.executable, "-m", "e2e.sandbox", "with", "--with", "traefik", "--"]
PYTEST = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", "--reruns", "1", "-r", "aR"]


def outcomes_in(junit: Path) -> dict[str, bool]:
    """Of a report of pytest: each test, as `file::function`, and whether every case of it passed."""
    good: dict[str, bool] = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        test = f"{file}::{case.get('name', '').partition('[')[0]}"
        good[test] = good.get(test, True) and not any(case.find(trouble) is not None for trouble in ("failure", "error", "skipped"))
    return good


def run(arguments: list[str]) -> int:
    """Exit code 0 when all of them passed; what failed is not kept."""
    wanted = {mark.test for mark in marks()} | set(REFUSING)
    files = [] if any(word.startswith("e2e/") for word in arguments) else sorted({test.partition("::")[0] for test in wanted})
    with tempfile.TemporaryDirectory() as folder:
        junit = Path(folder) / "junit.xml"
        command = [*WITH_TRAEFIK, *PYTEST, "-m", "proves or refuses", f"--junitxml={junit}", *files, *arguments]
        code = subprocess.run(command, cwd=ROOT).returncode
        if not junit.exists():
            return code or 1
        seen = outcomes_in(junit)
    passed = {test for test, well in seen.items() if well} | (kept() - seen.keys() if arguments else set())
    KEPT.write_text(json.dumps({"passed": sorted(passed & wanted)}, indent=1) + "\n")
    return code


def main() -> int:
    code = 0 if sys.argv[1:] == ["--page"] else run(sys.argv[1:])
    PAGE.write_text(page(proven(kept())))
    return code


if __name__ == "__main__":
    sys.exit(main())
