"""Applying what we own: how much of it at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flaggerpy.controller import applying
from flaggerpy.controller.applying import Applier

Obj = dict[str, Any]


class SlowServer:
    """Answers when it is told to, and knows the most that was ever asked of it at once."""

    def __init__(self) -> None:
        self.asked = self.most = 0
        self.answer = asyncio.Event()

    async def apply(self, manifest: Obj) -> Obj:
        self.asked += 1
        self.most = max(self.most, self.asked)
        await self.answer.wait()
        self.asked -= 1
        return {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": "1"}}


def manifest(kind: str, number: int, version: str = "v1") -> Obj:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": f"app-{number}", "namespace": "test"}}


async def applied(server: SlowServer, manifests: list[Obj], have: Obj | None) -> int:
    """How many wait for the server when all are applied at once; all of them end afterwards."""
    applier = Applier(cast(Any, server), cast(Any, SimpleNamespace(wrote=lambda obj: None)))
    tasks = [asyncio.create_task(applier.apply(one, have)) for one in manifests]
    for _ in range(5):
        await asyncio.sleep(0)
    waiting = server.asked
    server.answer.set()
    await asyncio.gather(*tasks)
    return waiting


async def test_new_services_are_asked_for_some_at_a_time() -> None:
    server = SlowServer()
    assert await applied(server, [manifest("Service", number) for number in range(100)], None) == applying.NEW_SERVICES_AT_ONCE
    assert server.most == applying.NEW_SERVICES_AT_ONCE


@pytest.mark.parametrize(
    ("kind", "version", "have"),
    [("Deployment", "apps/v1", None), ("Service", "v1", {"metadata": {"name": "x", "namespace": "test", "resourceVersion": "7"}})],
)
async def test_nothing_else_waits_for_them(kind: str, version: str, have: Obj | None) -> None:
    assert await applied(SlowServer(), [manifest(kind, number, version) for number in range(100)], have) == 100
