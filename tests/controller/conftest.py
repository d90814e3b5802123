"""Fixtures of the controller's tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from flaggerpy.controller import worker
from flaggerpy.controller.gather import Snapshot, facts_of
from flaggerpy.controller.memo import Memo
from flaggerpy.rollout import deleting, traffic
from flaggerpy.rollout.facts import Facts
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


@pytest.fixture(autouse=True)
def what_is_remembered_is_what_is_true(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every look of every test is worked out once more without what the last look left in the memo."""
    wrong: list[tuple[Facts, Facts]] = []

    def compared(snapshot: Snapshot) -> Facts:
        found, anew = facts_of(snapshot), facts_of(replace(snapshot, memo=Memo()))
        if found != anew:
            wrong.append((found, anew))
        return found

    monkeypatch.setattr(worker, "facts_of", compared)
    yield
    assert not wrong


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
