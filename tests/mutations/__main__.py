"""python -m tests.mutations [--quick] [NAME ...]: make each mistake in a copy of the code, and see which test notices.

Exit code 1 when one survives. --quick leaves out the random histories, which take a minute each.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .table import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
COPIED = ("flaggerpy", "tests", "e2e", "release", "docs", "crds", "deploy", "examples", "pyproject.toml")
# what needs no long histories comes first: most mistakes are noticed within seconds
TESTS = (
    "rollout/test_decide.py",
    "rollout/test_edges.py",
    "rollout/test_drain.py",
    "rollout/test_settle.py",
    "rollout/test_kept.py",
    "rollout/test_imagecheck.py",
    "rollout/test_podhealth.py",
    "rollout/test_deadline.py",
    "rollout/test_health.py",
    "rollout/test_weights.py",
    "rollout/",
)
LIMIT = 900.0
"""Seconds for the tests of one mistake; one that makes them hang was noticed as well."""


def main(words: list[str]) -> int:
    quick, names = "--quick" in words, [word for word in words if word != "--quick"]
    chosen = [mutation for mutation in MUTATIONS if not names or mutation.name in names]
    if unknown := set(names) - {mutation.name for mutation in chosen}:
        print(f"no such mistake: {', '.join(sorted(unknown))}; there are: {', '.join(m.name for m in MUTATIONS)}", file=sys.stderr)
        return 2
    survivors = []
    with tempfile.TemporaryDirectory(prefix="flaggerpy-mutations-") as folder:
        copy = copy_of_the_repo(Path(folder))
        for mutation in chosen:
            began = time.monotonic()
            noticed = noticed_by(copy, mutation, mutation.asked or (TESTS[:-1] if quick else TESTS))
            print(f"{mutation.name:36} {noticed or 'NOT NOTICED: ' + mutation.harm}  ({time.monotonic() - began:.0f} s)", flush=True)
            if not noticed:
                survivors.append(mutation.name)
    left = f"; not: {', '.join(survivors)}" if survivors else ""
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mistakes were noticed{left}")
    return 1 if survivors else 0


def copy_of_the_repo(folder: Path) -> Path:
    """What the tests need of it, in this folder, to make mistakes in."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder


def noticed_by(copy: Path, mutation: Mutation, files: tuple[str, ...]) -> str:
    """The first test of these files that fails with this mistake in the copy; "" when none does."""
    with made(copy, mutation):
        for tests in files:
            try:
                ran = asked(copy, "-p", "no:randomly", "-m", "not slow", f"tests/{tests}", limit=LIMIT)
            except subprocess.TimeoutExpired:
                return f"{tests}: no end within {LIMIT:g} s"
            if ran.returncode == 0:
                continue
            failed = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
            if ran.returncode != 1 or failed is None:
                raise RuntimeError(f"{mutation.name}: the tests could not run\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
            return failed.group(1).removeprefix("tests/")
        return ""


@contextmanager
def made(copy: Path, mutation: Mutation) -> Iterator[None]:
    """The copy has this mistake as long as it is open."""
    path = copy / "flaggerpy" / mutation.file
    sound = path.read_text()
    path.write_text(sound.replace(mutation.old, mutation.new))
    try:
        yield
    finally:
        path.write_text(sound)


def asked(copy: Path, *words: str, limit: float) -> subprocess.CompletedProcess[str]:
    """pytest in the copy, until its first failure. Raises subprocess.TimeoutExpired after `limit` seconds."""
    # an editable install of the repo must not win over the copy
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", *words]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=limit)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
