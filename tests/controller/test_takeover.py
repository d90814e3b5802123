"""Flagger's marks: what it made is claimed once, and that it still writes is seen."""

from __future__ import annotations

from typing import Any

from flaggerpy.cluster import kinds
from flaggerpy.controller.applying import Applier
from flaggerpy.controller.inbox import Inbox
from flaggerpy.controller.slimming import slim
from flaggerpy.controller.takeover import claim, flagger_wrote, flagger_wrote_status, silence
from flaggerpy.controller.world import World
from tests.cluster.fake_apiserver import FakeApiServer, Request

Obj = dict[str, Any]


def service(*entries: Obj) -> Obj:
    metadata = {"name": "podinfo", "namespace": "shop", "resourceVersion": "7", "managedFields": list(entries)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata}


FLAGGERS = {"manager": "flagger", "operation": "Update", "fieldsV1": {}}
OURS = {"manager": "flaggerpy", "operation": "Apply"}


def test_only_what_flagger_made_and_we_have_not_applied_is_claimed() -> None:
    assert claim(service()) is None
    assert claim(service({"manager": "kubectl", "operation": "Update"})) is None
    assert claim(service({"manager": "flagger", "operation": "Update", "subresource": "status"})) is None
    assert claim(service(FLAGGERS, OURS)) is None
    operations = claim(service({"manager": "kubectl"}, FLAGGERS))
    assert operations is not None
    assert operations[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": "7"}
    assert operations[1]["value"] == [{"manager": "kubectl"}, {**FLAGGERS, "manager": "flaggerpy", "operation": "Apply"}]


def test_the_cache_keeps_the_notes_of_what_is_still_flaggers() -> None:
    assert "managedFields" in slim(service(FLAGGERS))["metadata"]
    assert "managedFields" not in slim(service(OURS))["metadata"]


def test_the_last_status_write_of_flagger_is_told() -> None:
    entry = {"manager": "flagger", "operation": "Update", "subresource": "status", "time": "2026-01-01T00:00:00Z"}
    assert flagger_wrote_status(service(entry, OURS)) == 1767225600.0
    assert flagger_wrote_status(service(OURS)) == 0.0


async def test_a_field_that_flagger_set_can_go_after_the_claim() -> None:
    async with FakeApiServer() as server:
        client = server.client()
        made = await client.create(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "podinfo", "namespace": "shop"},
                "spec": {"type": "ClusterIP", "sessionAffinity": "ClientIP", "selector": {"app": "podinfo"}},
            },
            manager="flagger",
        )
        manifest = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "podinfo", "namespace": "shop"},
            "spec": {"type": "ClusterIP", "selector": {"app": "podinfo-primary"}},
        }
        applier = Applier(client, World(client, Inbox()))
        after = await applier.apply(manifest, made)
        assert after["spec"] == {"type": "ClusterIP", "selector": {"app": "podinfo-primary"}}
        assert server.get(kinds.SERVICE, "shop", "podinfo") is not None


async def test_what_the_server_words_differently_is_said_once() -> None:
    async with FakeApiServer() as server:
        client = server.client()

        def admit(request: Request, obj: Obj) -> None:
            obj["spec"]["timeout"] = "1m0s"

        server.admit = admit
        applier = Applier(client, World(client, Inbox()))
        manifest = {
            "apiVersion": "projectcontour.io/v1",
            "kind": "HTTPProxy",
            "metadata": {"name": "podinfo", "namespace": "shop"},
            "spec": {"timeout": "60s"},
        }
        made = await applier.apply(manifest, None)
        sent = len(server.requests)
        assert await applier.apply(manifest, made) is made
        assert len(server.requests) == sent
        other = {**manifest, "spec": {"timeout": "90s"}}
        await applier.apply(other, made)
        assert len(server.requests) == sent + 1


def test_flaggers_last_write_of_any_object_is_told_and_its_silence_is_three_looks() -> None:
    early, late = ({**FLAGGERS, "time": f"2026-01-01T00:00:0{second}Z"} for second in (1, 2))
    assert flagger_wrote([service(early), service(late, OURS), service()]) == 1767225602.0
    assert flagger_wrote([service(OURS)]) == 0.0
    assert silence({"spec": {"analysis": {"interval": "1m"}}}) == 180.0
    assert silence({"spec": {"analysis": {"interval": "10s"}}}) == 120.0
    assert silence({"spec": {"analysis": {"interval": "soon"}}}) == 180.0
