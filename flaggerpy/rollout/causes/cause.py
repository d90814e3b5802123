"""What a row of the table of causes is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Class = Literal["certain", "doubtful", "waiting", "crash"]
"""certain: will not heal by itself. doubtful: may heal. waiting: only the deadline judges. crash: counted (see `podhealth`)."""


@dataclass(frozen=True)
class Cause:
    """A row of the table.

    `reasons` and `pattern` are regular expressions: the whole reason, and a part of the message, must match; for crashes `codes` are the
    exit codes (None: any but 0). The texts may use {who} ("container podinfo"), {image}, {host} (the registry), {pod}, {name} (the
    container), {code}, {signal}, {message} and the pattern's own groups. `quiet` is no failure: the pod is on its way.
    """

    id: str
    cls: Class
    reasons: str
    pattern: str
    what: str
    means: str
    advice: str
    command: str
    example: str = ""
    codes: tuple[int, ...] | None = None
    quiet: bool = False
    match_reason: re.Pattern[str] = field(init=False, compare=False, repr=False)
    match_message: re.Pattern[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "match_reason", re.compile(rf"(?:{self.reasons})\Z"))
        object.__setattr__(self, "match_message", re.compile(self.pattern, re.IGNORECASE | re.DOTALL))
