"""python -m e2e.bench [--quick] [--only NAME ...] [--note TEXT]: flaggerpy beside Flagger 1.44, on a sandbox of its own.

Outside of a sandbox it boots one and goes with it. A whole run writes docs/benchmarks.md, and what follows from it in docs/scale.md, after
each scenario; --quick and --only print, unless --write is given as well. What was measured takes the place of the same scenario's earlier
figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from e2e.bench.figures import Outcome, outcome_of, page, text_table, together
from e2e.bench.plot import drawn
from e2e.bench.rig import rig
from e2e.bench.scenarios import (
    busy,
    coming,
    crowd,
    detection,
    failing,
    handover,
    idle,
    late,
    length,
    memory,
    multitude,
    safety,
    strangers,
    takeover,
    thousands,
)
from e2e.sandbox import Sandbox
from e2e.sandbox.build import build
from e2e.sandbox.console import say
from e2e.sandbox.versions import PARTS, GoModule, PythonWheel
from e2e.scale import __main__ as scale

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "benchmarks.md"
PLOT = ROOT / "docs" / "pictures" / "benchmarks.svg"
FIGURES = ROOT / "docs" / "benchmarks.json"
SCENARIOS: dict[str, ModuleType] = {
    "memory": memory,
    "idle": idle,
    "strangers": strangers,
    "detection": detection,
    "crowd": crowd,
    "multitude": multitude,
    "late": late,
    "busy": busy,
    "thousands": thousands,
    "length": length,
    "failing": failing,
    "safety": safety,
    "coming": coming,
    "takeover": takeover,
    "handover": handover,
}
FLEET = {"memory", "idle", "strangers", "detection"}


def main() -> int:
    """Exit code 0 when every scenario could be measured, whatever the figures are."""
    parser = argparse.ArgumentParser(prog="python -m e2e.bench", description="flaggerpy beside Flagger 1.44 in one cluster.")
    parser.add_argument("--quick", action="store_true", help="fewer Canaries and shorter stretches")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md after a part of a run too")
    parser.add_argument("--runs", type=int, default=1, help="how often each scenario is played; its median counts")
    parser.add_argument("--note", default="", help="what else the machine does meanwhile: it stands below the tables")
    args = parser.parse_args()
    if not os.environ.get("SANDBOX_NAME"):
        build(("flagger",))
        around = [sys.executable, "-m", "e2e.sandbox", "with", "--with", "kwok", "--logs", "build/bench-logs", "--"]
        # in its place: a parent that is interrupted would kill it before it has taken the sandbox down
        os.chdir(ROOT)
        os.execv(sys.executable, [*around, sys.executable, "-m", "e2e.bench", *sys.argv[1:]])
    names = args.only or list(SCENARIOS)
    # what was measured is kept at once: a whole run takes an hour, and its end may never come
    keep = args.write or not (args.only or args.quick)
    failed = measure(names, args.quick, args.note, args.runs, write if keep else lambda outcomes: None)
    if failed:
        say(f"could not be measured: {', '.join(failed)}")
    return 1 if failed else 0


def measure(names: list[str], quick: bool, note: str, runs: int, keep: Callable[[dict[str, Outcome]], None]) -> list[str]:
    """`keep` gets the outcome of each scenario that ran to its end; the names of the others."""
    outcomes: dict[str, Outcome] = {}
    failed = []
    with rig(Sandbox.current(), quick) as ground:
        for name in names:
            if name not in FLEET:
                ground.dismiss_fleet()
            scenario = SCENARIOS[name]
            say(f"{scenario.TITLE}")
            try:
                measured = tuple(together([scenario.run(ground) for _ in range(runs)]))
            except Exception:
                traceback.print_exc()
                failed.append(name)
                continue
            say(text_table(measured) + "\n")
            today = datetime.now(UTC).strftime("%Y-%m-%d")
            outcomes[name] = Outcome(scenario.TITLE, scenario.METHOD, today, machine(note), measured, commit())
            keep({name: outcomes[name]})
        ground.dismiss_fleet()
    say(text_table([one for outcome in outcomes.values() for one in outcome.measured]))
    return failed


def machine(note: str = "") -> str:
    """The machine in a few words, with its load of the last five minutes and what else it did."""
    model = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory_kb = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    # what else the machine did is part of every figure that is a time
    load = f"load average {os.getloadavg()[1]:.1f}{f' ({note})' if note else ''}"
    return f"{os.cpu_count()} x {model}, {memory_kb / 1e6:.0f} GB, Linux {platform.release()}, {load}"


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines()


def versions() -> dict[str, str]:
    wanted = ("flagger", "kwok", "kubernetes", "contour", "envoy", "prometheus")
    parts = {part.name: part.version for part in PARTS if isinstance(part, (GoModule, PythonWheel)) and part.name in wanted}
    return {"Python": platform.python_version(), **parts}


def commit() -> str:
    """Of ours, as it was measured."""
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return told or "unknown"


def write(outcomes: dict[str, Outcome]) -> None:
    """The page, and its figures as JSON, from which a later part of a run goes on."""
    known = {name: outcome_of(obj) for name, obj in json.loads(FIGURES.read_text()).items()} if FIGURES.exists() else {}
    known |= outcomes
    ordered = {name: known[name] for name in SCENARIOS if name in known}
    FIGURES.write_text(json.dumps({name: outcome.to_obj() for name, outcome in ordered.items()}, indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(page(ordered, {name: getattr(SCENARIOS[name], "WHY", "") for name in ordered}, versions()))
    PLOT.write_text(drawn(ordered.values()))
    scale.write()
    say(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
