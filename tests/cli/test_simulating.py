"""`flaggerpy simulate` as a newcomer meets it: the example, faults, files, the film."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from flaggerpy.cli import main, offline, simulating
from flaggerpy.cli.example import EXAMPLE
from flaggerpy.cli.manifests import parse
from flaggerpy.cli.problems import Exit, Problem
from flaggerpy.model.faults import parse_fault

EXAMPLES = Path(__file__).parents[2] / "examples"


class Run:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def flaggerpy(*words: str, terminal: bool = False) -> Run:
    out, err = io.StringIO(), io.StringIO()
    screen = main.Screen(
        Console(file=out, soft_wrap=True, highlight=False, force_terminal=terminal, width=120), Console(file=err, soft_wrap=True)
    )
    code = offline.perform(main.parser().parse_args(["simulate", *words]), screen)
    return Run(code, out.getvalue(), err.getvalue())


def example() -> tuple[dict[str, Any], dict[str, Any]]:
    canary, deployment = parse(EXAMPLE, "example")
    return canary.obj, deployment.obj


def test_without_a_word_the_example_is_promoted() -> None:
    run = flaggerpy()
    assert run.code == Exit.OK
    assert run.err.startswith("simulation, no cluster is touched")
    lines = run.out.splitlines()
    assert "Progressing  canary 20 %  pods 2/2 + 2/2" in run.out
    assert "Advance podinfo.test canary weight 40" in run.out
    assert lines[-1].endswith("(podinfo:6.9.2) was promoted. (simulated: 59s)")


def test_a_fault_ends_with_its_cause_and_1() -> None:
    run = flaggerpy("--fault", "image-missing")
    assert run.code == Exit.FAILED
    assert "image ghcr.io/stefanprodan/podinfo:6.9.2 of container podinfod does not exist" in run.out.splitlines()[-1]
    assert "ended      Failed" in run.out
    assert run.err.startswith("simulation, no cluster is touched   fault: image-missing")


def test_metrics_word_their_failures_as_in_a_cluster() -> None:
    told = json.loads(flaggerpy("--fault", "errors-at=40", "-o", "json").out)
    assert told["outcome"] == "Failed"
    assert told["exitCode"] == 1
    assert told["cause"].startswith("failed checks threshold reached 3: success rate 8")
    assert any(event["message"].startswith("Halt podinfo.test advancement success rate 8") for event in told["events"])
    assert max(step["canaryWeight"] for step in told["steps"]) == 40
    slow = json.loads(flaggerpy("--fault", "latency-at=20", "-o", "json").out)
    assert "request duration 1.5" in slow["cause"]
    none = json.loads(flaggerpy("--fault", "no-data", "-o", "json").out)
    assert "no values found for gatewayapi:v1 metric request-success-rate" in none["cause"]


def test_a_superseded_release_ends_with_3() -> None:
    run = flaggerpy("--fault", "new-revision-at=40")
    assert run.code == Exit.SUPERSEDED
    assert "is superseded" in run.out


def test_a_gate_that_stays_closed_ends_with_2_and_its_name(tmp_path: Path) -> None:
    canary, deployment = example()
    canary["spec"]["analysis"]["webhooks"] = [{"name": "sign-off", "type": "confirm-promotion", "url": "http://gate.test/"}]
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all([canary, deployment]))
    run = flaggerpy("-f", str(path), "--fault", "gate-closed")
    assert run.code == Exit.TIMED_OUT
    assert "confirm-promotion gate" in run.out.splitlines()[-1]


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.yaml")) if "kind: Canary" in path.read_text()])
def test_every_example_can_be_played(name: str) -> None:
    run = flaggerpy("-f", str(EXAMPLES / name))
    assert run.code == Exit.OK, run.out
    assert "was promoted" in run.out


def test_a_fault_that_nobody_notices_is_told() -> None:
    canary, deployment = example()
    canary["spec"]["analysis"]["metrics"] = []
    shown = simulating.play(canary, deployment, faults=[parse_fault("errors-at=20"), parse_fault("latency-at=90")])
    assert shown.notes == (
        "--fault latency-at=90 did not come about: the release ended before.",
        "No metric of this analysis notices errors: the release was promoted with it.",
    )


def test_what_the_controller_would_refuse_is_refused_in_its_words() -> None:
    canary, deployment = example()
    canary["spec"]["analysis"]["stepWeight"] = 2.5
    with pytest.raises(Problem, match=r"would refuse this Canary:\n  spec.analysis.stepWeight: must be a whole number"):
        simulating.play(canary, deployment)
    canary["spec"]["analysis"]["stepWeight"] = 25
    deployment["spec"]["selector"]["matchLabels"] = {"tier": "web"}
    shown = simulating.play(canary, deployment)
    assert shown.ended.code is Exit.TIMED_OUT
    assert "spec.selector.matchLabels must contain one of" in shown.ended.sentence


def test_a_deadline_that_no_pod_can_meet_fails_before_any_release() -> None:
    canary, deployment = example()
    canary["spec"]["progressDeadlineSeconds"] = 10
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["initialDelaySeconds"] = 60
    shown = simulating.play(canary, deployment)
    assert shown.ended.code is Exit.FAILED
    assert "cannot be initialised: progress deadline of 10s exceeded" in shown.ended.sentence


def test_a_fault_of_an_unknown_container_is_told() -> None:
    with pytest.raises(Problem, match="there is no container sidecar; there are: podinfod"):
        simulating.play(*example(), faults=[parse_fault("crash-loop:sidecar")])


def test_the_film_shows_the_panel_and_ends_with_the_page() -> None:
    waited: list[float] = []
    shown = simulating.play(*example())
    out = io.StringIO()
    simulating.film(shown, Console(file=out, force_terminal=True, width=120), "simulation", None, waited.append)
    assert 5 < sum(waited) < 40
    text = out.getvalue()
    assert "simulation" in text
    assert "success 100.00 %" in text
    assert "Routing all traffic to primary" in text


def test_speed_0_shows_the_end_at_once() -> None:
    run = flaggerpy("--speed", "0", terminal=True)
    assert run.code == Exit.OK
    assert "Succeeded" in run.out


def test_the_image_of_the_release_can_be_named() -> None:
    told = simulating.play(*example(), image="ghcr.io/stefanprodan/podinfo:7.0.0")
    assert "(podinfo:7.0.0) was promoted" in told.ended.sentence
    assert told.last.history[-1].images == ("ghcr.io/stefanprodan/podinfo:6.9.2",)


def test_the_faults_and_the_example_can_be_listed() -> None:
    assert "errors-at=PERCENT" in flaggerpy("--faults").out
    assert flaggerpy("--example").out == EXAMPLE


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-f", "/nowhere.yaml"], "No such file"),
        (["-f", str(EXAMPLES / "metrictemplate.yaml")], "There is no Canary in"),
        (["-f", str(EXAMPLES)], "name one with --canary"),
    ],
)
def test_files_that_will_not_do_are_a_sentence(words: list[str], told: str) -> None:
    with pytest.raises(Problem, match=told) as raised:
        flaggerpy(*words)
    assert raised.value.code == Exit.USAGE


def test_a_deployment_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    canary, deployment = example()
    deployment["spec"]["template"]["spec"]["containers"] = "podinfo"
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all([canary, deployment]))
    with pytest.raises(Problem, match=r"all.yaml: spec.template.spec.containers of Deployment podinfo is missing or cannot be read"):
        flaggerpy("-f", str(path))


def test_a_wrong_fault_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main.main(["simulate", "--fault", "imagemissing"])
    assert raised.value.code == Exit.USAGE
    assert "there is no fault 'imagemissing'; there are: image-missing" in capsys.readouterr().err
