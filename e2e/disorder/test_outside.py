"""What a release depends on outside of the API server fails in the middle of it: Prometheus, and the gateway's controller."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from e2e.disorder import figures
from e2e.disorder.conftest import NewController
from e2e.disorder.liar import Liar, Mode
from e2e.disorder.playing import INTERVAL, STEPS, Play
from e2e.kube import until
from e2e.sandbox import Sandbox
from e2e.sandbox.processes import pid_of

METRICS = [{"name": "request-success-rate", "interval": "10s", "thresholdRange": {"min": 99}}]
ANALYSIS = {"interval": f"{INTERVAL:g}s", "threshold": 2, "stepWeight": 20, "maxWeight": 60, "metrics": METRICS}
HOLDS = ("down", "slow", "500")
"""Where nobody can say how the canary does: the run stands until it can be measured again."""
FAILS = ("nan", "infinite", "empty", "wrong json", "no json", "401")
"""Where Prometheus answers without saying that the canary does well: a failed check, as in Flagger."""

AT_MOST_A_STEP: tuple[list[int], ...] = ([], [20], [40], [20, 40])
"""What may be seen from a moment near the first raise on: that raise or not, and the one that was under way."""


@pytest.fixture
def prometheus() -> Iterator[Liar]:
    with Liar() as opened:
        yield opened


def at_weight(play: Play, weight: int) -> float:
    until(lambda: play.stage.weights()["app-canary"] == weight, 60, f"{weight} % for the canary", play.stage.story)
    return time.time()


@pytest.mark.parametrize("mode", [pytest.param(mode, marks=() if mode == "down" else pytest.mark.slow) for mode in HOLDS])
def test_a_prometheus_that_cannot_be_asked_holds_the_run_until_it_can(
    play: Play, new_controller: NewController, prometheus: Liar, mode: Mode
) -> None:
    new_controller(metrics_server=prometheus.url).start()
    play.begin(ANALYSIS)
    play.start("1.0.1")
    began = at_weight(play, 20)
    prometheus.mode, asked = mode, prometheus.asked
    play.stage.until_status(lambda status: "metrics server cannot be reached" in str(status.get("progress")), 45, "the cause to be named")
    time.sleep(3 * INTERVAL)
    held = play.path(began)
    assert held in AT_MOST_A_STEP, held
    assert not play.stage.status().get("failedChecks")
    assert prometheus.asked > asked
    prometheus.mode = "well"
    play.end("1.0.1")
    assert play.path(began) in (STEPS, STEPS[1:], STEPS[2:])
    figures.note("Prometheus and the gateway's controller", f"Prometheus: {mode}", **play.judge())


@pytest.mark.slow
@pytest.mark.parametrize("mode", FAILS)
def test_a_prometheus_that_does_not_say_that_all_is_well_promotes_nothing(
    play: Play, new_controller: NewController, prometheus: Liar, mode: Mode
) -> None:
    new_controller(metrics_server=prometheus.url).start()
    play.begin(ANALYSIS)
    play.start("1.0.1")
    play.allowed.pop()
    at_weight(play, 20)
    prometheus.mode = mode
    play.end("1.0.1", "Failed", seconds=90)
    figures.note("Prometheus and the gateway's controller", f"Prometheus: {mode}", **play.judge())


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("how", ["stands still", "is gone"])
def test_a_gateway_without_its_controller_holds_the_run_and_loses_no_request(
    play: Play, new_controller: NewController, sandbox: Sandbox, how: str
) -> None:
    new_controller().start()
    play.begin()
    play.start("1.0.1")
    began = at_weight(play, 20)
    pid = pid_of(sandbox.layout, "contour")
    try:
        if how == "stands still":
            os.kill(pid, signal.SIGSTOP)
        else:
            sandbox.stop("contour")
        play.stage.until_status(lambda status: "not accepted" in str(status.get("progress")), 30, "the cause to be named")
        time.sleep(3 * INTERVAL)
        assert play.path(began) in AT_MOST_A_STEP, "a step was taken that no gateway follows"
        # Contour accepts routes again before Envoy has found its way back to it, for which it takes up to half a minute: until then Envoy
        # does not hear of any pod that goes, whoever makes it go
        play.end_load()
    finally:
        if how == "stands still":
            os.kill(pid, signal.SIGCONT)
        else:
            sandbox.start("contour")
    play.end("1.0.1")
    assert play.path(began) in (STEPS, STEPS[1:])
    figures.note("Prometheus and the gateway's controller", f"the gateway's controller {how}", **play.judge())
