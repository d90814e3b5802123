"""The entries of a Secret as text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any


def secret_data(obj: Mapping[str, Any]) -> dict[str, str]:
    """The decoded entries of a Secret object, trailing line ends off (files and `echo` leave them there).

    Entries that are not text are left out.
    """
    decoded = dict[str, str]()
    for name, value in (obj.get("data") or {}).items():
        try:
            decoded[name] = base64.b64decode(value, validate=True).decode().rstrip("\r\n")
        except (binascii.Error, UnicodeDecodeError, TypeError, ValueError):
            continue
    return decoded
