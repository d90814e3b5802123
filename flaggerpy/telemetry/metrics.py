"""The exported Prometheus metrics. What is told of each Canary is in `canaries.py`; here is what is told of the controller itself.

`CATALOGUE` describes all of them: docs/observability.md is generated from it, and the alerts and dashboards are held to it. Every label
has few values that are fixed here or by the code that says them: never a name, an address or a text that somebody may choose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.registry import Collector

from flaggerpy.telemetry import canaries
from flaggerpy.telemetry.canaries import Canaries

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
EXEMPLAR_CHARACTERS = 128
"""What OpenMetrics allows all names and values of an exemplar together."""
QUICK = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
REACTION = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
REQUEST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)


class Described(NamedTuple):
    """A metric as people read of it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    meaning: str
    flaggers: bool = False
    buckets: tuple[float, ...] = ()


OURS = (
    Described(
        "flagger_leader", "gauge", (), "1 while this process holds the Lease",
        "of all replicas together 1, but for the moment in which one takes over from another",
    ),
    Described(
        "flagger_namespace_attended", "gauge", ("namespace",), "1 while a namespace of -namespace can be attended",
        "there only where the flag lists namespaces; 0: it is not there, or the rights in it are missing",
    ),
    Described(
        "flagger_shard_attended", "gauge", ("shard",), "1 while a shard is led by somebody, as this replica sees it",
        "there only with -shard; 0: the Canaries of that shard's namespaces are attended by nobody",
    ),
    Described(
        "flagger_verdicts_total", "counter", ("reason",), "Verdicts on releases, by reason",
        "what ended an analysis, or set it back; `reason` is a cause of docs/state-machine.md, such as `passed`, `pods_failed`, "
        "`checks_failed`, `aborted`; all of them are there from the start, with 0",
    ),
    Described(
        "flagger_releases_total", "counter", ("outcome",), "Releases that ended, by outcome",
        "as the history of a Canary has it: Initialized, Succeeded, Failed, Aborted, Superseded",
    ),
    Described(
        "flagger_release_duration_seconds", "histogram", ("outcome",), "Seconds from the beginning of a release to its end",
        "waiting for gates and people included", buckets=LONG,
    ),
    Described(
        "flagger_phase_duration_seconds", "histogram", ("phase",), "Seconds that a canary spent in a phase, when it leaves the phase",
        "to the second; phases that a release passes through, not those between releases", buckets=LONG,
    ),
    Described(
        "flagger_reaction_seconds", "histogram", ("reaction",), "Seconds from what was seen to what was done about it",
        "from the news (an event of a watch, an answer, a timer) to the end of the writes that answer it, where a phase or a verdict "
        "followed; `reaction` is the cause, as of `flagger_verdicts_total`", buckets=REACTION,
    ),
    Described(
        "flagger_inbox_wait_seconds", "histogram", (), "Seconds that a canary waited to be looked at",
        "the lag of the queue: from the news to the beginning of the look", buckets=QUICK,
    ),
    Described("flagger_inbox_waiting", "gauge", (), "Canaries that wait to be looked at", "at the moment of the scrape"),
    Described("flagger_workers", "gauge", (), "Workers that run", "one for each Canary, on the leader only"),
    Described(
        "flagger_worker_failures_total", "counter", ("kind",), "Looks at a canary that failed and are tried again, by kind",
        "`api`: the API server said no or nothing; `refused`: what is there cannot be worked with; `invalid`: the Canary cannot be read; "
        "`internal`: a fault of the controller, with a stack trace in its log",
    ),
    Described(
        "flagger_event_loop_lag_seconds", "histogram", (), "How late the event loop was",
        "measured four times a second: what everything waits for although nobody made it wait", buckets=QUICK,
    ),
    Described(
        "flagger_api_requests_total", "counter", ("verb", "resource", "code"), "Requests to the Kubernetes API, each attempt",
        "`verb` and `resource` as in RBAC rules (`patch`, `canaries/status`); `code` is HTTP's, 0 where there was no answer",
    ),
    Described(
        "flagger_api_request_duration_seconds", "histogram", ("verb",), "Seconds of a request to the Kubernetes API",
        "of a `watch`, until its first byte", buckets=REQUEST,
    ),
    Described(
        "flagger_watch_restarts_total", "counter", ("resource", "reason"), "Watches of the Kubernetes API that were begun anew",
        "`ended`: by the server, as it does every few minutes; `gone`: what was missed had to be listed; `silent`: nothing was heard for "
        "75 s; `error`",
    ),
    Described(
        "flagger_outside_requests_total", "counter", ("kind", "provider", "outcome"),
        "Requests to anything but Kubernetes, each attempt",
        "`kind`: metrics, hook, alert, registry; `provider`: the type of the metric provider, hook or alert; `outcome`: 2xx to 5xx, or "
        "why there was no answer (timeout, refused, dns, tls, broken, unreachable, unusable)",
    ),
    Described(
        "flagger_outside_request_duration_seconds", "histogram", ("kind", "provider"), "Seconds of a request to anything but Kubernetes",
        "until the whole answer was there, or until it was given up", buckets=REQUEST,
    ),
    Described(
        "flagger_events_dropped_total", "counter", (), "Kubernetes events that were not written",
        "a Canary that says too much, or an API server that takes none",
    ),
    Described(
        "flagger_restarts_total", "counter", ("part",), "Parts of the controller that were started again",
        "`kopf`: the watch of our own kinds",
    ),
)  # fmt: skip

