"""`flaggerpy watch` and `top` on a real terminal with a real release: what is seen, at every size, and how one leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from e2e.core.stage import Stage
from e2e.kube import until
from e2e.sandbox import Sandbox
from e2e.terminal.panes import Pane

Opens = Callable[[int, int], Pane]
CLOCK = re.compile(r"\d\d:\d\d:\d\dZ")
SLOW = {"interval": "5s", "threshold": 2, "stepWeight": 20, "maxWeight": 60}


def test_a_release_is_seen_from_its_first_pod_to_its_end_and_every_size_shows_it(stage: Stage, pane: Opens) -> None:
    stage.initialise(stage.canary(analysis=SLOW))
    screen = pane(100, 30)
    screen.type(f"clear; flaggerpy watch app -n {stage.namespace} --until-done; echo code $?")
    # --until-done of what runs already is a success at once
    screen.until(lambda text: "code 0" in text, 60, "the end of a watch of what is there already")
    screen.type(f"clear; flaggerpy watch app -n {stage.namespace}; echo code $?")
    screen.until(lambda text: "Nothing is under way" in text, 60, "the idle view")
    stage.release("1.0.1")
    screen.until(lambda text: "▶ 20 %" in text and "toggle:1.0.0 → toggle:1.0.1" in text, 90, "the first step")
    for width, height in ((60, 15), (200, 60), (80, 24)):
        screen.resize(width, height)
        seen = screen.until(lambda text: re.search(r"▶ \d0 %|▶ promotion|▶ traffic back", text) is not None, 30, "the stage under way")
        lines = seen.splitlines()
        assert lines[0].startswith(f"app.{stage.namespace}"[: width - 20]), "the frame begins in the first line"
        assert any(line.rstrip().endswith("q quits") for line in lines), seen
    screen.until(lambda text: "Succeeded" in text, 120, "the end of the release")
    screen.keys("q")
    screen.until(lambda text: "code 0" in text, 20, "the prompt")
    assert screen.cursor(), "the screen of before and the cursor are back"
    assert "Succeeded" in screen.text(), "the last state stays to be read"


@pytest.mark.parametrize(("how", "code"), [("q", "0"), ("C-c", "130"), ("TERM", "143")])
def test_the_terminal_is_left_as_it_was(stage: Stage, pane: Opens, how: str, code: str) -> None:
    stage.initialise(stage.canary())
    screen = pane(90, 20)
    screen.type("clear; stty -a | tr -s ' ;' '\\n' > /tmp/before.$$; echo here")
    screen.until(lambda text: "here" in text.splitlines(), 20, "the prompt")
    screen.type(f"flaggerpy top -n {stage.namespace}")
    screen.until(lambda text: "0 of 1 in a release" in text, 60, "the table")
    if how == "TERM":
        os.kill(screen.child(), signal.SIGTERM)
    else:
        screen.keys(how)
    until(screen.cursor, 20, "the terminal as it was", screen.text)
    screen.type("echo code $?; stty -a | tr -s ' ;' '\\n' | cmp - /tmp/before.$$ && echo 'the same'; rm /tmp/before.$$")
    text = screen.until(lambda text: "the same" in text.splitlines() or "differ" in text, 20, "the modes of the terminal")
    assert "the same" in text.splitlines(), text
    assert f"code {code}" in text, text


def test_a_stop_puts_the_screen_back_and_fg_draws_anew(stage: Stage, pane: Opens) -> None:
    stage.initialise(stage.canary())
    screen = pane(90, 20)
    screen.type(f"flaggerpy watch app -n {stage.namespace}")
    screen.until(lambda text: "Nothing is under way" in text, 60, "the view")
    screen.keys("C-z")
    screen.until(lambda text: "Stopped" in text, 20, "the shell")
    assert screen.cursor()
    screen.type("fg")
    screen.until(lambda text: "Nothing is under way" in text and "Stopped" not in text, 20, "the view again")
    screen.keys("q")
    until(screen.cursor, 20, "the terminal as it was", screen.text)


def test_watching_asks_nothing_of_the_api_server_while_nothing_happens(stage: Stage, pane: Opens, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary())
    screen = pane(130, 20)
    screen.type(f"flaggerpy watch app -n {stage.namespace}")
    before = len(_asked(sandbox))
    first = screen.until(lambda text: "Nothing is under way" in text, 60, "the view")
    begun = _asked(sandbox)[before:]
    assert len(begun) <= 12, begun
    # five seconds of its clock, in which it is drawn again and again
    ticks = set(CLOCK.findall(first))

    def ticked() -> bool:
        ticks.update(CLOCK.findall(screen.text()))
        return len(ticks) > 5

    until(ticked, 60, "the clock of the view to go on", screen.text)
    assert [request for request in _asked(sandbox)[before + len(begun) :] if "watch" not in request] == []
    screen.keys("q")


def _asked(sandbox: Sandbox) -> list[str]:
    """Requests of the administrator through our client, as the API server's audit log has them."""
    found = []
    for line in sandbox.audit_log.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("userAgent", "").startswith("flaggerpy") and "serviceaccount" not in entry["user"]["username"]:
            found.append(f"{entry['verb']} {entry['requestURI']}")
    return found


