"""The Python packages of the image: pinned with their hashes in requirements.txt, had by pip, unpacked without running anything."""

from __future__ import annotations

import configparser
import email
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from release import trimming
from release.caching import made_once
from release.tree import Tree, file, normal_mode, plain, program, without
from release.trimming import SITE

ROOT = Path(__file__).parents[1]
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = 36
"""Debian 12 has glibc 2.36."""
PYTHON = "3.11"


class NoWheel(RuntimeError):
    """A wheel could not be fetched or made; the text says which and why."""


@dataclass(frozen=True)
class Wheel:
    """A distribution: its files at their places in the image, its METADATA, `sha256` of the wheel file."""

    name: str
    version: str
    sha256: str
    metadata: Message
    tree: Tree


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def platforms(arch: str) -> list[str]:
    """The platform tags whose wheels run in the image, newest first."""
    machine = MACHINES[arch]
    named = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
    tags = []
    for minor in range(GLIBC, 4, -1):
        tags.append(f"manylinux_2_{minor}_{machine}")
        if minor in named:
            tags.append(f"{named[minor]}_{machine}")
    return tags


def target_options(arch: str) -> list[str]:
    """pip's options for the Python and the platform of the image, whatever runs pip."""
    tags = [word for tag in platforms(arch) for word in ("--platform", tag)]
    abis = [word for abi in (f"cp{PYTHON.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)]
    return [*tags, "--python-version", PYTHON, "--implementation", "cp", *abis, "--only-binary", ":all:"]


def pip(*words: str) -> str:
    """pip's output. Raises NoWheel."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise NoWheel(f"pip {words[0]} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def fetched(arch: str) -> Path:
    """The folder with the wheels of requirements.txt, each checked against its hash. Raises NoWheel."""
    text = REQUIREMENTS.read_bytes()

    def download(room: Path) -> None:
        pip("download", "-q", "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS), "-d", str(room), *target_options(arch))

    return made_once(f"wheels-{arch}-{hashlib.sha256(text).hexdigest()[:12]}", download)


def read(wheel: Path) -> Wheel:
    """A wheel's files at their places, with a program per console script. Raises NoWheel for scripts of other kinds."""
    content = wheel.read_bytes()
    tree: Tree = {}
    info = ""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            path = plain(member.filename)
            top, _, rest = path.partition("/")
            if top.endswith(".dist-info"):
                info = top
            if top.endswith(".data"):
                scheme, _, path = rest.partition("/")
                if scheme not in ("purelib", "platlib"):
                    continue
            tree[f"{SITE}/{path}"] = file(archive.read(member), normal_mode(member.external_attr >> 16))
    metadata = email.message_from_bytes(tree[f"{SITE}/{info}/METADATA"].content)
    return Wheel(normal(metadata["Name"]), metadata["Version"], hashlib.sha256(content).hexdigest(), metadata, tree)


def dependencies(folder: Path) -> list[Wheel]:
    """What of the folder goes into the image, trimmed."""
    wheels = [read(path) for path in sorted(folder.glob("*.whl"))]
    known = {wheel.name for wheel in wheels}
    if unknown := trimming.DISTRIBUTIONS.keys() - known:
        raise NoWheel(f"release/trimming.py leaves out what is not in requirements.txt: {', '.join(sorted(unknown))}")
    return [trimmed(wheel) for wheel in wheels if wheel.name not in trimming.DISTRIBUTIONS]


def trimmed(wheel: Wheel) -> Wheel:
    tree = wheel.tree
    for cut in trimming.WHEELS:
        tree = without(tree, cut.away, cut.keep)
    return Wheel(wheel.name, wheel.version, wheel.sha256, wheel.metadata, tree)


def scripts(wheel: Wheel) -> Tree:
    """The programs of a wheel's console scripts, in usr/local/bin."""
    text = next((entry.content.decode() for path, entry in wheel.tree.items() if path.endswith(".dist-info/entry_points.txt")), "")
    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    found: Tree = {}
    for name, target in parser.items("console_scripts") if parser.has_section("console_scripts") else ():
        module, _, function = target.partition(":")
        text = f"#!/usr/bin/python{PYTHON}\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
        found[f"usr/local/bin/{name}"] = program(text)
    return found


SOURCES = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "MANIFEST.in", "flaggerpy")


def copied_sources(root: Path, room: Path) -> None:
    """What the wheel and the sdist are made of, and nothing that lies about in the tree."""
    room.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, room / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        elif source.exists():
            shutil.copyfile(source, room / name)


def built(root: Path, room: Path, out: Path, epoch: int, kinds: Sequence[str] = ("wheel",)) -> list[Path]:
    """Makes flaggerpy's wheel or sdist by the build backend that pyproject.toml names; `room` is a fresh folder. Raises NoWheel.

    The backend must be installed (it is pinned in constraints.txt): nothing is fetched, so that the same tree gives the same files.
    """
    copied_sources(root, room)
    out.mkdir(parents=True, exist_ok=True)
    calls = "".join(f"print(backend.build_{kind}({str(out)!r}))\n" for kind in kinds)
    script = f"import setuptools.build_meta as backend\n{calls}"
    env = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, "-c", script], cwd=room, env=env, capture_output=True, text=True)
    if done.returncode:
        raise NoWheel(f"the wheel cannot be built: {done.stderr.strip()[-2000:]}")
    made: Iterable[str] = [line for line in done.stdout.splitlines() if line.endswith((".whl", ".tar.gz")) and (out / line).exists()]
    return [out / name for name in made]
