"""What is known of an image before its first pod: the answer of its registry as a value, shared by `images` (gives it) and `rollout`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["init", "sidecar", "main"]
Kind = Literal["exists", "missing", "doubt", "unchecked"]
"""exists; missing: certainly cannot be pulled; doubt: was asked and cannot be told; unchecked: there was nothing to ask, or, where a cause
is given, not with the pull secrets that it takes."""


@dataclass(frozen=True)
class ImageAnswer:
    """`cause` is the id of a row of `rollout.causes.table.TABLE`, "" where nothing is the matter; `detail` what was said, in few words.

    `platforms` ("linux/arm64/v8") are those that the registry has the image for, where it was asked; `digest` what the name stands for.
    """

    image: str
    kind: Kind
    cause: str = ""
    detail: str = ""
    container: str = ""
    role: Role = "main"
    digest: str = ""
    platforms: tuple[str, ...] = ()