def test_without_colours_without_block_characters_and_without_a_terminal_it_still_tells(
    stage: Stage, pane: Opens, sandbox: Sandbox, programs: Path
) -> None:
    stage.initialise(stage.canary())
    screen = pane(90, 20)
    screen.type(f"clear; LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 NO_COLOR=1 flaggerpy watch app -n {stage.namespace}")
    text = screen.until(lambda text: "Nothing is under way" in text, 60, "the view")
    assert text.isascii(), text
    assert "#####" in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", screen.ansi()), "a colour"
    screen.keys("q")
    until(screen.cursor, 20, "the terminal as it was", screen.text)
    screen.type(f"clear; TERM=dumb flaggerpy watch app -n {stage.namespace}")
    line = f"app.{stage.namespace}  Initialized  canary 0 %"
    screen.until(lambda text: line in text.replace("\n", ""), 60, "a line per change")
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig)}
    command = [str(programs / "flaggerpy"), "top", "--all"]
    table = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "\x1b" not in table
    assert any(row.split()[:2] == [stage.namespace, "app"] for row in table.splitlines()), table


def test_kubectl_runs_the_plugin_and_completes_it(stage: Stage, programs: Path, sandbox: Sandbox) -> None:
    stage.initialise(stage.canary())
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}

    def kubectl(*words: str) -> str:
        return subprocess.run(["kubectl", *words], env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    assert "Initialized" in kubectl("flaggerpy", "get", "-n", stage.namespace)
    assert "describe\t" in kubectl("__complete", "flaggerpy", "desc")
    assert kubectl("__complete", "flaggerpy", "describe", "-n", stage.namespace, "").splitlines()[0].startswith("app")


def test_what_stands_between_us_and_the_cluster_is_a_sentence(sandbox: Sandbox, programs: Path, tmp_path: Path) -> None:
    config = yaml.safe_load(sandbox.kubeconfig.read_text())

    def told(change: Callable[[dict[str, object]], None], *words: str) -> tuple[int, str]:
        other = yaml.safe_load(yaml.safe_dump(config))
        change(other)
        file = tmp_path / "config"
        file.write_text(yaml.safe_dump(other))
        command = [str(programs / "flaggerpy"), "get", "--kubeconfig", str(file), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    def expired(config: dict[str, object]) -> None:
        config["users"][0]["user"] = {"token": "not.a.token"}  # type: ignore[index]

    def away(config: dict[str, object]) -> None:
        config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"  # type: ignore[index]

    def foreign(config: dict[str, object]) -> None:
        del config["clusters"][0]["cluster"]["certificate-authority-data"]  # type: ignore[index]

    code, sentence = told(expired)
    assert (code, "log in again" in sentence) == (11, True), sentence
    code, sentence = told(away)
    assert (code, "Nothing listens there" in sentence) == (13, True), sentence
    code, sentence = told(foreign)
    assert (code, "is this the right cluster" in sentence) == (13, True), sentence
    code, sentence = told(lambda config: None, "--context", "prod")
    assert (code, "There is no context prod" in sentence) == (13, True), sentence
