"""python -m e2e.beside [--only NAME ...] [--from FOLDER]: the same releases by Flagger 1.44 and by flaggerpy, and every difference.

Outside of a sandbox it boots one and goes with it. What was seen is kept in build/beside, from which --from tells the report again. A
whole run writes docs/differences-from-flagger.md. Exit code 1 when a scenario did not end as its script says, or a difference has no rule.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from e2e.bench import controllers
from e2e.bench.controllers import Controller
from e2e.bench.figures import OURS, THEIRS
from e2e.beside.actor import Actor, Records
from e2e.beside.compare import Compared, compare
from e2e.beside.page import page, report
from e2e.beside.rules import rule_for
from e2e.beside.scenarios import SCENARIOS, Scenario
from e2e.core.controllers import install_crds
from e2e.core.receiver import Receiver
from e2e.kube import Kube
from e2e.sandbox import Sandbox
from e2e.sandbox.build import build
from e2e.sandbox.console import say

ROOT = Path(__file__).parents[2]
STORIES = ROOT / "build" / "beside"
PAGE = ROOT / "docs" / "differences-from-flagger.md"
FLAGS = ("-include-label-prefix=app.kubernetes.io", "-ingress-class=contour")
PROVIDERS = ("gatewayapi:v1", "kubernetes", "contour", "smi:v1alpha2")
AT_ONCE = 8
"""Scenarios that are played at the same time: they spend it waiting for Flagger's interval."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.beside", description="The same releases by Flagger 1.44 and by flaggerpy.")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=f"of {', '.join(SCENARIOS)}")
    parser.add_argument("--from", dest="folder", type=Path, help="tell the report of an earlier run again")
    parser.add_argument("--write", action="store_true", help="write docs/differences-from-flagger.md after a part of a run too")
    args = parser.parse_args()
    names = args.only or list(SCENARIOS)
    failed: list[str] = []
    if not args.folder:
        if not os.environ.get("SANDBOX_NAME"):
            build(("flagger",))
            around = [sys.executable, "-m", "e2e.sandbox", "with", "--logs", "build/beside-logs", "--"]
            # in its place: a parent that is interrupted would kill it before it has taken the sandbox down
            os.chdir(ROOT)
            os.execv(sys.executable, [*around, sys.executable, "-m", "e2e.beside", *sys.argv[1:]])
        failed = play([SCENARIOS[name] for name in names])
    compared = compare_all(args.folder or STORIES, [name for name in names if name not in failed])
    say(report(compared))
    unexplained = [found for one in compared for found in one.differences if rule_for(found) is None]
    if args.write or not (args.only or failed or unexplained):
        PAGE.write_text(page(compared))
        say(f"written: {PAGE.relative_to(ROOT)}")
    if failed:
        say(f"did not end as their scripts say: {', '.join(failed)}")
    return 1 if failed or unexplained else 0


def play(scenarios: list[Scenario]) -> list[str]:
    """Plays each with both controllers and keeps what was seen; the names of those that one of the two did not end."""
    sandbox = Sandbox.current()
    kube = Kube(sandbox.kubeconfig, timeout=60.0)
    install_crds(kube)
    for namespace in ("beside-ours", "beside-theirs"):
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    sides = (
        controllers.flaggerpy(sandbox, kube, "beside-ours", FLAGS, PROVIDERS),
        controllers.flagger(sandbox, kube, "beside-theirs", FLAGS),
    )
    STORIES.mkdir(parents=True, exist_ok=True)
    receivers = {side.name: Receiver() for side in sides}
    failed = set()
    try:
        for side in sides:
            say(f"  starting {side.name}")
            side.start()
        with Records(kube, "beside-ours") as ours, Records(kube, "beside-theirs") as theirs:
            records = {OURS: ours, THEIRS: theirs}
            with ThreadPoolExecutor(AT_ONCE * 2) as pool:
                running = []
                for scenario in scenarios:
                    for side in sides:
                        actor = Actor(kube, sandbox, side, records[side.name], receivers[side.name], scenario.name)
                        running.append((scenario, side, pool.submit(play_one, scenario, side, actor)))
                failed = {scenario.name for scenario, _, done in running if not done.result()}
    finally:
        for side in sides:
            side.stop()
        for receiver in receivers.values():
            receiver.close()
    return sorted(failed)


def play_one(scenario: Scenario, side: Controller, actor: Actor) -> bool:
    """Plays a scenario and writes its story down; False when it did not go as its script says."""
    try:
        scenario.play(actor)
        return True
    except Exception:
        traceback.print_exc()
        return False
    finally:
        story = actor.story().to_obj()
        file = STORIES / f"{scenario.name}.{side.name}.json"
        file.write_text(json.dumps(story, indent=1, ensure_ascii=False) + "\n")
        say(f"  {side.name}: {scenario.name}: {' → '.join(story['phases'])}")
        for kind in ("Canary", "Deployment"):
            actor.kube.delete(kind, scenario.name, actor.namespace)


def compare_all(folder: Path, names: list[str]) -> list[Compared]:
    """The comparison of every scenario whose two stories are in the folder."""
    found = []
    for name in names:
        files = [folder / f"{name}.{side}.json" for side in (THEIRS, OURS)]
        if all(file.exists() for file in files):
            theirs, ours = (json.loads(file.read_text()) for file in files)
            found.append(compare(name, theirs, ours))
    return found


if __name__ == "__main__":
    sys.exit(main())
