"""Facts: what is true now, as values. The controller gathers them from its caches; `decide` looks at nothing else.

`UNKNOWN` means that it could not be read or that the cache lags behind our own write: unknown is never taken for changed or absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal


class Unknown(Enum):
    """The one value of "could not be told"."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


@dataclass(frozen=True)
class ContainerFacts:
    """A container's status as the kubelet reports it. `state` is the present one, `last_*` the termination before it."""

    name: str
    role: Literal["init", "sidecar", "main"] = "main"
    image: str = ""
    state: Literal["waiting", "running", "terminated", "none"] = "none"
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    ready: bool = False
    started: bool | None = None
    restarts: int = 0
    last_reason: str = ""
    last_message: str = ""
    last_exit_code: int | None = None


@dataclass(frozen=True)
class PodFacts:
    """A pod of the run's revision. Times in epoch seconds. `events` are (reason, message) of Warnings that no status tells."""

    name: str
    node: str = ""
    phase: str = "Pending"
    ready: bool = False
    terminating: bool = False
    reason: str = ""
    message: str = ""
    created: float = 0.0
    containers: tuple[ContainerFacts, ...] = ()
    unschedulable: str = ""
    events: tuple[tuple[str, str], ...] = ()
    probe_kills: frozenset[str] = frozenset()
    """Containers whose last end was a kill by a liveness or startup probe (told by the kubelet's events)."""


@dataclass(frozen=True)
class WorkloadFacts:
    """A Deployment and the ReplicaSet of its present template.

    `revision` is that ReplicaSet's pod-template-hash; "" while the deployment controller has not made it yet. `available`,
    `ready` count the pods of this revision only; `old` the pods of other revisions still there. `fresh` is False while the
    controller of the workload has not observed its newest generation.
    """

    name: str
    replicas: int
    revision: str
    fresh: bool
    created: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    old: int = 0
    serving: int | None = None
    """Ready pods of all revisions: those that its Service leads to. None: as many as are ready of the present one."""
    images: tuple[str, ...] = ()
    pods: tuple[PodFacts, ...] = ()
    pods_known: bool = True
    """False while the pods' watch has not synced."""
    pod_creation_error: str = ""
    """Why no pod can be made (quota, admission), read from the ReplicaSet's ReplicaFailure condition."""
    flagger_id: str = ""
    """The pod template's `flagger-id` annotation (set on primaries)."""
    source_revision: str = ""
    """On a primary: which revision of the target its template was taken from (annotation, ours)."""
    problem: str = ""
    """Why the workload cannot be released at all, as a sentence; "" when it can."""


@dataclass(frozen=True)
class Split:
    """Who gets which share of the traffic, in percent: primary is 100 - canary.

    `match` sends the requests of `analysis.match` to the canary (A/B) while the rest follows the weights; `mirror` copies
    `mirror_weight` percent to the canary. `cookie` pins visitors (session affinity): the value of this run's cookie.
    """

    canary: int = 0
    match: bool = False
    mirror: bool = False

    @property
    def primary(self) -> int:
        return 100 - self.canary


@dataclass(frozen=True)
class RouteFacts:
    """The route as read back.

    `split` is None when the route does not exist or holds no split of ours. `accepted` tells whether the route's controller
    took its present generation: None when this provider cannot tell, with `written_at` then the time of our last write.
    """

    split: Split | None
    accepted: bool | None = None
    refusal: str = ""
    in_shape: bool = True
    """False when the route differs from what the spec asks in something that is not the split."""
    written_at: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a hook said, or that it could not be asked. `at` in epoch seconds."""

    ok: bool
    text: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """What a metric said. `value` in the metric's unit (percent; milliseconds for request-duration).

    kind: "value" (with `text` the sentence of the threshold that it missed, "" when it passes); "no-data" (the server answered,
    without a value); "unreachable" (no answer: holds, never fails at once); "error" (the server or template refused the query: a
    failed check, worded by `text`).
    """

    kind: Literal["value", "no-data", "unreachable", "error"]
    value: float = 0.0
    text: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Facts:
    """Everything that a decision looks at, but for the Canary and its status.

    `answers` and `measurements` are keyed as the effects that asked for them (`AskHook.key`, `Measure.key`).
    `delivered` holds the ids of outbox items that have left. `commands` are a person's wishes that were read off the object.
    """

    target: WorkloadFacts | Unknown | None = UNKNOWN
    primary: WorkloadFacts | Unknown | None = UNKNOWN
    configs: Mapping[str, str] | Unknown | None = None
    """Checksums of the tracked ConfigMaps and Secrets of the target, None when tracking is off."""
    config_problem: str = ""
    services_ready: bool = True
    """The generated Services exist in the wanted shape (the apex apart)."""
    apex_ready: bool = True
    """The apex Service selects the primary."""
    route: RouteFacts | Unknown = UNKNOWN
    kept: frozenset[str] | Unknown = frozenset()
    """Revisions whose template is kept in a ControllerRevision."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    delivered: frozenset[str] = frozenset()
    commands: Mapping[str, str] = field(default_factory=dict)
    """Command name (abort, retry, promote, pause) to its value; see api/names.py."""
    providers: tuple[str, ...] | None = None
    """Sentences about metric providers that are not there; None while not asked yet."""
    problems: tuple[str, ...] = ()
    """Why this Canary cannot be released as it is written, one sentence each: refused before anything is touched."""
    warnings: tuple[str, ...] = ()
    storm: str = ""
    """Set when pods of the last promoted template fail the same way: stops the verdict, not the deadline."""
    supports_weights: bool = True
    """False for provider kubernetes: no split, blue/green by Services only."""
    supports_mirror: bool = False
