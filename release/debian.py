"""The base of the image: packages of Debian 12, had by apt-get (which checks the archive's signature), pinned in debian.txt.

Only files are taken; no script of a package runs. What those scripts would make is made here: the certificate bundle, users, links.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from release import trimming
from release.caching import cache
from release.tree import Tree, file, folder, link, read_tar, without

PACKAGES = (
    "base-files",
    "ca-certificates",
    "libbz2-1.0",
    "libc6",
    "libexpat1",
    "libffi8",
    "libgcc-s1",
    "liblzma5",
    "libpython3.11-minimal",
    "libpython3.11-stdlib",
    "libssl3",
    "libstdc++6",
    "python3.11-minimal",
    "tzdata",
    "zlib1g",
)
UID = 10001
HOME = "/tmp"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PINS = Path(__file__).parent / "debian.txt"


class NotToBeHad(RuntimeError):
    """A package could not be fetched; the text says which, and what to do."""


@dataclass(frozen=True)
class Package:
    """A binary package: `version` is Debian's, epoch and all, `sha256` that of the .deb."""

    architecture: str
    name: str
    version: str
    sha256: str

    @property
    def stored(self) -> Path:
        return cache() / "debs" / f"{self.name}_{self.sha256[:16]}.deb"


def architecture() -> str:
    """Debian's word for this machine: amd64, arm64."""
    need_debian()
    return _said("dpkg", "--print-architecture").strip()


def need_debian() -> None:
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    if "VERSION_CODENAME=bookworm" not in release or shutil.which("apt-get") is None:
        raise NotToBeHad("the image is made of Debian 12's packages and built there; elsewhere use the Containerfile (docs/image.md)")


def pinned(text: str, arch: str) -> tuple[Package, ...]:
    """The lines of debian.txt for an architecture: `ARCH NAME VERSION SHA256`."""
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return tuple(Package(*row) for row in rows if row[0] == arch)


def lines(packages: Iterable[Package]) -> str:
    return "".join(f"{p.architecture} {p.name} {p.version} {p.sha256}\n" for p in packages)


_OFFER = re.compile(r"^'[^']*' (\S+?)_(\S+)_(\w+)\.deb \d+ SHA256:([0-9a-f]{64})", re.MULTILINE)


def offers(text: str, arch: str) -> dict[str, Package]:
    """What `apt-get download --print-uris` offers, by name; versions with their epoch."""
    return {name: Package(arch, name, unquote(version), sha) for name, version, _, sha in _OFFER.findall(text)}


def offered(names: Sequence[str], arch: str) -> dict[str, Package]:
    """What the archive has now. Raises NotToBeHad."""
    try:
        return offers(_said("apt-get", "download", "--print-uris", "-q", *names), arch)
    except NotToBeHad:
        _said("apt-get", "update", "-q")
        return offers(_said("apt-get", "download", "--print-uris", "-q", *names), arch)


def fetched(arch: str, pins: Sequence[Package], *, locked: bool) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """The packages, each of them stored, and sentences about those that differ from their pins.

    A pinned package that the archive no longer has is replaced by what it has now, unless `locked`. Raises NotToBeHad.
    """
    have = {package.name: package for package in pins if _is_stored(package)}
    absent = [name for name in PACKAGES if name not in have]
    notes = []
    if absent:
        now = offered(absent, arch)
        by_pin = {package.name: package for package in pins}
        for name in absent:
            pin, offer = by_pin.get(name), now.get(name)
            if offer is None:
                raise NotToBeHad(f"apt-get has no package {name}")
            if offer != pin:
                said = f"pinned is {name} {pin.version}" if pin else f"{name} is not pinned"
                notes.append(f"{said}; the archive has {offer.version}: `python -m release.pins` pins it")
            have[name] = offer
        if locked and notes:
            raise NotToBeHad("\n".join(notes))
        _download([have[name] for name in absent if not _is_stored(have[name])])
    return tuple(have[name] for name in PACKAGES), tuple(notes)


def _is_stored(package: Package) -> bool:
    return package.stored.exists() and hashlib.sha256(package.stored.read_bytes()).hexdigest() == package.sha256


def _download(packages: Sequence[Package]) -> None:
    if not packages:
        return
    room = cache() / "debs" / f".room-{os.getpid()}"
    room.mkdir(parents=True)
    try:
        # root's apt otherwise warns that its own user may not write here
        _said("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *(f"{p.name}={p.version}" for p in packages), cwd=room)
        found = {hashlib.sha256(deb.read_bytes()).hexdigest(): deb for deb in room.glob("*.deb")}
        for package in packages:
            if package.sha256 not in found:
                raise NotToBeHad(f"apt-get brought another {package.name} {package.version} than sha256:{package.sha256}")
            found[package.sha256].rename(package.stored)
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _said(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise NotToBeHad(f"{' '.join(command)[:200]} failed: {(done.stderr or done.stdout).strip()[-1000:]}")
    return done.stdout


def usr_merged(path: str) -> str:
    """Where a path of a package lies in the image: /lib, /bin and /sbin are links into /usr there, as in Debian 12."""
    top, _, rest = path.partition("/")
    if top in ("lib", "lib64", "bin", "sbin"):
        return f"usr/{path}" if rest else ""
    return path


def files_of(package: Package) -> Tree:
    """Everything that a package brings, untrimmed."""
    done = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package.stored)], capture_output=True)
    if done.returncode:
        raise NotToBeHad(f"{package.stored.name} is no package: {done.stderr.decode(errors='replace').strip()}")
    return {path: entry for path, entry in read_tar(done.stdout, usr_merged).items() if entry.kind != "folder"}


def control_of(package: Package) -> str:
    """The package's control file, as scanners of images read it in var/lib/dpkg/status.d."""
    return _said("dpkg-deb", "-f", str(package.stored))


def trimmed(tree: Tree) -> Tree:
    for cut in trimming.DEBIAN:
        tree = without(tree, cut.away, cut.keep)
    return tree


def bundle(tree: Tree) -> bytes:
    """All authorities of ca-certificates in one file, sorted by name: what update-ca-certificates would write."""
    place = "usr/share/ca-certificates/mozilla/"
    return b"".join(entry.content.rstrip() + b"\n" for path, entry in sorted(tree.items()) if path.startswith(place))


def ground() -> Tree:
    """What no package brings as a file: links of the merged /usr, the user, name service, folders."""
    user = f"nonroot:x:{UID}:{UID}:flaggerpy:{HOME}:/usr/sbin/nologin\n"
    return {
        **{name: link(f"usr/{name}") for name in ("bin", "sbin", "lib", "lib64")},
        "usr/bin": folder(),
        "usr/sbin": folder(),
        "tmp": folder(0o1777),
        "etc/passwd": file(f"root:x:0:0:root:/root:/usr/sbin/nologin\n{user}"),
        "etc/group": file(f"root:x:0:\nnonroot:x:{UID}:\n"),
        "etc/nsswitch.conf": file("passwd: files\ngroup: files\nhosts: files dns\n"),
        "etc/os-release": link("../usr/lib/os-release"),
        "usr/lib/ssl/cert.pem": link(f"/{BUNDLE}"),
        "usr/lib/ssl/certs": link("/etc/ssl/certs"),
    }


def base(packages: Sequence[Package]) -> Tree:
    """The image's base, without bytecode."""
    whole: Tree = {}
    status: Tree = {}
    for package in packages:
        whole.update(files_of(package))
        status[f"var/lib/dpkg/status.d/{package.name}"] = file(control_of(package))
    return {**trimmed(whole), **status, BUNDLE: file(bundle(whole)), **ground()}
