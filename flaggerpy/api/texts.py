"""Texts of others in places of ours: what a server, a pod or a tenant wrote is shown in events, logs, alerts and terminals.

Escape sequences can rewrite what stands on a terminal, line ends can forge log lines, and characters that turn the direction of writing
make a text read as another. They are taken out wherever a text leaves us.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

LOOKED_THROUGH = 65_536
"""Much more than is ever shown, so that a secret across this cut is not."""
LEAST_SECRET = 4
"""Shorter ones are words: to mask them would make texts unreadable, and tell the secret by its gaps."""

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC and its like: titles, links, the clipboard
    r"|\x1b[ -/]*[0-~]?"
)
# controls but tab and line end; marks of direction; line and paragraph separators; lone halves of surrogate pairs; tags and the BOM
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff\U000e0000-\U000e007f]")
_CREDENTIALS = re.compile(r"\b(Bearer|Basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def printable(text: str) -> str:
    """The text without escape sequences, and with U+FFFD for every other character that acts instead of being seen."""
    if text.isascii() and text.isprintable():
        return text
    return _ODD.sub("\ufffd", _ESCAPES.sub("", text))


def escaped(json: str) -> str:
    """A JSON text with such characters, which can only stand within its strings, written by their number."""
    return json if json.isascii() and json.isprintable() else _ODD.sub(_by_number, json)


def _by_number(found: re.Match[str]) -> str:
    code = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(code[::2], code[1::2], strict=True))


def visible(text: str) -> str:
    """As `printable`, but character by character, so that the length stays."""
    return text if text.isascii() and text.isprintable() else _ODD.sub("\ufffd", text)


def one_line(text: str, longest: int) -> str:
    """The text on one line of so many characters at most; what is cut off is told by dots."""
    # four times as much is enough to cut from, whatever white space is in it
    flat = " ".join(printable(text[: 4 * longest]).split())
    return flat if len(flat) <= longest and len(text) <= 4 * longest else f"{flat[:longest]}..."


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` for every secret in it, in whatever case, and for what looks like the credentials of a request."""
    known = sorted({secret for secret in secrets if len(secret) >= LEAST_SECRET}, key=len, reverse=True)
    if known:
        text = re.sub("|".join(map(re.escape, known)), "***", text[:LOOKED_THROUGH], flags=re.IGNORECASE)
    return _CREDENTIALS.sub(r"\1\2***", text[:LOOKED_THROUGH])


def printable_object(value: Any) -> Any:
    """As `printable`, for every text of a manifest, keys included."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): printable_object(item) for key, item in value.items()}
    if isinstance(value, list):
        return [printable_object(item) for item in value]
    return value
