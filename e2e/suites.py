"""Suites that CI runs only where what they prove has changed since they last passed as a whole: what each of them proves, as a checksum.

    python -m e2e.suites due             the suites to run (`make test-NAME` each), one a line
    python -m e2e.suites passed NAME     remembers in e2e/suites.json that NAME passed as a whole: the last step of its make target

A suite's rooms are the files that it proves, and its own. Of the sandbox's table a suite counts the parts that every sandbox has and those
that it asks for, so that a new program for one suite makes no other suite due.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from e2e.sandbox.versions import PARTS

ROOT = Path(__file__).parents[1]
PASSED = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Suite:
    """`rooms` are files and folders below the project's root; `parts` the programs that its sandbox is booted with (`--with`)."""

    rooms: tuple[str, ...]
    parts: tuple[str, ...] = ()


CORE = tuple(f"flaggerpy/{name}" for name in ("api", "cluster", "controller", "rollout", "routers", "targets"))
"""What decides on a release and acts on the cluster."""

SUITES: dict[str, Suite] = {
    "providers": Suite(
        rooms=(
            "flaggerpy/routers",
            "flaggerpy/metrics/builtin.py",
            "flaggerpy/targets/scalers.py",
            "flaggerpy/rollout/handover.py",
            "e2e/providers",
            "e2e/metrics_api.py",
        ),
        parts=("traefik", "keda"),
    ),
    "observe": Suite(
        rooms=(
            "flaggerpy/telemetry",
            "flaggerpy/observe",
            "flaggerpy/cluster/events.py",
            "flaggerpy/rollout",
            *(f"flaggerpy/controller/{name}.py" for name in ("exporting", "spans", "tracing", "outside")),
            "charts/flaggerpy",
            "e2e/observe",
        ),
        parts=("promtool", "prometheus-operator", "helm"),
    ),
    "terminal": Suite(
        rooms=(
            "flaggerpy/cli",
            "e2e/terminal",
        ),
    ),
    "standby": Suite(
        rooms=(
            "flaggerpy/cluster",
            "flaggerpy/controller",
            "e2e/standby",
            "e2e/disorder/proxy.py",
            "e2e/disorder/faults.py",
        ),
    ),
    "ui": Suite(
        rooms=(
            "flaggerpy/dashboard",
            "flaggerpy/controller/dashboard.py",
            "flaggerpy/cluster/bearer.py",
            "flaggerpy/telemetry/server.py",
            "e2e/ui",
        ),
    ),
    "install": Suite(
        rooms=(
            *CORE,
            "charts",
            "deploy",
            "flaggerpy/cli",
            "docs/tutorial.md",
            "e2e/install",
            "release",
        ),
        parts=("helm", "flagger", "flagger-chart", "wget"),
    ),
    "gitops": Suite(
        rooms=(
            *CORE,
            "deploy/argocd",
            "docs/gitops.md",
            "e2e/gitops",
        ),
        parts=("flux", "flux-source", "argo", "argo-judge", "kstatus", "helm"),
    ),
    "takeover": Suite(
        rooms=(
            *CORE,
            "flaggerpy/cli/handback.py",
            "e2e/takeover",
        ),
        parts=("flagger",),
    ),
    "slow": Suite(
        rooms=(
            *CORE,
            *(f"flaggerpy/{name}" for name in ("alerts", "egress", "hooks", "images", "metrics", "http.py")),
            "e2e/core",
        ),
    ),
    "demo": Suite(
        rooms=(
            *CORE,
            *(f"flaggerpy/{name}" for name in ("hooks", "metrics", "http.py")),
            "charts",
            "release",
            "e2e/demo",
        ),
        parts=("helm",),
    ),
    "docs": Suite(rooms=("docs", "mkdocs.yml")),
    "fuzz": Suite(
        rooms=(
            "crds",
            *(f"flaggerpy/{name}" for name in ("alerts", "api", "hooks", "http.py", "images", "metrics", "model", "rollout", "routers")),
            "flaggerpy/targets",
            "tests/security",
        ),
    ),
}


def checksum(suite: Suite, root: Path = ROOT) -> str:
    """Of the contents of its rooms, as git knows them and as they stand in the tree, and of the parts of its sandbox.

    Raises FileNotFoundError for a room that is not there: a folder that was renamed would else never make its suite due again.
    """
    found = hashlib.sha256()
    for room in suite.rooms:
        told = subprocess.run(["git", "ls-files", "-z", "--", room], cwd=root, capture_output=True, check=True).stdout.decode()
        files = sorted(filter(None, told.split("\0")))
        if not files:
            raise FileNotFoundError(f"{room} is a room of a suite, and git knows no such file")
        for name in files:
            content = (root / name).read_bytes()
            found.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    for part in PARTS:
        if not part.on_demand or part.name in suite.parts:
            found.update(f"{part!r}\n".encode())
    return found.hexdigest()


def due(passed: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """The suites whose rooms are not those that passed."""
    return [name for name, suite in SUITES.items() if passed.get(name) != checksum(suite, root)]


def passed() -> dict[str, str]:
    """The checksum of each suite when it passed last."""
    return dict(json.loads(PASSED.read_text())) if PASSED.exists() else {}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.suites", description="Suites that run where what they prove has changed.")
    words = parser.add_subparsers(dest="word", required=True)
    words.add_parser("due", help="print the suites to run")
    words.add_parser("passed", help="a suite passed as a whole").add_argument("name", choices=SUITES)
    options = parser.parse_args(argv)
    if options.word == "due":
        sys.stdout.write("".join(f"{name}\n" for name in due(passed())))
    else:
        known = passed() | {options.name: checksum(SUITES[options.name])}
        PASSED.write_text(json.dumps({name: known[name] for name in SUITES if name in known}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
