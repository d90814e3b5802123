"""The version of a tree: where it stands, what a release writes, and what does not fit together. Texts in, texts out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHANGELOG = "CHANGELOG.md"
PLACES: Mapping[str, str] = {
    "pyproject.toml": r'^version = "([^"]+)"$',
    "flaggerpy/__init__.py": r'^__version__ = "([^"]+)"$',
    "charts/flaggerpy/Chart.yaml": r"^(?:version|appVersion): \"?([^\"\n]+?)\"?$",
    "deploy/install.yaml": r"^ +(?:app\.kubernetes\.io/version: '?\"?([^'\"\n]+?)'?\"?|image: '?\"?[\w./-]+/flaggerpy:([^'\"\n]+?)'?\"?)$",
    "deploy/kustomize/base/controller.yaml": (
        r"^ +(?:app\.kubernetes\.io/version: '?\"?([^'\"\n]+?)'?\"?|image: '?\"?[\w./-]+/flaggerpy:([^'\"\n]+?)'?\"?)$"
    ),
}
"""Files that name the version, and how: each group of a match holds it."""
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """What the changelog says of a version: `text` without its heading, `date` as it stands there."""

    date: str
    text: str


def texts(root: Path) -> dict[str, str]:
    """The files of a tree that have to do with versions."""
    return {name: (root / name).read_text() for name in (*PLACES, CHANGELOG)}


def named(found: Texts) -> dict[str, set[str]]:
    """The versions that each file names."""
    return {
        name: {group for match in re.finditer(pattern, found[name], re.MULTILINE) for group in match.groups() if group}
        for name, pattern in PLACES.items()
    }


def section(changelog: str, version: str) -> Section | None:
    """The section `## [VERSION] - DATE`; None where there is none."""
    heading = rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$"
    match = re.search(rf"{heading}\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL)
    return Section(match[1], match[2].strip()) if match else None


def problems(found: Texts, version: str) -> list[str]:
    """Why this tree cannot be released as that version, in sentences."""
    said = []
    for name, versions in named(found).items():
        if versions != {version}:
            said.append(f"{name} names {' and '.join(sorted(versions)) or 'no version'}, not {version}")
    told = section(found[CHANGELOG], version)
    if told is None:
        said.append(f"{CHANGELOG} has no section ## [{version}] - DATE")
    elif not told.text:
        said.append(f"{CHANGELOG} tells nothing of {version}")
    return said


def prepared(found: Texts, version: str, date: str) -> dict[str, str]:
    """The same files as those of this version, released on that day (YYYY-MM-DD).

    Raises ValueError for a version that is none, is not newer, or of which the changelog's Unreleased part has nothing to tell.
    """
    old = next(iter(named(found)["pyproject.toml"]))
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version} is no version: three numbers, as in 1.2.3")
    if numbers(version) < numbers(old):
        raise ValueError(f"{version} is older than {old}, which this tree is")
    if section(found[CHANGELOG], version):
        raise ValueError(f"{CHANGELOG} has {version} already")
    changed = {name: _renamed(found[name], pattern, version) for name, pattern in PLACES.items()}
    changed[CHANGELOG] = _closed(found[CHANGELOG], version, date)
    return changed


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _renamed(text: str, pattern: str, version: str) -> str:
    def put(match: re.Match[str]) -> str:
        index = next(index for index, group in enumerate(match.groups(), 1) if group)
        start, end = match.start(index) - match.start(), match.end(index) - match.start()
        return match[0][:start] + version + match[0][end:]

    return re.sub(pattern, put, text, flags=re.MULTILINE)


def _closed(changelog: str, version: str, date: str) -> str:
    head = "## [Unreleased]\n"
    before, found, after = changelog.partition(head)
    unreleased = re.split(r"^## \[", after, maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not found or not unreleased:
        raise ValueError(f"{CHANGELOG} tells nothing of what is unreleased")
    return f"{before}{head}\n## [{version}] - {date}\n{after}"
