"""Pods as values: containers in their roles and states, and what only events tell."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.workloads import ContainerFacts
from flaggerpy.targets.pods import pod_facts
from tests.targets.builders import IMAGE, Obj, pod


def status(name: str = "podinfo", **fields: Any) -> Obj:
    return {"name": name, "ready": False, "restartCount": 0} | fields


def test_containers_are_read_in_their_roles_and_states() -> None:
    of = pod(
        initContainerStatuses=[
            status("migrate", state={"terminated": {"exitCode": 0, "reason": "Completed"}}, ready=True),
            status("proxy", state={"running": {}}, ready=True, started=True),
        ],
        containerStatuses=[
            status(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                lastState={"terminated": {"exitCode": 3, "reason": "Error", "message": "bad"}},
                restartCount=4,
                image="resolved",
            )
        ],
    )
    of["spec"]["initContainers"] = [{"name": "migrate", "image": "m"}, {"name": "proxy", "image": "p", "restartPolicy": "Always"}]
    facts = pod_facts(of)
    assert facts.containers == (
        ContainerFacts("migrate", "init", "m", "terminated", "Completed", "", 0, True),
        ContainerFacts("proxy", "sidecar", "p", "running", ready=True, started=True),
        ContainerFacts(
            "podinfo", "main", IMAGE, "waiting", "CrashLoopBackOff", "back-off", restarts=4,
            last_reason="Error", last_message="bad", last_exit_code=3,
        ),
    )  # fmt: skip
    assert facts.created == 1767225600


def test_a_pod_without_statuses_names_its_containers_and_why_it_is_not_scheduled() -> None:
    facts = pod_facts(pod(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]))
    assert facts.containers == (ContainerFacts("podinfo", image=IMAGE),)
    assert facts.unschedulable == "0/1 nodes are available"
    assert not facts.ready


def test_readiness_and_leaving_are_read() -> None:
    ready = pod(conditions=[{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}])
    assert (pod_facts(ready).ready, pod_facts(ready).terminating, pod_facts(ready).unschedulable) == (True, False, "")
    ready["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert pod_facts(ready).terminating
    gone = pod_facts(pod(phase="Failed", reason="Evicted", message="low on memory"))
    assert (gone.phase, gone.reason, gone.message) == ("Failed", "Evicted", "low on memory")


def event(reason: str, message: str, at: str, kind: str = "Warning", **fields: Any) -> Obj:
    return {"type": kind, "reason": reason, "message": message, "lastTimestamp": at, **fields}


def test_warnings_are_told_newest_first_and_once() -> None:
    events = [
        event("FailedMount", "old", "2026-01-01T00:00:01Z"),
        event("Unhealthy", "newer", "2026-01-01T00:00:03Z"),
        event("Unhealthy", "newer", "2026-01-01T00:00:02Z"),
        event("Pulling", "x", "2026-01-01T00:00:04Z", "Normal"),
    ]
    assert pod_facts(pod(), events).events == (("Unhealthy", "newer"), ("FailedMount", "old"))
    many = [event("Unhealthy", str(n), f"2026-01-01T00:00:{n:02}Z") for n in range(20)]
    assert pod_facts(pod(), many).events[0] == ("Unhealthy", "19")
    assert len(pod_facts(pod(), many).events) == 5


def test_a_pull_is_under_way_while_the_kubelet_said_nothing_newer() -> None:
    app: Obj = {"involvedObject": {"fieldPath": "spec.containers{app}"}}
    setup: Obj = {"involvedObject": {"fieldPath": "spec.initContainers{setup}"}}
    pulling = event("Pulling", "x", "2026-01-01T00:00:04Z", "Normal", **app)
    assert pod_facts(pod(), [pulling]).pulling == {"app"}
    before = event("Pulled", "x", "2026-01-01T00:00:03Z", "Normal", **app)
    other = event("Pulled", "x", "2026-01-01T00:00:09Z", "Normal", **setup)
    assert pod_facts(pod(), [before, pulling, other]).pulling == {"app"}
    for at in ("2026-01-01T00:00:04Z", "2026-01-01T00:00:05Z"):
        assert pod_facts(pod(), [pulling, event("Failed", "x", at, **app)]).pulling == frozenset()
    assert pod_facts(pod(), [event("Pulling", "of no container", "2026-01-01T00:00:09Z", "Normal")]).pulling == frozenset()


def test_pull_secrets_are_read_by_name() -> None:
    of = pod()
    of["spec"]["imagePullSecrets"] = [{"name": "team"}, {}, {"name": "mine"}]
    assert pod_facts(of).pull_secrets == ("team", "mine")


def test_a_missing_pull_secret_is_told_as_long_as_the_newest_pull_goes_without_it() -> None:
    absent = event("FailedToRetrieveImagePullSecret", "team", "2026-01-01T00:00:04Z")
    told = (("FailedToRetrieveImagePullSecret", "team"),)
    assert pod_facts(pod(), [absent]).events == told
    assert pod_facts(pod(), [absent, event("Pulling", "x", "2026-01-01T00:00:05Z", "Normal")]).events == told
    assert pod_facts(pod(), [absent, event("Pulling", "x", "2026-01-01T00:00:17Z", "Normal")]).events == ()


END = {"exitCode": 137, "reason": "Error", "startedAt": "2026-01-01T00:01:00Z", "finishedAt": "2026-01-01T00:02:00Z"}


@pytest.mark.parametrize(
    ("message", "at", "killed"),
    [
        ("Container podinfo failed liveness probe, will be restarted", "2026-01-01T00:01:40Z", True),
        ("Container podinfo failed startup probe, will be restarted", "2026-01-01T00:02:00Z", True),
        ("Container podinfo failed liveness probe, will be restarted", "2026-01-01T00:00:30Z", False),
        ("Container podinfo failed liveness probe, will be restarted", "2026-01-01T00:03:00Z", False),
        ("Container other failed liveness probe, will be restarted", "2026-01-01T00:01:40Z", False),
        ("Stopping container podinfo", "2026-01-01T00:01:40Z", False),
    ],
)
@pytest.mark.parametrize("code", [137, 0])
@pytest.mark.parametrize("where", ["state", "lastState"])
def test_a_kill_by_a_probe_is_told_by_the_kubelet_s_event_of_that_end(message: str, at: str, killed: bool, where: str, code: int) -> None:
    of = pod(containerStatuses=[status() | {where: {"terminated": END | {"exitCode": code}}}])
    assert pod_facts(of, [event("Killing", message, at, "Normal")]).probe_kills == (frozenset({"podinfo"}) if killed else frozenset())


def test_times_of_events_are_read_wherever_they_stand() -> None:
    of = pod(containerStatuses=[status(state={"terminated": END})])
    message = "Container podinfo failed liveness probe, will be restarted"
    for stamp in (
        {"series": {"lastObservedTime": "2026-01-01T00:01:59.5Z"}, "lastTimestamp": "2026-01-01T00:00:00Z"},
        {"eventTime": "2026-01-01T00:01:59.123456Z"},
        {"metadata": {"creationTimestamp": "2026-01-01T00:01:59Z"}},
    ):
        told = {"reason": "Killing", "note": message, "regarding": {"fieldPath": "spec.containers{podinfo}"}, **stamp}
        assert pod_facts(of, [told]).probe_kills == {"podinfo"}
