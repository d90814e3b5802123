"""A leader stands still for longer than its Lease with one write of each kind on the way; its successor finishes everything; they arrive.

Each must be refused: by the resourceVersion or uid of what it looked at, or because what it makes is there.
tests/controller/test_fencing.py knows every place that writes; here it is shown on a real API server that what they send is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from e2e.core.controllers import Controller
from e2e.core.stage import Stage
from e2e.disorder.faults import Hold, Rule
from e2e.disorder.proxy import Passed, Proxy
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox
from e2e.standby.conftest import NewController

# a write that is refused the second time only is a defect
pytestmark = pytest.mark.flaky(reruns=0)

INTERVAL = 2.0
BLUE_GREEN = {"interval": f"{INTERVAL:g}s", "threshold": 2, "iterations": 2}
WEIGHTED = {"interval": f"{INTERVAL:g}s", "threshold": 2, "stepWeight": 25, "maxWeight": 50}
WRITES = ("create", "update", "patch", "delete")
REFUSED = (404, 409, 422)


@dataclass
class Late:
    """A write that is held on its way: what it is, which requests it is, and what makes the controller send it."""

    name: str
    verb: str
    path: str
    cause: Callable[[Stage], object]
    hold: Hold = field(default_factory=Hold)

    def rule(self) -> Rule:
        return Rule(self.hold, {self.verb}, self.path, times=1)


def begin(stage: Stage, analysis: Object = BLUE_GREEN, **spec: object) -> None:
    provider = "gatewayapi:v1" if analysis is WEIGHTED else "kubernetes"
    stage.kube.apply(stage.deployment(replicas=1), stage.canary(provider=provider, analysis=analysis, **spec))


def begin_with_config(stage: Stage) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": stage.namespace}, "data": {"a": "1"}}
    deployment = stage.deployment(replicas=1)
    source = {"configMapKeyRef": {"name": "settings", "key": "a"}}
    deployment["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "A", "valueFrom": source})
    stage.kube.apply(config, deployment, stage.canary(provider="kubernetes", analysis=BLUE_GREEN))


def release(stage: Stage) -> None:
    stage.release("1.0.1")


def command(stage: Stage, name: str) -> None:
    stage.kube.patch("Canary", stage.name, {"metadata": {"annotations": {f"flagger.app/{name}": "*"}}}, stage.namespace)


def fail(stage: Stage, tag: str = "1.0.2") -> None:
    """A release that is aborted; the second one forgets what was kept of the first."""
    stage.release(tag)
    stage.phase("Progressing", seconds=20)
    command(stage, "abort")


ALONE = (
    # one after the other, before anything else moves: this takes a run, and what is created has no name in its path
    Late("forget", "delete", "/controllerrevisions/forget-", fail),
    Late("kept", "create", "/controllerrevisions$", release),
    Late("copy", "create", "/configmaps$", begin_with_config),
)
TOGETHER = (
    Late("status", "patch", "/canaries/status/status$", release),
    Late("route", "patch", "/httproutes/route$", release),
    Late("scale", "patch", "/deployments/scale$", release),
    Late("command", "patch", "/canaries/command$", lambda stage: command(stage, "promote")),
    Late("primary", "patch", "/deployments/primary-primary$", begin),
    Late("service", "patch", "/services/service-canary$", begin),
    Late("finalizer", "patch", "/canaries/finalizer$", lambda stage: begin(stage, revertOnDeletion=True)),
)
BEGUN_LATE = ("copy", "primary", "service", "finalizer")
"""Canaries that are not there when it begins."""
LEASE = Late("lease", "update", "/leases/", lambda stage: None)


@pytest.mark.timeout(500)
def test_what_a_leader_had_on_the_way_when_it_stood_still_is_refused_when_it_arrives(
    kube: Kube, sandbox: Sandbox, namespace: str, proxy: Proxy, new_controller: NewController
) -> None:
    stages = {late.name: Stage(kube, sandbox, namespace, late.name) for late in (*ALONE, *TOGETHER)}
    old = new_controller("old", through=proxy).start()
    at_rest = [stage for name, stage in stages.items() if name not in BEGUN_LATE]
    for stage in at_rest:
        begin(stage, WEIGHTED if stage.name == "route" else BLUE_GREEN)
    for stage in at_rest:
        stage.phase("Initialized", seconds=60)
    fail(stages["forget"], "1.0.1")
    stages["forget"].phase("Failed", seconds=30)
    held: list[Rule] = []
    for batch in ([late] for late in ALONE), (TOGETHER,), ((LEASE,),):
        for group in batch:
            arm(proxy, held, group, stages)
    old.pause()
    new_controller("new").start()
    finish(stages)
    before = versions(kube, namespace)
    moment = time.time()
    for late in (*ALONE, *TOGETHER, LEASE):
        late.hold.let_go.set()
    arrived = until(lambda: all_arrived(proxy, moment, len(held)), 30, "the held writes to be answered")
    taken = [one for one in arrived if one.status not in REFUSED]
    assert not taken, f"writes of the old leader were taken: {taken}"
    print(", ".join(f"{one.verb} {one.path.rpartition('/namespaces/')[2].partition('/')[2]}: {one.status}" for one in arrived))
    old.go_on()
    stands_by(old, proxy, moment)
    assert versions(kube, namespace) == before


def arm(proxy: Proxy, held: list[Rule], group: tuple[Late, ...] | list[Late], stages: dict[str, Stage]) -> None:
    """Hold the write of each of these, cause it, and wait until it is on its way."""
    rules = [late.rule() for late in group]
    held += rules
    proxy.rules = list(held)
    for late in group:
        if late.name in stages:
            late.cause(stages[late.name])
    for late, rule in zip(group, rules, strict=True):
        until(lambda rule=rule: rule.met, 60, f"{late.verb} {late.path} on its way")  # type: ignore[misc]


def finish(stages: dict[str, Stage]) -> None:
    """The successor takes over, and does what there was to do: the Canaries get where they would have got."""
    for name in ("kept", "status", "route", "scale"):
        stages[name].phase("Succeeded", seconds=60)
    stages["forget"].phase("Failed", seconds=60)
    for name in BEGUN_LATE:
        stages[name].phase("Initialized", seconds=60)
    # an apply of the primary as it was first would undo this
    stages["primary"].release("1.0.1")
    stages["primary"].phase("Progressing", seconds=20)
    stages["primary"].phase("Succeeded", seconds=60)
    told = stages["command"]
    until(lambda: "flagger.app/promote" not in (told.get()["metadata"].get("annotations") or {}), 20, "the command to be gone")
    until(lambda: not any(stage.status().get("outbox") for stage in stages.values()), 20, "empty outboxes")
    time.sleep(3 * INTERVAL)


def versions(kube: Kube, namespace: str) -> dict[str, str]:
    """Everything that a release consists of, with its version."""
    kinds = ("Canary", "Deployment", "Service", "HTTPRoute", "ConfigMap", "ControllerRevision")
    found = [(kind, obj) for kind in kinds for obj in kube.items(kind, namespace)]
    return {f"{kind} {obj['metadata']['name']}": f"{obj['metadata']['uid']} {obj['metadata']['resourceVersion']}" for kind, obj in found}


def all_arrived(proxy: Proxy, moment: float, count: int) -> list[Passed] | None:
    arrived = [one for one in proxy.since(moment) if one.fault == "let go"]
    return arrived if len(arrived) == count else None


def stands_by(old: Controller, proxy: Proxy, moment: float) -> None:
    """It has had its turn when it has looked at the Lease again, and nothing of its own comes after that."""
    until(lambda: [one for one in proxy.since(moment) if "/leases" in one.path and one.verb == "get"], 40, "the old leader to stand down")
    time.sleep(2 * INTERVAL)
    written = [one for one in proxy.since(moment) if one.verb in WRITES and one.status in (200, 201) and not one.beside_a_release()]
    assert not written, written
    assert "\nflagger_leader 0.0" in old.metrics()
