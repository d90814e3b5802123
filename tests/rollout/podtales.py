"""What becomes of pods, look by look, drawn by number: kept as a mark of all that is thought of them (see longtales.py).

`python -m tests.rollout.podtales 17` tells the one of that number; without a number it writes all marks anew.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from typing import Literal

from flaggerpy.api.canary import PodHealth
from flaggerpy.api.status import FailureState
from flaggerpy.rollout.facts import ContainerFacts, PodFacts
from flaggerpy.rollout.podhealth import Health, judge, judge_creation, storm
from tests.rollout import kubelet
from tests.rollout.telling import STORIES, keep

NUMBERS = range(200)
LOOKS = 10
PAUSES = (0.0, 0.1, 1.0, 4.9, 5.0, 25.0, 30.0, 300.0, 599.0, 600.0, 601.0)
EVENTS = (
    ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"), ("NodeNotReady", "Node is not ready"),
    ("Unhealthy", "Startup probe failed: dial tcp 10.0.0.1:80: connect: connection refused"), ("Unhealthy", "Liveness probe failed: no"),
    ("Other", "Unable to retrieve some image pull secrets (registry); attempting to pull"),
    ("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "c" not found'),
    ("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets (registry); attempting to pull"),
    ("Scheduled", "Successfully assigned"),
)  # fmt: skip
Role = Literal["main", "sidecar", "init"]
ASIDE: tuple[Role, ...] = ("main", "sidecar")
ROWS = (*kubelet.ROWS, *kubelet.OTHER_ROWS)
LONG = "ÿ🔥" * 200


def _container(chance: random.Random, name: str, before: ContainerFacts | None) -> ContainerFacts:
    """As it was, or another thing that may be the matter with it; restarts never fall."""
    if before is not None and chance.random() < 0.5:
        return before
    restarts = (before.restarts if before else 0) + chance.choice((0, 0, 1, 1, 2))
    row, code = chance.choice(ROWS), chance.choice((0, 0, 1, 1, 2, 137, 143))
    last = chance.choice((None, 0, 1, 137)) if restarts else None
    made = chance.choice((
        kubelet.running(name, restarts, last), kubelet.running(name, restarts, last, ready=False),
        kubelet.running(name, restarts, last, last_reason=""), kubelet.ended(code, name, restarts, last),
        kubelet.ended(code, name, restarts, last, reason=chance.choice(("", "OOMKilled", "StartError", "ContainerCannotRun"))),
        kubelet.backed_off(code, name, restarts + 1), kubelet.backed_off(1, name, restarts + 1, last_reason="StartError"),
        kubelet.backed_off(1, name, restarts + 1, last_exit_code=None), kubelet.waiting(row.reason, row.message, name, restarts=restarts),
        kubelet.waiting(row.reason, row.message, name, restarts=restarts, last_exit_code=1), 
        kubelet.ended(1, name, restarts, last, reason="StartError", message=row.message),
        *(kubelet.waiting(reason, "", name) for reason in ("", "ContainerCreating", "ContainerCreating", "PodInitializing")),
        kubelet.waiting(row.reason, f"{row.message} {LONG}", name), kubelet.waiting("R" * 70, LONG, name),
    ))  # fmt: skip
    image = chance.choice((kubelet.IMAGE, kubelet.IMAGE, "podinfo", "registry.example.com/podinfo@sha256:aa", ""))
    return replace(made, image=image) if before is None else replace(made, role=before.role, image=before.image)


def _pod(chance: random.Random, number: int, before: PodFacts | None) -> PodFacts:
    if before is not None and chance.random() < 0.1:
        before = None  # a new pod in its place
        number += 10
    if before is None:
        names = ("podinfo", "proxy", "init")[: chance.choice((0, 1, 1, 1, 2, 2, 3, 3))]
        made = [_container(chance, name, None) for name in names]
        roles: tuple[Role, Role, Role] = ("main", chance.choice(ASIDE), "init")
        containers = tuple(replace(each, role=role) for each, role in zip(made, roles, strict=False))
        name, node = f"podinfo-{number}{chance.choice(('', '', 'p' * 200))}", f"node-{chance.choice((1, 1, 2))}"
        return kubelet.pod(*containers, name=name, node=node, pull_secrets=chance.choice(((), ("registry",), ("a", "b"))))
    containers = tuple(_container(chance, each.name, each) for each in before.containers)
    ended = chance.random() < 0.08
    made_ready = {"ready": False} if chance.random() < 0.1 else {}
    return kubelet.pod(
        *containers, **made_ready, name=before.name, node=before.node, pull_secrets=before.pull_secrets,
        phase="Failed" if ended else "Running", reason=chance.choice(("", "Evicted", "NodeShutdown", "Preempting")) if ended else "",
        message="why it ended" if ended else "", terminating=chance.random() < 0.05,
        events=tuple(chance.sample(EVENTS, chance.choice((0, 0, 1, 2)))),
        probe_kills=frozenset({"podinfo"}) if chance.random() < 0.15 else frozenset(),
        pulling=frozenset({"podinfo", "proxy"}) if chance.random() < 0.3 else frozenset(),
        unschedulable="0/3 nodes are available: 3 Insufficient cpu." if chance.random() < 0.08 else "",
    )  # fmt: skip


def tale(number: int) -> Iterator[tuple[Health, str]]:
    """The same for the same number: what is thought of the pods at each look, and whether those of before fail in the same way."""
    chance = random.Random(number)
    policy = PodHealth(
        enabled=chance.random() < 0.95, max_restarts=chance.choice((0, 1, 2, 2, 5)), certain_grace=chance.choice(("5s", "5s", "0s", "1m")),
        ignored_containers=chance.choice(([], [], ["proxy"])),
    )  # fmt: skip
    threshold, desired, namespace = chance.choice((100, 100, 50, 0)), chance.choice((0, 0, 1, 2, 4)), chance.choice(("", "shop"))
    pods: list[PodFacts | None] = [None] * chance.choice((1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 6, 6, 40))
    memory: list[FailureState] = []
    now = 1000.0
    for _ in range(LOOKS):
        pods = [_pod(chance, at, known) for at, known in enumerate(pods)]
        present = [pod for pod in pods if pod is not None]
        found = judge(present, memory, policy, now=now, ready_threshold=threshold, desired=desired, namespace=namespace)
        memory = found.failures
        half = len(present) // 2
        yield found, storm(present[:half], present[half:], policy)
        now += chance.choice(PAUSES)


def mark(number: int) -> str:
    """One line: a mark of all of it."""
    digest = sha256()
    for found, same in tale(number):
        digest.update(f"{found} {same}".encode())
    for error in ("", "exceeded quota: small, requested: pods=1", "why"):
        digest.update(f"{judge_creation(error, namespace='shop')}".encode())
    return f"{number} {digest.hexdigest()[:8]}"


KEPT = STORIES / "pod-tales.marks"


def main() -> int:
    """Write all marks anew, or tell the tale of one number."""
    if sys.argv[1:]:
        for found, same in tale(int(sys.argv[1])):
            print("\n".join([*(f"{name}: {value}" for name, value in vars(found).items()), f"storm: {same}", "--"]))
    else:
        keep(KEPT, map(mark, NUMBERS), "tests.rollout.podtales")
    return 0


if __name__ == "__main__":
    sys.exit(main())
