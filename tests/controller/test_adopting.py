"""A Canary of Flagger's on an API server in memory: nothing of it is made anew, and what its primary runs is found and kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL
from flaggerpy.api.status import timestamp
from flaggerpy.cluster import kinds
from flaggerpy.controller.promoted import primary_configs, same_pods
from flaggerpy.targets.configs import checksum
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, controller, new_image, phase, status

Obj = dict[str, Any]
pytestmark = pytest.mark.usefixtures("short_drains", "living")
DATA = {"a": "b"}


def configured() -> Obj:
    """A Deployment that reads a ConfigMap."""
    made = deployment()
    made["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "c"}}]
    return made


def config(name: str, data: Obj) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": SHOP}, "data": data}


def to_flagger(server: FakeApiServer, **changed: Any) -> None:
    """What is there becomes what Flagger would have made of it: its status, its primary without our marks, its names of copies."""
    told = status(server)
    fields = ("phase", "canaryWeight", "failedChecks", "iterations", "trackedConfigs")
    theirs = {name: told[name] for name in fields if name in told}
    theirs |= {"lastAppliedSpec": "bcd5", "lastPromotedSpec": "bcd4", "lastTransitionTime": timestamp(4e9), **changed}
    server.patch(kinds.CANARY, SHOP, "podinfo", {"status": {**dict.fromkeys(told), **theirs}})
    primary = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary") or {}
    template = primary["spec"]["template"]
    container = template["spec"]["containers"][0]
    if container.get("envFrom"):
        container["envFrom"] = [{"configMapRef": {"name": "c-primary"}}]
    annotations = {FLAGGER_ID: "flaggers", REVISION_LABEL: None}
    body = {"spec": {"template": {"metadata": {"annotations": annotations}, "spec": template["spec"]}}}
    server.patch(kinds.DEPLOYMENT, SHOP, "podinfo-primary", {"metadata": {"annotations": {REVISION_LABEL: None}}, **body})
    for kept in [name for _, name in server.objects[("apps", "controllerrevisions")]]:
        server.remove(kinds.CONTROLLER_REVISION, SHOP, kept)


def kept(server: FakeApiServer) -> list[Obj]:
    return [obj["data"] for obj in server.objects.get(("apps", "controllerrevisions"), {}).values()]


def standing(server: FakeApiServer) -> tuple[Any, ...]:
    pods = sorted(name for _, name in server.objects[("", "pods")])
    return pods, (server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary") or {})["spec"]


def with_configs(server: FakeApiServer) -> None:
    """A Canary whose target uses a ConfigMap, of which Flagger has made its copy."""
    server.add(config("c", DATA))
    server.add(config("c-primary", DATA))
    server.add(configured())
    server.add(canary())


async def at_rest(server: FakeApiServer) -> None:
    """Nothing is written any more."""
    while True:
        before = len(server.writes)
        await asyncio.sleep(0.4)
        if len(server.writes) == before:
            return


async def test_an_idle_canary_with_configs_is_taken_over_without_a_pod_made_anew(server: FakeApiServer) -> None:
    with_configs(server)
    async with controller(server):
        await phase(server, "Initialized")
    to_flagger(server, lastAppliedSpec="bcd4")
    await at_rest(server)
    before = standing(server)
    async with controller(server):
        await eventually(lambda: "observedGeneration" in status(server), 45)
        await eventually(lambda: len(kept(server)) == 1, 45)
        await at_rest(server)
        assert standing(server) == before
        told = status(server)
        assert (told["phase"], told["lastAppliedSpec"], told["lastPromotedSpec"]) == ("Initialized", "bcd4", "bcd4")
        assert kept(server)[0]["configs"] == {"configmap/c": checksum(config("c", DATA))}


async def test_a_primary_that_comes_back_has_the_config_that_flagger_had_copied(server: FakeApiServer) -> None:
    with_configs(server)
    async with controller(server):
        await phase(server, "Initialized")
    to_flagger(server, lastAppliedSpec="bcd4")
    for name in [name for _, name in server.objects[("", "configmaps")] if name not in ("c", "c-primary")]:
        server.remove(kinds.CONFIG_MAP, SHOP, name)
    server.patch(kinds.CONFIG_MAP, SHOP, "c", {"data": {"a": "changed"}})
    async with controller(server):
        await eventually(lambda: bool(kept(server)), 45)
        server.remove(kinds.DEPLOYMENT, SHOP, "podinfo-primary")
        await eventually(lambda: server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary") is not None, 45)
    made = server.get(kinds.DEPLOYMENT, SHOP, "podinfo-primary") or {}
    name = made["spec"]["template"]["spec"]["containers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert name != "c-primary"
    assert (server.get(kinds.CONFIG_MAP, SHOP, name) or {})["data"] == DATA


async def test_what_the_primary_of_a_failed_canary_runs_is_found_among_the_targets_replica_sets(server: FakeApiServer) -> None:
    with_configs(server)
    async with controller(server):
        await phase(server, "Initialized")
        template = configured()["spec"]["template"]
        template["spec"]["containers"][0]["image"] = "podinfo:missing"
        server.patch(kinds.DEPLOYMENT, SHOP, "podinfo", {"spec": {"template": template}})
        await phase(server, "Failed")
    to_flagger(server)
    server.patch(kinds.CONFIG_MAP, SHOP, "c", {"data": {"a": "changed"}})
    checksums = {"configmap/c": checksum(config("c", {"a": "changed"}))}
    server.patch(kinds.CANARY, SHOP, "podinfo", {"status": {"trackedConfigs": checksums}})
    await at_rest(server)
    before = standing(server)
    async with controller(server):
        await eventually(lambda: "observedGeneration" in status(server), 45)
        await eventually(lambda: bool(kept(server)), 45)
        await at_rest(server)
        assert standing(server) == before
        assert status(server)["phase"] == "Failed"
        found = next(data for data in kept(server) if data["template"]["spec"]["containers"][0]["image"] == "podinfo:1")
        assert found["configs"] == {"configmap/c": checksum(config("c", DATA))}


async def test_a_release_that_comes_after_is_promoted(server: FakeApiServer) -> None:
    server.add(deployment())
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
    to_flagger(server, lastAppliedSpec="bcd4")
    async with controller(server):
        await eventually(lambda: "observedGeneration" in status(server), 45)
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
        assert not {"flaggerApplied", "flaggerPromoted"} & status(server).keys()


LABEL = ("app", "podinfo")


def twin(**spec: Any) -> Obj:
    """The primary's template that Flagger makes of the Deployment's."""
    template = configured()["spec"]["template"]
    template["metadata"] = {"labels": {"app": "podinfo-primary"}, "annotations": {FLAGGER_ID: "x"}}
    template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "c-primary"}}]
    return {**template, "spec": {**template["spec"], **spec}}


def test_the_twins_are_told_by_what_they_run() -> None:
    mine = configured()["spec"]["template"]
    mine["metadata"]["labels"]["pod-template-hash"] = "1"
    names = primary_configs(mine, twin())
    assert names == {("configmap", "c"): "c-primary"}
    assert same_pods(mine, twin(), LABEL, names)
    assert same_pods(mine, twin(affinity={"podAntiAffinity": {}}), LABEL, names)
    assert not same_pods(mine, twin(terminationGracePeriodSeconds=3), LABEL, names)
    other = configured()["spec"]["template"]
    other["spec"]["containers"][0]["image"] = "podinfo:2"
    assert not same_pods(other, twin(), LABEL, names)
