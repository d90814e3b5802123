"""Releases of DaemonSets from end to end, on an API server in memory with a daemon set controller that lives (`daemons.py`)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from flaggerpy.cluster import kinds
from flaggerpy.controller import farewell
from flaggerpy.targets.daemonset import is_scaled_to_zero
from flaggerpy.targets.templates import SCALE_TO_ZERO
from tests.cluster.fake_apiserver import FakeApiServer, eventually
from tests.controller.daemons import HASH, Daemons, daemonset
from tests.controller.living import canary
from tests.controller.test_release import SHOP, controller, events, found, is_stalled, phase, quiet, status

Obj = dict[str, Any]
REF = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "podinfo"}
pytestmark = pytest.mark.usefixtures("short_drains")


@pytest.fixture
def daemons(server: FakeApiServer) -> Daemons:
    return Daemons(server)


def get(server: FakeApiServer, name: str = "podinfo") -> Obj:
    obj = server.get(kinds.DAEMON_SET, SHOP, name)
    assert obj is not None
    return obj


def pods(server: FakeApiServer, app: str = "podinfo") -> list[Obj]:
    every = [obj for (ns, _), obj in server.objects.get(("", "pods"), {}).items() if ns == SHOP]
    return [obj for obj in every if obj["metadata"]["labels"]["app"] == app]


def image(server: FakeApiServer, name: str) -> str:
    return str(get(server, name)["spec"]["template"]["spec"]["containers"][0]["image"])


def new_image(server: FakeApiServer, to: str) -> None:
    """As `kubectl set image`: the nodeSelector stays as it is."""
    containers = get(server)["spec"]["template"]["spec"]["containers"]
    body = {"spec": {"template": {"spec": {"containers": [containers[0] | {"image": to}]}}}}
    server.patch(kinds.DAEMON_SET, SHOP, "podinfo", body)


async def initialized(server: FakeApiServer, of: Obj | None = None, **spec: Any) -> None:
    server.add(of or daemonset())
    server.add(canary(**{"targetRef": REF, **spec}))
    await phase(server, "Initialized")


async def test_from_nothing_to_initialized_to_succeeded(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server)
        assert is_scaled_to_zero(get(server))
        await eventually(lambda: not pods(server))
        assert len(pods(server, "podinfo-primary")) == 2
        first = status(server)["lastPromotedSpec"]
        await quiet(server)
        assert status(server)["phase"] == "Initialized"
        new_image(server, "podinfo:2")
        await phase(server, "Progressing")
        await eventually(lambda: len(pods(server)) == 2)
        await phase(server, "Succeeded")
        assert image(server, "podinfo-primary") == "podinfo:2"
        assert "nodeSelector" not in get(server, "podinfo-primary")["spec"]["template"]["spec"]
        assert is_scaled_to_zero(get(server))
        await eventually(lambda: not pods(server))
        assert status(server)["lastPromotedSpec"] not in ("", first)
        assert [entry["outcome"] for entry in status(server)["history"]] == ["Succeeded", "Initialized"]


async def test_an_image_that_is_not_there_fails_and_leaves_no_pod(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        assert image(server, "podinfo-primary") == "podinfo:1"
        assert is_scaled_to_zero(get(server))
        await eventually(lambda: not pods(server))
        assert "podinfo:missing" in status(server)["history"][0]["cause"]
        await eventually(lambda: any("podinfo:missing" in event["message"] for event in events(server)))


async def test_the_users_own_node_selector_stays(server: FakeApiServer, daemons: Daemons) -> None:
    daemons.nodes = {"node-0": {"disk": "ssd"}, "node-1": {"disk": "ssd"}, "node-2": {}}
    of = daemonset()
    of["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    async with controller(server):
        await initialized(server, of, revertOnDeletion=True)
        assert get(server)["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd", SCALE_TO_ZERO: "true"}
        assert get(server, "podinfo-primary")["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
        await server.client().delete(kinds.CANARY, SHOP, "podinfo")
        await eventually(lambda: found(server) is None, 15)
        assert get(server)["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "ssd"}
        await eventually(lambda: len(pods(server)) == 2)


async def test_deletion_without_revert_leaves_the_target_as_it_is(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server)
        await server.client().delete(kinds.CANARY, SHOP, "podinfo")
        await eventually(lambda: found(server) is None, 15)
        await quiet(server)
        assert is_scaled_to_zero(get(server))


async def test_a_manifest_that_is_applied_anew_begins_no_release(server: FakeApiServer, daemons: Daemons) -> None:
    """GitOps replaces the object as a whole: its pods come back without traffic, and its template is the one that runs."""
    async with controller(server):
        await initialized(server)
        server.patch(kinds.DAEMON_SET, SHOP, "podinfo", {"spec": {"template": {"spec": {"nodeSelector": None}}}})
        await eventually(lambda: len(pods(server)) == 2)
        await quiet(server)
        told = status(server)
        assert (told["phase"], len(told["history"])) == ("Initialized", 1)


async def test_a_run_goes_on_when_a_manifest_without_the_selector_is_applied(server: FakeApiServer, daemons: Daemons) -> None:
    """The manifest brings the new image and takes the selector away at once: the canary is up before it is scaled."""
    async with controller(server):
        await initialized(server)
        containers = get(server)["spec"]["template"]["spec"]["containers"]
        spec = {"nodeSelector": None, "containers": [containers[0] | {"image": "podinfo:2"}]}
        server.patch(kinds.DAEMON_SET, SHOP, "podinfo", {"spec": {"template": {"spec": spec}}})
        await phase(server, "Succeeded")
        assert [entry["outcome"] for entry in status(server)["history"]] == ["Succeeded", "Initialized"]
        assert is_scaled_to_zero(get(server))


@pytest.mark.fault("Q-15")
async def test_a_primary_pod_that_is_away_for_a_moment_fails_no_release(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server, progressDeadlineSeconds=2)
        body: Obj = {"status": {"lastTransitionTime": "2026-01-01T00:00:00Z"}}
        server.patch(kinds.CANARY, SHOP, "podinfo", body)
        pod = pods(server, "podinfo-primary")[0]["metadata"]["name"]
        unready = {"conditions": [{"type": "Ready", "status": "False"}]}
        server.patch(kinds.POD, SHOP, pod, {"status": unready})
        daemons.again(SHOP, "podinfo-primary")
        new_image(server, "podinfo:2")
        await eventually(lambda: "podinfo-primary.shop not ready" in (status(server).get("progress") or {}).get("waitingFor", ""), 15)
        await quiet(server)
        assert status(server)["phase"] == "Progressing"
        server.patch(kinds.POD, SHOP, pod, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        daemons.again(SHOP, "podinfo-primary")
        await phase(server, "Succeeded")


@pytest.mark.fault("Q-20")
async def test_a_primary_that_was_deleted_comes_back_with_pods(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server)
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        server.remove(kinds.DAEMON_SET, SHOP, "podinfo-primary")
        await eventually(lambda: len(pods(server, "podinfo-primary")) == 2)
        assert image(server, "podinfo-primary") == "podinfo:1"
        assert not is_scaled_to_zero(get(server, "podinfo-primary"))


async def test_a_primary_that_somebody_scaled_to_zero_runs_again_and_is_promoted(server: FakeApiServer, daemons: Daemons) -> None:
    """Flagger makes such primaries (Q-20); whoever owns the key, it goes."""
    async with controller(server):
        await initialized(server, skipAnalysis=True)
        selector = {"spec": {"template": {"spec": {"nodeSelector": {SCALE_TO_ZERO: "true"}}}}}
        server.patch(kinds.DAEMON_SET, SHOP, "podinfo-primary", selector)
        # it is mended at once: that it was without pods is seen in its template, not in its pods
        await eventually(lambda: not is_scaled_to_zero(get(server, "podinfo-primary")) and len(pods(server, "podinfo-primary")) == 2)
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
        assert image(server, "podinfo-primary") == "podinfo:2"
        assert len(pods(server, "podinfo-primary")) == 2


async def test_only_pods_of_the_runs_revision_are_judged(server: FakeApiServer, daemons: Daemons) -> None:
    """A newer template in the middle of a run: what is left of the older one is not the newer one's failure."""
    async with controller(server):
        await initialized(server, podHealth={"settle": "0s", "certainGrace": "60s", "imageCheck": "Off"})
        new_image(server, "podinfo:missing")
        await eventually(lambda: len(pods(server)) == 2)
        new_image(server, "podinfo:2")
        await phase(server, "Succeeded")
        assert [entry["outcome"] for entry in status(server)["history"]] == ["Succeeded", "Superseded", "Initialized"]
        assert len({pod["metadata"]["labels"][HASH] for pod in pods(server, "podinfo-primary")}) == 1


