"""Fetches mermaid from the npm registry into the cache, so that the site draws its diagrams itself (docs/_site/hooks.py).

Without npm the site is built all the same, and shows the diagrams as text.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "11.17.2"
MEMBER = "package/dist/mermaid.min.js"
PLACE = Path(os.environ.get("FLAGGERPY_CACHE") or Path.home() / ".cache" / "flaggerpy") / f"mermaid-{VERSION}" / "mermaid.min.js"


def main() -> int:
    """Exit code 0 also where it cannot be had: a diagram is not worth a site."""
    if PLACE.exists():
        return 0
    if not shutil.which("npm"):
        print("npm is not installed: diagrams are shown as text", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(["npm", "pack", "--silent", f"mermaid@{VERSION}"], cwd=folder, capture_output=True, text=True, check=False)
        archives = list(Path(folder).glob("*.tgz"))
        if packed.returncode or not archives:
            print(f"mermaid {VERSION} cannot be had, diagrams are shown as text: {packed.stderr.strip()[-500:]}", file=sys.stderr)
            return 0
        with tarfile.open(archives[0]) as archive:
            content = archive.extractfile(MEMBER)
            assert content is not None, f"{MEMBER} is no file"
            data = content.read()
    PLACE.parent.mkdir(parents=True, exist_ok=True)
    partial = PLACE.with_suffix(".part")
    partial.write_bytes(data)
    partial.rename(PLACE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
