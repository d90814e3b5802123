"""The API server's audit log, read: the requests of one user. Pure but for the lines of the log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def entries(lines: Iterable[str], user: str) -> Iterator[dict[str, Any]]:
    """The requests of a user, each once. A line that is cut off (the last one of a log that is being written) is passed over."""
    mark = f'"{user}"'
    known: set[str] = set()
    for line in lines:
        if mark not in line:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        # a watch is told at its begin and at its end
        if entry["user"]["username"] == user and entry["auditID"] not in known:
            known.add(entry["auditID"])
            yield entry