async def test_a_node_that_comes_in_the_middle_of_a_run_gets_its_pod(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server, analysis={"interval": "1s", "threshold": 2, "iterations": 3})
        new_image(server, "podinfo:2")
        await eventually(lambda: len(pods(server)) == 2)
        daemons.nodes["node-2"] = {}
        for name in ("podinfo", "podinfo-primary"):
            daemons.again(SHOP, name)
        await phase(server, "Succeeded")
        assert len(pods(server, "podinfo-primary")) == 3


async def test_a_quota_is_named_while_pods_are_lacking(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server, progressDeadlineSeconds=4)
        daemons.refusal = "exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2"
        new_image(server, "podinfo:2")
        await phase(server, "Failed", 30)
        assert "no pod can be made: quota small is used up" in status(server)["history"][0]["cause"]


async def test_a_daemonset_for_no_node_is_named_and_goes_on_when_one_comes(server: FakeApiServer, daemons: Daemons) -> None:
    daemons.nodes = {}
    server.add(daemonset())
    server.add(canary(targetRef=REF))
    async with controller(server):
        await is_stalled(server, "podinfo", "no node matches its nodeSelector, affinity and tolerations")
        daemons.nodes = {"node-0": {}}
        daemons.again(SHOP, "podinfo")
        await phase(server, "Initialized")


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (daemonset(updateStrategy={"type": "OnDelete"}), "must have RollingUpdate strategy but have OnDelete"),
        (daemonset(selector={"matchLabels": {"tier": "web"}}), "daemonset podinfo.shop spec.selector.matchLabels must contain one of"),
    ],
)
async def test_a_daemonset_that_cannot_have_a_primary_is_left_alone(server: FakeApiServer, daemons: Daemons, of: Obj, words: str) -> None:
    server.add(of)
    server.add(canary(targetRef=REF))
    async with controller(server):
        await is_stalled(server, "podinfo", words)
        assert server.get(kinds.DAEMON_SET, SHOP, "podinfo-primary") is None
        assert not is_scaled_to_zero(get(server))


