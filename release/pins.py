"""python -m release.pins: writes requirements.txt (every Python package of the image, with hashes), builder.txt (what builds our wheel in a
Containerfile) and debian.txt (every Debian package).

Versions come from constraints.txt and from what Debian's archive has now; hashes from the registries' own indexes. No address is written.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Mapping, Sequence

from release import debian, wheels
from release.caching import cache, locked
from release.wheels import ROOT

EXTRAS = ("tracing",)
"""What is optional for Python users and in the image: a controller is told by a flag to use it, not by another image."""
BACKEND = ("setuptools",)
BUILDER = ROOT / "release" / "builder.txt"
"""What a Containerfile installs for the builder, which makes our wheel."""
HEAD = "# Written by `python -m release.pins`; do not edit.\n"
Pinned = dict[str, tuple[str, set[str]]]


def resolved(arch: str, wanted: Sequence[str]) -> Pinned:
    """What pip takes for the image of an architecture: normalised name to version and hashes. Raises NoWheel."""
    dry = ("install", "-q", "--dry-run", "--ignore-installed", "--target", "/nonexistent", "--report", "-")
    text = wheels.pip(*dry, "-c", str(ROOT / "constraints.txt"), *wheels.target_options(arch), *wanted)
    return pinned(json.loads(text[text.index("{") :]))


def pinned(report: Mapping[str, object]) -> Pinned:
    """Of pip's installation report."""
    found: Pinned = {}
    for item in report["install"]:  # type: ignore[attr-defined]
        metadata, info = item["metadata"], item["download_info"]["archive_info"]
        found[wheels.normal(metadata["name"])] = (metadata["version"], {info["hashes"]["sha256"]})
    return found


def merged(several: Sequence[Pinned]) -> Pinned:
    """The hashes of all architectures; one version each, or ValueError."""
    whole: Pinned = {}
    for one in several:
        for name, (version, hashes) in one.items():
            known, had = whole.get(name, (version, set[str]()))
            if known != version:
                raise ValueError(f"{name} is {known} for one architecture and {version} for another")
            whole[name] = (version, had | hashes)
    return whole


def requirements(pins: Pinned) -> str:
    """The text of requirements.txt."""
    rows = [
        f"{name}=={version}" + "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(hashes))
        for name, (version, hashes) in sorted(pins.items())
    ]
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    arch = debian.architecture()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted: list[str] = [*project["dependencies"], *(one for extra in EXTRAS for one in project["optional-dependencies"][extra])]
    wheels.REQUIREMENTS.write_text(requirements(merged([resolved(one, wanted) for one in wheels.MACHINES])))
    BUILDER.write_text(requirements(merged([resolved(one, BACKEND) for one in wheels.MACHINES])))
    with locked():
        (cache() / "debs").mkdir(exist_ok=True)
        now = debian.offered(debian.PACKAGES, arch)
    old = debian.PINS.read_text() if debian.PINS.exists() else ""
    kept = [package for other in sorted(wheels.MACHINES) if other != arch for package in debian.pinned(old, other)]
    found = [now[name] for name in debian.PACKAGES]
    debian.PINS.write_text(HEAD + debian.lines(sorted([*kept, *found], key=lambda package: (package.architecture, package.name))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
