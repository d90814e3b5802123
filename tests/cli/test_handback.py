"""The way back to Flagger: what is written of an idle Canary, and what is refused."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

import pytest

from flaggerpy.cli import handback
from flaggerpy.cli.handback import Back, Refused, UnderWay, config_copy, way_back
from flaggerpy.cli.main import parser
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Problem
from flaggerpy.cluster import kinds
from flaggerpy.targets.configs import checksum
from flaggerpy.targets.flaggerhash import flagger_hash
from tests.cli.objects import NOW, Obj, at, canary, deployment, run
from tests.cluster.fake_apiserver import FakeApiServer, eventually

TARGET = deployment("podinfo", "podinfo:2")
OLDER = deployment("podinfo", "podinfo:1")
PRIMARY = deployment("podinfo-primary", "podinfo:2")
HASH, OLDER_HASH = (flagger_hash(each["spec"]["template"]) for each in (TARGET, OLDER))
KEPT = {"r2": {"template": TARGET["spec"]["template"], "configs": {}}, "r1": {"template": OLDER["spec"]["template"]}}


def idle(phase: str = "Succeeded", **status: Any) -> Obj:
    told = {
        "lastAppliedSpec": "r2", "lastPromotedSpec": "r2", "observedGeneration": 1, "promotedImages": ["podinfo:2"], "history": [],
        "trackedConfigs": {"configmap/c": "1"}, "conditions": [
            {"type": "Promoted", "status": "True", "reason": phase, "message": "m", "observedGeneration": 1},
            {"type": "Ready", "status": "True", "reason": phase, "message": "m"},
        ],
    }  # fmt: skip
    return canary(phase, **{**told, **status})


def back(obj: Obj, **kept: Obj) -> Back:
    found = way_back(obj, TARGET, PRIMARY, kept or KEPT, NOW)
    assert found is not None
    return found


def test_an_idle_canary_gets_flaggers_fields_and_hashes_and_loses_ours() -> None:
    written = back(idle()).status
    assert (written["lastAppliedSpec"], written["lastPromotedSpec"]) == (HASH, HASH)
    assert written["phase"] == "Succeeded"
    assert written["trackedConfigs"] == {"configmap/c": "1"}
    assert written["lastTransitionTime"] == at(0)
    assert [each["type"] for each in written["conditions"]] == ["Promoted"]
    assert "observedGeneration" not in written["conditions"][0]
    assert {name for name, value in written.items() if value is None} == {"observedGeneration", "promotedImages", "history"}


def test_a_failed_one_keeps_both_hashes_apart() -> None:
    written = back(idle("Failed", lastPromotedSpec="r1")).status
    assert (written["lastAppliedSpec"], written["lastPromotedSpec"]) == (HASH, OLDER_HASH)


def test_hashes_that_flagger_gave_itself_are_given_back() -> None:
    obj = idle(lastAppliedSpec="b5", lastPromotedSpec="b5", flaggerApplied={"revision": "r2", "hash": "b5"},
               flaggerPromoted={"revision": "r2", "hash": "b5"})  # fmt: skip
    written = back(obj).status
    assert (written["lastAppliedSpec"], written["lastPromotedSpec"]) == ("b5", "b5")
    assert written["flaggerApplied"] is None


def test_one_that_is_flaggers_already_is_left_alone() -> None:
    obj = idle()
    del obj["status"]["observedGeneration"]
    assert way_back(obj, TARGET, PRIMARY, KEPT, NOW) is None


def test_one_that_no_controller_has_looked_at_is_left_alone() -> None:
    assert way_back({**idle(), "status": {"observedGeneration": -1}}, TARGET, PRIMARY, KEPT, NOW) is None


@pytest.mark.parametrize(
    ("obj", "target", "kept", "error", "words"),
    [
        (idle("Progressing", canaryWeight=40, run=run("r2", "podinfo:2")), TARGET, KEPT, UnderWay, "Progressing with 40% of the traffic"),
        (idle("Waiting", run=run("r2", "podinfo:2")), TARGET, KEPT, UnderWay, "it is Waiting"),
        (idle(), OLDER, KEPT, UnderWay, "its target has changed"),
        (idle("Failed", canaryWeight=100), TARGET, KEPT, Refused, "left 100% of the traffic on the canary"),
        (idle("Failed", lastPromotedSpec=""), TARGET, KEPT, Refused, "never initialised"),
        (idle(), None, KEPT, Refused, "the target is not there"),
        (idle("Failed", lastPromotedSpec="r0"), TARGET, KEPT, Refused, "the template of the promoted revision r0 is not kept"),
    ],
)
def test_what_cannot_go_back_is_refused_with_its_reason(
    obj: Obj, target: Obj | None, kept: dict[str, Obj], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        way_back(obj, target, PRIMARY, kept, NOW)


def test_a_daemonset_counts_without_what_scales_it_to_zero() -> None:
    idle_set = {**TARGET, "kind": "DaemonSet", "spec": {"template": {"spec": {"nodeSelector": {handback.SCALE_TO_ZERO: "true"}}}}}
    assert handback.counted(idle_set) == {"spec": {"nodeSelector": {}}}
    assert handback.counted(TARGET) is TARGET["spec"]["template"]


def test_a_copy_under_flaggers_name_is_not_ours_to_remove() -> None:
    owners = [{"uid": "u1", "controller": True}, {"uid": "u2", "controller": False}]
    labels = {"team": "a", "flagger.app/canary": "podinfo"}
    meta = {"name": "c-primary-12345678", "namespace": "test", "labels": labels, "ownerReferences": owners}
    made = config_copy({"kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}, "immutable": True}, "c")
    assert made["metadata"] == {"name": "c-primary", "namespace": "test", "labels": {"team": "a"}, "ownerReferences": owners}
    assert made["data"] == {"a": "b"}
    assert "immutable" not in made


class Cluster:
    """A Canary with its neighbours on an API server in memory."""

    def __init__(self, server: FakeApiServer) -> None:
        self.server = server
        self.canary = server.add(idle())
        for each in (TARGET, PRIMARY):
            server.add({"apiVersion": "apps/v1", "kind": "Deployment", **json.loads(json.dumps(each))})
        owner = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "podinfo", "uid": self.canary["metadata"]["uid"]}
        data = {"a": "b"}
        digest = checksum({"kind": "ConfigMap", "data": data})
        meta: Obj = {"namespace": "test", "ownerReferences": [owner], "labels": {"flagger.app/canary": "podinfo"}}
        server.add({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**meta, "name": f"c-primary-{digest[:8]}"}, "data": data})
        kept = {"template": TARGET["spec"]["template"], "configs": {"configmap/c": digest}}
        labels = {**meta["labels"], "flagger.app/revision": "r2"}
        revision = {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {**meta, "name": "podinfo-r2", "labels": labels}}
        server.add({**revision, "revision": 1, "data": kept})

    async def go(self, *words: str) -> int:
        options: argparse.Namespace = parser().parse_args(["handback", *words])
        return await handback.hand_back(options, self.server.client(), Screen())


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handback, "TAKEN_BACK", 0.0)
    monkeypatch.setattr(handback, "ASK_EVERY", 0.01)


async def test_a_dry_run_writes_nothing_and_the_real_one_status_and_copies(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeApiServer() as server:
        cluster = Cluster(server)
        before = len(server.writes)
        assert await cluster.go("--all", "--dry-run") == 0
        assert len(server.writes) == before
        assert f"would be Flagger's: Succeeded, hashes {HASH}, 1 config copy" in capsys.readouterr().out
        assert await cluster.go("podinfo", "-n", "test") == 0
        status = (server.get(kinds.CANARY, "test", "podinfo") or {})["status"]
        assert status["lastAppliedSpec"] == HASH
        assert "history" not in status
        assert (server.get(kinds.CONFIG_MAP, "test", "c-primary") or {})["data"] == {"a": "b"}
        assert await cluster.go("--all") == 0
        assert "is as Flagger left it" in capsys.readouterr().out


async def test_a_release_under_way_is_refused_or_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeApiServer() as server:
        cluster = Cluster(server)
        server.patch(kinds.CANARY, "test", "podinfo", {"status": {"phase": "Progressing"}})
        assert await cluster.go("podinfo", "-n", "test") == 1
        assert "refused: it is Progressing" in capsys.readouterr().out
        server.patch(kinds.CANARY, "test", "podinfo", {"status": {"phase": "Succeeded"}})
        assert await cluster.go("podinfo", "-n", "test", "--wait", "1m") == 0


async def test_a_flaggerpy_that_still_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handback, "TAKEN_BACK", 0.2)
    async with FakeApiServer() as server:
        cluster = Cluster(server)

        async def takes_up_again() -> None:
            await eventually(lambda: "observedGeneration" not in (server.get(kinds.CANARY, "test", "podinfo") or {})["status"], 10)
            server.patch(kinds.CANARY, "test", "podinfo", {"status": {"observedGeneration": 1}})

        controller = asyncio.create_task(takes_up_again())
        with pytest.raises(Problem, match=r"flaggerpy still runs and has taken up again: podinfo\.test"):
            await cluster.go("--all")
        await controller


async def test_names_or_all_but_not_both_or_neither() -> None:
    async with FakeApiServer() as server:
        cluster = Cluster(server)
        for words in ((), ("podinfo", "--all")):
            with pytest.raises(Problem, match="Name Canaries, or give --all"):
                await cluster.go(*words)
        with pytest.raises(Problem, match="There is no Canary other"):
            await cluster.go("other", "-n", "test")
