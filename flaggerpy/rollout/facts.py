"""Facts: what is true now, as values. The controller gathers them from its caches; `decide` looks at nothing else.

`UNKNOWN` means that it could not be read or that the cache lags behind our own write: unknown is never taken for changed or absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from flaggerpy.api.images import ImageAnswer as ImageAnswer
from flaggerpy.api.scalers import ScalerFacts as ScalerFacts
from flaggerpy.api.workloads import ContainerFacts as ContainerFacts
from flaggerpy.api.workloads import PodFacts as PodFacts
from flaggerpy.api.workloads import WorkloadFacts as WorkloadFacts


class Unknown(Enum):
    """The one value of "could not be told"."""

    UNKNOWN = "unknown"


UNKNOWN: Final = Unknown.UNKNOWN


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
    foreign: bool = False
    """A route of that name exists that is not ours and names backends that are not ours: traffic may go through it to them."""
    announced: bool = True
    """A foreign route names our backends beside its own (`effects.AnnounceBackends`), or cannot be made to."""
    leads: bool = True
    """A foreign route leads to the primary, and names its own backends with weight 0, or cannot be made to."""


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
class Giver:
    """Who wrote a command, as far as the API server tells: the field manager of the annotation, and the second (epoch) of its write."""

    by: str
    at: float


@dataclass(frozen=True)
class Found:
    """Which revision of the target the primary runs, by a comparison of templates: of a primary that Flagger made.

    `configs` are the checksums of the primary's copies by `configmap/x` or `secret/x`, None when tracking is off.
    """

    revision: str
    images: tuple[str, ...] = ()
    configs: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Facts:
    """Everything that a decision looks at, but for the Canary and its status.

    `answers`, `measurements` and `images` are keyed as the effects that asked for them (`AskHook.key`, `Measure.key`, `CheckImages.key`).
    `delivered` holds the ids of outbox items that have left. `commands` are a person's wishes that were read off the object.
    """

    target: WorkloadFacts | Unknown | None = UNKNOWN
    primary: WorkloadFacts | Unknown | None = UNKNOWN
    scaler: ScalerFacts | Unknown | None = None
    """The autoscaler that `autoscalerRef` names, None where it names none."""
    configs: Mapping[str, str] | Unknown | None = None
    """Checksums of the tracked ConfigMaps and Secrets of the target, None when tracking is off."""
    config_problem: str = ""
    primary_stale: bool = False
    """The primary is not as its revision wants it: a followed config has changed, or somebody edited its template."""
    services_ready: bool = True
    """The generated Services exist in the wanted shape (the apex apart)."""
    apex_ready: bool = True
    """The apex Service selects the primary."""
    apex_exists: bool = True
    apex_back: bool = True
    """Of a Canary that is being deleted: the apex Service leads to what it led to before the Canary, or is gone."""
    route: RouteFacts | Unknown = UNKNOWN
    route_back: Literal["", "announce", "lead", "end"] = ""
    """Of a Canary that is being deleted: the next step of its route on the way back (`routers.wayback`), "" at its end or without one."""
    kept: frozenset[str] | Unknown = frozenset()
    """Revisions whose template is kept in a ControllerRevision."""
    found: Found | Unknown | None = None
    """What Flagger's primary runs; None where it is ours, or its template is kept, or nothing equals it."""
    quiet_since: float = 0.0
    """Since when (epoch seconds) no write of Flagger was seen around this Canary; our start at the latest."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    images: Mapping[str, tuple[ImageAnswer, ...]] = field(default_factory=dict)
    """What the registries said, by `CheckImages.key`: one answer for each container."""
    delivered: frozenset[str] = frozenset()
    commands: Mapping[str, str] = field(default_factory=dict)
    """Command name to its value; see `api.names.COMMANDS`."""
    givers: Mapping[str, Giver] = field(default_factory=dict)
    """Who gave those commands, where that is known."""
    providers: tuple[str, ...] | None = None
    """Sentences about metric providers that are not there; None while not asked yet."""
    problems: tuple[str, ...] = ()
    """Why this Canary cannot be released as it is written, one sentence each: refused before anything is touched."""
    warnings: tuple[str, ...] = ()
    alerts_wanted: bool = True
    """False where an alert would reach nobody: the Canary names no provider, and the controller has no notifier of its own."""
    supports_weights: bool = True
    """False for provider kubernetes: no split, blue/green by Services only."""
    supports_mirror: bool = False
