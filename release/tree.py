"""A root file system as a value: paths to files, links and folders; laid over another, trimmed, written as the same tar each time."""

from __future__ import annotations

import fnmatch
import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["file", "link", "folder"]


@dataclass(frozen=True)
class Entry:
    """One thing at a path. `target` is a link's; `mode` holds permission bits only. Owner and group are root's, always."""

    kind: Kind
    content: bytes = b""
    target: str = ""
    mode: int = 0o644

    @property
    def size(self) -> int:
        return len(self.content)


Tree = dict[str, Entry]
"""Paths without a leading slash, as `usr/bin/python3.11`."""


def file(content: bytes | str, mode: int = 0o644) -> Entry:
    return Entry("file", content.encode() if isinstance(content, str) else content, mode=mode)


def program(content: bytes | str) -> Entry:
    return file(content, 0o755)


def link(target: str) -> Entry:
    return Entry("link", target=target, mode=0o777)


def folder(mode: int = 0o755) -> Entry:
    return Entry("folder", mode=mode)


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns fits: `*` also crosses slashes, as in fnmatch."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def without(tree: Tree, patterns: Iterable[str], keep: Iterable[str] = ()) -> Tree:
    """The tree less what fits `patterns` and none of `keep`."""
    away, stay = tuple(patterns), tuple(keep)
    return {path: entry for path, entry in tree.items() if not matches(path, away) or matches(path, stay)}


def weight(tree: Tree) -> int:
    """Bytes of all files."""
    return sum(entry.size for entry in tree.values())


def merged(*trees: Tree) -> Tree:
    """All of them in one. The same file may come twice; two different ones at a path raise ValueError."""
    whole: Tree = {}
    for tree in trees:
        for path, entry in tree.items():
            if whole.setdefault(path, entry) != entry and entry.kind != "folder":
                raise ValueError(f"two different things are to be at /{path}")
    return whole


def with_parents(tree: Tree, above: Iterable[str] = ()) -> Tree:
    """The tree with every folder that its paths need, less those in `above`, which a layer below has."""
    known = set(above)
    folders = {"/".join(path.split("/")[:depth]) for path in tree for depth in range(1, path.count("/") + 1)}
    return {**{path: folder() for path in folders if path not in known}, **tree}


def normal_mode(mode: int) -> int:
    """Permission bits that no builder's umask has touched: executable by all or by none, writable by the owner."""
    return 0o755 if mode & 0o100 else 0o644


def tarred(tree: Tree, mtime: int) -> bytes:
    """The tree as a tar, sorted, owned by root, every time `mtime` (seconds since 1970): equal trees give equal bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(tree):
            entry = tree[path]
            info = tarfile.TarInfo(path)
            info.mode, info.mtime = entry.mode, mtime
            if entry.kind == "folder":
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif entry.kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, entry.target
                tar.addfile(info)
            else:
                info.size = entry.size
                tar.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def read_tar(content: bytes, renamed: Callable[[str], str] = lambda path: path) -> Tree:
    """The tree in a tar; hard links become files of their own. Raises ValueError for devices and paths that lead outside."""
    tree: Tree = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            path = renamed(plain(member.name))
            if not path:
                continue
            if member.isdir():
                tree[path] = folder(member.mode & 0o7777)
            elif member.issym():
                tree[path] = link(member.linkname)
            elif member.islnk():
                tree[path] = tree[renamed(plain(member.linkname))]
            elif member.isreg():
                opened = tar.extractfile(member)
                assert opened is not None
                tree[path] = file(opened.read(), normal_mode(member.mode))
            else:
                raise ValueError(f"{member.name} is neither a file nor a link nor a folder")
    return tree


def plain(name: str) -> str:
    """`./usr/bin/x` and `/usr/bin/x` as `usr/bin/x`, the root as "". Raises ValueError for a path with `..`."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"{name} leads outside")
    return "/".join(parts)


def write(tree: Tree, root: Path) -> None:
    """Put the tree under a folder of this machine; what is there stays."""
    root.mkdir(parents=True, exist_ok=True)
    for path, entry in sorted(with_parents(tree).items()):
        place = root / path
        if entry.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(entry.mode)
        elif entry.kind == "link":
            if not place.is_symlink():
                place.symlink_to(entry.target)
        else:
            place.write_bytes(entry.content)
            place.chmod(entry.mode)


def read(root: Path, under: str = "") -> Tree:
    """What lies in a folder of this machine, at paths below `under`. Folders come with what is in them only."""
    tree: Tree = {}
    for place in sorted(root.rglob("*")):
        path = f"{under}/{place.relative_to(root)}".lstrip("/")
        if place.is_symlink():
            tree[path] = link(str(place.readlink()))
        elif place.is_file():
            tree[path] = file(place.read_bytes(), normal_mode(place.stat().st_mode))
    return tree


def heaviest(tree: Tree, depth: int) -> Mapping[str, int]:
    """Bytes per folder of that depth, heaviest first."""
    sums: dict[str, int] = {}
    for path, entry in tree.items():
        top = "/".join(path.split("/")[:depth])
        sums[top] = sums.get(top, 0) + entry.size
    return dict(sorted(sums.items(), key=lambda item: -item[1]))
