"""What a run's recorded states say about it."""

from __future__ import annotations

import pytest

from e2e import releases
from e2e.kube import Object
from e2e.recorder import Seen


def route(at: float, weight: int) -> Seen:
    backends = [{"name": "app-primary", "weight": 100 - weight}, {"name": "app-canary", "weight": weight}]
    return Seen(at, {"metadata": {"name": "app"}, "spec": {"rules": [{"backendRefs": backends}]}})


def pod(at: float, name: str, ready: bool, gone: bool = False) -> Seen:
    obj: Object = {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": str(ready)}]}}
    return Seen(at, obj, gone)


ROUTES = [route(1, 0), route(5, 20), route(5.5, 20), route(9, 40), route(12, 20), route(13, 0)]


def test_weights_are_their_changes() -> None:
    assert releases.weights(ROUTES) == [(1, 0), (5, 20), (9, 40), (12, 20), (13, 0)]


def test_a_route_without_a_canary_backend_gives_it_nothing() -> None:
    assert releases.canary_weight({"spec": {"rules": [{"backendRefs": [{"name": "app-primary"}]}]}}) == 0


@pytest.mark.parametrize(("since", "safe"), [(2, 2), (6, 13), (12.5, 13), (13, 13), (20, 20)])
def test_routes_are_safe_when_the_weight_is_0_then_or_first_gets_so(since: float, safe: float) -> None:
    assert releases.safe_at(ROUTES, since) == safe


def test_routes_that_never_get_safe() -> None:
    assert releases.safe_at(ROUTES[:-1], 6) is None


def test_pods_start_from_the_first_that_appears_to_the_last_that_is_ready_for_the_first_time() -> None:
    pods = [pod(1, "old", True), pod(10, "a", False), pod(11, "b", False), pod(12, "a", True), pod(14, "b", True), pod(20, "b", False)]
    pods += [pod(25, "b", True), pod(26, "old", True)]
    assert releases.starts(pods, 5) == 4
    assert releases.starts(pods, 50) == 0


def test_the_report_is_that_of_the_last_pod() -> None:
    pods = [pod(1, "a", False), pod(10, "a", True), pod(11, "a", False), pod(12, "b", False), pod(13, "b", False)]
    assert releases.unready_at(pods, ["a", "b"], 5) == 12
    assert releases.unready_at(pods, ["a", "c"], 5) is None
    assert releases.unready_at([pod(9, "a", True, gone=True)], ["a"], 5) == 9


def test_gaps_between_raises_end_with_a_cut() -> None:
    assert releases.raises([(0, 0), (2, 20), (4.5, 40), (5, 0), (6, 20), (9, 40)]) == [2.5, 3]
