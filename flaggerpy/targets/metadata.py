"""Metadata of what is generated from a user's object: which labels and annotations go along, and who owns it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import GROUP, REVISION_OF, VERSION

Obj = dict[str, Any]

TOOLKIT = "toolkit.fluxcd.io"
"""Keys with this in them tie an object to Flux, which would then remove ours as not its own."""
LABEL_LENGTH = 63


def without_toolkit(entries: Mapping[str, str] | None) -> dict[str, str]:
    """The labels or annotations without those of Flux."""
    return {key: value for key, value in (entries or {}).items() if TOOLKIT not in key}


def by_prefix(entries: Mapping[str, str] | None, prefixes: Sequence[str]) -> dict[str, str]:
    """The entries whose key begins with one of the prefixes; `*` takes all, an empty list none; never those of Flux."""
    kept = without_toolkit(entries)
    if "*" in prefixes:
        return kept
    return {key: value for key, value in kept.items() if any(prefix and key.startswith(prefix) for prefix in prefixes)}


def other_labels(workload: Mapping[str, Any], label: str) -> dict[str, str]:
    """The labels by which a workload selects its pods, but for the one that tells the primary from the target.

    The primary's pods have them too. Where two targets share that one label (`app: shop`, one of them with `part: web` and the other with
    `part: cart`), only the rest tells their primaries apart.
    """
    matched = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return {name: value for name, value in without_toolkit(matched).items() if name != label}


def owner_reference(canary: Canary, *, controller: bool = True) -> Obj:
    """The reference that lets the cluster remove the object with its Canary."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Canary",
        "name": canary.name,
        "uid": canary.uid,
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def canary_label(canary: Canary) -> dict[str, str]:
    """The label by which kept templates and config copies of a Canary are found. A name too long for a label is cut and hashed."""
    name = canary.name
    if len(name) > LABEL_LENGTH:
        name = f"{name[: LABEL_LENGTH - 11].rstrip('-.')}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
    return {REVISION_OF: name}


def with_owner(owners: Sequence[Mapping[str, Any]], canary: Canary) -> list[Obj]:
    """The owners of an object that several Canaries share, this one among them: who made it stays its controller."""
    others = [dict(owner) for owner in owners if owner.get("uid") != canary.uid]
    return [*others, owner_reference(canary, controller=not any(owner.get("controller") for owner in others))]


def owned_by(obj: Mapping[str, Any], canary: Canary) -> bool:
    """True when the Canary is among the owners of an object."""
    return any(owner.get("uid") == canary.uid for owner in obj["metadata"].get("ownerReferences") or ())