CATALOGUE: tuple[Described, ...] = (
    *(Described(each.name, each.type, each.labels, each.help, each.meaning, each.flaggers) for each in canaries.FAMILIES),
    *OURS,
)


class Metrics:
    """All metrics of one process; the methods are what the controller may say."""

    def __init__(self, *, process: bool = True) -> None:
        # the time a counter was made is a series for each series, and Flagger has none
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.canaries = Canaries()
        self.exemplar: Callable[[], Mapping[str, str]] = dict
        """What is under way where something is observed, such as its trace; told in OpenMetrics only."""
        self.waiting: Callable[[], int] = lambda: 0
        self.workers: Callable[[], int] = lambda: 0
        if process:
            prometheus_client.ProcessCollector(registry=registry)
            prometheus_client.PlatformCollector(registry=registry)
            prometheus_client.GCCollector(registry=registry)
        registry.register(_Asked({"flagger_inbox_waiting": lambda: self.waiting(), "flagger_workers": lambda: self.workers()}))
        self._histograms: dict[str, Histogram] = {}
        self._counters: dict[str, Counter] = {}
        for each in OURS:
            if each.type == "histogram":
                made = Histogram(each.name, each.help, each.labels, buckets=each.buckets, registry=registry)
                self._histograms[each.name] = made
            elif each.type == "counter":
                self._counters[each.name] = Counter(each.name, each.help, each.labels, registry=registry)
        attended = _by_name("flagger_namespace_attended")
        self._attended = Gauge(attended.name, attended.help, attended.labels, registry=registry)
        led = _by_name("flagger_shard_attended")
        self._led = Gauge(led.name, led.help, led.labels, registry=registry)
        self._leading = Gauge("flagger_leader", _by_name("flagger_leader").help, registry=registry)

    def render(self, openmetrics: bool = False) -> bytes:
        """What Prometheus scrapes: its text format 0.0.4, or OpenMetrics 1.0 with exemplars. Some 1 µs a line: call it in a thread."""
        own = self.canaries.render(openmetrics).encode()
        if openmetrics:
            rest: bytes = openmetrics_exposition.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return own + rest
        return own + prometheus_client.generate_latest(self.registry)

    # --- of releases -------------------------------------------------------------------------------------------------------------------

    def expect(self, name: str, values: Iterable[str]) -> None:
        """All values that the one label of a counter may have, at 0: the first of its kind is then an increase."""
        for value in values:
            self._counters[name].labels(value)

    def judged(self, reason: str) -> None:
        """A release got a verdict, for one of few fixed reasons."""
        self._count("flagger_verdicts_total", reason)

    def released(self, outcome: str, seconds: float) -> None:
        """A release ended."""
        self._count("flagger_releases_total", outcome)
        self._observe("flagger_release_duration_seconds", seconds, outcome)

    def left_phase(self, phase: str, seconds: float) -> None:
        """A Canary went on to another phase, after so long."""
        self._observe("flagger_phase_duration_seconds", seconds, phase)

    def reacted(self, reaction: str, seconds: float) -> None:
        """`reaction`: one of few fixed words."""
        self._observe("flagger_reaction_seconds", seconds, reaction)

    # --- of the controller -------------------------------------------------------------------------------------------------------------

    def api_request(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """One attempt of a request to Kubernetes; fits `Client.connect(on_request=...)`. Code 0: no answer."""
        self._count("flagger_api_requests_total", verb, resource, code)
        self._observe("flagger_api_request_duration_seconds", seconds, verb)

    def watch_restarted(self, resource: str, reason: str) -> None:
        """A watch is begun anew."""
        self._count("flagger_watch_restarts_total", resource, reason)

    def outside_request(self, kind: str, provider: str, outcome: str, seconds: float) -> None:
        """One attempt of a request to anything else."""
        self._count("flagger_outside_requests_total", kind, provider, outcome)
        self._observe("flagger_outside_request_duration_seconds", seconds, kind, provider)

    def waited(self, seconds: float) -> None:
        """A Canary waited for so long to be looked at."""
        self._observe("flagger_inbox_wait_seconds", seconds)

    def worker_failed(self, kind: str) -> None:
        """A look at a Canary failed."""
        self._count("flagger_worker_failures_total", kind)

    def lagged(self, seconds: float) -> None:
        """How much later than asked the event loop came back."""
        self._observe("flagger_event_loop_lag_seconds", seconds)

    def event_dropped(self) -> None:
        """A Kubernetes event was not written."""
        self._count("flagger_events_dropped_total")

    def restarted(self, part: str) -> None:
        """A part (kopf, a worker) ended and was started again."""
        self._count("flagger_restarts_total", part)

    def shard(self, index: int, led: bool) -> None:
        """Whether a shard is led by somebody."""
        self._led.labels(str(index)).set(led)

    def leading(self, leads: bool) -> None:
        """Whether this process holds the Lease."""
        self._leading.set(1 if leads else 0)

    def attended(self, namespace: str, attended: bool) -> None:
        """Whether a namespace that was named can be attended."""
        self._attended.labels(namespace).set(attended)

    def _count(self, name: str, *labels: str) -> None:
        counter = self._counters[name]
        (counter.labels(*labels) if labels else counter).inc()

    def _observe(self, name: str, seconds: float, *labels: str) -> None:
        histogram = self._histograms[name]
        exemplar = dict(self.exemplar())
        fits = sum(len(key) + len(value) for key, value in exemplar.items()) <= EXEMPLAR_CHARACTERS
        (histogram.labels(*labels) if labels else histogram).observe(seconds, exemplar if exemplar and fits else None)


class _Asked(Collector):
    """Gauges whose values are asked for at a scrape."""

    def __init__(self, asked: Mapping[str, Callable[[], int]]) -> None:
        self._asked = asked

    def describe(self) -> Iterator[Metric]:
        return (GaugeMetricFamily(name, _by_name(name).help) for name in self._asked)

    def collect(self) -> Iterator[Metric]:
        return (GaugeMetricFamily(name, _by_name(name).help, value=ask()) for name, ask in self._asked.items())


def _by_name(name: str) -> Described:
    return next(each for each in OURS if each.name == name)
