"""Fixtures of the catalogue: those of the core's tests, and the rows under way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.catalogue.groups import SLOW
from e2e.catalogue.play import Plays, rows_of
from e2e.catalogue.watched import Watched
from e2e.core.conftest import controller as controller
from e2e.core.conftest import kube as kube
from e2e.core.conftest import sandbox as sandbox
from e2e.core.controllers import Controller
from e2e.kube import Kube
from e2e.sandbox import Sandbox


@pytest.fixture(scope="session")
def plays(request: pytest.FixtureRequest, kube: Kube, sandbox: Sandbox, controller: Controller) -> Iterator[Plays]:
    """The rows that are to be tested, under way from now on, with the ground that their groups need."""
    wanted = rows_of(item for item in request.session.items if item.path.parent == Path(__file__).parent)
    with ExitStack() as stack:
        watched = stack.enter_context(Watched(kube))
        for group in SLOW:
            if any(row in group.rows for row in wanted):
                stack.enter_context(group.ground(sandbox))
        opened = Plays(kube, sandbox, watched, describes=True)
        stack.callback(opened.close)
        for row in wanted:
            opened.start(row)
        yield opened
