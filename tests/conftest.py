"""Settings of all unit tests, and fixtures of several rooms.

Hypothesis draws the same examples in every run, unless HYPOTHESIS_PROFILE=explore asks for new ones.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from e2e.disorder.proxy import Proxy
    from tests.cluster.fake_apiserver import FakeApiServer

settings.register_profile("proof", deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
settings.register_profile("explore", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "proof"))


@pytest.fixture
async def server() -> AsyncIterator[FakeApiServer]:
    """An API server in memory."""
    from tests.cluster.fake_apiserver import FakeApiServer  # half a second that rooms without a server need not spend

    async with FakeApiServer() as running:
        yield running


@pytest.fixture
async def proxy(server: FakeApiServer) -> AsyncIterator[Proxy]:
    """A proxy in front of it that does what it is told, and no harm until then."""
    from e2e.disorder.proxy import Proxy

    opened = Proxy(server.url)
    await asyncio.to_thread(opened.__enter__)
    yield opened
    await asyncio.to_thread(opened.__exit__, None, None, None)
