"""Workloads of the model world: a Deployment with pods that behave by their revision, and the autoscaler that sizes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flaggerpy.rollout.facts import ContainerFacts, PodFacts, WorkloadFacts

STARTUP = 1.0
SYNC = 15.0
"""Seconds after which an autoscaler follows the load: the period of an HPA."""


@dataclass(frozen=True)
class Behaviour:
    """How the pods of a revision fare. `ready_after` in seconds, None: never ready. `crash_every` seconds the container exits 1."""

    ready_after: float | None = STARTUP
    waiting_reason: str = ""
    waiting_message: str = ""
    crash_every: float | None = None

    def is_ready(self, age: float) -> bool:
        """Whether a pod of that age (seconds) answers its readiness probe."""
        if self.ready_after is None:
            return False
        return (age if self.crash_every is None else age % self.crash_every) >= self.ready_after

    def pod_facts(self, pod: Pod, ready: bool, now: float) -> PodFacts:
        """What is seen of such a pod."""
        restarts = int((now - pod.born) // self.crash_every) if self.crash_every else 0
        container = ContainerFacts(
            name="app",
            image=f"r/app:{pod.revision}",
            state="waiting" if self.waiting_reason else "running",
            reason=self.waiting_reason,
            message=self.waiting_message,
            ready=ready,
            started=True,
            restarts=restarts,
            last_reason="Error" if restarts else "",
            last_exit_code=1 if restarts else None,
        )
        return PodFacts(name=pod.name, node="n1", phase="Running", ready=ready, created=pod.born, containers=(container,))


GOOD = Behaviour()
MISSING_IMAGE = Behaviour(
    ready_after=None,
    waiting_reason="ErrImagePull",
    waiting_message='rpc error: code = NotFound desc = failed to pull and unpack image "r/app:x": failed to resolve reference "r/app:x": '
    "r/app:x: not found",
)
NEVER_READY = Behaviour(ready_after=None)


@dataclass
class Pod:
    revision: str
    born: float
    name: str
    flagger_id: str = ""
    lost: bool = False


@dataclass(frozen=True)
class Autoscaler:
    """The target's autoscaler and the primary's: both size their side by its share of a `demand`, in pods.

    `pauses`: it scales a target up from zero unless it is paused (KEDA). `problem`: why it cannot be followed, as when it is gone. `twin`,
    `floor`, `sound` (nobody spoiled it) and `follows` (it says what the target's says) are the primary's.
    """

    demand: int = 3
    least: int = 1
    most: int = 4
    pauses: bool = False
    paused: bool = False
    problem: str = ""
    twin: bool = False
    floor: int | None = None
    sound: bool = True
    follows: bool = True


@dataclass
class Side:
    """A Deployment with its pods. `missized` is since when its autoscaler sees another size than its load asks for."""

    name: str
    replicas: int
    template: str
    pods: list[Pod] = field(default_factory=list)
    flagger_id: str = ""
    source_revision: str = ""
    counter: int = 0
    missized: float | None = None

    @property
    def mine(self) -> list[Pod]:
        """The pods of the present template."""
        return [pod for pod in self.pods if pod.revision == self.template]

    def roll(self, now: float, is_ready: Callable[[Pod], bool]) -> None:
        """What the deployment controller does: pods for the template, old ones gone once the new are ready."""
        mine = self.mine
        old = [pod for pod in self.pods if pod.revision != self.template]
        del mine[self.replicas :]
        while len(mine) < self.replicas:
            self.counter += 1
            mine.append(Pod(self.template, now, f"{self.name}-{self.template}-{self.counter}", self.flagger_id))
        if self.replicas == 0 or sum(map(is_ready, mine)) >= self.replicas:
            old = []
        self.pods = mine + old

    def follow_load(self, scaler: Autoscaler, share: int, least: int, now: float) -> None:
        """What its autoscaler does with that share (percent) of the demand, `SYNC` seconds after it changed."""
        wanted = min(max(-(-scaler.demand * share // 100), least), scaler.most)
        if self.replicas == wanted:
            self.missized = None
        elif self.missized is None:
            self.missized = now
        elif now >= self.missized + SYNC - 1e-6:
            self.replicas, self.missized = wanted, None

    def facts(self, born: float, is_ready: Callable[[Pod], bool], seen: Callable[[Pod], PodFacts]) -> WorkloadFacts:
        """What is seen of it. `born` is when the ReplicaSet of its template was made; `seen` tells of a pod."""
        mine = self.mine
        ready = sum(map(is_ready, mine))
        return WorkloadFacts(
            name=self.name,
            replicas=self.replicas,
            revision=self.template,
            revision_born=born,
            fresh=True,
            created=len(mine),
            updated=len(mine),
            ready=ready,
            available=ready,
            old=len(self.pods) - len(mine),
            serving=sum(map(is_ready, self.pods)),
            images=(f"r/app:{self.template}",),
            pods=tuple(map(seen, mine)),
            flagger_id=self.flagger_id,
            source_revision=self.source_revision,
        )
