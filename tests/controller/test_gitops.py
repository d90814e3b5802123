"""Others who write what we write: people who edit a primary, tools that apply the user's manifests at any moment of a release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from flaggerpy.cluster import kinds
from flaggerpy.controller import resized
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, Obj, accept, controller, events, image, initialized, new_image, phase, status

pytestmark = pytest.mark.usefixtures("short_drains", "living")

ARGO = "argocd-controller"
PRIMARY = "podinfo-primary"


def condition(server: FakeApiServer, type_: str) -> Obj:
    return next((one for one in status(server).get("conditions", ()) if one["type"] == type_), {})


def primary(server: FakeApiServer) -> Obj:
    obj = server.get(kinds.DEPLOYMENT, SHOP, PRIMARY)
    assert obj is not None
    return obj


def told(server: FakeApiServer, text: str) -> bool:
    return any(text in event["message"] for event in events(server))


async def edit(server: FakeApiServer, name: str, body: Obj, manager: str = "kubectl-edit") -> None:
    await server.client().merge_patch(kinds.DEPLOYMENT, SHOP, name, body, manager=manager)


async def test_a_primary_that_somebody_edits_gets_back_what_was_promoted(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        promoted = primary(server)["spec"]["template"]
        container = promoted["spec"]["containers"][0]
        edited = [{**container, "image": "podinfo:other"}, {"name": "beside", "image": "sidecar:1"}]
        await edit(server, PRIMARY, {"spec": {"template": {"spec": {"containers": edited, "hostNetwork": True}}}})
        await eventually(lambda: primary(server)["spec"]["template"] == promoted)
        await eventually(lambda: told(server, "kubectl-edit has changed spec.template.spec."))
        assert status(server)["phase"] == "Initialized"
        # once is no fight
        assert condition(server, "Conflict") == {}


async def test_a_field_that_somebody_takes_from_a_primary_comes_back(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        promoted = primary(server)["spec"]["template"]
        await edit(server, PRIMARY, {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "podinfo:1"}]}}}})
        await eventually(lambda: primary(server)["spec"]["template"] == promoted)


async def test_sizes_and_restarts_are_no_edits(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        restarted = {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}
        await edit(server, PRIMARY, restarted, "kubectl-rollout")
        await edit(server, PRIMARY, {"spec": {"replicas": 5}}, "hpa")
        await asyncio.sleep(0.5)
        assert primary(server)["spec"]["replicas"] == 5
        assert "kubectl.kubernetes.io/restartedAt" in primary(server)["spec"]["template"]["metadata"]["annotations"]
        assert not told(server, "has changed")


async def test_what_was_edited_while_no_controller_ran_is_found(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        promoted = primary(server)["spec"]["template"]
    await edit(server, PRIMARY, {"spec": {"template": {"spec": {"hostNetwork": True}}}})
    async with controller(server):
        await eventually(lambda: primary(server)["spec"]["template"] == promoted)


@pytest.mark.fault("Q-18")
async def test_a_primary_at_zero_or_gone_comes_back_as_it_was_promoted(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        await edit(server, PRIMARY, {"spec": {"replicas": 0}})
        await eventually(lambda: primary(server)["spec"]["replicas"] == 2)
        server.remove(kinds.DEPLOYMENT, SHOP, PRIMARY)
        await eventually(lambda: server.get(kinds.DEPLOYMENT, SHOP, PRIMARY) is not None)
        assert (image(server, PRIMARY), primary(server)["spec"]["replicas"]) == ("podinfo:1", 2)


async def test_whoever_edits_a_primary_again_and_again_is_named(server: FakeApiServer) -> None:
    async with controller(server):
        await initialized(server)
        for _ in range(2):
            await edit(server, PRIMARY, {"spec": {"template": {"spec": {"hostNetwork": True}}}}, "reloader")
            await eventually(lambda: "hostNetwork" not in primary(server)["spec"]["template"]["spec"])
        await eventually(lambda: condition(server, "Conflict").get("status") == "True")
        assert condition(server, "Conflict")["message"].startswith(f"reloader keeps setting spec.template of Deployment {PRIMARY}")
        # the third time is not put right at once
        await edit(server, PRIMARY, {"spec": {"template": {"spec": {"hostNetwork": True}}}}, "reloader")
        await asyncio.sleep(0.5)
        assert primary(server)["spec"]["template"]["spec"]["hostNetwork"] is True


@contextlib.asynccontextmanager
async def self_healing(server: FakeApiServer, *manifests: Obj, every: float = 0.03) -> AsyncIterator[None]:
    """A tool that applies these manifests all the time, by force."""
    client = server.client()

    async def heal() -> None:
        while True:
            for manifest in manifests:
                await client.apply(manifest, manager=ARGO)
            await asyncio.sleep(every)

    tool = asyncio.create_task(heal())
    try:
        yield
    finally:
        tool.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tool


def service() -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "podinfo", "namespace": SHOP},
        "spec": {"selector": {"app": "podinfo"}, "ports": [{"name": "http", "port": 9898, "targetPort": 9898}]},
    }


async def test_manifests_that_are_applied_at_every_moment_disturb_no_release(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resized, "LASTING", 0.1)
    server.reactors.append(lambda type_, obj: accept(server, obj) if type_ != "DELETED" else None)
    spec: Obj = {
        "provider": "gatewayapi:v1",
        "service": {"port": 9898, "gatewayRefs": [{"name": "gate"}], "hosts": ["a.example"]},
        "analysis": {"interval": "1s", "threshold": 2, "stepWeight": 25, "maxWeight": 50},
    }
    ours = canary(**spec)
    server.add(deployment())
    server.add(ours)
    async with controller(server, mesh_provider="gatewayapi:v1"):
        await phase(server, "Initialized")
        seen: list[tuple[str, str, int]] = []

        def note(type_: str, obj: Obj) -> None:
            if obj["kind"] == "Canary" and "status" in obj:
                now = obj["status"]
                seen.append((now.get("phase", ""), (now.get("run") or {}).get("id", ""), now.get("canaryWeight", 0)))

        server.reactors.append(note)
        async with self_healing(server, deployment(image="podinfo:2"), service(), ours):
            await phase(server, "Progressing")
            await phase(server, "Succeeded", 60)
            await eventually(lambda: "spec.replicas of Deployment podinfo" in condition(server, "Conflict").get("message", ""), 20)
            message = condition(server, "Conflict")["message"]
            assert f"{ARGO} keeps setting spec.selector" in message
            assert message.count("ignoreDifferences") == 2
            assert "jsonPointers: [/spec/replicas]" in message
            assert status(server)["phase"] == "Succeeded"
        assert len({run for _, run, _ in seen if run}) == 1, "the run began anew"
        weights = [weight for name, _, weight in seen if name == "Progressing"]
        assert weights == sorted(weights)
        assert max(weights) == 50
        # once the tool rests, all is as it should be
        apex = server.get(kinds.SERVICE, SHOP, "podinfo")
        await eventually(lambda: (server.get(kinds.SERVICE, SHOP, "podinfo") or {})["spec"]["selector"] == {"app": PRIMARY})
        assert apex is not None
        assert image(server, PRIMARY) == "podinfo:2"


async def test_who_keeps_a_target_up_between_releases_is_named_until_he_stops(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resized, "LASTING", 0.05)
    async with controller(server):
        await initialized(server)
        await edit(server, "podinfo", {"spec": {"replicas": 2}}, "kustomize-controller")
        await eventually(lambda: condition(server, "Conflict").get("status") == "True")
        said = condition(server, "Conflict")["message"]
        assert said == (
            "kustomize-controller sets spec.replicas of Deployment podinfo, which is at 0 between releases, so that its pods stand idle: "
            "to end it, leave spec.replicas out of Git"
        )
        assert condition(server, "Ready")["status"] == "True"
        await edit(server, "podinfo", {"spec": {"replicas": 0}}, "kustomize-controller")
        await eventually(lambda: condition(server, "Conflict").get("status") == "False")


async def test_what_an_admission_webhook_makes_of_a_primary_is_no_edit(server: FakeApiServer) -> None:
    def mirrored(request: Request, obj: Obj) -> None:
        if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", PRIMARY):
            for container in obj["spec"]["template"]["spec"]["containers"]:
                container["image"] = f"mirror/{container['image'].removeprefix('mirror/')}"

    server.admit = mirrored
    async with controller(server):
        await initialized(server)
        assert image(server, PRIMARY).startswith("mirror/")
    async with controller(server):
        await eventually(lambda: any(request.query.get("dryRun") == "All" for request in server.requests))
        await asyncio.sleep(0.3)
        assert not told(server, "has changed")
