"""The command line from its words to what is printed, over a cluster in memory."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from rich.console import Console

from flaggerpy.cli import look, main, watching
from flaggerpy.cli.printing import Screen
from flaggerpy.cli.problems import MEANING, Exit, Problem, problem_of
from flaggerpy.cluster import errors
from flaggerpy.cluster.tasks import end
from tests.cli.objects import Memory, Obj, at, canary, deployment, ended, pod, replica_set, run

V1, V2 = "podinfo:1", "podinfo:2"
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "GATHER_SECONDS", 0.0)
    for name in ("WAIT_SECONDS", "COMMAND_SECONDS"):
        monkeypatch.setattr(look, name, 0.0)


class Run:
    """One run of the command: exit code, stdout and stderr."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


async def flaggerpy(access: Memory, *words: str) -> Run:
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, soft_wrap=True, highlight=False), Console(file=err, soft_wrap=True, highlight=False))
    code = await main.perform(main.parser().parse_args(words), access, screen)
    return Run(code, out.getvalue(), err.getvalue())


def progressing(step: int = 1, weight: int = 20) -> Obj:
    return canary("Progressing", canaryWeight=weight, run=run("r2", V2), progress={"waitingFor": f"the analysis of step {step}"})


def succeeded() -> Obj:
    return canary("Succeeded", lastAppliedSpec="r2", lastPromotedSpec="r2", history=[ended("r2", V2, "Succeeded", started=-60, end=0)])


def failed() -> Obj:
    return canary("Failed", lastAppliedSpec="r2", history=[ended("r2", V2, "Failed", started=-60, end=0, cause="container app crashed")])


def cluster(*canaries: Obj) -> Memory:
    return Memory(
        *canaries,
        workloads=(deployment("podinfo", V2), deployment("podinfo-primary", V1)),
        replica_sets=(replica_set("r2"),),
        pods=(pod("podinfo"), pod("podinfo-primary")),
    )


async def test_get_prints_the_table_and_nothing_is_cut_without_a_terminal() -> None:
    long = "x" * 300
    got = await flaggerpy(cluster(canary(progress={"waitingFor": long})), "get")
    assert got.out.splitlines()[0].startswith("NAME      STATUS")
    assert long in got.out.splitlines()[1]


async def test_get_as_objects_and_names() -> None:
    assert json.loads((await flaggerpy(cluster(succeeded()), "get", "podinfo", "-o", "json")).out)["kind"] == "Canary"
    assert yaml.safe_load((await flaggerpy(cluster(succeeded()), "get", "-o", "yaml")).out)["items"][0]["metadata"]["name"] == "podinfo"
    assert (await flaggerpy(cluster(succeeded()), "get", "-o", "name")).out == "canary.flagger.app/podinfo\n"


async def test_get_of_nothing_says_so_and_is_no_failure() -> None:
    got = await flaggerpy(Memory(), "get", "-n", "empty")
    assert (got.code, got.out, got.err) == (0, "", "No Canaries found in namespace empty.\n")


@pytest.mark.parametrize("word", ["get", "describe", "wait", "abort", "history"])
async def test_a_canary_that_is_not_there_is_a_sentence(word: str) -> None:
    with pytest.raises(Problem, match="There is no Canary nobody in namespace test") as raised:
        await flaggerpy(cluster(succeeded()), word, "nobody")
    assert raised.value.code == Exit.NO_SUCH_CANARY


async def test_describe_counts_the_pods_of_both_sides() -> None:
    assert "pods       canary 1/1 ready, primary 1/1 ready" in (await flaggerpy(cluster(progressing()), "describe", "podinfo")).out


async def test_wait_follows_a_release_to_its_promotion() -> None:
    access = cluster(canary("Succeeded"))
    access.script = [canary("Succeeded"), progressing(1), progressing(1), progressing(2), succeeded()]
    got = await flaggerpy(access, "wait", "podinfo", "--image", V2, "--timeout", "5s")
    assert (got.code, got.out) == (Exit.OK, "podinfo revision r2 (podinfo:2) was promoted.\n")
    assert got.err.splitlines() == [
        "15:30:00Z  waiting: the controller to see image podinfo:2 on Deployment podinfo",
        "15:30:00Z  waiting: the analysis of step 1",
        "15:30:00Z  waiting: the analysis of step 2",
    ]


async def test_wait_ends_with_1_and_the_cause() -> None:
    got = await flaggerpy(cluster(failed()), "wait", "podinfo")
    assert (got.code, got.out) == (Exit.FAILED, "podinfo revision r2 (podinfo:2) ended Failed: container app crashed\n")


async def test_wait_ends_with_2_and_what_it_waited_for() -> None:
    got = await flaggerpy(cluster(progressing()), "wait", "podinfo", "-q", "--timeout", "0s")
    assert (got.code, got.out, got.err) == (Exit.TIMED_OUT, "Timed out after 0 s, waiting: the analysis of step 1\n", "")


