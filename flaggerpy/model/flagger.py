"""A Canary as Flagger leaves it: its fields and hashes in the status, none of our marks on the primary, no kept template."""

from __future__ import annotations

from flaggerpy.api.status import HASHED
from flaggerpy.model.world import World

FIELDS = frozenset({
    "phase", "failedChecks", "canaryWeight", "iterations", "trackedConfigs", "lastAppliedSpec", "lastPromotedSpec", "lastTransitionTime",
    "sessionAffinityCookie", "primarySessionAffinityCookie", "previousSessionAffinityCookie",
})  # fmt: skip
"""What Flagger writes to a status; its conditions apart, which are told anew."""


def flagger_hash(revision: str) -> str:
    """The hash that this Flagger gives a revision of the world."""
    return f"b{revision}d"


def under_flagger(world: World) -> World:
    """As if Flagger had brought it to this point, and were stopped now."""
    theirs = {name: value for name, value in world.status.items() if name in FIELDS}
    for name in HASHED:
        if theirs.get(name):
            theirs[name] = flagger_hash(theirs[name])
    world.status, world.kept = theirs, {}
    world.copied = world.configs
    world.now += 1
    world.quiet_since = world.now
    if world.primary is not None:
        world.primary.source_revision, world.primary.flagger_id = "", f"flaggers-{world.primary.flagger_id}"
        for pod in world.primary.pods:
            pod.flagger_id = world.primary.flagger_id
    return world
