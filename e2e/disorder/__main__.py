"""python -m e2e.disorder: every crash point and every scenario of disorder, and their figures in tables.

`--memory` and `--cluster` play only one half: the crash points against the API server in memory (no sandbox needed), or what needs a
sandbox. `--quick` leaves out what is slow. The exit code is 0 when everything held.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from e2e.disorder.figures import collect, printed

ROOT = Path(__file__).parent.parent.parent


def memory(quick: bool) -> list[str]:
    chosen = ["-m", "not slow"] if quick else []
    files = ["tests/controller/test_crash_points.py", "tests/controller/test_disorder.py"]
    return [sys.executable, "-m", "pytest", "-q", "-n", "4", "--dist", "worksteal", "--show-capture=no", *chosen, *files]


def cluster(quick: bool) -> list[str]:
    return [sys.executable, "-m", "e2e.sandbox", "with", "--", "sh", "e2e/disorder/run.sh", sys.executable, "quick" if quick else "all"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.disorder", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("memory", "cluster", "quick"):
        parser.add_argument(f"--{name}", action="store_true")
    options = parser.parse_args()
    both = options.memory == options.cluster
    worst, began = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "figures"
        notes.touch()
        for wanted, command in ((options.memory or both, memory(options.quick)), (options.cluster or both, cluster(options.quick))):
            if wanted:
                done = subprocess.run(command, cwd=ROOT, env={**os.environ, "DISORDER_FIGURES": str(notes)}, check=False)
                worst = max(worst, done.returncode)
        print(printed(collect(notes.read_text().splitlines())))
    print(f"{'everything held' if worst == 0 else 'NOT everything held'}, {time.monotonic() - began:.0f} s")
    return worst


if __name__ == "__main__":
    raise SystemExit(main())
