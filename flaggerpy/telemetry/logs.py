"""Log lines: JSON as Flagger's (level, ts, caller, msg, canary), or text for people; with the canary, revision and phase at hand.

`with about(canary="podinfo.test", revision="6b8f"):` puts these fields on every line logged inside, also in tasks started there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO

from flaggerpy.api.texts import escaped, printable

# Flagger's flag takes zap's names; "warning" is in its documentation and is meant as it is written there
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error", logging.CRITICAL: "fatal"}
# what these say below the level given is either a secret (URLs, bodies, headers) or of no use to a person who runs a controller
HUSHED = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "kubernetes": logging.INFO,
    "kubernetes.client.rest": logging.WARNING,
    "kubernetes.aio.client.rest": logging.WARNING,
    "kopf": logging.WARNING,
    "aiohttp.access": logging.WARNING,
    "asyncio": logging.WARNING,
    "urllib3": logging.WARNING,
    "tzlocal": logging.WARNING,
}

_fields: ContextVar[dict[str, str]] = ContextVar("log fields", default={})  # noqa: B039 - it is never changed, only replaced


@contextlib.contextmanager
def about(*, canary: str | None = None, revision: str | None = None, phase: str | None = None, **more: str | None) -> Iterator[None]:
    """Put these fields on all lines logged within; None leaves what an outer `about` said."""
    given = {"canary": canary, "revision": revision, "phase": phase, **more}
    token = _fields.set({**_fields.get(), **{key: value for key, value in given.items() if value is not None}})
    try:
        yield
    finally:
        _fields.reset(token)


def fields() -> dict[str, str]:
    """What the innermost `about` here says."""
    return _fields.get()


class _Attach(logging.Filter):
    """Puts the fields onto the record where it is made: a handler that writes later, or elsewhere, still has them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not hasattr(record, "fields"):
            record.fields = _fields.get()
        return True


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "level": NAMES.get(record.levelno, record.levelname.lower()),
            "ts": _moment(record),
            "caller": _caller(record),
            "msg": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = str(record.exc_info[1])
            line["stacktrace"] = "".join(traceback.format_exception(*record.exc_info))
        return escaped(json.dumps(line, default=str, ensure_ascii=False))


class TextLines(logging.Formatter):
    """`2026-11-26T15:00:00.000Z  INFO  controller/worker.py:12  message  canary=podinfo.test`; a message never spans lines."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f"  {key}={value}" for key, value in getattr(record, "fields", {}).items())
        message = printable(record.getMessage()).replace("\n", "\\n")
        line = f"{_moment(record)}  {NAMES.get(record.levelno, record.levelname).upper():5}  {_caller(record)}  {message}{fields}"
        if record.exc_info and record.exc_info[0]:
            line += "\n" + printable("".join(traceback.format_exception(*record.exc_info))).rstrip()
        return line


def configure(level: str = "info", encoding: str = "json", stream: TextIO | None = None) -> None:
    """Send all logs to `stream` (stderr) in `encoding` (json, or console for text). Raises ValueError for an unknown level or encoding."""
    if level not in LEVELS:
        raise ValueError(f"unknown log level {level!r}; one of {', '.join(LEVELS)}")
    formatters: dict[str, type[logging.Formatter]] = {"json": JsonLines, "console": TextLines, "text": TextLines}
    if encoding not in formatters:
        raise ValueError(f"unknown log encoding {encoding!r}; one of {', '.join(formatters)}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatters[encoding]())
    handler.addFilter(_Attach())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS[level])
    for name, least in HUSHED.items():
        logging.getLogger(name).setLevel(max(least, LEVELS[level]))
    logging.captureWarnings(True)


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _caller(record: logging.LogRecord) -> str:
    path = PurePath(record.pathname)
    return f"{path.parent.name}/{path.name}:{record.lineno}"
