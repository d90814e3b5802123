"""All causes in the order in which they are tried: the first that matches is the one.

`docs/troubleshooting.md` is generated from here. The texts of the kubelet, containerd, CRI-O and runc that are matched were measured on
Kubernetes 1.34 with containerd 1.6; other versions word the tails alike.
"""

from __future__ import annotations

from flaggerpy.rollout.causes.cause import Cause
from flaggerpy.rollout.causes.certain import CERTAIN
from flaggerpy.rollout.causes.crashes import CRASHES
from flaggerpy.rollout.causes.doubtful import DOUBTFUL
from flaggerpy.rollout.causes.waiting import WAITING
from flaggerpy.rollout.causes.words import DESCRIBE

UNLISTED: tuple[Cause, ...] = (
    Cause(
        id="kubelet-error",
        cls="doubtful",
        reasons="Err.*|.*Error",
        pattern="",
        what="{who} fails with {reason}",
        means="{message}",
        advice="Read the pod's description and events.",
        command=DESCRIBE,
        example="every other reason that begins with Err or ends with Error",
    ),
    Cause(
        id="unknown",
        cls="waiting",
        reasons=".*",
        pattern="",
        what="{who} waits ({reason})",
        means="{message}",
        advice="Read the pod's description and events.",
        command=DESCRIBE,
        example="every other reason",
    ),
)
"""What nobody has listed."""
TABLE: tuple[Cause, ...] = (*CERTAIN, *DOUBTFUL, *CRASHES, *WAITING, *UNLISTED)
BY_ID = {cause.id: cause for cause in TABLE}
