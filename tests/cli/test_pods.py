"""States of pods as kubectl tells them."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.cli.pods import pod_lines
from tests.cli.objects import NOW, Obj
from tests.cli.showcase import pod


def status(**fields: Any) -> Obj:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app"}]}, "status": fields}


@pytest.mark.parametrize(
    ("obj", "state", "fails"),
    [
        (pod("p"), "Running", False),
        (pod("p", state="ImagePullBackOff"), "ImagePullBackOff", True),
        (pod("p", state="ContainerCreating"), "ContainerCreating", False),
        (pod("p", leaving=True), "Terminating", False),
        (status(phase="Pending"), "Pending", False),
        (status(phase="Failed", reason="Evicted"), "Evicted", True),
        (status(phase="Running", containerStatuses=[{"state": {"terminated": {"reason": "Error", "exitCode": 1}}}]), "Error", True),
        (status(phase="Running", containerStatuses=[{"state": {"terminated": {"exitCode": 137}}}]), "ExitCode:137", True),
        (status(phase="Pending", initContainerStatuses=[{"state": {"running": {}}}, {}]), "Init:0/2", False),
        (status(initContainerStatuses=[{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]), "Init:CrashLoopBackOff", True),
        (status(initContainerStatuses=[{"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]), "Init:Error", True),
        (status(phase="Running", initContainerStatuses=[{"state": {"terminated": {"exitCode": 0}}}]), "Running", False),
        ({}, "Unknown", True),
    ],
)
def test_the_state_is_kubectls(obj: Obj, state: str, fails: bool) -> None:
    line = pod_lines([obj], NOW)[0]
    assert (line.state, line.fails) == (state, fails)


def test_a_sidecar_counts_as_a_container_and_does_not_hold_the_init_containers() -> None:
    obj = status(
        phase="Running", containerStatuses=[{"name": "app", "ready": True, "state": {"running": {}}}],
        initContainerStatuses=[{"name": "mesh", "started": True, "ready": True, "restartCount": 2, "state": {"running": {}}}],
    )  # fmt: skip
    obj["spec"]["initContainers"] = [{"name": "mesh", "restartPolicy": "Always"}]
    line = pod_lines([obj], NOW)[0]
    assert (line.state, line.ready, line.containers, line.restarts) == ("Running", 2, 2, 2)


def test_those_that_leave_stand_last_and_the_oldest_first() -> None:
    lines = pod_lines([pod("b", leaving=True, since=-900), pod("new", since=-5), pod("old", since=-50)], NOW)
    assert [(line.name, line.age) for line in lines] == [("old", 50.0), ("new", 5.0), ("b", 900.0)]
