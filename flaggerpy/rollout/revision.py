"""What a revision is: the target's pod template and its tracked configs, as one short name.

The template's part is the pod-template-hash of the ReplicaSet that holds it, so that an upgrade of Kubernetes that adds defaults
changes nothing (design: "Revision"). A run's id names Canary, revision and attempt: all that must not differ on repetition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def release_revision(template_hash: str, configs: Mapping[str, str] | None) -> str:
    """The revision of a template and its configs' checksums; "" while the template's part is not known."""
    if not template_hash or not configs:
        return template_hash
    text = "\n".join(f"{name}={checksum}" for name, checksum in sorted(configs.items()))
    return f"{template_hash}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def template_of(revision: str) -> str:
    """The template's part of a release revision."""
    return revision.partition("-")[0]


def run_id(uid: str, revision: str, attempt: int) -> str:
    """A UUID-shaped id of one run, the same whenever it is derived again."""
    digest = hashlib.sha256(f"{uid}/{revision}/{attempt}".encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"
