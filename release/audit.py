"""python -m release.audit: asks pip-audit for known holes in requirements.txt; data that cannot be reached is said, and is no failure.

A hole that was found is one, whatever else could not be reached.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Callable

from release.wheels import REQUIREMENTS

_UNREACHED = ("ConnectionError", "Max retries exceeded", "failed to connect", "403 Client Error", "404 Client Error", "ReadTimeout")
_FOUND = re.compile(r"^Found \d+ known vulnerabilit", re.MULTILINE)
Done = subprocess.CompletedProcess[str]


def verdict(done: Done) -> tuple[int, str]:
    """Exit code and text for what pip-audit said."""
    said = f"{done.stdout}{done.stderr}".strip()
    if done.returncode and not _FOUND.search(said) and any(word in said for word in _UNREACHED):
        return 0, "audit: left out, as the advisories cannot be reached from here. Nothing is known of holes, good or bad."
    skipped = said.count("could not be audited")
    if skipped and not done.returncode:
        return 0, f"audit: nothing could be found out about {skipped} packages, whose advisories cannot be had from here."
    return done.returncode, said


def asked() -> Done:
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--timeout", "20", "--progress-spinner", "off", "-r"]
    return subprocess.run([*command, str(REQUIREMENTS)], capture_output=True, text=True)


def main(ask: Callable[[], Done] = asked) -> int:
    if ask is asked and importlib.util.find_spec("pip_audit") is None:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "pip-audit>=2.9,<3"], check=True)
    code, said = verdict(ask())
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
