"""`make mutate`: mutmut changes the core at every place it knows to; what survives the tests must be explained here.

    python -m tests.mutations.tool [--sample 500] [--seed 1] [--jobs 2] [--again]

Without --sample every mutant is played, which takes a night; a sample is drawn at random from all of them. A mutant that mypy --strict
refuses counts as caught: it could not be committed. --again only tells the score of what was played before. Exit code 1 when 5 % or more
of the mutants survive without an explanation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTANTS = ROOT / "mutants" / "flaggerpy" / "rollout"
FIRST = "flaggerpy.rollout.weights.*"
"""Whom mutmut plays to have all others made."""
LIMIT = 5.0
"""Percent of the mutants that may survive without an explanation."""
TYPES, SURVIVED, TIMED_OUT = 37, (0, 5, 33), (-24, 24, 36, 152, 255)
"""Exit codes by which mutmut keeps its verdicts; 5 and 33: no test comes to the place."""


@dataclass(frozen=True)
class Explained:
    """Mutants of functions whose names fit `where` that hold `words` in a changed line survive because of `why`."""

    where: str
    words: str
    why: str


EXPLAINED = (
    Explained("*.causes.cause.*", "", "runs when the module is imported: mutmut changes it too late"),
    Explained("*.diagnosis.x_recognise*", "unknown", "never comes there: the last row of the table fits everything"),
    Explained("*.diagnosis.x_recognise*", "_NAMES.sub", "what stands for a name is looked for by no cause, and told to nobody"),
    Explained("*.rounds.x__no_data*", "interval_seconds <=", "with ten seconds between two rounds the last one is never sooner ago"),
    Explained("*.podhealth.x__count*", ", now, \"XXXX\"", "what ended before is looked at only where ends were counted already"),
    *(
        Explained("*.rounds.*", words, "both lists are made of one: as long as each other")
        for words in ("zip(keys, metrics, )", "zip(keys, metrics, strict=False)", "zip(keys, metrics, strict=None)")
    ),
    Explained("*.podhealth.x__fitted*", "message > 120", "counted down in twenties from 350 it is never 120"),
    Explained("*.deleting.x__with_target*", "stopped=True", "who holds a run changes nothing of its deadline: see deadline.observe"),
    Explained("*.deleting.x__with_target*", "(not ready) or True", "a target that is complete has no verdict"),
    Explained("*.handover.x_keep__*", "scaler.floor or 1", "an autoscaler's lower bound is 1 at least"),
    Explained("*.handover.x_take_over*", "d.run.replicas or 2", "a run knows its size from its beginning"),
    Explained("*.phases.x__rows*", "", "runs when the module is imported: mutmut changes it too late"),
)


def kept() -> dict[str, int | None]:
    """Exit code by mutant, None for one that was not played."""
    found: dict[str, int | None] = {}
    for path in sorted(MUTANTS.rglob("*.meta")):
        found |= json.loads(path.read_text())["exit_code_by_key"]
    return found


def mutmut(*words: str, quiet: bool = False) -> str:
    """Run mutmut and return what it printed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = subprocess.run(
        [sys.executable, "-m", "mutmut", *words], cwd=ROOT, env=environment, text=True, check=False,
        stdout=subprocess.PIPE if quiet else None,
    )  # fmt: skip
    return ran.stdout or ""


def drawn(names: list[str], sample: int, seed: int) -> list[str]:
    """As many of them at random, the same for the same seed."""
    return sorted(random.Random(seed).sample(names, min(sample, len(names))))


def change_of(name: str) -> list[str]:
    """The lines that a mutant takes away and puts in."""
    lines = mutmut("show", name, quiet=True).splitlines()
    return [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]


def explanation(name: str, change: list[str]) -> str:
    """Why this mutant cannot be caught; "" when nobody knows."""
    fitting = (each for each in EXPLAINED if fnmatchcase(name, each.where) and any(each.words in line for line in change))
    return next((each.why for each in fitting), "")


def told(verdicts: dict[str, int | None]) -> int:
    """Print the score of those that were played, and each survivor that nobody explains; the exit code."""
    played = {name: code for name, code in verdicts.items() if code is not None}
    count: Counter[str] = Counter()
    unexplained = 0
    for name, code in played.items():
        if code in SURVIVED:
            change = change_of(name)
            why = explanation(name, change)
            count[f"survived: {why}" if why else "survived, unexplained"] += 1
            if not why:
                unexplained += 1
                print("\n".join([name, *(f"    {line}" for line in change)]))
        else:
            count["refused by mypy" if code == TYPES else "timed out" if code in TIMED_OUT else "caught by a test"] += 1
    for verdict, times in count.most_common():
        print(f"{times:6}  {verdict}")
    share = 100 * unexplained / max(len(played), 1)
    print(f"{len(played):6}  of {len(verdicts)} mutants played; {unexplained} survive unexplained: {share:.1f} %")
    return 0 if played and share < LIMIT else 1


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutations.tool", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    jobs = ("--max-children", str(options.jobs))
    if not options.again:
        if not options.sample:
            mutmut("run", *jobs)
        else:
            if not kept():
                mutmut("run", *jobs, FIRST)
            mutmut("run", *jobs, *drawn(list(kept()), options.sample, options.seed))
    return told(kept())


if __name__ == "__main__":
    sys.exit(main())
