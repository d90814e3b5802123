"""What a TAB proposes, and what real shells make of it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flaggerpy.cli import main
from flaggerpy.cli.words import completing
from flaggerpy.cli.words.completing import Answer, Hint, Place, answer_for
from tests.cli.apiserver import CANARIES, EVERYWHERE, NAMESPACES, listed, serving

ROOT = Path(__file__).parents[2]


def proposed(*words: str, values: Sequence[str] | None = ("podinfo", "frontend")) -> list[str]:
    found = answer_for(words, lambda place: None if values is None else [(value, "") for value in values])
    return [word for word, _ in found.candidates]


def test_the_first_word_is_one_of_the_commands() -> None:
    assert {"run", "get", "watch", "top", "completion"} <= set(proposed(""))
    assert proposed("hi") == ["history"]
    assert "__complete" not in proposed("")


def test_options_are_proposed_by_their_long_names_and_not_twice() -> None:
    assert proposed("get", "--s") == ["--selector", "--sort-by"]
    assert "--output" not in proposed("get", "-o", "wide", "--")
    assert "--fault" in proposed("simulate", "--fault", "x", "--f"), "one that may be repeated is proposed again"
    assert "--revision" not in proposed("wait", "app", "--image", "x", "--"), "one that excludes another is not proposed beside it"
    assert proposed("get", "--")[-1] == "--help"


def test_values_of_options_are_proposed_in_every_way_they_may_be_written() -> None:
    assert proposed("get", "--sort-by", "") == ["name", "phase", "age", "weight", "since"]
    assert proposed("get", "--sort-by", "p") == ["phase"]
    assert proposed("get", "--sort-by=p") == ["--sort-by=phase"]
    assert proposed("get", "-o", "j") == ["json"]
    assert proposed("completion", "") == ["bash", "zsh", "fish"]


def test_names_are_proposed_where_a_canary_is_meant() -> None:
    assert proposed("describe", "") == ["podinfo", "frontend"]
    assert proposed("describe", "podinfo", "") == []
    assert proposed("get", "podinfo", "") == ["frontend"], "a list may go on, with others"
    assert proposed("get", "-n", "prod", "po") == ["podinfo"]


def test_files_are_left_to_the_shell() -> None:
    assert answer_for(["lint", ""], completing.values_of) == Answer(hint=Hint.FILES)
    assert answer_for(["plan", "--file", "x"], completing.values_of).hint is Hint.FILES
    assert answer_for(["run", "-"], completing.values_of).hint is Hint.FILES


def test_what_was_said_before_tells_where_names_are_looked_for() -> None:
    places: list[Place] = []

    def note(place: Place) -> list[tuple[str, str]]:
        places.append(place)
        return []

    answer_for(["get", "-nprod", "--context=east", "-A", "podinfo", ""], note)
    place = places[0]
    assert (place.namespace, place.context, place.everywhere, place.given) == ("prod", "east", True, ("podinfo",))


def test_the_answer_is_cobras() -> None:
    assert str(Answer((("get", "list"), ("x", "")), Hint.NO_FILES)) == "get\tlist\nx\n:4"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what is answered: on a busy machine that takes longer than anybody waits for."""
    monkeypatch.setenv("FLAGGERPY_COMPLETE_TIMEOUT", "30")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Path]:
    namespaces = {"kind": "NamespaceList", "metadata": {}, "items": [{"metadata": {"name": "prod"}}, {"metadata": {"name": "test"}}]}
    answers = {CANARIES: listed("podinfo", "frontend"), EVERYWHERE: listed("elsewhere", namespace="prod"), NAMESPACES: namespaces}
    with serving(answers, tmp_path) as file:
        yield file


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main.main(["__complete", *words]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out.splitlines()


def test_names_namespaces_and_contexts_come_from_the_cluster(
    cluster: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("KUBECONFIG", str(cluster))
    assert asked(capsys, "watch", "") == ["frontend\tProgressing", "podinfo\tProgressing", ":4"]
    assert asked(capsys, "get", "-A", "") == ["elsewhere\tProgressing", ":4"]
    assert asked(capsys, "get", "-n", "p") == ["prod", ":4"]
    assert asked(capsys, "get", "--context", "") == ["other", "toy", ":4"]


def test_who_may_not_list_namespaces_gets_those_that_have_canaries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({NAMESPACES: 403, EVERYWHERE: listed("a", namespace="prod")}, tmp_path) as file:
        assert asked(capsys, "get", "--kubeconfig", str(file), "-n", "") == ["prod", ":4"]


@pytest.mark.parametrize("code", [401, 403, 404, 500])
def test_whatever_goes_wrong_nothing_is_proposed_and_nothing_is_said(code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving({CANARIES: code}, tmp_path) as file, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAGGERPY_COMPLETE_TIMEOUT", "0.3")
        assert asked(capsys, "watch", "--kubeconfig", str(file), "") == [":4"]
    assert asked(capsys, "watch", "--kubeconfig", str(tmp_path / "none"), "") == [":4"]


def test_a_cluster_that_does_not_answer_is_not_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    import yaml

    from tests.cli.apiserver import kubeconfig

    with socket.socket() as deaf, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLAGGERPY_COMPLETE_TIMEOUT", "0.3")
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        (tmp_path / "config").write_text(yaml.safe_dump(kubeconfig(f"http://127.0.0.1:{deaf.getsockname()[1]}")))
        began = time.monotonic()
        assert asked(capsys, "watch", "--kubeconfig", str(tmp_path / "config"), "") == [":4"]
        assert time.monotonic() - began < 25, "the client alone would try for a minute and more"


class Shell:
    """A shell in a terminal of its own, with `flaggerpy` on its PATH."""

    def __init__(self, program: Sequence[str], folder: Path, kubeconfig: Path) -> None:
        command = folder / "bin" / "flaggerpy"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m flaggerpy.cli.main "$@"\n')
        command.chmod(0o755)
        environment = {
            "PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": str(folder), "TERM": "dumb", "PS1": "ready> ",
            "KUBECONFIG": str(kubeconfig), "LANG": "C.UTF-8", "INPUTRC": "/dev/null", "FLAGGERPY_COMPLETE_TIMEOUT": "30",
        }  # fmt: skip
        self._ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            program, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
        )
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, wanted: str, seconds: float = 30) -> str:
        """What came until `wanted` did."""
        end, seen = time.monotonic() + seconds, ""
        while wanted not in seen:
            left = end - time.monotonic()
            assert left > 0, f"{wanted!r} did not come: {seen!r}"
            if select.select([self._ours], [], [], left)[0]:
                seen += os.read(self._ours, 4096).decode("utf-8", "replace")
        return seen

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def test_bash_completes_words_options_and_names(tmp_path: Path, cluster: Path) -> None:
    shell = Shell(["bash", "--norc", "--noprofile", "-i"], tmp_path, cluster)
    try:
        shell.until("ready> ")
        shell.type("source <(flaggerpy completion bash); echo so''urced\n")
        shell.until("sourced\r\n")
        shell.type("echo flaggerpy descr\t")  # not the command: nothing of ours may come
        shell.type("\x15flaggerpy descr\t")
        shell.until("flaggerpy describe ")
        shell.type("pod\t")
        shell.until("podinfo ")
        shell.type("--out\t")
        shell.until("--output ")
        shell.type("\x15flaggerpy get --sort-by=ph\t")
        shell.until("phase ")
        shell.type("\x15flaggerpy get -n pr\t")
        shell.until("prod ")
        shell.type("\x15flaggerpy wat\t")
        shell.until("flaggerpy watch ")
        shell.type("\t\t")
        assert "podinfo" in shell.until("frontend")
    finally:
        shell.close()


@pytest.mark.slow
def test_zsh_completes_words_options_and_names(tmp_path: Path, cluster: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("there is no zsh here; e2e/terminal installs one")
    shell = Shell(["zsh", "-f", "-i"], tmp_path, cluster)
    try:
        shell.type("PS1='ready> '; autoload -Uz compinit && compinit -D; source <(flaggerpy completion zsh); echo so''urced\n")
        shell.until("sourced\r\n")
        shell.type("flaggerpy descr\t")
        shell.until("describe ")
        shell.type("pod\t")
        shell.until("podinfo ")
        shell.type("--out\t")
        shell.until("--output ")
        shell.type("\x15flaggerpy get -n pr\t")
        shell.until("prod ")
    finally:
        shell.close()


@pytest.mark.slow
def test_fish_completes_words_options_and_names(tmp_path: Path, cluster: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("there is no fish here; e2e/terminal installs one")
    Shell(["true"], tmp_path, cluster).close()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "HOME": str(tmp_path), "KUBECONFIG": str(cluster)}

    def fish(line: str) -> list[str]:
        script = f"flaggerpy completion fish | source; complete -C '{line}'"
        command = ["fish", "--no-config", "-c", script]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        return [word.split("\t")[0] for word in done.stdout.splitlines()]

    assert fish("flaggerpy descr") == ["describe"]
    assert fish("flaggerpy describe ") == ["frontend", "podinfo"]
    assert fish("flaggerpy get --sort-by ") == ["name", "phase", "age", "weight", "since"]
    assert fish("flaggerpy get -n pr") == ["prod"]
