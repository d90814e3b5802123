"""Workloads and their pods as values: what the targets read out of the cluster's objects, and what the rollout looks at.

They stand here, below both rooms, so that `targets` need not know `rollout`; `rollout.facts` hands them on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    pulling: frozenset[str] = frozenset()
    """Containers whose image is being pulled, as the kubelet's newest event about them says."""
    pull_secrets: tuple[str, ...] = ()
    """The names in imagePullSecrets, those of the service account included."""


@dataclass(frozen=True)
class WorkloadFacts:
    """A workload that is released, or its primary, with the pods of its present template.

    `replicas` is how many pods are wanted, 0 exactly where it is scaled to zero. `revision` is a short name of the template, ""
    while the workload's controller has not taken it up (see `targets`). `available`, `ready` count the pods of this revision only;
    `old` the pods of other revisions still there. `fresh` is False while the controller of the workload has not observed a newest
    generation that asks for other pods, or another number of them.
    """

    name: str
    replicas: int
    revision: str
    fresh: bool
    word: str = "deployment"
    """What sentences call it."""
    created: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    old: int = 0
    serving: int | None = None
    """Ready pods of all revisions: those that its Service leads to. None: as many as are ready of the present one."""
    revision_born: float = 0.0
    """When the present template was taken up first (epoch seconds); 0 where that is not known."""
    images: tuple[str, ...] = ()
    pods: tuple[PodFacts, ...] = ()
    pods_known: bool = True
    """False while the pods' watch has not synced."""
    pod_creation_error: str = ""
    """Why no pod can be made: quota, admission, no node that matches."""
    flagger_id: str = ""
    """The pod template's `flagger-id` annotation (set on primaries)."""
    source_revision: str = ""
    """On a primary: which revision of the target its template was taken from (annotation, ours)."""
    owned: bool = True
    """On a primary: it belongs to its Canary and goes with it. One that an earlier Canary left behind has to be had again."""
    problem: str = ""
    """Why the workload cannot be released at all, as a sentence; "" when it can."""
