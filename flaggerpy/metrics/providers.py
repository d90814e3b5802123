"""The registry of metric providers: by the `type` of a MetricTemplate's provider. A new one is one file and one line here.

Packages of third parties add theirs by an entry point of the group `flaggerpy.metrics`: its name is the type, its object a class
without arguments that fulfils `MetricProvider`.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from flaggerpy.metrics.prometheus import Prometheus
from flaggerpy.metrics.reading import MetricProvider

_OURS: dict[str, MetricProvider] = {"prometheus": Prometheus()}


@cache
def _all() -> dict[str, MetricProvider]:
    return {entry.name: entry.load()() for entry in entry_points(group="flaggerpy.metrics")} | _OURS


def provider(kind: str) -> MetricProvider | None:
    """The provider of that type; None when there is none, which must be refused by name, never replaced by another."""
    return _all().get(kind)


def kinds() -> list[str]:
    """The types there are."""
    return sorted(_all())
