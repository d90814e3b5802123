"""The CRDs of a cluster are brought up to date, and nothing that a newer one has is taken away."""

from __future__ import annotations

import argparse
import copy
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from flaggerpy.cli import crds
from flaggerpy.cli.main import main, parser
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.cluster import kinds
from flaggerpy.cluster.errors import Invalid
from tests.cluster.fake_apiserver import FakeApiServer, Refused, Request

Obj = dict[str, Any]
CANARY, *_ = crds.ours()
NAME = CANARY["metadata"]["name"]


def schema(crd: Obj) -> Obj:
    found: Obj = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def changed(change: Callable[[Obj], object]) -> Obj:
    crd = copy.deepcopy(CANARY)
    change(schema(crd)["properties"])
    return crd


def older() -> Obj:
    def cut(properties: Obj) -> None:
        del properties["status"]["properties"]["run"]
        properties["spec"]["oneOf"] = [{"required": ["analysis"]}]

    return changed(cut)


def newer() -> Obj:
    return changed(lambda properties: properties["spec"]["properties"].update(shiny={"type": "string"}))


def establishing(server: FakeApiServer) -> None:
    """Plays the API server's own controller."""

    def react(type_: str, obj: Obj) -> None:
        if obj.get("kind") == "CustomResourceDefinition" and not (obj.get("status") or {}).get("conditions"):
            conditions = [{"type": "Established", "status": "True"}]
            kind = kinds.CUSTOM_RESOURCE_DEFINITION
            server.patch(kind, None, obj["metadata"]["name"], {"status": {"conditions": conditions}})

    server.reactors.append(react)


async def run(server: FakeApiServer, *words: str) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=200, highlight=False, soft_wrap=True))
    assert await crds.run(options(*words), server.client(), screen) == Exit.OK
    return out.getvalue()


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["crds", *words])


def test_what_is_applied_is_what_the_tree_holds() -> None:
    held = [yaml.safe_load(file.read_text()) for file in sorted((Path(__file__).parents[2] / "crds").glob("*.yaml"))]
    assert sorted(crds.ours(), key=str) == sorted(held, key=str)


def test_print_gives_the_crds_without_a_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds", "print"]) == 0
    assert [obj["metadata"]["name"] for obj in yaml.safe_load_all(capsys.readouterr().out)] == [
        "canaries.flagger.app", "metrictemplates.flagger.app", "alertproviders.flagger.app",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("live", "more", "lacks"),
    [
        (CANARY, (), ()),
        (older(), (), ("status.run",)),
        (newer(), ("spec.shiny",), ()),
        (changed(lambda p: p["spec"]["properties"]["provider"]["enum"].append("new")), ("spec.provider=new",), ()),
        (changed(lambda p: p["status"]["properties"]["run"].update(properties={"deep": {}})), (), ()),
    ],
)
def test_fields_and_listed_values_tell_which_schema_is_newer(live: Obj, more: tuple[str, ...], lacks: tuple[str, ...]) -> None:
    verdict = crds.compare(live, CANARY)
    assert (verdict.more, verdict.lacks) == (more, lacks)


def test_a_version_that_only_the_cluster_has_makes_it_newer() -> None:
    live = copy.deepcopy(CANARY)
    live["spec"]["versions"].append({"name": "v1", "served": True})
    assert crds.compare(live, CANARY).newer


def test_what_the_api_server_adds_by_default_is_no_difference_but_a_rule_in_the_schema_is() -> None:
    live = copy.deepcopy(CANARY)
    live["spec"]["conversion"] = {"strategy": "None"}
    live["status"] = {}
    assert crds.compare(live, CANARY).same
    schema(live)["properties"]["spec"]["properties"]["provider"]["pattern"] = "x"
    assert not crds.compare(live, CANARY).same


async def test_apply_creates_what_is_missing_waits_for_it_and_then_has_nothing_to_do() -> None:
    async with FakeApiServer() as server:
        establishing(server)
        assert (await run(server, "apply")).count("created") == 3
        writes = len(server.writes)
        assert (await run(server, "apply")).count("up to date") == 3
        assert len(server.writes) == writes
        assert (await run(server, "check")).count("up to date") == 3


async def test_an_older_schema_is_replaced_whole_and_its_annotations_stay() -> None:
    async with FakeApiServer() as server:
        establishing(server)
        old = older()
        old["metadata"]["annotations"] = {"mine": "yes"}
        server.add(old)
        assert f"{NAME}: replaced" in await run(server, "apply")
        found = server.get(kinds.CUSTOM_RESOURCE_DEFINITION, None, NAME)
        assert found
        assert found["spec"] == CANARY["spec"]
        assert found["metadata"]["annotations"] == {"mine": "yes", "helm.sh/resource-policy": "keep"}


async def test_a_newer_schema_is_left_as_it_is_and_the_hook_succeeds() -> None:
    async with FakeApiServer() as server:
        establishing(server)
        server.add(newer())
        said = await run(server, "apply")
        assert f"{NAME}: left as it is, newer than this version (it has spec.shiny)" in said
        found = server.get(kinds.CUSTOM_RESOURCE_DEFINITION, None, NAME)
        assert found
        assert found["spec"] == newer()["spec"]
        assert f"{NAME}: replaced" in await run(server, "apply", "--force")


async def test_a_schema_that_has_more_and_lacks_something_is_refused_by_name() -> None:
    async with FakeApiServer() as server:
        establishing(server)
        live = newer()
        del schema(live)["properties"]["status"]["properties"]["run"]
        server.add(live)
        with pytest.raises(Problem, match=r"it has spec\.shiny, and lacks status\.run") as raised:
            await run(server, "apply")
        assert raised.value.code == Exit.NOT_INSTALLED


async def test_a_change_in_between_is_looked_at_again() -> None:
    async with FakeApiServer() as server:
        establishing(server)
        server.add(older())
        once = [True]

        def meanwhile(request: Request, obj: Obj) -> None:
            if request.verb == "patch" and once.pop():
                once.append(False)
                server.patch(kinds.CUSTOM_RESOURCE_DEFINITION, None, NAME, {"metadata": {"labels": {"a": "b"}}})
                raise Refused(409, "Conflict", "changed")

        server.admit = meanwhile
        assert f"{NAME}: replaced" in await run(server, "apply")


async def test_a_schema_that_the_api_server_refuses_is_an_error() -> None:
    async with FakeApiServer() as server:

        def no(request: Request, obj: Obj) -> None:
            raise Refused(422, "Invalid", "schema is bad")

        server.admit = no
        with pytest.raises(Invalid, match="schema is bad"):
            await run(server, "apply")


async def test_names_that_somebody_else_has_are_told_when_time_is_up() -> None:
    async with FakeApiServer() as server:
        for crd in crds.ours():
            told = [{"type": "NamesAccepted", "status": "False", "message": "canaries is taken"}]
            server.add({**crd, "status": {"conditions": told}})
        times = iter([0.0, 100.0])
        with pytest.raises(Problem, match="not established after 60 s: canaries is taken"):
            await crds.established(server.client(), monotonic=lambda: next(times))


@pytest.mark.parametrize(("live", "said"), [(None, "is not installed"), (older(), r"lacks status\.run: flaggerpy crds apply")])
async def test_check_names_what_is_missing(live: Obj | None, said: str) -> None:
    async with FakeApiServer() as server:
        if live:
            server.add(live)
        with pytest.raises(Problem, match=said):
            await run(server, "check")
