"""How long pods take to be ready, read from the manifest."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.targets.startup import Startup, startup, waves


def deployment(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    pod = {"containers": list(containers), **spec.pop("pod", {})}
    return {"spec": {"template": {"spec": pod}, **spec}}


def test_a_workload_without_probes_is_ready_when_it_runs() -> None:
    assert startup(deployment({"name": "a"})) == Startup(0.0, None, 0.0)
    assert startup({}) == Startup(0.0, None, 0.0)


def test_the_slowest_container_counts_and_a_native_sidecar_too() -> None:
    slow = {"readinessProbe": {"initialDelaySeconds": 20, "successThreshold": 3, "periodSeconds": 5}}
    late = {"restartPolicy": "Always", "startupProbe": {"initialDelaySeconds": 40, "failureThreshold": 30, "periodSeconds": 2}}
    once = {"startupProbe": {"initialDelaySeconds": 500}}
    assert startup(deployment({"name": "a"}, slow)).least == 30.0
    assert startup(deployment(slow, pod={"initContainers": [late, once]}, minReadySeconds=7)) == Startup(40.0, 100.0, 7.0)


def test_a_startup_probe_has_kubernetes_defaults() -> None:
    assert startup(deployment({"startupProbe": {"httpGet": {}}})).budget == 30.0


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ({}, 1),
        ({"replicas": 2}, 2),
        ({"replicas": 4}, 2),
        ({"replicas": 10}, 2),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}}, 10),
        ({"replicas": 10, "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "0%"}}}, 1),
        ({"replicas": 10, "strategy": {"type": "Recreate"}}, 1),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxSurge": "what", "maxUnavailable": 0}}}, 3),
    ],
)
def test_a_rolling_update_goes_in_waves(spec: dict[str, Any], count: int) -> None:
    assert waves({"spec": spec}) == count
