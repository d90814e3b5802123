"""The gate of story e says no to everybody, on a real socket."""

from __future__ import annotations

import httpx

from e2e.demo.hands import closed_gate


async def test_the_gate_is_closed_for_every_question() -> None:
    async with closed_gate() as url, httpx.AsyncClient(trust_env=False) as client:
        for body in ({"name": "podinfo"}, {}):
            answer = await client.post(url, json=body)
            assert (answer.status_code, answer.text) == (403, "not approved yet\n")
