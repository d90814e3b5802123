"""Errors of the API as sentences that say what to do: as `main` tells them, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from flaggerpy.cli import main
from flaggerpy.cli.problems import Exit, problem_of
from flaggerpy.cluster import errors
from tests.cli.apiserver import CANARIES, kubeconfig, listed, serving


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main.main(list(words))
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert err.count("\n") == 1, "one sentence"
    return code, err


@pytest.mark.parametrize("word", [("get",), ("describe", "app"), ("top", "-n", "test"), ("watch", "app"), ("get", "-w")])
@pytest.mark.parametrize(
    ("answer", "code", "advice"),
    [
        (401, Exit.NO_PERMISSION, "log in again"),
        (403, Exit.NO_PERMISSION, "docs/cli.md"),
        (404, Exit.NOT_INSTALLED, "flaggerpy crds apply"),
    ],
)
def test_every_word_that_looks_tells_what_stands_in_its_way(
    word: tuple[str, ...], answer: int, code: Exit, advice: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:  # fmt: skip
    with serving({CANARIES: answer, f"{CANARIES}/app": answer}, tmp_path) as file:
        got, sentence = told(capsys, *word, "--kubeconfig", str(file))
    assert (got, advice in sentence) == (code, True), sentence


def test_a_context_that_is_not_there_is_named_beside_those_that_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(kubeconfig("http://127.0.0.1:1")))
    code, sentence = told(capsys, "get", "--kubeconfig", str(file), "--context", "prod")
    assert (code, sentence) == (Exit.NO_CLUSTER, f"There is no context prod in {file}; there are other, toy.\n")


def test_a_kubeconfig_that_cannot_be_read_is_a_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text("{")
    code, sentence = told(capsys, "get", "--kubeconfig", str(file), "--context", "prod")
    assert code == Exit.NO_CLUSTER
    assert sentence.startswith("No cluster to talk to: no usable Kubernetes configuration: ")


def test_a_canary_that_is_not_there_is_told_by_the_live_view_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with serving({CANARIES: listed()}, tmp_path) as file:
        code, sentence = told(capsys, "watch", "app", "--kubeconfig", str(file))
    assert (code, sentence.partition(" in ")[0]) == (Exit.NO_SUCH_CANARY, "There is no Canary app")


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Cannot connect to host a:6443 ssl:True [SSLCertVerificationError: certificate verify failed]", "right cluster"),
        ("Cannot connect to host nowhere:6443 [Name or service not known]", "VPN"),
        ("[Errno 111] Connect call failed ('127.0.0.1', 1)", "Nothing listens there"),
        ("no answer within 30 s", "firewall"),
        ("something new", "something new."),
    ],
)
def test_a_cluster_that_does_not_answer_has_a_likely_reason(message: str, advice: str) -> None:
    problem = problem_of(errors.Unreachable(message, sent=False), "https://a:6443")
    assert problem.code == Exit.NO_CLUSTER
    assert problem.sentence.startswith("The cluster at https://a:6443 does not answer: ")
    assert advice in problem.sentence


def test_an_overloaded_api_server_is_no_verdict() -> None:
    assert problem_of(errors.TooManyRequests("slow down")).sentence.endswith("Try again.")
