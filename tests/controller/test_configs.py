"""ConfigMaps and Secrets around a release: how each is treated, what its copies hold, whose they are, when they go."""

from __future__ import annotations

import base64
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from flaggerpy.cluster import kinds
from flaggerpy.cluster.kinds import Kind
from tests.cluster.fake_apiserver import FakeApiServer, Request, eventually
from tests.controller.living import canary, deployment
from tests.controller.test_release import SHOP, Obj, controller, image, new_image, phase, status

pytestmark = pytest.mark.usefixtures("short_drains", "living")

ROOT = Path(__file__).parent.parent.parent
CONFIG_TRACKING = "flagger.app/config-tracking"


def config(name: str, mode: str = "", **data: str) -> Obj:
    return _config("ConfigMap", name, mode, data)


def secret(name: str, mode: str = "", **data: str) -> Obj:
    return _config("Secret", name, mode, {key: base64.b64encode(value.encode()).decode() for key, value in data.items()})


def _config(kind: str, name: str, mode: str, data: Obj) -> Obj:
    annotations = {CONFIG_TRACKING: mode} if mode else {}
    metadata = {"name": name, "namespace": SHOP, "annotations": annotations}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data} | ({"type": "Opaque"} if kind == "Secret" else {})


def using(*refs: str, name: str = "podinfo") -> Obj:
    """A Deployment that takes its environment from `configmap/x` and `secret/y`."""
    target = deployment(name)
    fields = {"configmap": "configMapRef", "secret": "secretRef"}
    env = [{fields[kind]: {"name": of}} for kind, _, of in (ref.partition("/") for ref in refs)]
    target["spec"]["template"]["spec"]["containers"][0]["envFrom"] = env
    return target


def used(server: FakeApiServer, name: str = "podinfo-primary") -> list[str]:
    """The configs that a Deployment names."""
    found = server.get(kinds.DEPLOYMENT, SHOP, name)
    assert found is not None
    env = found["spec"]["template"]["spec"]["containers"][0].get("envFrom") or ()
    return [source["name"] for entry in env for source in entry.values()]


def names(server: FakeApiServer, kind: Kind) -> set[str]:
    return {name for _, name in server.objects.get((kind.group, kind.plural), {})}


def found(server: FakeApiServer, kind: Kind, name: str) -> Obj:
    obj = server.get(kind, SHOP, name)
    assert obj is not None
    return obj


def encoded(**data: str) -> Obj:
    return {"data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}


async def test_each_config_is_treated_as_it_says(server: FakeApiServer) -> None:
    server.add(using("configmap/tracked", "secret/followed", "configmap/ignored", "configmap/disabled"))
    for obj in (config("tracked", a="1"), secret("followed", "follow", a="1"), config("ignored", "ignore"), config("disabled", "disabled")):
        server.add(obj)
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
        tracked, followed, ignored, disabled = used(server)
        assert (ignored, disabled) == ("ignored", "disabled")
        assert tracked.startswith("tracked-primary-")
        assert followed.startswith("followed-primary-")
        assert list(status(server)["trackedConfigs"]) == ["configmap/tracked"]
        # neither a change of what is ignored nor of what is followed is a release
        server.patch(kinds.CONFIG_MAP, SHOP, "ignored", {"data": {"a": "2"}})
        server.patch(kinds.SECRET, SHOP, "followed", encoded(a="2"))
        await eventually(lambda: used(server)[1] != followed)
        assert used(server)[0] == tracked
        assert found(server, kinds.SECRET, used(server)[1])["data"] == encoded(a="2")["data"]
        assert found(server, kinds.SECRET, followed)["data"] == encoded(a="1")["data"]
        assert (status(server)["phase"], len(status(server)["history"])) == ("Initialized", 1)
        server.patch(kinds.CONFIG_MAP, SHOP, "tracked", {"data": {"a": "2"}})
        await phase(server, "Progressing")
        await phase(server, "Succeeded")
        # the copies of before have gone, and those that the primary has are there
        await eventually(lambda: {name for name in names(server, kinds.SECRET) if "primary" in name} == {used(server)[1]})
        await eventually(lambda: {name for name in names(server, kinds.CONFIG_MAP) if "primary" in name} == {used(server)[0]})
        assert used(server)[0] != tracked


async def test_a_followed_config_reaches_the_primary_in_the_middle_of_a_run(server: FakeApiServer) -> None:
    server.add(using("secret/password"))
    server.add(secret("password", "follow", a="1"))
    server.add(canary(analysis={"interval": "30s", "threshold": 2, "iterations": 5}))
    async with controller(server):
        await phase(server, "Initialized")
        before = used(server)
        server.patch(kinds.DEPLOYMENT, SHOP, "podinfo", {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}})
        await eventually(lambda: status(server).get("iterations") == 1)
        run = status(server)["run"]["id"]
        server.patch(kinds.SECRET, SHOP, "password", encoded(a="2"))
        await eventually(lambda: used(server) != before)
        assert (status(server)["phase"], status(server)["run"]["id"], status(server)["iterations"]) == ("Progressing", run, 1)
        # what the run analyses is not what the primary gets by this
        assert "v" not in (found(server, kinds.DEPLOYMENT, "podinfo-primary")["spec"]["template"]["metadata"].get("annotations") or {})


