"""Where the builder keeps what is slow to have: `~/.cache/flaggerpy` (FLAGGERPY_CACHE), each thing in a folder named by its recipe."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """The folder of this builder below the project's cache; made when missing."""
    place = Path(os.environ.get("FLAGGERPY_CACHE") or Path.home() / ".cache" / "flaggerpy") / "image"
    place.mkdir(parents=True, exist_ok=True)
    return place


@contextmanager
def locked() -> Iterator[None]:
    """One builder at a time; the second waits and then finds everything there."""
    with (cache() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name`, filled by `make` if it is not there: a folder that exists is complete. Ask under the lock."""
    place = cache() / name
    if not place.is_dir():
        room = Path(tempfile.mkdtemp(prefix=".making-", dir=cache()))
        try:
            make(room)
            room.chmod(0o755)
            room.rename(place)
        finally:
            shutil.rmtree(room, ignore_errors=True)
    return place


def older_removed(prefix: str, keep: int) -> None:
    """Takes away all but the newest folders of that prefix."""
    found = sorted(cache().glob(f"{prefix}*"), key=lambda path: path.stat().st_mtime)
    for path in found[: max(0, len(found) - keep)]:
        shutil.rmtree(path, ignore_errors=True)
