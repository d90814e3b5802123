"""Effects: what is to be done, as values. The controller maps each to one function (controller/executor.py).

Every effect says how things should *be*, or carries a key; doing one twice changes nothing. They are carried out in order, after
the status was written; the first that fails ends the round, and the next round asks for what is still missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flaggerpy.api.canary import Metric, Webhook
from flaggerpy.rollout.facts import Split


@dataclass(frozen=True)
class EnsureServices:
    """`<apex>-primary` and `<apex>-canary` as the spec wants them; with `apex`, also the apex Service on the primary."""

    apex: bool


@dataclass(frozen=True)
class KeepRevision:
    """Store the target's present template, which must be of this revision, with its configs' checksums."""

    revision: str


@dataclass(frozen=True)
class ForgetRevisions:
    """Remove kept templates but for those of these revisions, and config copies but for those of `configs_of`.

    An earlier template is analysed with the configs of that day, so that old copies, of secrets too, need not lie about for it.
    """

    but: tuple[str, ...]
    configs_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnsurePrimary:
    """The primary runs the kept template of `revision`, with the config copies of that revision written before.

    `run_id` becomes the template's `flagger-id`. `replicas` None keeps the primary's size.
    """

    revision: str
    run_id: str
    replicas: int | None = None


@dataclass(frozen=True)
class ScaleTarget:
    """The target has this many replicas."""

    replicas: int


@dataclass(frozen=True)
class ScalePrimary:
    """The primary has this many replicas; what its autoscaler makes of that is its own affair."""

    replicas: int


@dataclass(frozen=True)
class EnsureScaler:
    """The primary's autoscaler stands, with this floor (pods; None: with its own bounds only).

    `follow`: it is a copy of the target's autoscaler as that stands now; else it stays what it was, but for the floor.
    """

    floor: int | None
    follow: bool


@dataclass(frozen=True)
class HoldScaler:
    """The target's autoscaler is held at zero pods, or let go: a pause of KEDA's, which is all that is ever written of it."""

    paused: bool


@dataclass(frozen=True)
class RestoreTarget:
    """The target has the kept template of that revision; refused when it changed since it was looked at."""

    revision: str


@dataclass(frozen=True)
class SetSplit:
    """The route exists in the shape that the spec asks and carries this split. `cookies` is the run's cookie value base."""

    split: Split
    run_id: str = ""


@dataclass(frozen=True)
class AnnounceBackends:
    """A route of the user names our backends beside its own; else it stays as it is (`router.announce`).

    All weight stays with its own, or with `lead` is with the primary.
    """

    lead: bool = False


@dataclass(frozen=True)
class AskHook:
    """Call a webhook with this phase in the payload; at most one call per key at a time, the answer comes as a fact."""

    key: str
    hook: Webhook
    phase: str
    idempotency_key: str
    every: float | None = None
    """Ask again after that many seconds (gates, rollback hooks); None: once per key."""


@dataclass(frozen=True)
class Measure:
    """Evaluate a metric; the measurement comes as a fact under this key."""

    key: str
    metric: Metric


@dataclass(frozen=True)
class CheckProviders:
    """Ask all metric providers of the analysis whether they are there (`Facts.providers`)."""


@dataclass(frozen=True)
class CheckImages:
    """Ask the registries of the target's images whether they can be pulled; the answers come as facts under this key."""

    key: str


@dataclass(frozen=True)
class Deliver:
    """Send an outbox item: an alert to the providers, or the post-rollout hooks in order."""

    id: str


@dataclass(frozen=True)
class RecordEvent:
    """A Kubernetes event on the Canary, and a call of the event webhooks. Texts are Flagger's where it has one."""

    type: Literal["Normal", "Warning"]
    message: str
    phase: str
    reason: str = "Synced"


@dataclass(frozen=True)
class AddFinalizer:
    """Put Flagger's finalizer on the Canary."""


@dataclass(frozen=True)
class RemoveFinalizer:
    """Take Flagger's finalizer off the Canary."""


@dataclass(frozen=True)
class ClearCommand:
    """Take the annotation of a command off the Canary, as it was carried out or refused."""

    name: str


@dataclass(frozen=True)
class RestoreRouting:
    """On deletion with revert, a step on the way back to the target (`routers.wayback`): its apex Service, or its route.

    `lenient`: what cannot be written is logged and passed over.
    """

    step: Literal["apex", "announce", "lead", "end"]
    lenient: bool = False


@dataclass(frozen=True)
class LeaveBehind:
    """What carries traffic stays when the Canary goes, owned by nobody: the apex Service and the route that we made.

    They go where the target is gone. With `primary` the primary stays as well, its config copies, its Services and all that leads to it,
    as they are. What is the user's bears no mark of ours any more.
    """

    primary: bool


@dataclass(frozen=True)
class CountRelease:
    """The exported counters of ended releases."""

    success: bool
    skipped: bool


Effect = (
    EnsureServices
    | KeepRevision
    | ForgetRevisions
    | EnsurePrimary
    | ScaleTarget
    | ScalePrimary
    | EnsureScaler
    | HoldScaler
    | RestoreTarget
    | SetSplit
    | AnnounceBackends
    | AskHook
    | Measure
    | CheckProviders
    | CheckImages
    | Deliver
    | RecordEvent
    | AddFinalizer
    | RemoveFinalizer
    | ClearCommand
    | RestoreRouting
    | LeaveBehind
    | CountRelease
)
