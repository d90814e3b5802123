"""`flaggerpy plan`: what will happen and how long it takes, as a table and as data."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from flaggerpy.cli import main, offline, planning, simulating
from flaggerpy.cli.example import EXAMPLE
from flaggerpy.cli.manifests import parse
from flaggerpy.cli.problems import Exit, Problem

EXAMPLES = Path(__file__).parents[2] / "examples"


def flaggerpy(*words: str) -> str:
    out = io.StringIO()
    screen = main.Screen(Console(file=out, soft_wrap=True, highlight=False), Console(file=io.StringIO()))
    assert offline.perform(main.parser().parse_args(["plan", *words]), screen) == Exit.OK
    return out.getvalue()


def test_the_example_as_a_table() -> None:
    lines = flaggerpy().splitlines()
    assert lines[0] == "podinfo.test   Deployment podinfo   gatewayapi:v1   canary"
    assert [line.split("  ")[0] for line in lines[3:13]] == [*map(str, range(1, 10)), ""]
    assert lines[5].split() == ["3", "weight", "20", "%", "10s", "25s", "request-success-rate,", "request-duration"]
    assert lines[12].split() == ["promoted", "after", "49s", "6m16s"]
    assert "  3 failed checks " in "\n".join(lines)


def test_the_example_as_data() -> None:
    told = json.loads(flaggerpy("-o", "json"))
    assert (told["best"], told["worst"], told["strategy"]) == (49.0, 376.0, "canary")
    assert told["best"] == sum(part["best"] for part in told["parts"])
    assert [part["canaryWeight"] for part in told["parts"] if part["kind"] == "step"] == [20, 40, 60]


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.glob("*.yaml")) if "kind: Canary" in path.read_text()])
@pytest.mark.parametrize("seed", [7])
def test_every_example_is_played_between_best_and_worst(name: str, seed: int) -> None:
    canary, _ = offline.chosen([str(EXAMPLES / name)], "")
    _, _, told = planning.planned(canary.obj, None)
    assert told.best <= simulating.play(canary.obj, None, seed=seed).seconds <= told.worst


def test_the_deployment_decides_how_fast_pods_can_start() -> None:
    canary, deployment = (document.obj for document in parse(EXAMPLE, "example"))
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"]["initialDelaySeconds"] = 40
    deployment["spec"]["minReadySeconds"] = 5
    _, _, told = planning.planned(canary, deployment)
    assert told.parts[0].best == 45.0
    _, _, without = planning.planned(canary, None)
    assert without.parts[0].best == 0.0
    assert told.best <= simulating.play(canary, deployment).seconds <= told.worst


def test_a_daemonset_is_planned_and_played() -> None:
    canary, workload = (document.obj for document in parse(EXAMPLE, "example"))
    canary["spec"]["targetRef"]["kind"] = workload["kind"] = "DaemonSet"
    del workload["spec"]["replicas"]
    workload["spec"]["updateStrategy"] = {"rollingUpdate": {"maxUnavailable": "10%"}}
    typed, provider, told = planning.planned(canary, workload)
    assert "node by node (maxUnavailable: 10% at once)" in str(planning.page(typed, provider, told, workload))
    assert "The DaemonSet is not among the files" in str(planning.page(typed, provider, told, None))
    assert told.best <= simulating.play(canary, workload).seconds <= told.worst
    workload["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert "but have OnDelete" in str(simulating.play(canary, workload).ended)


def test_many_steps_are_one_row_and_gates_are_named_in_the_sum() -> None:
    page = flaggerpy("-f", str(EXAMPLES / "kubernetes.yaml"))
    assert "10 steps: iteration 1 of 10, iteration 2 of 10 .. iteration 10 of 10" in page
    assert "and as long as closed: gate may-it-start" in flaggerpy("-f", str(EXAMPLES / "webhooks.yaml"))


def test_what_the_controller_would_refuse_has_no_forecast() -> None:
    canary, deployment = (document.obj for document in parse(EXAMPLE, "example"))
    canary["spec"]["provider"] = "kuma"
    with pytest.raises(Problem, match="kuma is not built yet"):
        planning.planned(canary, deployment)
