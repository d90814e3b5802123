"""`status` of a Canary: Flagger's fields, ours for people (progress, podFailures, history) and the run's own memory.

All memory of a release is here: a controller that starts anew reads it and goes on. Times are RFC 3339 texts to the second in
Flagger's fields and epoch seconds (the API server's clock) within `run`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from flaggerpy.api.canary import Model


class Phase(StrEnum):
    """Where a release stands; the texts are Flagger's."""

    NONE = ""
    INITIALIZING = "Initializing"
    INITIALIZED = "Initialized"
    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    WAITING_PROMOTION = "WaitingPromotion"
    PROMOTING = "Promoting"
    FINALISING = "Finalising"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    TERMINATING = "Terminating"
    TERMINATED = "Terminated"


HASHED = {"lastAppliedSpec": "last_applied_spec", "lastPromotedSpec": "last_promoted_spec"}
"""The fields in which Flagger's hashes stand until the target of a Canary that was taken over changes."""
UNSEEN = -1
"""observedGeneration of a Canary that no controller has looked at, by default of the CRD: without it a new one is Current by kstatus."""
IDLE = frozenset({Phase.INITIALIZED, Phase.SUCCEEDED, Phase.FAILED})


class Condition(Model):
    """A condition by the Kubernetes API conventions."""

    type: str
    """Promoted, Ready, Reconciling or Stalled."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: str
    """The cause in one CamelCase word."""
    message: str = ""
    """The cause as a sentence."""
    last_update_time: str | None = None
    """When the condition was last written."""
    last_transition_time: str | None = None
    """When the status last changed."""
    observed_generation: int | None = None
    """The generation of the Canary that the condition speaks of."""


class Progress(Model):
    """What is waited for: the sentence, since and until when (RFC 3339), what happens then, what a person can do."""

    waiting_for: str
    """What is waited for."""
    since: str | None = None
    """Since when."""
    until: str | None = None
    """Until when at the latest."""
    then: str | None = None
    """What happens when the time is over."""
    advice: str | None = None
    """What a person can do."""


class PodFailure(Model):
    """One container of one pod that fails, and what that means."""

    pod: str
    """Name of the pod."""
    container: str
    """Name of the container."""
    reason: str
    """The kubelet's reason, such as ImagePullBackOff."""
    message: str = ""
    """The kubelet's message."""
    diagnosis: str = ""
    """What that means, and what to do."""


class Order(Model):
    """A command of a person that the controller took up."""

    command: Literal["abort", "retry", "promote", "skip", "rollback-to", "pause", "resume"]
    """Which command."""
    by: str = ""
    """Who wrote it, as far as the API server tells: the field manager of the annotation; "" where that is not known."""
    at: str
    """When it was written; when it was taken up, where that is not known."""
    detail: str = ""
    """What it was about: the step that was skipped, the revision that was left."""


class MetricValues(Model):
    """What one metric said in each step of a release."""

    name: str
    """Name of the metric."""
    values: list[float | None] = Field(default=[], max_length=20)
    """The last value of each step, in the metric's unit; null where there was none."""


class Measured(Model):
    """The last values of the metrics in each step: a column per step, at most 20 of them."""

    steps: list[str] = Field(default=[], max_length=20)
    """The steps: a weight (20%), an iteration (#3), or mirror."""
    metrics: list[MetricValues] = Field(default=[], max_length=8)
    """The metrics, at most eight."""


class HistoryEntry(Model):
    """One release that ended."""

    revision: str
    """pod-template-hash of the revision."""
    attempt: int = 1
    """Which run of the revision it was; 0 for the first start."""
    images: list[str] = []
    """Images of the revision."""
    started: str
    """When the release began."""
    ended: str
    """When it ended."""
    outcome: Literal["Initialized", "Succeeded", "Failed", "Aborted", "Superseded"]
    """How it ended."""
    cause: str = ""
    """Why it ended so."""
    forced: bool = False
    """A person promoted it without waiting for the analysis."""
    orders: list[Order] = Field(default=[], max_length=8)
    """The last commands of people in it."""
    measured: Measured | None = None
    """What its metrics said."""


class Reverting(Model):
    """A target that is given an earlier template back, by order of a person."""

    revision: str
    """The revision that it is to have."""
    before: str
    """The revision that it had when the order came."""
    by: str = ""
    """Who gave the order, as far as the API server tells."""
    at: str
    """When the order was given."""


