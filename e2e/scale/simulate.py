"""From what one Canary and one release cost to what so many cost in an hour. Pure; the words of each figure say how it is made.

Canaries are initialised once, so what that costs is in none of the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.cluster.lease import RETRY_SECONDS
from flaggerpy.controller.podwatches import ROLES
from flaggerpy.controller.run import SWEEP_SECONDS

HOUR = 3600.0
SWEEP = SWEEP_SECONDS
"""Seconds between two looks at names and versions of our own kinds and of what begins a release."""
RENEWAL = RETRY_SECONDS
"""Seconds between two renewals of a Lease, and about as many between two looks of one who stands by."""
OWN_WATCHES = 10
"""Watches of one replica that are always there: our three kinds, Deployments, ReplicaSets, Services, ConfigMaps, Secrets,
ControllerRevisions, PodDisruptionBudgets."""
ROUTE_WATCHES = 1
"""A kind of route."""
POD_WATCHES = len(ROLES)
"""The most that a release has: target and primary."""
SWEPT = ("canaries", "deployments", "replicasets")
METADATA = 900.0
"""Bytes of an object of which only the metadata is asked for, about."""


@dataclass(frozen=True)
class Setting:
    """So many Canaries and releases, by so many shards of so many replicas."""

    canaries: int
    releases_per_hour: float
    shards: int
    replicas: int = 2
    release_seconds: float = 600.0

    @property
    def processes(self) -> int:
        return self.shards * self.replicas

    @property
    def under_way(self) -> float:
        """Releases at one moment."""
        return self.releases_per_hour * self.release_seconds / HOUR


def cost(requests: float, assumed: Mapping[str, Any], setting: Setting) -> dict[str, float]:
    """What the API server has to do, by name: counts, per second, or bytes. `requests`: of one release; `assumed` is docs/scale.json."""
    release, rest = assumed["release"], assumed["at_rest"]
    per_second = setting.releases_per_hour / HOUR
    swept = sum(rest["objects"][plural] for plural in SWEPT) * setting.canaries
    told = sum(count * release["bytes"][plural] for plural, count in release["events"].items())
    return {
        # with the leader's renewals, the stand-bys' looks and every process's lists of what it sweeps, in pages of 500
        "requests per second": per_second * requests + setting.processes / RENEWAL + setting.processes * swept / 500 / SWEEP,
        "writes per second": per_second * requests * release["writes"] + setting.shards / RENEWAL,
        # who stands by watches the Lease, too
        "watches": setting.processes * (OWN_WATCHES + ROUTE_WATCHES)
        + (setting.processes - setting.shards)
        + POD_WATCHES * setting.under_way,
        # every process follows every namespace: a shard drops what is not its own when it has arrived
        "watch bytes per second": per_second * told * setting.processes,
        "sweep bytes per second": setting.processes * swept * METADATA / SWEEP,
    }


def table(requests: float, assumed: Mapping[str, Any], settings: Mapping[str, Setting]) -> str:
    """A Markdown table: a column for each setting."""
    costs = {name: cost(requests, assumed, setting) for name, setting in settings.items()}
    lines = [f"| | {' | '.join(costs)} |", f"|{' --- |' * (len(costs) + 1)}"]
    for row in next(iter(costs.values())):
        lines.append(f"| {row} | {' | '.join(_number(found[row], 'bytes' in row) for found in costs.values())} |")
    return "\n".join(lines) + "\n"


def _number(value: float, is_bytes: bool) -> str:
    if not is_bytes:
        return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value:.0f} B"


SETTINGS = {
    "5,000 Canaries, 1 shard": Setting(5_000, 500, 1),
    "5,000, 3 shards": Setting(5_000, 500, 3),
    "50,000, 1 shard": Setting(50_000, 5_000, 1),
    "50,000, 10 shards": Setting(50_000, 5_000, 10),
}
"""Each Canary is released every ten hours, in ten minutes."""
