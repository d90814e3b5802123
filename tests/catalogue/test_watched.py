"""What the recorded states of pods and routes say: the first word of a failure, and how long all pods were ready at once."""

from __future__ import annotations

import pytest

from e2e.catalogue.watched import canary_weight, reports, reports_failure, stretches
from e2e.kube import Object
from e2e.recorder import Seen


def pod(name: str = "a", ready: bool = False, state: Object | None = None, last: Object | None = None, **status: object) -> Object:
    container = {"name": "app", "state": state or {}, "lastState": last or {}}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "containerStatuses": [container], **status}}


def waiting(reason: str, message: str = "") -> Object:
    return {"waiting": {"reason": reason, "message": message}}


@pytest.mark.parametrize(
    ("found", "fails"),
    [
        (pod(), False),
        (pod(state=waiting("ContainerCreating")), False),
        (pod(state=waiting("PodInitializing")), False),
        (pod(state=waiting("ErrImagePull")), True),
        (pod(state=waiting("CreateContainerConfigError", 'secret "x" not found')), True),
        (pod(state=waiting("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition")), False),
        (pod(state={"terminated": {"exitCode": 1}}), True),
        (pod(state={"running": {}}, last={"terminated": {"exitCode": 3}}), True),
        (pod(state={"terminated": {"exitCode": 0}}), False),
        (pod(phase="Failed", reason="Evicted"), True),
    ],
)
def test_the_first_word_of_a_failure_is_told_from_a_pod_on_its_way(found: Object, fails: bool) -> None:
    assert reports_failure(found) is fails


def test_a_failing_init_container_is_a_failure() -> None:
    found = pod(state=waiting("PodInitializing"))
    found["status"]["initContainerStatuses"] = [{"name": "setup", "state": {"terminated": {"exitCode": 3}}}]
    assert reports_failure(found)


def test_only_time_in_which_all_pods_were_ready_counts_as_complete() -> None:
    states = [(0, "a", False), (1, "a", True), (2, "b", False), (4, "b", True), (7, "a", False), (8, "a", True), (10, "b", False)]
    assert stretches([Seen(at, pod(name, ready)) for at, name, ready in states], 2) == 5


def test_a_pod_that_is_gone_is_not_ready() -> None:
    assert stretches([Seen(1, pod("a", True)), Seen(3, pod("a", True), gone=True)], 1) == 2


def test_a_pod_that_takes_the_place_of_another_is_none_too_many() -> None:
    assert stretches([Seen(1, pod("a", True)), Seen(3, pod("a")), Seen(4, pod("b", True)), Seen(9, pod("b"))], 1) == 7


def test_the_story_of_a_row_tells_each_state_once() -> None:
    seen = [Seen(11, pod(state=waiting("ErrImagePull", "x"))), Seen(12, pod(state=waiting("ErrImagePull", "x"))), Seen(13, pod())]
    assert reports(seen, 10) == ["   1.0 s  a app waiting ErrImagePull x"]


def test_the_share_of_a_canary_is_read_from_both_kinds_of_route() -> None:
    split = {"kind": "TrafficSplit", "spec": {"backends": [{"service": "a-canary", "weight": 20}, {"service": "a-primary", "weight": 80}]}}
    rules = [{"backendRefs": [{"name": "a-primary", "weight": 70}, {"name": "a-canary", "weight": 30}]}, {}]
    assert canary_weight(split, "a") == 20
    assert canary_weight({"kind": "HTTPRoute", "spec": {"rules": rules}}, "a") == 30