class OutboxItem(Model):
    """A message that must leave once the phase was written: an alert, or a post-rollout hook."""

    id: str
    kind: Literal["alert", "post-rollout"]
    phase: str
    severity: Literal["info", "warn", "error"] = "info"
    message: str = ""
    with_facts: bool = False


class DeadlineState(Model):
    """Memory of the progress deadline: see `rollout/deadline.py`. Times in epoch seconds."""

    max_available: int = 0
    max_desired: int = 0
    advanced_at: float = 0.0
    complete_since: float | None = None
    paused: float = 0.0
    paused_since: float | None = None


class FailureState(Model):
    """Memory of one failure of one container: see `rollout/podhealth.py`. Times in epoch seconds."""

    pod: str
    container: str
    kind: Literal["certain", "doubtful", "waiting", "crash"]
    reason: str
    message: str = ""
    first_seen: float
    base_restarts: int = 0
    clean_exits: int = 0
    seen_ends: int = 0
    """How many ends of the container were looked at already, so that none is counted twice."""
    node: str = ""


class RunState(Model):
    """Memory of the run under way; None of it is meant for people. Times in epoch seconds.

    `id` is derived from Canary uid, revision and attempt: flagger-id, cookies and idempotency keys come from it.
    """

    id: str
    revision: str
    attempt: int = 1
    images: list[str] = []
    started_at: float = 0.0
    progressing_at: float | None = None
    analysed_at: float | None = None
    """When the weight of the present step was seen in the route and accepted: from here the interval counts."""
    step_ready_pods: int = 0
    carried_weight: bool = False
    announced_since: float | None = None
    """When a route of the user was seen to be accepted as we changed it last, on its way to be taken over."""
    settled_since: float | None = None
    settled: bool = False
    settled_restarts: int = 0
    relapses: int = 0
    cut: int | None = None
    """The weight in force when pods were lost: below `canaryWeight`; None when nothing is cut."""
    pre_rollout_done: bool = False
    gates_passed: list[str] = []
    promotion_gate_open: bool = False
    closed_gate: str = ""
    """Type and name of the gate that holds this step; it is asked again with each round."""
    gate_closed_at: float | None = None
    mirrored: bool = False
    routed_to_canary: bool = False
    primary_id: str = ""
    """The primary's flagger-id before the promotion: a template is the old one only with it, and its pods need not be made anew."""
    primary_weight_step_at: float | None = None
    drain_since: float | None = None
    drained: bool = False
    replicas: int | None = None
    """Desired size of the canary in this run."""
    floor: int | None = None
    """Pods that the primary's autoscaler keeps in this run, at least: what carried all traffic before it, and what the demand grew to."""
    demand: int = 0
    """Pods that all traffic was seen to need in this run."""
    capacity: int = 0
    """Pods that the canary was made for, at its present weight or the one that comes next: no sign that the demand has grown."""
    capacity_since: float | None = None
    """Since when this step asks for pods that the target's autoscaler takes away again."""
    deadline: DeadlineState | None = None
    primary_deadline: DeadlineState | None = None
    failures: list[FailureState] = []
    primary_failures: list[FailureState] = []
    verdict: str | None = None
    """The cause of the rollback under way; None while the run may still pass."""
    verdict_severity: Literal["warn", "error"] = "error"
    outcome: Literal["Failed", "Aborted", "Superseded"] | None = None
    forced: bool = False
    skip: bool = False
    """A person ordered the next step without what is left of the wait for it."""
    paused: bool = False
    """A person holds the run, and this was told."""
    orders: list[Order] = []
    measured: Measured | None = None
    undo_promotion: bool = False
    """Promotion failed: the primary is getting its last promoted template back."""
    no_data_at: float | None = None
    unmeasured_since: float | None = None
    step: str = ""
    """The step that the run is in, for its trace; written only where traces are on."""
    step_since: float | None = None
    asked_round: int = 0
    """Number of the analysis round: part of the key of every hook and measurement of it."""


class FlaggerHash(Model):
    """Flagger's hash of a revision."""

    revision: str
    """Our name of the revision."""
    hash: str
    """Flagger's."""


