"""python -m release.image: builds flaggerpy's image without Docker. The same commit and the same pins give the same digest.

Three layers: Debian's base, the dependencies, flaggerpy. The first two are kept in the cache and change with their pins only.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from release import compiling, debian, oci, sbom, wheels
from release.caching import cache, locked, made_once, older_removed
from release.tree import Tree, file, read_tar, tarred, weight, with_parents, write

ROOT = Path(__file__).parents[1]
NAME = "flaggerpy"
BEGINNING = 315532800
"""1980-01-01, the first time that a zip file can hold: that of all files but our own."""
SBOM = "usr/share/sbom/flaggerpy.cdx.json"
_BUILDER = ("tree", "trimming", "debian", "wheels", "compiling", "sbom", "image")


@dataclass(frozen=True)
class Built:
    """What a build gives. `notes` are sentences about pins that the archive could not fill."""

    image: oci.Image
    sbom: bytes
    version: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """What is known of the tree that is built: the commit ("" without git), its time in seconds, whether files differ from it."""

    revision: str
    epoch: int
    changed: bool


def source(root: Path) -> Source:
    """From git; SOURCE_DATE_EPOCH has the last word about the time, and is needed where there is no git."""

    def git(*words: str) -> str:
        # CI and containers check out as another user than they build
        done = subprocess.run(["git", "-c", f"safe.directory={root}", *words], cwd=root, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    revision = git("rev-parse", "HEAD")
    stated = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or str(BEGINNING)
    return Source(revision, int(stated), bool(git("status", "--porcelain", "--", "flaggerpy", "release", "pyproject.toml")))


def settings(version: str, found: Source, created: str) -> dict[str, Any]:
    """How a container of the image is started, and its labels."""
    labels = {
        "org.opencontainers.image.title": NAME,
        "org.opencontainers.image.description": "A progressive-delivery controller for Kubernetes: a drop-in for Flagger's Canary API",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.base.name": "debian:12",
    }
    if found.revision:
        labels["org.opencontainers.image.revision"] = found.revision + ("-changed" if found.changed else "")
    return {
        "User": f"{debian.UID}:{debian.UID}",
        "Entrypoint": ["/usr/local/bin/flaggerpy"],
        "Cmd": ["run"],
        "WorkingDir": "/",
        "Env": [
            "PATH=/usr/local/bin:/usr/bin",
            f"HOME={debian.HOME}",
            "PYTHONUNBUFFERED=1",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUTF8=1",
            f"SSL_CERT_FILE=/{debian.BUNDLE}",
        ],
        "Labels": labels,
    }


def recipe(*words: str) -> str:
    """A short name for what goes into a layer: the words, and the builder itself."""
    known = hashlib.sha256("\0".join(words).encode())
    for name in _BUILDER:
        known.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return known.hexdigest()[:16]


def stored(room: Path, tree: Tree, mtime: int, base: Path, origin: str, below: Tree | None = None, **more: object) -> None:
    """Puts a layer into a folder of the cache; `below` is what the layers below have, whose folders are not repeated."""
    known = [path for path, entry in with_parents(below or {}).items() if entry.kind == "folder"]
    plain = tarred(with_parents(tree, known), mtime)
    (room / "layer.tar.gz").write_bytes(compiling.packed(plain, base))
    facts = {"diff_id": oci.digest(plain), "unpacked": weight(tree), "origin": origin, **more}
    (room / "layer.json").write_text(json.dumps(facts))


def layer_in(room: Path) -> tuple[oci.Layer, dict[str, Any]]:
    facts: dict[str, Any] = json.loads((room / "layer.json").read_text())
    return oci.Layer((room / "layer.tar.gz").read_bytes(), facts["diff_id"], facts["unpacked"], facts["origin"]), facts


def need_libraries(root: Path, base: Path) -> None:
    if missing := compiling.unresolved(root, base):
        raise compiling.NotCompiled(f"libraries are missing in the image: {missing}")


def base_layer(packages: Sequence[debian.Package]) -> Path:
    def make(room: Path) -> None:
        plain = debian.base(packages)
        write(plain, room / "root")
        need_libraries(room / "root", room / "root")
        licences = {
            package.name: sbom.debian_licences(plain[path].content.decode(errors="replace"))
            for package in packages
            if (path := f"usr/share/doc/{package.name}/copyright") in plain and plain[path].kind == "file"
        }
        components = [
            sbom.debian_component(p.name, p.version, p.architecture, p.sha256, licences.get(p.name, [])) for p in packages
        ]
        tree = {**plain, **compiling.compiled(plain, room / "root")}
        stored(room, tree, BEGINNING, room / "root", "Debian 12: Python and what it needs", components=components)

    return made_once(f"base-{recipe(*(package.sha256 for package in packages))}", make)


def dependencies_layer(arch: str, base: Path) -> Path:
    def make(room: Path) -> None:
        found = wheels.dependencies(wheels.fetched(arch))
        plain = {path: entry for wheel in found for path, entry in wheel.tree.items()}
        write(plain, room / "root")
        need_libraries(room / "root", base / "root")
        components = [sbom.wheel_component(w.name, w.version, w.sha256, sbom.licence_of(w.metadata)) for w in found]
        tree = {**plain, **compiling.compiled(plain, base / "root")}
        below = read_tar(_unpacked(base))
        stored(room, tree, BEGINNING, base / "root", "the Python packages that flaggerpy uses", below, components=components)

    return made_once(f"deps-{recipe(base.name, wheels.REQUIREMENTS.read_text())}", make)


def _unpacked(room: Path) -> bytes:
    return gzip.decompress((room / "layer.tar.gz").read_bytes())


def our_layer(root: Path, base: Path, dependencies: Path, found: Source, created: str) -> Path:
    sources = hashlib.sha256()
    for name in wheels.SOURCES:
        for path in [root / name, *sorted((root / name).rglob("*"))]:
            if path.is_file() and "__pycache__" not in path.parts:
                sources.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())

    def make(room: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            (wheel_file,) = wheels.built(root, Path(folder) / "tree", Path(folder) / "out", found.epoch)
            wheel = wheels.read(wheel_file)
        trimmed = wheels.trimmed(wheel)
        plain = {**trimmed.tree, **wheels.scripts(wheel)}
        ours = hashlib.sha256("".join(f"{path}\0{oci.digest(plain[path].content)}\n" for path in sorted(plain)).encode()).hexdigest()
        components = [one for place in (base, dependencies) for one in layer_in(place)[1]["components"]]
        bill = sbom.document(wheel.version, created, ours, sbom.licence_of(wheel.metadata), components)
        tree = {**plain, **compiling.compiled(plain, base / "root"), SBOM: file(bill)}
        below = {**read_tar(_unpacked(base)), **read_tar(_unpacked(dependencies))}
        stored(room, tree, found.epoch, base / "root", f"flaggerpy {wheel.version}", below, version=wheel.version)
        (room / "sbom.json").write_bytes(bill)

    return made_once(f"ours-{recipe(dependencies.name, sources.hexdigest(), str(found))}", make)


def build(root: Path = ROOT, *, pinned_only: bool = False) -> Built:
    """The image of a source tree. `pinned_only` refuses a base that differs from debian.txt. Raises NotToBeHad, NoWheel, NotCompiled."""
    arch = debian.architecture()
    found = source(root)
    created = datetime.fromtimestamp(found.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with locked():
        (cache() / "debs").mkdir(exist_ok=True)
        packages, notes = debian.fetched(arch, debian.pinned(debian.PINS.read_text(), arch), locked=pinned_only)
        base = base_layer(packages)
        dependencies = dependencies_layer(arch, base)
        ours = our_layer(root, base, dependencies, found, created)
        layers = [layer_in(place) for place in (base, dependencies, ours)]
        for place in (base, dependencies, ours):
            place.touch()
        for prefix in ("base-", "deps-", "ours-", "wheels-"):
            older_removed(prefix, 4)
        bill = (ours / "sbom.json").read_bytes()
    version = layers[-1][1]["version"]
    image = oci.image([layer for layer, _ in layers], arch, settings(version, found, created), created)
    return Built(image, bill, version, notes)


def tree_of(image: oci.Image) -> Tree:
    """The root file system that a container of the image sees."""
    whole: Tree = {}
    for layer in image.layers:
        whole.update(read_tar(gzip.decompress(layer.content)))
    return whole


def written(built: Built, out: Path) -> Path:
    """Puts the archive and, beside it, the bill of materials into a folder; answers the archive."""
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"{NAME}-{built.version}.oci.tar"
    archive.write_bytes(oci.archive(built.image, NAME, built.version))
    (out / f"{NAME}-{built.version}.cdx.json").write_bytes(built.sbom)
    return archive


def mega(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.image", description="Builds flaggerpy's OCI image (docs/image.md).")
    parser.add_argument("--out", type=Path, default=Path("build/image"), help="folder for the archive and the SBOM (default: %(default)s)")
    parser.add_argument("--root", type=Path, metavar="DIR", help="lay the root file system into this folder instead, for a Containerfile")
    parser.add_argument("--pinned", action="store_true", help="fail where a package is not to be had in its pinned version")
    options = parser.parse_args()
    begun = time.monotonic()
    try:
        built = build(pinned_only=options.pinned)
    except (debian.NotToBeHad, wheels.NoWheel, compiling.NotCompiled) as trouble:
        print(f"image: {trouble}", file=sys.stderr)
        return 1
    for note in built.notes:
        print(f"image: {note}", file=sys.stderr)
    if options.root:
        write(tree_of(built.image), options.root)
        print(f"{options.root}: {mega(built.image.unpacked)}")
        return 0
    archive = written(built, options.out)
    for layer in built.image.layers:
        print(f"  {mega(len(layer.content)):>9} packed {mega(layer.unpacked):>9} unpacked   {layer.origin}")
    print(f"{NAME}:{built.version} {built.image.digest}")
    print(f"{archive}: {mega(built.image.size)} to pull, {mega(built.image.unpacked)} on a node, {time.monotonic() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
