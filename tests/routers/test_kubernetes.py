from __future__ import annotations

import pytest

from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.kubernetes import Kubernetes
from tests.routers.builders import AB, WEIGHTED, a_canary

ROUTER = Kubernetes()


def test_there_is_no_route_and_everything_is_with_the_primary() -> None:
    canary = a_canary()
    assert not ROUTER.supports.weights
    assert ROUTER.objects(canary) == []
    assert ROUTER.desired(canary, RouteSplit(50), [], Settings()) == []
    assert ROUTER.restore(canary, []) == []
    observed = ROUTER.observed(canary, [], Settings())
    assert (observed.split, observed.in_shape, observed.judges) == (RouteSplit(0), True, False)


@pytest.mark.parametrize("analysis", [AB, WEIGHTED | {"mirror": True}, WEIGHTED | {"sessionAffinity": {"cookieName": "c"}}])
@pytest.mark.fault("Q-10", "Q-11")
def test_what_needs_a_route_is_refused(analysis: Obj) -> None:
    [problem] = ROUTER.problems(a_canary(analysis=analysis))
    assert "is not supported by provider kubernetes" in problem