async def test_wait_ends_with_3_when_the_target_moves_on() -> None:
    access = cluster(progressing())
    access.workloads["podinfo"] = deployment("podinfo", "podinfo:3")
    assert (await flaggerpy(access, "wait", "podinfo", "--image", V2)).code == Exit.SUPERSEDED


async def test_wait_without_a_name_of_a_release_keeps_to_the_revision_of_its_first_look() -> None:
    access = cluster(progressing())
    original = access.canary

    async def canary_and_then_move(namespace: str, name: str) -> Obj | None:
        found = await original(namespace, name)
        if access.workloads["podinfo"]["status"].get("seen"):
            access.sets = [replica_set("r3")]
        access.workloads["podinfo"]["status"]["seen"] = True
        return found

    access.canary = canary_and_then_move  # type: ignore[method-assign]
    assert (await flaggerpy(access, "wait", "podinfo", "--timeout", "5s")).code == Exit.SUPERSEDED


async def test_wait_outlives_an_api_server_that_does_not_answer() -> None:
    access = cluster(succeeded())
    original, calls = access.canary, 0

    async def sometimes(namespace: str, name: str) -> Obj | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise errors.Unreachable("connection refused", sent=False)
        return await original(namespace, name)

    access.canary = sometimes  # type: ignore[method-assign]
    got = await flaggerpy(access, "wait", "podinfo", "--timeout", "5s")
    assert got.code == Exit.OK
    assert "an answer of the cluster (connection refused)" in got.err


async def test_wait_refuses_a_phase_that_does_not_exist() -> None:
    with pytest.raises(Problem, match="no such phase"):
        await flaggerpy(cluster(succeeded()), "wait", "podinfo", "--for", "Done")


async def test_abort_writes_the_annotation_and_waits_for_the_answer() -> None:
    access = cluster(progressing())
    waiting = progressing()
    waiting["metadata"]["annotations"]["flagger.app/abort"] = "r2"
    access.script = [progressing(), waiting, failed()]
    got = await flaggerpy(access, "abort", "podinfo")
    assert access.written == [("podinfo", {"flagger.app/abort": "r2"})]
    assert (got.code, got.out) == (Exit.OK, "Aborted: podinfo is Failed, canary weight 0 % (container app crashed).\n")


async def test_a_command_that_nobody_answers_says_so() -> None:
    waiting = progressing()
    waiting["metadata"]["annotations"]["flagger.app/promote"] = "r2"
    got = await flaggerpy(cluster(waiting), "promote", "podinfo", "--timeout", "0s")
    assert got.code == Exit.TIMED_OUT
    assert "no controller has taken it up" in got.out


async def test_watch_without_a_terminal_prints_a_line_per_change_and_ends_with_the_release() -> None:
    access = cluster(progressing())
    access.script = [progressing(1), progressing(1), progressing(2, weight=40), succeeded()]
    got = await flaggerpy(access, "watch", "podinfo", "--until-done")
    assert got.code == Exit.OK
    assert got.out.splitlines() == [
        "15:30:00Z  podinfo.test  Progressing  canary 20 %  pods 1/1 + 1/1  the analysis of step 1",
        "15:30:00Z  podinfo.test  Progressing  canary 40 %  pods 1/1 + 1/1  the analysis of step 2",
        "15:30:00Z  podinfo.test  Succeeded  canary 0 %  pods 1/1 + 1/1",
        "podinfo revision r2 (podinfo:2) was promoted.",
    ]


async def test_get_goes_on_with_a_line_for_each_change() -> None:
    access = cluster(progressing())
    access.script = [progressing(1), progressing(1), progressing(2, weight=40), failed()]
    got = await until_quiet(access, "get", "-w")
    assert [line.split()[:3] for line in got.out.splitlines()] == [
        ["NAME", "STATUS", "WEIGHT"], ["podinfo", "Progressing", "20"], ["podinfo", "Progressing", "40"], ["podinfo", "Failed", "0"],
    ]  # fmt: skip


async def test_get_by_label_asks_the_api_server_for_it() -> None:
    labelled = succeeded()
    labelled["metadata"]["labels"] = {"team": "web"}
    assert "podinfo" in (await flaggerpy(cluster(labelled), "get", "-l", "team=web")).out
    assert "No Canaries found" in (await flaggerpy(cluster(succeeded()), "get", "-l", "team=web")).err


async def test_watch_of_many_without_a_terminal_prints_a_line_per_change() -> None:
    access = cluster(progressing())
    access.script = [progressing(1), progressing(2, weight=40)]
    got = await until_quiet(access, "watch", "-A")
    assert [line.split("  ")[2:4] for line in got.out.splitlines()] == [["Progressing", "canary 20 %"], ["Progressing", "canary 40 %"]]


async def test_top_without_a_terminal_is_the_table_once() -> None:
    got = await flaggerpy(cluster(progressing()), "top")
    assert got.out.splitlines()[0] == "all namespaces   1 of 1 in a release"
    assert got.out.splitlines()[3].startswith("test       podinfo  Progressing  20 %  1/3")
    assert "No release is under way." in (await flaggerpy(cluster(succeeded()), "top", "-n", "test")).out