async def test_daemonsets_are_followed_only_where_a_canary_has_one(server: FakeApiServer, daemons: Daemons) -> None:
    def listed() -> bool:
        return any(request.kind == kinds.DAEMON_SET for request in server.requests)

    async with controller(server):
        server.add(daemonset())
        await quiet(server)
        assert not listed()
        server.add(canary(targetRef=REF))
        await phase(server, "Initialized")
        assert listed()


@pytest.mark.fault("Q-61")
async def test_without_revert_the_daemonset_is_told_how_its_pods_come_back(
    server: FakeApiServer, daemons: Daemons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "GRACE", 0.2)

    def told() -> list[str]:
        return [event["message"] for event in events(server) if "was deleted without revertOnDeletion" in event["message"]]

    async with controller(server):
        await initialized(server)
        await quiet(server)
        server._delete(kinds.CANARY, server.objects[(kinds.CANARY.group, kinds.CANARY.plural)][(SHOP, "podinfo")], {})
        await eventually(lambda: bool(told()))
    [said] = told()
    command = re.search(r"patch daemonset podinfo --type=json -p '([^']*)'", said)
    assert command is not None
    assert json.loads(command[1]) == [{"op": "remove", "path": "/spec/template/spec/nodeSelector"}]


@pytest.mark.fault("Q-61", "Q-28")
async def test_a_daemonset_that_fails_leaves_its_primary_behind(server: FakeApiServer, daemons: Daemons) -> None:
    async with controller(server):
        await initialized(server, revertOnDeletion=True)
        new_image(server, "podinfo:missing")
        await phase(server, "Failed")
        server._delete(kinds.CANARY, server.objects[(kinds.CANARY.group, kinds.CANARY.plural)][(SHOP, "podinfo")], {})
        await eventually(lambda: server.get(kinds.CANARY, SHOP, "podinfo") is None, 45)
    assert not get(server, "podinfo-primary")["metadata"].get("ownerReferences")
    assert len(pods(server, "podinfo-primary")) == 2