async def test_a_followed_config_that_goes_leaves_the_primary_its_copy(server: FakeApiServer) -> None:
    server.add(using("secret/password"))
    server.add(secret("password", "follow", a="1"))
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
        before = used(server)
        server.remove(kinds.SECRET, SHOP, "password")
        server.patch(kinds.DEPLOYMENT, SHOP, "podinfo", {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}})
        await phase(server, "Succeeded")
        assert used(server) == before
        assert before[0] in names(server, kinds.SECRET)


@pytest.mark.fault("Q-19")
async def test_a_promotion_that_fails_gives_the_former_configs_back(server: FakeApiServer) -> None:
    server.add(using("configmap/settings"))
    server.add(config("settings", colour="one"))
    server.add(canary(skipAnalysis=True, progressDeadlineSeconds=1))
    async with controller(server):
        await phase(server, "Initialized")
        [former] = used(server)

        def unfit(request: Request, obj: Obj) -> None:
            """The new template does not start as the primary's."""
            if obj["kind"] == "ReplicaSet":
                return
            if obj["kind"] == "Deployment" and obj["metadata"]["name"].endswith("-primary") and _env(obj) != [former]:
                obj["spec"]["template"]["spec"]["containers"][0]["image"] = "podinfo:crash"

        server.admit = unfit
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"data": {"colour": "two"}})
        await eventually(lambda: used(server) != [former])
        # not even while the new one is tried does the former change
        assert found(server, kinds.CONFIG_MAP, former)["data"] == {"colour": "one"}
        await phase(server, "Failed")
        assert used(server) == [former]
        assert found(server, kinds.CONFIG_MAP, former)["data"] == {"colour": "one"}


async def test_the_manifests_of_the_page_do_what_it_says(server: FakeApiServer) -> None:
    first, second = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "configs.md").read_text(), re.DOTALL)
    for obj in [*yaml.safe_load_all(first), *yaml.safe_load_all(second)]:
        obj["metadata"]["namespace"] = SHOP
        if obj["kind"] == "Secret":  # what an API server makes of it
            obj |= {"type": "Opaque", **encoded(**obj.pop("stringData"))}
        if obj["kind"] == "Canary":
            obj["spec"] |= {"podHealth": {"settle": "0s", "imageCheck": "Off"}}
        server.add(obj)
    async with controller(server):
        await phase(server, "Initialized")
        settings, database, trust = used(server)
        assert re.fullmatch("settings-primary-[0-9a-f]{8}", settings)
        assert re.fullmatch("database-primary-[0-9a-f]{8}", database)
        assert trust == "trust"
        assert list(status(server)["trackedConfigs"]) == ["configmap/settings"]
        await eventually(lambda: "podinfo-primary" in names(server, kinds.POD_DISRUPTION_BUDGET))


def _env(obj: Obj) -> list[str]:
    env = obj["spec"]["template"]["spec"]["containers"][0].get("envFrom") or ()
    return [source["name"] for entry in env for source in entry.values()]


async def test_canaries_share_a_config_and_the_last_takes_its_copy_along(server: FakeApiServer) -> None:
    server.add(config("shared", a="1"))
    for name in ("one", "two"):
        server.add(using("configmap/shared", name=name))
        server.add(canary(name))
    async with controller(server):
        await phase(server, "Initialized", name="one")
        await phase(server, "Initialized", name="two")
        [copy] = used(server, "one-primary")
        assert used(server, "two-primary") == [copy]
        owners = found(server, kinds.CONFIG_MAP, copy)["metadata"]["ownerReferences"]
        assert {owner["name"] for owner in owners} == {"one", "two"}
        assert sum(owner["controller"] for owner in owners) == 1
        writes = [one for one in server.writes if one.kind is kinds.CONFIG_MAP]
        assert len(writes) <= 3, "they write over each other"
        # one of them stops to use it
        server.patch(kinds.DEPLOYMENT, SHOP, "one", {"spec": {"template": {"spec": using(name="one")["spec"]["template"]["spec"]}}})
        await phase(server, "Succeeded", name="one")
        await eventually(lambda: len(found(server, kinds.CONFIG_MAP, copy)["metadata"]["ownerReferences"]) == 1)
        assert used(server, "two-primary") == [copy]
        server.patch(kinds.DEPLOYMENT, SHOP, "two", {"spec": {"template": {"spec": using(name="two")["spec"]["template"]["spec"]}}})
        await phase(server, "Succeeded", name="two")
        await eventually(lambda: copy not in names(server, kinds.CONFIG_MAP))


