"""How a container of a new pod fares in the model, in the kubelet's own words: a function from the pod's age to its status. Pure.

The texts are such as Kubernetes 1.34 with containerd reports; the real diagnosis (`rollout/diagnosis.py`) reads them as it would there.
Ages in seconds since the pod was made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flaggerpy.rollout.facts import ContainerFacts

STARTED = 1.0
"""Age at which a container is pulled and started, or the first attempt fails."""
PULL_BACKOFF = 4.0
"""Age from which the kubelet tells of the back-off instead of the failed pull."""

Fate = Callable[[ContainerFacts, float], ContainerFacts]
"""From a container with its name, role and image, and the age of its pod, to what the kubelet reports of it."""


def creating(container: ContainerFacts) -> ContainerFacts:
    """Before anything has happened to it."""
    return replace(container, state="waiting", reason="ContainerCreating")


def runs(ready_after: float | None) -> Fate:
    """It starts, and is ready at that age; None: never."""

    def fate(container: ContainerFacts, age: float) -> ContainerFacts:
        if age < STARTED:
            return creating(container)
        ready = ready_after is not None and age >= ready_after
        return replace(container, state="running", started=True, ready=ready)

    return fate


@dataclass(frozen=True)
class Waits:
    """It never runs: a reason with a message, which may hold {image}, {name}, {host} and {tag}. After a while a pull is a back-off."""

    reason: str
    message: str

    def __call__(self, container: ContainerFacts, age: float) -> ContainerFacts:
        if age < STARTED:
            return creating(container)
        image = container.image
        message = self.message.format(image=image, name=container.name, host=image.partition("/")[0], tag=image.rpartition(":")[2])
        if self.reason == "ErrImagePull" and age >= PULL_BACKOFF:
            return replace(container, state="waiting", reason="ImagePullBackOff", message=f'Back-off pulling image "{image}"')
        return replace(container, state="waiting", reason=self.reason, message=message)


@dataclass(frozen=True)
class Crashes:
    """It starts, runs for `lives` seconds and ends with `code`; the kubelet starts it again after 0, 10, 20, 40 .. 300 s."""

    code: int
    reason: str = "Error"
    lives: float = 1.0

    def __call__(self, container: ContainerFacts, age: float) -> ContainerFacts:
        if age < STARTED:
            return creating(container)
        begins, pause, ends = STARTED, 0.0, 0
        while age >= begins + self.lives + pause:
            begins += self.lives + pause
            ends += 1
            pause = min(max(10.0, pause * 2), 300.0)
        if ends:
            container = replace(container, last_reason=self.reason, last_exit_code=self.code)
        container = replace(container, restarts=ends, started=True)
        if age < begins + self.lives:
            return replace(container, state="running")
        if pause == 0.0:
            return replace(container, state="terminated", reason=self.reason, exit_code=self.code)
        back_off = f"back-off {pause:g}s restarting failed container={container.name}"
        return replace(
            container, state="waiting", reason="CrashLoopBackOff", message=back_off, last_reason=self.reason, last_exit_code=self.code
        )  # fmt: skip


def heals(fate: Fate, after: float, healthy: Fate) -> Fate:
    """The first fate until that age, then the other one, counted from there."""

    def later(container: ContainerFacts, age: float) -> ContainerFacts:
        if age < after:
            return fate(container, age)
        before = fate(container, after)
        ended = before.state != "running" and before.last_exit_code is not None
        return replace(
            healthy(container, age - after + STARTED), restarts=before.restarts + ended, last_reason=before.last_reason,
            last_exit_code=before.last_exit_code,
        )  # fmt: skip

    return later
