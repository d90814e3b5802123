"""The gate of story e says no to everybody, and a trial tells how many of its requests failed, on a real socket."""

from __future__ import annotations

import httpx
import pytest

from e2e.demo.hands import TRIALS, closed_gate, trial
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ServerError


async def test_the_gate_is_closed_for_every_question() -> None:
    async with closed_gate() as url, httpx.AsyncClient(trust_env=False) as client:
        for body in ({"name": "podinfo"}, {}):
            answer = await client.post(url, json=body)
            assert (answer.status_code, answer.text) == (403, "not approved yet\n")


class Failing(Client):
    """A cluster whose canary answers the first `good` requests well and no more after that."""

    def __init__(self, good: int) -> None:
        self.good = good

    async def request(self, method: str, path: str, **_: object) -> str:
        assert path == "/api/v1/namespaces/demo/services/podinfo-canary:80/proxy/"
        self.good -= 1
        if self.good < 0:
            raise ServerError("the canary failed", status=500, reason="InternalError")
        return "ok"


@pytest.mark.parametrize(("good", "status", "failed"), [(TRIALS, 200, 0), (TRIALS - 3, 500, 3)])
async def test_a_trial_fails_with_one_of_its_requests(good: int, status: int, failed: int) -> None:
    async with trial(Failing(good)) as url, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(url, json={})
        assert (answer.status_code, answer.text) == (status, f"{failed} of {TRIALS} requests failed\n")