async def test_a_namesake_of_a_copy_is_refused(server: FakeApiServer) -> None:
    from flaggerpy.targets.configs import checksum, copy_name

    original = config("settings", a="1")
    namesake = config(copy_name("settings", checksum(original)), a="somebody's own")
    server.add(using("configmap/settings"))
    server.add(original)
    server.add(namesake)
    server.add(canary())
    async with controller(server):
        await eventually(lambda: "is in the place of a copy" in str(status(server).get("conditions")))
        assert found(server, kinds.CONFIG_MAP, namesake["metadata"]["name"])["data"] == {"a": "somebody's own"}


async def test_a_config_that_its_watch_has_not_told_yet_is_there_all_the_same(server: FakeApiServer) -> None:
    """`kubectl apply` sends ConfigMap and Deployment at once: a run of a revision without the config would be started in vain."""
    server.add(using("configmap/settings"))
    server.add(canary())
    held = True

    def fault(request: Request) -> int | None:
        return 500 if held and request.verb in ("list", "watch") and request.kind is kinds.CONFIG_MAP and started else None

    started = False
    async with controller(server):
        await phase(server, "Initialized")
        started = True
        server.fault = fault
        server.drop_watches()
        target = using("configmap/settings", "configmap/late")
        server.add(config("late", a="1"))
        server.patch(kinds.DEPLOYMENT, SHOP, "podinfo", {"spec": {"template": target["spec"]["template"]}})
        await phase(server, "Progressing", 20)
        assert "configmap/late" in status(server)["trackedConfigs"]
        held = False
        await phase(server, "Succeeded", 60)
        assert len(status(server)["history"]) == 2


async def test_copies_that_flagger_made_go_after_the_next_promotion(server: FakeApiServer) -> None:
    server.add(using("configmap/settings"))
    server.add(config("settings", a="1"))
    made = server.add(canary())
    owner = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo", "uid": made["metadata"]["uid"], "controller": True}
    old = config("settings-primary", a="0")
    old["metadata"]["ownerReferences"] = [owner]
    async with controller(server):
        await phase(server, "Initialized")
        server.add(old)
        server.add(config("other-primary", a="0"))
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"data": {"a": "2"}})
        await phase(server, "Progressing")
        await phase(server, "Succeeded")
        await eventually(lambda: "settings-primary" not in names(server, kinds.CONFIG_MAP))
        assert "other-primary" in names(server, kinds.CONFIG_MAP), "not ours"


async def test_a_copy_holds_binary_data_and_cannot_be_edited(server: FakeApiServer) -> None:
    server.add(using("configmap/settings"))
    server.add(config("settings", a="1") | {"binaryData": {"logo": "AAEC"}})
    server.add(canary())
    async with controller(server):
        await phase(server, "Initialized")
        first = found(server, kinds.CONFIG_MAP, used(server)[0])
        assert (first["binaryData"], first["immutable"]) == ({"logo": "AAEC"}, True)
        server.patch(kinds.CONFIG_MAP, SHOP, "settings", {"binaryData": {"logo": "AAED"}})
        await phase(server, "Succeeded")
        assert found(server, kinds.CONFIG_MAP, used(server)[0])["binaryData"] == {"logo": "AAED"}


async def test_nothing_that_is_emitted_holds_what_a_secret_holds(server: FakeApiServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    words = ["correct-horse", "battery-staple", "tr0ub4dor"]
    server.add(using("secret/password", "secret/token"))
    server.add(secret("password", a=words[0]))
    server.add(secret("token", "follow", a=words[2]))
    server.add(canary())
    said: list[str] = []

    def refuse(request: Request) -> int | None:
        """An API server that refuses a copy repeats what it was sent."""
        if request.verb == "create" and request.kind is kinds.SECRET and not said:
            said.append("refused")
            return 422
        return None

    server.fault = refuse
    async with controller(server):
        await phase(server, "Initialized")
        server.patch(kinds.SECRET, SHOP, "password", encoded(a=words[1]))
        await phase(server, "Succeeded")
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        assert image(server, "podinfo-primary") == "podinfo:1"
    assert said
    emitted = {"logs": caplog.text, **_everything_but_secrets(server)}
    for word in words:
        for form in (word, base64.b64encode(word.encode()).decode()):
            leaks = [where for where, text in emitted.items() if form in text]
            assert not leaks, f"{form} is told in {leaks}"


def _everything_but_secrets(server: FakeApiServer) -> dict[str, str]:
    stored: dict[str, Any] = {
        f"{plural} {name}": obj for (_, plural), shelf in server.objects.items() if plural != "secrets" for (_, name), obj in shelf.items()
    }
    sent = {f"request {index}": [one.path, one.query, one.body] for index, one in enumerate(server.requests) if one.resource != "secrets"}
    return {where: json.dumps(what) for where, what in (stored | sent).items()}
