"""A Canary as far as it can be read, for views: what cannot be read is a sentence beside it, never an exception."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from flaggerpy.api.canary import CanarySpec
from flaggerpy.api.status import CanaryStatus, Phase, parse_status


def read_spec(raw: Mapping[str, Any]) -> tuple[CanarySpec | None, str]:
    """The typed spec and "", or None and what of it cannot be read."""
    try:
        return CanarySpec.model_validate(raw), ""
    except ValidationError as error:
        first = error.errors()[0]
        return None, f"spec.{'.'.join(map(str, first['loc']))} cannot be read: {first['msg']}"


def read_status(obj: Mapping[str, Any]) -> tuple[CanaryStatus, str]:
    """The typed status of a Canary object and "", or a status with no more than its phase and what of it cannot be read."""
    try:
        return parse_status(obj), ""
    except ValidationError as error:
        first = error.errors()[0]
        phase = (obj.get("status") or {}).get("phase")
        known = Phase(phase) if phase in set(Phase) else Phase.NONE
        return CanaryStatus(phase=known), f"status.{'.'.join(map(str, first['loc']))} cannot be read: {first['msg']}"
