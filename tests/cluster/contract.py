"""What the client and the watch rely on in an API server, as scenarios that know nothing but a client and a namespace.

The unit tests play them against the API server in memory, the end-to-end tests against a real one: so the first is held to the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from flaggerpy.cluster import errors
from flaggerpy.cluster.client import NOT_THERE, Client, Manifest
from flaggerpy.cluster.events import EventRecorder
from flaggerpy.cluster.kinds import CONFIG_MAP, DEPLOYMENT, EVENT, LEASE, REPLICA_SET, SECRET, Kind
from flaggerpy.cluster.lease import LeaderElection
from flaggerpy.cluster.watch import Key, Watcher
from tests.cluster.fake_apiserver import eventually

Scenario = Callable[[Client, str], Awaitable[None]]
SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    SCENARIOS.append(function)
    return function


def config_map(namespace: str, name: str = "settings", **data: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def deployment(namespace: str, replicas: int | None = 0, image: str = "podinfo:1", **more: Any) -> Manifest:
    labels = {"app": "podinfo"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "podinfo", "namespace": namespace},
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}},
            **more,
        },
    }


@scenario
async def a_change_that_changes_nothing_keeps_the_version(client: Client, namespace: str) -> None:
    made = await client.apply(config_map(namespace, a="1"))
    again = await client.apply(config_map(namespace, a="1"))
    patched = await client.merge_patch(CONFIG_MAP, namespace, "settings", {"data": {"a": "1"}})
    versions = {obj["metadata"]["resourceVersion"] for obj in (made, again, patched)}
    assert len(versions) == 1


@scenario
async def the_generation_counts_changes_of_the_spec_only(client: Client, namespace: str) -> None:
    made = await client.create(deployment(namespace, paused=True))
    assert made["metadata"]["generation"] == 1
    labelled = await client.merge_patch(DEPLOYMENT, namespace, "podinfo", {"metadata": {"labels": {"x": "y"}}})
    assert labelled["metadata"]["generation"] == 1
    scaled = await client.merge_patch(DEPLOYMENT, namespace, "podinfo", {"spec": {"minReadySeconds": 3}})
    assert scaled["metadata"]["generation"] == 2


@scenario
async def the_status_is_written_by_its_subresource_and_nothing_else_is(client: Client, namespace: str) -> None:
    await client.create(deployment(namespace, paused=True))
    body = {"spec": {"minReadySeconds": 9}, "status": {"collisionCount": 7}}
    beside = await client.merge_patch(DEPLOYMENT, namespace, "podinfo", body)
    assert "collisionCount" not in beside.get("status", {})
    assert beside["spec"]["minReadySeconds"] == 9
    body["spec"] = {"minReadySeconds": 1}
    within = await client.merge_patch(DEPLOYMENT, namespace, "podinfo", body, subresource="status")
    assert within["status"]["collisionCount"] == 7
    assert within["spec"]["minReadySeconds"] == 9
    assert within["metadata"]["generation"] == beside["metadata"]["generation"]


@scenario
async def what_was_read_before_a_change_is_a_conflict(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace, a="1"))
    old = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}
    await client.merge_patch(CONFIG_MAP, namespace, "settings", {**old, "data": {"a": "2"}})
    for attempt in (
        client.merge_patch(CONFIG_MAP, namespace, "settings", {**old, "data": {"a": "3"}}),
        client.replace({**made, "data": {"a": "3"}}),
        client.apply({**config_map(namespace, a="3"), "metadata": {"name": "settings", "namespace": namespace, **old["metadata"]}}),
        client.delete(CONFIG_MAP, namespace, "settings", resource_version=made["metadata"]["resourceVersion"]),
    ):
        with pytest.raises(errors.Conflict):
            await attempt
    assert (await client.get(CONFIG_MAP, namespace, "settings"))["data"] == {"a": "2"}


@scenario
async def the_version_in_a_json_patchs_test_locks(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace))
    lock = {"op": "test", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]}
    add = {"op": "add", "path": "/metadata/annotations", "value": {"a/b": "c"}}
    change = {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "d"}
    patched = await client.json_patch(CONFIG_MAP, namespace, "settings", [lock, add, change])
    assert patched["metadata"]["annotations"]["a/b"] == "d"
    for wrong in ([lock, change], [{"op": "remove", "path": "/data/notThere"}]):
        with pytest.raises(errors.Invalid):
            await client.json_patch(CONFIG_MAP, namespace, "settings", wrong)


@scenario
async def a_namesake_survives_a_deletion_by_uid(client: Client, namespace: str) -> None:
    old = await client.create(config_map(namespace))
    await client.delete(CONFIG_MAP, namespace, "settings", uid=old["metadata"]["uid"])
    new = await client.create(config_map(namespace))
    with pytest.raises(errors.Conflict):
        await client.delete(CONFIG_MAP, namespace, "settings", uid=old["metadata"]["uid"])
    assert (await client.get(CONFIG_MAP, namespace, "settings"))["metadata"]["uid"] == new["metadata"]["uid"]
    stale = {**config_map(namespace, a="1"), "metadata": {"name": "settings", "namespace": namespace, "uid": old["metadata"]["uid"]}}
    with pytest.raises(errors.Conflict):
        await client.replace(stale)
    with pytest.raises(errors.Invalid) as caught:
        await client.apply(stale)
    assert {cause.field for cause in caught.value.causes} == {"metadata.uid"}


@scenario
async def an_apply_with_a_uid_does_not_create(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace))
    await client.delete(CONFIG_MAP, namespace, "settings")
    meant = config_map(namespace)
    meant["metadata"]["uid"] = made["metadata"]["uid"]
    with pytest.raises(errors.Conflict):
        await client.apply(meant)


@scenario
async def an_apply_with_a_version_creates_what_is_gone_unless_it_names_its_uid(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace))
    seen = {field: made["metadata"][field] for field in ("uid", "resourceVersion")}
    await client.delete(CONFIG_MAP, namespace, "settings")
    meant = config_map(namespace, a="2")
    with pytest.raises(errors.Conflict):
        await client.apply({**meant, "metadata": {**meant["metadata"], **seen}})
    again = await client.apply({**meant, "metadata": {**meant["metadata"], "resourceVersion": seen["resourceVersion"]}})
    assert again["metadata"]["uid"] != seen["uid"]
    with pytest.raises((errors.Conflict, errors.Invalid)):
        await client.apply({**meant, "metadata": {**meant["metadata"], **seen}})


@scenario
async def an_apply_with_a_version_that_no_object_has_only_creates(client: Client, namespace: str) -> None:
    meant = config_map(namespace, a="1")
    only = {**meant, "metadata": {**meant["metadata"], "resourceVersion": NOT_THERE}}
    made = await client.apply(only)
    assert [(entry["manager"], entry["operation"]) for entry in made["metadata"]["managedFields"]] == [("flaggerpy", "Apply")]
    with pytest.raises(errors.Conflict):
        await client.apply({**only, "data": {"a": "2"}})
    assert (await client.get(CONFIG_MAP, namespace, "settings"))["data"] == {"a": "1"}


@scenario
async def apply_owns_what_it_names_and_takes_back_what_it_no_longer_names(client: Client, namespace: str) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    first = deployment(namespace, paused=True)
    first["spec"]["template"]["spec"]["containers"][0]["env"] = env
    await client.apply(first)
    await client.merge_patch(DEPLOYMENT, namespace, "podinfo", {"metadata": {"annotations": {"of": "another"}}}, manager="another")
    second = deployment(namespace, replicas=None, paused=True)
    second["spec"]["template"]["spec"]["containers"][0]["env"] = env[1:]
    applied = await client.apply(second)
    assert applied["spec"]["template"]["spec"]["containers"][0]["env"] == env[1:]
    assert applied["metadata"]["annotations"]["of"] == "another"
    managers = {(entry["manager"], entry["operation"]) for entry in applied["metadata"]["managedFields"]}
    assert {("flaggerpy", "Apply"), ("another", "Update")} <= managers


@scenario
async def a_field_of_another_manager_is_taken_only_by_force(client: Client, namespace: str) -> None:
    await client.apply(config_map(namespace, a="1"), manager="flagger")
    with pytest.raises(errors.Conflict) as caught:
        await client.apply(config_map(namespace, a="2"), force=False)
    assert [cause.field for cause in caught.value.causes] == [".data.a"]
    taken = await client.apply(config_map(namespace, a="2"))
    assert [entry["manager"] for entry in taken["metadata"]["managedFields"]] == ["flaggerpy"]


@scenario
async def the_manager_of_fields_can_be_rewritten_by_a_json_patch(client: Client, namespace: str) -> None:
    made = await client.create(config_map(namespace, a="1", b="2"), manager="flagger")
    assert [(entry["manager"], entry["operation"]) for entry in made["metadata"]["managedFields"]] == [("flagger", "Update")]
    rename = [
        {"op": "replace", "path": "/metadata/managedFields/0/manager", "value": "flaggerpy"},
        {"op": "replace", "path": "/metadata/managedFields/0/operation", "value": "Apply"},
    ]
    renamed = await client.json_patch(CONFIG_MAP, namespace, "settings", rename)
    assert [(entry["manager"], entry["operation"]) for entry in renamed["metadata"]["managedFields"]] == [("flaggerpy", "Apply")]
    assert (await client.apply(config_map(namespace, a="1")))["data"] == {"a": "1"}


@scenario
async def a_dry_run_answers_and_stores_nothing(client: Client, namespace: str) -> None:
    assert (await client.apply(config_map(namespace, a="1"), dry_run=True))["data"] == {"a": "1"}
    assert await client.find(CONFIG_MAP, namespace, "settings") is None


@scenario
async def refusals_are_typed(client: Client, namespace: str) -> None:
    await client.create(config_map(namespace))
    with pytest.raises(errors.AlreadyExists):
        await client.create(config_map(namespace))
    with pytest.raises(errors.NotFound):
        await client.get(CONFIG_MAP, namespace, "ghost")
    with pytest.raises(errors.NotFound):
        await client.list(Kind("nowhere.example", "v1", "things", "Thing"), namespace)
    unnamed = config_map(namespace)
    del unnamed["metadata"]["name"]
    with pytest.raises(errors.Invalid) as caught:
        await client.create(unnamed)
    assert caught.value.causes[0].field in ("metadata.name", "name")


@scenario
async def pages_selectors_and_types_of_lists(client: Client, namespace: str) -> None:
    for number in range(6):
        made = config_map(namespace, f"c{number}")
        made["metadata"]["labels"] = {"odd": str(number % 2)}
        await client.create(made)
    first = await client.request("GET", CONFIG_MAP.path(namespace), query={"limit": "2", "labelSelector": "odd"})
    assert [item["metadata"]["name"] for item in first["items"]] == ["c0", "c1"]
    assert "kind" not in first["items"][0]
    assert first["metadata"]["continue"]
    odd = await client.list(CONFIG_MAP, namespace, label_selector="odd=1")
    assert [(item["kind"], item["metadata"]["name"]) for item in odd] == [("ConfigMap", f"c{number}") for number in (1, 3, 5)]
    (one,) = await client.list(CONFIG_MAP, namespace, field_selector="metadata.name=c3")
    assert one["metadata"]["name"] == "c3"


@scenario
async def metadata_only_leaves_the_secret_with_the_server(client: Client, namespace: str) -> None:
    metadata = {"name": "s", "namespace": namespace}
    await client.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "hunter2"}})
    assert "data" not in (await client.list(SECRET, namespace, metadata_only=True))[0]
    assert "data" not in await client.get(SECRET, namespace, "s", metadata_only=True)


@scenario
async def discovery_version_and_access(client: Client, namespace: str) -> None:
    assert await client.serves(DEPLOYMENT)
    assert not await client.serves(Kind("apps", "v1", "dreams", "Dream"))
    assert not await client.serves(Kind("nowhere.example", "v1", "things", "Thing"))
    assert (await client.version())["gitVersion"].startswith("v1.")
    assert await client.can_i("patch", "apps", "deployments", namespace)
    assert await client.can_i("patch", "apps", "deployments", None, "status")


@scenario
async def a_watch_tells_every_change_once(client: Client, namespace: str) -> None:
    told: list[str] = []

    def note(key: Key, new: Manifest | None, old: Manifest | None) -> None:
        told.append(("~" if new and old else "+" if new else "-") + key.name)

    await client.create(config_map(namespace, "a", x="1"))
    async with Watcher(client, CONFIG_MAP, namespace, on_change=note, field_selector="metadata.name!=kube-root-ca.crt") as watcher:
        await watcher.synced.wait()
        made = await client.create(config_map(namespace, "b"))
        watcher.cache.put(made)
        assert watcher.get(namespace, "b")
        await client.merge_patch(CONFIG_MAP, namespace, "a", {"data": {"x": "2"}})
        await client.delete(CONFIG_MAP, namespace, "b")
        assert not watcher.cache.put(made) or watcher.get(namespace, "b")
        await client.create(config_map(namespace, "last"))
        await eventually(lambda: "+last" in told)
    assert told == ["+a", "+b", "~a", "-b", "+last"]


@scenario
async def a_watch_of_metadata_follows_labels(client: Client, namespace: str) -> None:
    told: list[str] = []

    def note(key: Key, new: Manifest | None, old: Manifest | None) -> None:
        told.append(("~" if new and old else "+" if new else "-") + key.name)
        assert set(new or old or {}) == {"apiVersion", "kind", "metadata"}

    async with Watcher(client, CONFIG_MAP, namespace, "of=mine", True, on_change=note) as watcher:
        await watcher.synced.wait()
        mine = config_map(namespace, "mine")
        mine["metadata"]["labels"] = {"of": "mine"}
        await client.create(mine)
        await client.create(config_map(namespace, "other"))
        await client.merge_patch(CONFIG_MAP, namespace, "mine", {"data": {"x": "1"}, "metadata": {"annotations": {"a": "b"}}})
        await client.merge_patch(CONFIG_MAP, namespace, "mine", {"metadata": {"labels": {"of": "another"}}})
        await client.merge_patch(CONFIG_MAP, namespace, "mine", {"metadata": {"labels": {"of": "mine"}}})
        await eventually(lambda: len(told) == 4)
    assert told == ["+mine", "~mine", "-mine", "+mine"]


@scenario
async def the_lease_passes_from_one_to_the_next(client: Client, namespace: str) -> None:
    first = LeaderElection(client, namespace, identity="first")
    second = LeaderElection(client, namespace, identity="second", duration=60, renew=40, retry=30)
    async with first:
        await first.leading.wait()
        second.start()
        await eventually(lambda: second.holder == "first")
        # the watch of the second must stand before the first one leaves, or this measures its poll
        await asyncio.sleep(0.3)
    async with asyncio.timeout(10):
        await second.leading.wait()
    await second.stop()
    spec = (await client.get(LEASE, namespace, "flagger-leader-election"))["spec"]
    assert not spec.get("holderIdentity")
    assert spec["leaseTransitions"] == 1


@scenario
async def equal_events_are_one_with_a_count(client: Client, namespace: str) -> None:
    made = await client.create(deployment(namespace, paused=True))
    recorder = EventRecorder(client)
    recorder.start()
    for _ in range(3):
        recorder.record(made, "halt", type="Warning")
    assert await recorder.flush(10)
    await recorder.stop()
    found = await client.list(EVENT, namespace, field_selector=f"involvedObject.uid={made['metadata']['uid']},reason=Synced")
    assert [(event["message"], event["count"], event["type"]) for event in found] == [("halt", 3, "Warning")]


@scenario
async def a_deletion_in_the_background_is_done_at_once(client: Client, namespace: str) -> None:
    made = await client.create(deployment(namespace, paused=True))
    metadata = made["metadata"]
    owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"], "controller": True}
    replica_set = deployment(namespace)
    replica_set |= {"kind": "ReplicaSet"}
    replica_set["metadata"] |= {"name": "podinfo-1", "ownerReferences": [owner]}
    await client.create(replica_set)
    deleted = await client.delete(DEPLOYMENT, namespace, "podinfo", propagation="Background")
    assert deleted
    with pytest.raises(errors.NotFound):
        await client.get(DEPLOYMENT, namespace, "podinfo")
    with pytest.raises(errors.NotFound):
        await client.delete(REPLICA_SET, namespace, "ghost")
