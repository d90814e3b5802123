"""Platforms: how they are written, which image runs on which node, and what a manifest says that it is for.

Source of the matching: containerd, which takes the 32-bit image where there is no 64-bit one, and lower variants of ARM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armhf": "arm", "armel": "arm", "i386": "386"}
_OS = {"macos": "darwin"}
LONGEST = 32
_PART = re.compile(r"[A-Za-z0-9_.-]+\Z")


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system and architecture in Go's words; `variant` ("v7") only where an architecture has some."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def runs(self, image: Platform) -> bool:
        """Whether a node of this platform pulls an image of that one."""
        if self.os != image.os:
            return False
        if self.architecture == image.architecture:
            return self.architecture != "arm" or _variant(image) <= _variant(self)
        return (self.architecture, image.architecture) in (("amd64", "386"), ("arm64", "arm"))


def platform(text: str) -> Platform:
    """The platform of `linux/arm64`, `linux/arm/v7` or `arm64` (linux is meant then). Raises ValueError."""
    parts = text.strip().split("/")
    if len(parts) > 3 or not all(_PART.match(part) for part in parts):
        raise ValueError(f"{text!r} is not a platform: write it as linux/arm64")
    if len(parts) == 1:
        parts = ["linux", *parts]
    return _normal(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def of_descriptor(value: object) -> Platform | None:
    """The platform of an index's entry or of an image's configuration, as a registry sent it; None where it says none."""
    if not isinstance(value, Mapping):
        return None
    os, architecture = value.get("os"), value.get("architecture")
    if not isinstance(os, str) or not isinstance(architecture, str) or not os or not architecture:
        return None
    variant = str(value.get("variant") or "")
    if not all(_PART.match(part) and len(part) <= LONGEST for part in (os, architecture, variant or "-")):
        return None
    return _normal(os, architecture, variant)


def _normal(os: str, architecture: str, variant: str) -> Platform:
    os, architecture, variant = os.lower(), architecture.lower(), variant.lower()
    return Platform(_OS.get(os, os), _ARCHITECTURES.get(architecture, architecture), variant)


def _variant(of: Platform) -> int:
    # without a word containerd takes ARM for v7
    digits = of.variant.removeprefix("v")
    return int(digits) if digits.isdecimal() else 7
