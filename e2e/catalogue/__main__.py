"""Plays the catalogue and prints its table: python -m e2e.catalogue [--write] [--missing] [--group NAME] [PATTERN ...].

Patterns are parts of row ids; without any all rows are played. --write keeps what was found in docs/failures.json and writes
docs/failures.md from it; rows that were not played stand there as they were, and --missing plays those that are not there yet or did not
end as they must. Outside of a sandbox one is booted for it. Exit code 1 when a row did not end as it must.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Container, Sequence
from contextlib import ExitStack
from pathlib import Path

from e2e.catalogue import report
from e2e.catalogue.groups import ALL
from e2e.catalogue.judging import judged
from e2e.catalogue.play import AT_ONCE, Plays
from e2e.catalogue.report import Entry
from e2e.catalogue.row import Group, Row
from e2e.catalogue.watched import Watched
from e2e.core.controllers import ROOT, Controller, install
from e2e.kube import Kube
from e2e.sandbox import Sandbox

KEPT = ROOT / "docs" / "failures.json"
PAGE = ROOT / "docs" / "failures.md"


def kept() -> list[Entry]:
    """What the page was written from."""
    return report.merged(ALL, json.loads(KEPT.read_text()) if KEPT.exists() else [], [])


def write(*played: Entry) -> None:
    """Keep what was played, and write the page."""
    entries = report.merged(ALL, [entry.data() for entry in kept()], played)
    KEPT.write_text(json.dumps([entry.data() for entry in entries], indent=1, ensure_ascii=False) + "\n")
    PAGE.write_text(report.page(entries))


def chosen(groups: Sequence[str], patterns: Sequence[str], done: Container[str] = ()) -> list[tuple[Group, Row]]:
    """The rows to play in their turn, without those that are `done`."""
    wanted = [group for group in ALL if not groups or any(name.lower() in group.name.lower() for name in groups)]
    rows = [(group, row) for group in wanted for row in group.rows if not patterns or any(part in row.id for part in patterns)]
    return sorted((found for found in rows if found[1].id not in done), key=lambda found: found[1].turn)


def play(rows: Sequence[tuple[Group, Row]], done: Callable[[Entry], None], at_once: int) -> list[Entry]:
    """Play them beside each other with a controller of their own; `done` is told each as soon as it is judged."""
    sandbox = Sandbox.current()
    kube = Kube(sandbox.kubeconfig)
    install(kube)
    folder = Path(os.environ.get("SANDBOX_LOGS") or tempfile.mkdtemp(prefix="flaggerpy-catalogue-"))
    folder.mkdir(parents=True, exist_ok=True)
    played = []
    with ExitStack() as stack:
        controller = Controller(kube, folder, sandbox.prometheus_url).start()
        stack.callback(controller.stop)
        for name in dict.fromkeys(group.name for group, _ in rows):
            stack.enter_context(next(found for found in ALL if found.name == name).ground(sandbox))
        watched = stack.enter_context(Watched(kube))
        plays = Plays(kube, sandbox, watched, describes=True, at_once=at_once)
        stack.callback(plays.close)
        for _, row in rows:
            plays.start(row)
        for group, row in rows:
            try:
                entry = report.entry_of(group, row, judged(row, plays))
            except Exception as error:  # one row must not hide the others
                entry = report.broken(group, row, f"{error}" or _line_of(error))
                print(f"{row.id}: {entry.problem}", file=sys.stderr, flush=True)
            done(entry)
            played.append(entry)
    return played


def _line_of(error: Exception) -> str:
    """What was asserted, of an assertion without words."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {last.line} ({last.name})"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.catalogue", description="Plays the catalogue of pod failures.")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="part of the ids of the rows to play (default: all)")
    parser.add_argument("--group", action="append", default=[], metavar="NAME", help="part of a group's name")
    parser.add_argument("--missing", action="store_true", help="only rows that the page lacks, or that did not end as they must")
    parser.add_argument("--at-once", type=int, default=AT_ONCE, metavar="N", help="rows played beside each other (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write docs/failures.md")
    args = parser.parse_args(arguments)
    if not os.environ.get("SANDBOX_NAME"):
        here = [sys.executable, "-m", "e2e.catalogue", *arguments]
        return subprocess.run([sys.executable, "-m", "e2e.sandbox", "with", "--", *here], cwd=ROOT, check=False).returncode
    done = {entry.row for entry in kept() if not entry.problem} if args.missing else ()
    played = play(chosen(args.group, args.patterns, done), write if args.write else lambda entry: None, args.at_once)
    print(report.table(report.merged(ALL, [], played)))
    if args.write:
        print(PAGE.relative_to(ROOT))
    return 1 if any(entry.problem for entry in played) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
