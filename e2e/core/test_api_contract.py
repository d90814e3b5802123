"""What the controller's client and watches rely on, on a real API server: the same scenarios that the one in memory is held to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from e2e.sandbox import Sandbox
from flaggerpy.cluster.client import Client
from tests.cluster.contract import SCENARIOS, Scenario


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[Client]:
    async with await Client.connect(str(sandbox.kubeconfig)) as made:
        yield made


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_contract(scenario: Scenario, client: Client, namespace: str) -> None:
    await scenario(client, namespace)
