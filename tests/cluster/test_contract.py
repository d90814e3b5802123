"""The API server in memory keeps the contract that a real one keeps (e2e/core/test_api_contract.py plays the same scenarios there)."""

from __future__ import annotations

import pytest

from flaggerpy.cluster.client import Client
from tests.cluster.contract import SCENARIOS, Scenario
from tests.cluster.fake_apiserver import FakeApiServer


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_contract(scenario: Scenario, server: FakeApiServer, client: Client) -> None:
    server.compact()
    await scenario(client, "test")
