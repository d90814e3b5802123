"""The exported Prometheus metrics. The first group has exactly Flagger's names, labels, values and buckets; the second is ours.

The label `name` is the name of the target (`targetRef.name`), as in Flagger; `workload` is `<target>` or `<target>-primary`. Unlike
Flagger's, the series of a deleted canary are removed (`forget`).
"""

from __future__ import annotations

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
# the default buckets of Go's client, in seconds
GO_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REACTION_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """All metrics of one process, in a registry of their own; the methods are what the controller may say."""

    def __init__(self, *, process: bool = True) -> None:
        # the time a counter was made is a series for each series, and Flagger has none
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        if process:
            prometheus_client.ProcessCollector(registry=registry)
            prometheus_client.PlatformCollector(registry=registry)
            prometheus_client.GCCollector(registry=registry)
        own, outcome = ["name", "namespace"], ["name", "namespace", "deployment_strategy", "analysis_status"]

        self._info = Gauge("flagger_info", "Flagger version and mesh provider information", ["version", "mesh_provider"], registry=registry)
        self._total = Gauge("flagger_canary_total", "Total number of canary object", ["namespace"], registry=registry)
        self._status = Gauge("flagger_canary_status", "Last canary analysis result", own, registry=registry)
        self._weight = Gauge(
            "flagger_canary_weight", "The traffic weight routed to target/canary", ["workload", "namespace"], registry=registry
        )
        self._duration = Histogram(
            "flagger_canary_duration_seconds",
            "Seconds spent performing canary analysis.",
            own,
            buckets=GO_BUCKETS,
            registry=registry,
        )
        self._analysis = Gauge(
            "flagger_canary_metric_analysis", "Last canary analysis result per metric", [*own, "metric"], registry=registry
        )
        self._successes = Counter("flagger_canary_successes", "Total number of canary successes", outcome, registry=registry)
        self._failures = Counter("flagger_canary_failures", "Total number of canary failures", outcome, registry=registry)

        self._requests = Counter(
            "flagger_api_requests", "Requests to the Kubernetes API, each attempt", ["verb", "resource", "code"], registry=registry
        )
        self._reaction = Histogram(
            "flagger_reaction_seconds",
            "Seconds from what was seen to what was done about it",
            ["reaction"],
            buckets=REACTION_BUCKETS,
            registry=registry,
        )
        self._lag = Histogram(
            "flagger_event_loop_lag_seconds", "How late the event loop was", buckets=LAG_BUCKETS, registry=registry
        )
        self._restarts = Counter("flagger_restarts", "Parts of the controller that were started again", ["part"], registry=registry)
        self._attended = Gauge(
            "flagger_namespace_attended", "1 while a namespace of -namespace can be attended", ["namespace"], registry=registry
        )
        self._leading = Gauge("flagger_leader", "1 while this process holds the Lease", registry=registry)

    def render(self) -> bytes:
        """The text that Prometheus scrapes (format 0.0.4); takes some 10 µs per series, so call it in a thread."""
        return prometheus_client.generate_latest(self.registry)

    # --- Flagger's ---------------------------------------------------------------------------------------------------------------------

    def info(self, version: str, mesh_provider: str) -> None:
        """Set once, at start."""
        self._info.labels(version, mesh_provider).set(1)

    def canaries(self, namespace: str, count: int) -> None:
        """The number of canaries in a namespace; 0 takes the series away."""
        if count:
            self._total.labels(namespace).set(count)
        else:
            _remove(self._total, namespace=namespace)

    def phase(self, name: str, namespace: str, phase: str) -> None:
        """0 while Progressing, 2 for Failed, 1 for any other phase."""
        self._status.labels(name, namespace).set({"Progressing": 0, "Failed": 2}.get(phase, 1))

    def weight(self, name: str, namespace: str, primary: float, canary: float) -> None:
        """The traffic weights, percent 0-100."""
        self._weight.labels(f"{name}-primary", namespace).set(primary)
        self._weight.labels(name, namespace).set(canary)

    def analysed(self, name: str, namespace: str, seconds: float) -> None:
        """How long one round of analysis took."""
        self._duration.labels(name, namespace).observe(seconds)

    def measured(self, name: str, namespace: str, metric: str, value: float) -> None:
        """The last value of a metric of the analysis; durations in seconds."""
        self._analysis.labels(name, namespace, metric).set(value)

    def finished(self, name: str, namespace: str, *, succeeded: bool, strategy: str, analysis: str) -> None:
        """A run ended; `strategy`: canary, blue-green or ab-testing; `analysis`: completed or skipped."""
        (self._successes if succeeded else self._failures).labels(name, namespace, strategy, analysis).inc()

    def forget(self, name: str, namespace: str) -> None:
        """Remove all series of a canary that is gone."""
        for metric in (self._status, self._duration, self._analysis, self._successes, self._failures):
            _remove(metric, name=name, namespace=namespace)
        for workload in (name, f"{name}-primary"):
            _remove(self._weight, workload=workload, namespace=namespace)

    # --- ours --------------------------------------------------------------------------------------------------------------------------

    def api_request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """One attempt of a request to Kubernetes; fits `Client.connect(on_request=...)`. Code 0: no answer."""
        self._requests.labels(verb, resource, code).inc()

    def reacted(self, reaction: str, seconds: float) -> None:
        """`reaction`: one of few fixed words, such as "pod_failure" or "new_revision"."""
        self._reaction.labels(reaction).observe(seconds)

    def lagged(self, seconds: float) -> None:
        """How much later than asked the event loop came back."""
        self._lag.observe(seconds)

    def restarted(self, part: str) -> None:
        """A part (kopf, a worker) ended and was started again."""
        self._restarts.labels(part).inc()

    def attended(self, namespace: str, attended: bool) -> None:
        """Whether a namespace that was named can be attended."""
        self._attended.labels(namespace).set(attended)

    def leading(self, leads: bool) -> None:
        """Whether this process holds the Lease."""
        self._leading.set(1 if leads else 0)


def _remove(metric: Gauge | Counter | Histogram, **labels: str) -> None:
    metric.remove_by_labels(labels)
