"""From what the controller decides to what it exports: each stored decision becomes series, and those of deleted Canaries go."""

from __future__ import annotations

from collections import Counter

from flaggerpy import __version__
from flaggerpy.api.canary import Canary
from flaggerpy.controller.inbox import Key
from flaggerpy.controller.settings import Settings
from flaggerpy.rollout.decision import Decision
from flaggerpy.telemetry.metrics import Metrics


class Exporting:
    """Keeps count of which series belong to which Canary."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.metrics = metrics
        self._targets: dict[Key, str] = {}
        self._by_namespace: Counter[str] = Counter()
        metrics.info(__version__, settings.mesh_provider)

    def decided(self, key: Key, canary: Canary, decision: Decision) -> None:
        """A decision was stored: phase and weights are as it says."""
        if key not in self._targets:
            self._count(key, 1)
        elif self._targets[key] != canary.target:
            self.metrics.forget(self._targets[key], key.namespace)
        self._targets[key] = canary.target
        self.metrics.phase(canary.target, key.namespace, str(decision.status.phase))
        weight = decision.status.canary_weight
        self.metrics.weight(canary.target, key.namespace, 100 - weight, weight)

    def released(self, canary: Canary, *, success: bool, skipped: bool) -> None:
        """A release has ended."""
        self.metrics.finished(
            canary.target,
            canary.namespace,
            succeeded=success,
            strategy=canary.spec.strategy,
            analysis="skipped" if skipped else "completed",
        )

    def measured(self, canary: Canary, metric: str, value: float, seconds: float) -> None:
        """A metric was evaluated; the built-in duration is exported in seconds, as Flagger does."""
        told = value / 1000 if metric == "request-duration" else value
        self.metrics.measured(canary.target, canary.namespace, metric, told)
        self.metrics.analysed(canary.target, canary.namespace, seconds)

    def forget(self, key: Key) -> None:
        """A Canary is gone: its series go."""
        target = self._targets.pop(key, None)
        if target is not None:
            self._count(key, -1)
            self.metrics.forget(target, key.namespace)

    def _count(self, key: Key, change: int) -> None:
        self._by_namespace[key.namespace] += change
        self.metrics.canaries(key.namespace, self._by_namespace[key.namespace])