class CanaryStatus(Model):
    """`status` as it is stored. Absent numbers read as 0, like Flagger's."""

    phase: Phase = Phase.NONE
    """Where the release stands."""
    failed_checks: int = 0
    """Failed checks of this run; analysis.threshold of them roll it back."""
    canary_weight: int = 0
    """Percentage of the traffic that goes to the canary."""
    iterations: int = 0
    """Checks that passed in this run (blue/green and A/B)."""
    tracked_configs: dict[str, str] | None = None
    """Checksums of the ConfigMaps and Secrets that the target uses."""
    last_applied_spec: str = ""
    """Hash of the revision that was last seen."""
    last_promoted_spec: str = ""
    """Hash of the revision that was last promoted."""
    session_affinity_cookie: str | None = None
    """The run's cookie that leads to the canary."""
    primary_session_affinity_cookie: str | None = None
    """The run's cookie that leads to the primary."""
    previous_session_affinity_cookie: str | None = None
    """The last run's cookie, which is being expired."""
    last_transition_time: str | None = None
    """When the status was last written."""
    conditions: list[Condition] = []
    """Promoted, Ready, Reconciling and Stalled."""
    observed_generation: int | None = None
    """The generation of the Canary that the status speaks of."""
    progress: Progress | None = None
    """What is waited for."""
    pod_failures: list[PodFailure] = []
    """Containers that fail now, at most ten."""
    history: list[HistoryEntry] = Field(default=[], max_length=10)
    """The last ten releases, newest first."""
    flagger_applied: FlaggerHash | None = None
    """Of a Canary that was taken over from Flagger: which revision the hash in lastAppliedSpec stands for (ours)."""
    flagger_promoted: FlaggerHash | None = None
    """The same for lastPromotedSpec (ours)."""
    promoted_configs: dict[str, str] | None = None
    """Checksums of the tracked configs that the primary runs with (ours)."""
    promoted_images: list[str] = []
    """Images of the last promoted revision."""
    applied_images: list[str] = []
    """Images of the revision that was last seen."""
    promoted_revisions: list[str] = Field(default=[], max_length=5)
    """The last promoted revisions whose templates are kept, newest first: `flaggerpy rollback-to` takes them (ours)."""
    reverting: Reverting | None = None
    """An earlier template that the target is being given back, by order of a person (ours)."""
    resizing: int | None = None
    """Internal: the size that somebody gave an idle target, on its way to the primary."""
    floor_since: str | None = None
    """Internal: since when the floor of the primary's autoscaler outlives its run."""
    run: RunState | None = None
    """Internal: the controller's memory of the run under way."""
    outbox: list[OutboxItem] = []
    """Internal: messages that must still leave."""

    def to_obj(self) -> dict[str, Any]:
        """The dict to store: Flagger's three numbers always, everything else only when set."""
        obj: dict[str, Any] = self.model_dump(by_alias=True, mode="json", exclude_none=True, exclude_defaults=True)
        obj |= {"phase": str(self.phase), "failedChecks": self.failed_checks, "canaryWeight": self.canary_weight}
        obj["iterations"] = self.iterations
        applied, promoted = self.flagger_applied, self.flagger_promoted
        if applied is not None and applied.revision != self.last_applied_spec:
            applied = None
            del obj["flaggerApplied"]
        if promoted is not None and promoted.revision not in (self.last_applied_spec, self.last_promoted_spec):
            promoted = None
            del obj["flaggerPromoted"]
        for name, known in zip(HASHED, ((applied, promoted), (promoted, applied)), strict=True):
            revision = getattr(self, HASHED[name])
            theirs = next((each.hash for each in known if each is not None and each.revision == revision), None)
            if theirs is not None:
                obj[name] = theirs
        return obj


def parse_status(obj: Mapping[str, Any]) -> CanaryStatus:
    """The typed status of a Canary object. Raises pydantic.ValidationError when somebody wrote what cannot be read."""
    stored = obj.get("status") or {}
    status = CanaryStatus.model_validate(stored)
    applied, promoted = status.flagger_applied, status.flagger_promoted
    for name, known in zip(HASHED.values(), ((applied, promoted), (promoted, applied)), strict=True):
        theirs = getattr(status, name)
        ours = next((each.revision for each in known if each is not None and each.hash == theirs), theirs)
        if ours != theirs:
            status = status.model_copy(update={name: ours})
    return status


LATEST = 253_402_300_799.0
"""9999-12-31T23:59:59Z in epoch seconds."""


def timestamp(seconds: float) -> str:
    """RFC 3339 text, whole seconds, UTC, of epoch seconds; what is later than the text can tell (a deadline of 10^12 s) is its latest."""
    return datetime.fromtimestamp(int(max(0.0, min(seconds, LATEST))), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_timestamp(text: str) -> float:
    """Epoch seconds of an RFC 3339 text. Raises ValueError when it is none."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
