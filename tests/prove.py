"""`make prove`: the release machine explored, killed at every write, played at random, and put into disorder, with figures.

    python -m tests.prove [ARGUMENTS OF python -m tests.model]

Tests on a cluster wait for most of their time. Meanwhile the model, which only computes, takes the processors that they leave: it runs
at idle priority, and its time limits count its own computing. Its figures are printed after theirs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def at_idle_priority() -> None:
    """For a process before it begins: where sessions have priorities of their own (sched_autogroup), nice alone counts within them only."""
    os.setsid()
    os.nice(19)
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text("19")


def main() -> int:
    """0 when all holds."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as told:
        command = [sys.executable, "-u", "-m", "tests.model", *sys.argv[1:]]
        model = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=subprocess.STDOUT, preexec_fn=at_idle_priority)
        try:
            worst = subprocess.run([sys.executable, "-m", "e2e.disorder"], cwd=ROOT, check=False).returncode
            print("\nThe model goes on with both processors.\n", flush=True)
            worst = max(worst, model.wait())
        finally:
            if model.poll() is None:
                os.killpg(model.pid, signal.SIGKILL)
        told.seek(0)
        print(told.read())
    print(f"{'All of it is proven' if worst == 0 else 'NOT all of it is proven'}, in {(time.monotonic() - began) / 60:.0f} minutes.")
    return worst


if __name__ == "__main__":
    sys.exit(main())
