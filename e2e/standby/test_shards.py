"""Three shards share the namespaces of a cluster: each attends its own; one that dies is followed by its standby, or the others miss it."""

from __future__ import annotations

import pytest

from e2e.core.controllers import SYSTEM, Controller
from e2e.core.stage import Stage
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.standby.conftest import NewController, NewNamespace
from e2e.standby.test_takeover import TAKEN, Watched, leads
from flaggerpy.controller import rbac
from flaggerpy.controller.claims import WATCH_SECONDS
from flaggerpy.controller.shards import Shard, owner

BLUE_GREEN = {"interval": "2s", "threshold": 2, "iterations": 2}
COUNT = 3

pytestmark = [pytest.mark.alone, pytest.mark.timeout(500)]


def spread(new_namespace: NewNamespace, kube: Kube, sandbox: Sandbox) -> dict[int, Stage]:
    """An application in a namespace of each shard."""
    found: dict[int, Stage] = {}
    while len(found) < COUNT:
        name = new_namespace("team")
        index = owner(name, COUNT)
        if index in found:
            kube.delete("Namespace", name)
        else:
            found[index] = Stage(kube, sandbox, name)
    return found


def begin(stage: Stage) -> None:
    stage.kube.apply(stage.deployment(replicas=1), stage.canary(provider="kubernetes", analysis=BLUE_GREEN))


def metric(controller: Controller, shard: int) -> float:
    line = next(line for line in controller.metrics().splitlines() if line.startswith(f'flagger_shard_attended{{shard="{shard}"}}'))
    return float(line.rpartition(" ")[2])


def known(controller: Controller) -> set[str]:
    """The namespaces of which it holds a Canary."""
    lines = [line for line in controller.metrics().splitlines() if line.startswith("flagger_canary_status{")]
    return {line.partition('namespace="')[2].partition('"')[0] for line in lines}


def test_three_shards_a_shard_that_dies_and_a_fourth_that_comes(
    kube: Kube, sandbox: Sandbox, new_controller: NewController, new_namespace: NewNamespace, namespace: str
) -> None:
    kube.apply(*rbac.manifests(SYSTEM, lease_namespace=namespace)[-2:])
    stages = spread(new_namespace, kube, sandbox)

    def replica(shard: Shard, name: str = "") -> Controller:
        flags = (f"-shard={shard}", f"-leader-election-namespace={namespace}", "-mesh-provider=kubernetes")
        return new_controller(f"shard-{shard.index}-of-{shard.count}{name}", *flags)

    leaders = {shard.index: replica(shard).start() for shard in Shard(COUNT).others}
    for stage in stages.values():
        begin(stage)
    for stage in stages.values():
        stage.phase("Initialized", seconds=60)
    for index, controller in leaders.items():
        assert known(controller) & {stage.namespace for stage in stages.values()} == {stages[index].namespace}
        # a replica that came before another has seen nobody lead that shard, until it looks again
        until(lambda controller=controller: controller.notes() == [], WATCH_SECONDS + 5, "all shards to be led", controller.notes)  # type: ignore[misc]

    # a shard with a standby: the release goes on where it was
    standby = replica(Shard(COUNT, 1), "-standby").start()
    stages[1].release("1.0.1")
    stages[1].phase("Progressing", seconds=20)
    lease = Watched(kube, namespace, Shard(COUNT, 1).lease)
    former = lease.holder()
    leaders[1].kill()
    took = lease.taken_from(former, TAKEN + 10)
    stages[1].phase("Succeeded", seconds=60)
    assert took < TAKEN
    leaders[1] = standby

    # one without: the others say so, and their own goes on
    leaders.pop(2).kill()
    until(lambda: metric(leaders[0], 2) == 0.0, 60, "the others to miss shard 2", leaders[0].notes)
    assert leaders[0].notes() == [f"shard 2/{COUNT} is led by nobody: its Canaries are not attended"]
    stages[2].release("1.0.1")
    stages[0].release("1.0.1")
    stages[0].phase("Succeeded", seconds=60)
    assert stages[2].status()["phase"] == "Initialized"
    leaders[2] = replica(Shard(COUNT, 2), "-again").start()
    stages[2].phase("Succeeded", seconds=60)

    # three become four: shard 3 has nothing while the three live, and gets its own from each that ends
    fourth = replica(Shard(COUNT + 1, COUNT)).start()
    until(lambda: leads(fourth), 20, "the fourth to lead")
    until(lambda: any("leaves to" in line for line in fourth.notes()), 20, "the fourth to leave to the three", fourth.notes)
    for index in range(COUNT):
        leaders[index].stop()
        leaders[index] = replica(Shard(COUNT + 1, index)).start()
    until(lambda: fourth.notes() == [], 30, "the fourth to have all its own", fourth.notes)
    for stage in stages.values():
        stage.release("1.0.2")
    for stage in stages.values():
        # it was Succeeded before too
        until(lambda stage=stage: stage.primary_image() == stage.image("1.0.2"), 60, "the promotion", stage.story)  # type: ignore[misc]
        stage.phase("Succeeded", seconds=60)
        assert [entry["outcome"] for entry in stage.status()["history"]] == ["Succeeded", "Succeeded", "Initialized"]
