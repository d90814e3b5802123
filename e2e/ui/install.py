"""`python -m e2e.ui.install` brings what the suite needs beside the sandbox: Debian's Chromium with its driver, and axe-core from npm;
pngquant makes the docs' pictures small.

Run before the sandbox is entered: nothing within it reaches the outside. axe-core is fetched into the cache, never into the tree.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PROGRAMS = {"chromium": "chromium", "chromedriver": "chromium-driver", "pngquant": "pngquant"}
FONTS = ("fonts-dejavu-core", Path("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"))
AXE_VERSION = "4.14.1"
AXE = Path(os.environ.get("FLAGGERPY_CACHE") or Path.home() / ".cache" / "flaggerpy") / f"axe-core-{AXE_VERSION}" / "axe.min.js"


def main() -> int:
    """Install what is missing; raises CalledProcessError where that cannot be had."""
    wanted = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not FONTS[1].exists():
        wanted.append(FONTS[0])
    if wanted:
        print(f"installing {', '.join(wanted)}", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "-qq", "update"], check=True, env=quiet)
        subprocess.run(["apt-get", "-qq", "install", "-y", "--no-install-recommends", *wanted], check=True, env=quiet, stdout=sys.stderr)
    if not AXE.exists():
        _fetch_axe()
    return 0


def _fetch_axe() -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"axe-core@{AXE_VERSION}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            content = archive.extractfile("package/axe.min.js")
            assert content is not None, "axe-core has no axe.min.js"
            data = content.read()
    AXE.parent.mkdir(parents=True, exist_ok=True)
    partial = AXE.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(AXE)


if __name__ == "__main__":
    sys.exit(main())
