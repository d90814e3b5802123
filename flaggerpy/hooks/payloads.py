"""What webhooks are sent: Flagger's JSON bodies, as data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal


def payload(name: str, namespace: str, phase: str, checksum: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """The body of a gate's or check's call. `phase` is the release's phase, `checksum` tells one revision from another."""
    body: dict[str, Any] = {"name": name, "namespace": namespace, "phase": phase, "checksum": checksum}
    return body | {"metadata": dict(metadata)} if metadata else body


def event_payload(
    name: str,
    namespace: str,
    phase: str,
    checksum: str,
    metadata: Mapping[str, str],
    *,
    message: str,
    type: Literal["Normal", "Warning"],
    at: float,
) -> dict[str, Any]:
    """The body that tells a listener of an event of `at` (epoch seconds); the hook's own metadata fills in what is free."""
    told = {"eventMessage": message, "eventType": type, "timestamp": str(int(at * 1000))}
    return payload(name, namespace, phase, checksum, {**metadata, **told})


def checksum(revision: str, configs: Mapping[str, str] | None) -> str:
    """An opaque text, the same for the same revision of target and tracked configs (name to checksum), another for any other.

    Flagger's has the same purpose and differs between its own versions; only equality means something.
    """
    material = json.dumps([revision, dict(configs or {})], sort_keys=True).encode()
    return hashlib.sha256(material).hexdigest()[:10]
