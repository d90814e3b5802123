"""The files of the page, as they are installed with the package: no build step, nothing from another host."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources

KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class File:
    """One file: its bytes, the same compressed, and a tag that changes with them."""

    kind: str
    data: bytes
    packed: bytes
    tag: str


def files() -> dict[str, File]:
    """All files by their path below the page's; index.html is ""."""
    found = {}
    for entry in resources.files("flaggerpy.dashboard").joinpath("static").iterdir():
        kind = KINDS.get(entry.name.rpartition(".")[2])
        if kind:
            data = entry.read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()[:20]}"'
            found["" if entry.name == "index.html" else entry.name] = File(kind, data, gzip.compress(data, mtime=0), tag)
    return found
