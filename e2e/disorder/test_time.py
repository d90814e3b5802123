"""Clocks that are set in the middle of a run, and leaders that change: time goes on as it was, and an old leader changes nothing."""

from __future__ import annotations

import os
import signal
import time

import pytest

from e2e.disorder import figures
from e2e.disorder.conftest import NewController
from e2e.disorder.faults import Hold, Rule
from e2e.disorder.playing import INTERVAL, Play
from e2e.disorder.proxy import Proxy
from e2e.kube import until

TABLE = "clocks and leaders"
LEASE = "flagger-leader-election"
AN_HOUR = [pytest.param(3600.0, id="forward"), pytest.param(-3600.0, id="back")]


def at_weight(play: Play, weight: int) -> None:
    """Wait until the run has got to a step."""
    until(lambda: play.stage.weights()["app-canary"] == weight, 60, f"{weight} % for the canary", play.stage.story)


def resting(play: Play) -> str:
    """The Canary's resourceVersion, when nobody has written it for three intervals: what a release leaves to be said is said by then."""
    versions = [(time.monotonic(), "")]

    def stands() -> bool:
        version = str(play.stage.get()["metadata"]["resourceVersion"])
        if version != versions[-1][1]:
            versions.append((time.monotonic(), version))
        return time.monotonic() - versions[-1][0] > 3 * INTERVAL

    until(stands, 60, "a Canary that nobody writes any more", play.stage.story)
    return versions[-1][1]


@pytest.mark.slow
@pytest.mark.parametrize("by", AN_HOUR)
def test_the_clock_of_the_api_server_is_set(play: Play, proxy: Proxy, new_controller: NewController, by: float) -> None:
    new_controller(through=proxy).start()
    play.begin()
    play.start("1.0.1")
    at_weight(play, 20)
    proxy.clock_ahead = by
    play.end("1.0.1", seconds=90)
    play.release("1.0.2", passes=False, seconds=90)
    figures.note(TABLE, f"the API server's clock is set by {by / 3600:+.0f} h", **play.judge())


@pytest.mark.parametrize("by", AN_HOUR)
def test_the_clock_is_set_and_then_the_controller_is_started_anew(
    play: Play, proxy: Proxy, new_controller: NewController, by: float
) -> None:
    first = new_controller("first", through=proxy).start()
    play.begin()
    play.start("1.0.1")
    at_weight(play, 20)
    proxy.clock_ahead = by
    # a renewal of the Lease is what tells the successor
    time.sleep(2 * INTERVAL)
    first.stop()
    new_controller("second", through=proxy).start()
    play.end("1.0.1", seconds=60)
    figures.note(TABLE, f"set by {by / 3600:+.0f} h, then a new controller", **play.judge())


@pytest.mark.slow
@pytest.mark.parametrize("by", [pytest.param(signal.SIGUSR1, id="forward"), pytest.param(signal.SIGUSR2, id="back")])
def test_the_clock_of_the_controllers_node_is_set(play: Play, new_controller: NewController, by: signal.Signals) -> None:
    controller = new_controller(program=("e2e.disorder.stepping",)).start()
    play.begin()
    play.start("1.0.1")
    at_weight(play, 20)
    os.kill(controller.pid, by)
    play.end("1.0.1", seconds=90)
    play.release("1.0.2", passes=False, seconds=90)
    figures.note(TABLE, f"the controller's own clock is set by {'+1' if by is signal.SIGUSR1 else '-1'} h", **play.judge())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "path"), [("status", "/canaries/app/status"), ("route", "/httproutes/app$"), ("scale", "/deployments/app$")]
)
def test_a_leader_that_stood_still_changes_nothing_when_it_goes_on(
    play: Play, proxy: Proxy, new_controller: NewController, what: str, path: str
) -> None:
    """Its write is on the way while it stands still; the other one leads the run to its end; then the write arrives."""
    old = new_controller("old", through=proxy).start()
    play.begin()
    hold = Hold()
    rule = Rule(hold, {"patch"}, path, times=1)
    play.start("1.0.1")
    if what != "scale":
        at_weight(play, 20)
    proxy.rules = [rule]
    until(lambda: rule.met, 30, f"a write of {what} by the old leader", play.stage.story)
    old.pause()
    new_controller("new").start()
    play.end("1.0.1", seconds=120)
    version = resting(play)
    moment = time.time()
    hold.let_go.set()
    until(lambda: [one for one in proxy.since(moment) if one.fault == "let go"], 15, "the held write to be answered")
    [late] = [one for one in proxy.since(moment) if one.fault == "let go"]
    assert late.status in (409, 422), f"the old leader's write of {what} was taken: {late}"
    old.go_on()
    # it has had its turn when it has looked at the Lease again
    until(lambda: [one for one in proxy.since(moment) if "/leases" in one.path and one.verb == "get"], 30, "the old leader to stand down")
    time.sleep(2 * INTERVAL)
    writes = [one for one in proxy.since(moment) if one.verb in ("create", "update", "patch", "delete") and one.status in (200, 201)]
    assert not [one for one in writes if "/leases" not in one.path and "/events" not in one.path], writes
    assert play.stage.get()["metadata"]["resourceVersion"] == version
    told = play.judge()
    figures.note(TABLE, f"leader stopped while its {what} was on the way", **told, **{"late write": late.status})


@pytest.mark.slow
def test_a_leader_that_stands_still_is_followed_by_the_next_in_the_middle_of_a_run(
    play: Play, new_controller: NewController
) -> None:
    old, _ = new_controller("old").start(), new_controller("new").start()
    play.begin()
    play.start("1.0.1")
    at_weight(play, 20)
    old.pause()
    until(lambda: play.stage.weights()["app-canary"] == 40, 60, "the other one to go on", play.stage.story)
    old.go_on()
    play.end("1.0.1", seconds=120)
    play.release("1.0.2", passes=False)
    figures.note(TABLE, "leader stopped in a run, and continued", **play.judge())