async def test_a_canary_that_is_deleted_ends_the_watch_of_it() -> None:
    access = cluster(progressing())
    gone = progressing()
    gone["metadata"]["name"] = "another"
    access.script = [gone]
    with pytest.raises(Problem, match="There is no Canary podinfo"):
        await flaggerpy(access, "watch", "podinfo")


async def until_quiet(access: Memory, *words: str) -> Run:
    """What a command that never ends has printed once the script is played."""
    out, err = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=out, soft_wrap=True, highlight=False), Console(file=err, soft_wrap=True, highlight=False))
    task = asyncio.create_task(main.perform(main.parser().parse_args(words), access, screen))
    while access.script:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await end(task)
    return Run(0, out.getvalue(), err.getvalue())


async def test_history_is_a_table() -> None:
    assert (await flaggerpy(cluster(failed()), "history", "podinfo")).out.splitlines() == [
        "#   ENDED   OUTCOME   REVISION   IMAGES      TOOK   CAUSE",
        "1   0s      Failed    r2         podinfo:2   60s    container app crashed",
    ]
    assert (await flaggerpy(cluster(failed()), "history", "podinfo", "-o", "wide")).out.startswith("1  Failed  r2  podinfo:2  ")
    assert json.loads((await flaggerpy(cluster(failed()), "history", "podinfo", "-o", "json")).out)[0]["revision"] == "r2"


async def test_rollback_to_writes_the_revision_and_warns_of_who_keeps_the_target_in_git() -> None:
    before = canary("Succeeded", lastAppliedSpec="r2", lastPromotedSpec="r2", promotedRevisions=["r2", "r1"], history=[
        ended("r2", V2, "Succeeded", started=-60, end=-10), ended("r1", V1, "Initialized", started=-600, end=-500),
    ])  # fmt: skip
    access = cluster(before)
    access.workloads["podinfo"]["metadata"]["labels"] = {
        "kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux",
    }  # fmt: skip
    after = json.loads(json.dumps(before))
    after["status"]["reverting"] = {"revision": "r1", "before": "r2", "at": at(0)}
    access.script = [before, after]
    got = await flaggerpy(access, "rollback-to", "podinfo", "2")
    assert access.written == [("podinfo", {"flagger.app/rollback-to": "r1"})]
    assert (got.code, got.out) == (Exit.OK, "Rolling back to revision r1: podinfo is Succeeded, canary weight 0 %.\n")
    assert got.err == (
        "Deployment podinfo belongs to the Flux Kustomization flux/apps, which will put its own template back: change it there as well.\n"
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("flaggerpy ")


def test_a_wrong_command_line_is_64_not_the_code_of_a_time_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main.main(["wait"])
    assert raised.value.code == Exit.USAGE


def test_without_a_cluster_there_is_a_sentence_and_a_code(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main.main(["get", "--kubeconfig", str(tmp_path / "none")]) == Exit.NO_CLUSTER
    assert capsys.readouterr().err == f"There is no kubeconfig {tmp_path / 'none'}.\n"


def test_a_context_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "config"
    lists: Obj = {"contexts": [], "clusters": [], "users": []}
    file.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "", **lists}))
    assert main.main(["get", "--kubeconfig", str(file), "--context", "prod"]) == Exit.NO_CLUSTER
    assert "prod" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotConfigured("x"), Exit.NO_CLUSTER),
        (errors.Unreachable("x", sent=False), Exit.NO_CLUSTER),
        (errors.Unauthorized("x"), Exit.NO_PERMISSION),
        (errors.Forbidden("x"), Exit.NO_PERMISSION),
        (errors.NotFound("x"), Exit.NOT_INSTALLED),
        (errors.ServerError("x"), Exit.REFUSED),
    ],
)
def test_errors_of_the_api_are_sentences(error: errors.ApiError, code: Exit) -> None:
    problem = problem_of(error)
    assert problem.code == code
    assert problem.sentence.endswith((".", "x", "crds/"))


def test_run_passes_its_flags_to_the_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def controller(argv: list[str]) -> int:
        given.extend(argv)
        return 7

    monkeypatch.setitem(sys.modules, "flaggerpy.controller.run", SimpleNamespace(main=controller))
    assert main.main(["run", "-mesh-provider=contour", "--help"]) == 7
    assert given == ["-mesh-provider=contour", "--help"]


def test_the_page_of_the_manual_has_every_word_option_and_exit_code() -> None:
    page = DOCS.read_text()
    words = next(action for action in main.parser()._actions if action.dest == "word").choices
    assert words is not None
    for word, sub in dict(words).items():
        assert f"### `flaggerpy {word}" in page, word
        for action in sub._actions:
            for option in action.option_strings:
                assert f"`{option}" in page, (word, option)
    for code, meaning in MEANING.items():
        assert f"| {code.value} | {meaning} |" in page
