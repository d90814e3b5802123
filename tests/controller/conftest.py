"""Fixtures of the controller's tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from flaggerpy.rollout import deleting, traffic
from tests.cluster.fake_apiserver import FakeApiServer
from tests.controller.late import nothing_changes
from tests.controller.living import Living


@pytest.fixture(autouse=True)
def nothing_is_left_to_collect() -> Iterator[None]:
    """kopf leaves coroutines in cycles. Collected in the middle of a parse, they trip CPython 3.11's check of its recursion depth."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def late_writes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `late`: what a test's controllers wrote is written again at its end."""
    monkeypatch.setattr(FakeApiServer, "at_end", [nothing_changes])


@pytest.fixture
def living(server: FakeApiServer) -> Living:
    """The API server in memory gets a deployment controller."""
    return Living(server)


@pytest.fixture
def short_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seconds of draining are constants of the core, proved there; here they would only be waited for."""
    for module in (traffic, deleting):
        monkeypatch.setattr(module, "DRAIN", 0.2)
    monkeypatch.setattr(traffic, "UNTOLD", 0.2)
    monkeypatch.setattr(traffic, "WARM", 0.1)
