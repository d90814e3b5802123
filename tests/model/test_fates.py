"""Containers of the model report what a kubelet would, second by second."""

from __future__ import annotations

from flaggerpy.model.fates import Crashes, Waits, heals, runs
from flaggerpy.rollout.facts import ContainerFacts

APP = ContainerFacts(name="app", image="reg.test/app:1")


def test_a_container_is_created_then_runs_then_is_ready() -> None:
    fate = runs(3.0)
    assert [(fate(APP, age).state, fate(APP, age).ready) for age in (0, 1, 2.9, 3)] == [
        ("waiting", False), ("running", False), ("running", False), ("running", True),
    ]  # fmt: skip


def test_a_failed_pull_turns_into_a_back_off() -> None:
    fate = Waits("ErrImagePull", "no {image} at {host} {tag}")
    assert (fate(APP, 2).reason, fate(APP, 2).message) == ("ErrImagePull", "no reg.test/app:1 at reg.test 1")
    assert (fate(APP, 9).reason, fate(APP, 9).message) == ("ImagePullBackOff", 'Back-off pulling image "reg.test/app:1"')


def test_a_crash_loop_has_the_kubelets_pauses() -> None:
    fate = Crashes(7)
    # starts at 1, ends at 2, at once again, ends at 3, pause of 10, starts at 13, ends at 14, pause of 20
    assert [fate(APP, age).restarts for age in (1.5, 2.5, 3.5, 13.5, 14.5, 33.9, 34.5)] == [0, 1, 1, 2, 2, 2, 3]
    waiting = fate(APP, 14.5)
    assert (waiting.state, waiting.reason, waiting.last_exit_code) == ("waiting", "CrashLoopBackOff", 7)
    assert fate(APP, 13.5).state == "running"


def test_a_fault_that_heals_leaves_its_restarts_behind() -> None:
    fate = heals(Crashes(1), 5.0, runs(3.0))
    assert fate(APP, 4).reason == "CrashLoopBackOff"
    assert (fate(APP, 6).state, fate(APP, 6).ready, fate(APP, 6).restarts) == ("running", False, 2)
    assert fate(APP, 7).ready
