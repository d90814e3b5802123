"""Seeing: when the events of a pod are read."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.controller.seeing import EVENTS_EVERY, Told, events_due


def pod(reason: str = "", *, secrets: bool = True, restarts: int = 0, ready: bool = False) -> dict[str, Any]:
    waiting = {"state": {"waiting": {"reason": reason}}} if reason else {}
    return {
        "metadata": {"name": "p", "creationTimestamp": "1970-01-01T00:16:40Z"},
        "spec": {"imagePullSecrets": [{"name": "team"}] if secrets else []},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "app", "restartCount": restarts, **waiting}],
        },
    }


BORN = 1000.0


def test_events_of_a_pod_that_waits_are_read_now_and_then() -> None:
    assert not events_due(pod(), None, BORN + 1)
    assert events_due(pod(), None, BORN + EVENTS_EVERY)
    assert not events_due(pod(), Told(0, BORN + 10, ()), BORN + 11)
    assert not events_due(pod(ready=True), None, BORN + 60)


def test_events_of_a_pod_that_restarted_are_read_at_once() -> None:
    assert events_due(pod(restarts=1), None, BORN + 1)
    assert not events_due(pod(restarts=1), Told(1, BORN + 1, ()), BORN + 2)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_events_of_a_failed_pull_with_pull_secrets_are_read_at_once_and_then_now_and_then(reason: str) -> None:
    assert events_due(pod(reason), None, BORN + 1)
    assert events_due(pod(reason), Told(0, BORN + 1, ()), BORN + 2)  # read before it failed
    assert not events_due(pod(reason), Told(0, BORN + 2, (), pull_failed=True), BORN + 3)
    assert not events_due(pod(reason, secrets=False), None, BORN + 1)
