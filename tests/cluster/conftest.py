"""Fixtures for tests against the API server in memory."""

from __future__ import annotations

import pytest

from flaggerpy.cluster.client import Client
from tests.cluster.fake_apiserver import FakeApiServer


@pytest.fixture
async def client(server: FakeApiServer) -> Client:
    async def no_wait(seconds: float) -> None:
        return None

    return server.client(sleep=no_wait)
