"""python -m e2e.rules [NAME ...], within a sandbox: take each rule out of a copy of the code, and see its end-to-end test fail.

    python -m e2e.sandbox with --with traefik --with keda --with flagger -- python -m e2e.rules

Exit code 1 when a test passes without its rule. One that cannot run at all (a fixture that does not start) ends it.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

from e2e.rules.table import RULES
from tests.mutations.__main__ import asked, copy_of_the_repo, made
from tests.mutations.table import Mutation

LIMIT = 600.0
"""Seconds for one test."""


def main(names: list[str]) -> int:
    chosen = [rule for rule in RULES if not names or rule.name in names]
    if unknown := set(names) - {rule.name for rule in chosen}:
        print(f"no such rule: {', '.join(sorted(unknown))}; there are: {', '.join(rule.name for rule in RULES)}", file=sys.stderr)
        return 2
    held = []
    with tempfile.TemporaryDirectory(prefix="flaggerpy-rules-") as folder:
        copy = copy_of_the_repo(Path(folder))
        for rule in chosen:
            began = time.monotonic()
            failure = failure_without(copy, rule)
            print(f"{rule.name:40} {failure or 'NOT NOTICED: ' + rule.harm}  ({time.monotonic() - began:.0f} s)", flush=True)
            if failure:
                held.append(rule.name)
    print(f"{len(held)} of {len(chosen)} rules are held by their tests")
    return 0 if len(held) == len(chosen) else 1


def failure_without(copy: Path, rule: Mutation) -> str:
    """What the rule's test says without it; "" when it passes."""
    with made(copy, rule):
        ran = asked(copy, "-p", "no:cacheprovider", "--tb=short", *rule.asked, limit=LIMIT)
    if ran.returncode == 0:
        return ""
    if ran.returncode != 1 or re.search(r"^ERROR e2e/", ran.stdout, re.MULTILINE):
        raise RuntimeError(f"{rule.name}: its test could not run\n{ran.stdout[-3000:]}{ran.stderr[-2000:]}")
    said = re.search(r"^E +(.*)", ran.stdout, re.MULTILINE)
    return said.group(1)[:90] if said else "failed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
