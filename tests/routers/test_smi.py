from __future__ import annotations

import pytest

from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.smi import TrafficSplit, quantity
from tests.routers.builders import AB, META, WEIGHTED, a_canary

SETTINGS = Settings()


@pytest.mark.parametrize(
    ("version", "canary_weight", "primary_weight"), [("v1alpha1", "30", "70"), ("v1alpha2", 30, 70), ("v1alpha3", 30, 70)]
)
def test_a_traffic_split(version: str, canary_weight: int | str, primary_weight: int | str) -> None:
    router = TrafficSplit(version, f"smi:{version}")
    [split] = router.desired(a_canary(), RouteSplit(30), [], SETTINGS)
    assert split == {
        "apiVersion": f"split.smi-spec.io/{version}",
        "kind": "TrafficSplit",
        "metadata": META,
        "spec": {
            "service": "podinfo",
            "backends": [
                {"service": "podinfo-canary", "weight": canary_weight},
                {"service": "podinfo-primary", "weight": primary_weight},
            ],
        },
    }
    observed = router.observed(a_canary(), [split], SETTINGS)
    assert (observed.split, observed.in_shape, observed.judges, observed.accepted) == (RouteSplit(30), True, False, None)


def test_the_first_host_is_the_root_service() -> None:
    router = TrafficSplit("v1alpha2", "smi:v1alpha2")
    canary = a_canary({"hosts": ["app.test", "other"]})
    [split] = router.desired(canary, RouteSplit(0), [], SETTINGS)
    assert split["spec"]["service"] == "app.test"
    assert router.warnings(canary) == ["spec.service.hosts: provider smi:v1alpha2 takes the first only"]


@pytest.mark.parametrize(
    ("service", "analysis", "names"),
    [
        ({}, AB, "spec.analysis.match: is not supported by provider linkerd"),
        ({}, WEIGHTED | {"mirror": True}, "analysis.mirror"),
        ({}, WEIGHTED | {"sessionAffinity": {"cookieName": "c"}}, "analysis.sessionAffinity"),
        ({"match": [{"uri": {"prefix": "/"}}]}, None, "service.match"),
    ],
)
@pytest.mark.fault("Q-10", "Q-11")
def test_a_traffic_split_has_weights_and_nothing_else(service: Obj, analysis: Obj | None, names: str) -> None:
    [problem] = TrafficSplit("v1alpha1", "linkerd").problems(a_canary(service, analysis))
    assert names in problem


def test_no_split_and_weights_of_nought_hold_no_split() -> None:
    router = TrafficSplit("v1alpha2", "smi:v1alpha2")
    assert router.observed(a_canary(), [], SETTINGS).split is None
    [split] = router.desired(a_canary(), RouteSplit(0), [], SETTINGS)
    for backend in split["spec"]["backends"]:
        backend["weight"] = 0
    assert router.observed(a_canary(), [split], SETTINGS).split is None


@pytest.mark.parametrize(("text", "value"), [(50, 50), ("50", 50), ("500m", 0.5), ("1k", 1000), (None, 0), ("x", 0)])
def test_quantities(text: int | str | None, value: float) -> None:
    assert quantity(text) == value


def test_a_split_on_another_scale_is_read_as_a_share() -> None:
    router = TrafficSplit("v1alpha1", "linkerd")
    [split] = router.desired(a_canary(), RouteSplit(0), [], SETTINGS)
    split["spec"]["backends"][0]["weight"], split["spec"]["backends"][1]["weight"] = "100m", "900m"
    observed = router.observed(a_canary(), [split], SETTINGS)
    assert observed.split == RouteSplit(10)
    assert not observed.in_shape
