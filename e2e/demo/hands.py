"""The hands in the play: a gate that nobody has opened, a person who types `flaggerpy promote`, and one who tries a version that has no
visitors."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from rich.console import Console

from e2e.demo import manifests
from e2e.demo.play import APP
from flaggerpy.api.names import canary_name
from flaggerpy.cli.access import ClusterAccess
from flaggerpy.cli.main import Screen, parser, perform
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError

TRIALS = 20
"""Requests of one trial."""


@asynccontextmanager
async def closed_gate(address: str = "127.0.0.1") -> AsyncIterator[str]:
    """A webhook that says no to everybody, at an address where the controller reaches it; gives its URL."""

    async def no() -> tuple[int, str]:
        return 403, "not approved yet\n"

    async with webhook(no, "gate", address) as url:
        yield url


@asynccontextmanager
async def trial(client: Client, address: str = "127.0.0.1") -> AsyncIterator[str]:
    """A webhook that sends the canary a few requests (through the API server, so from anywhere) and says whether all went well."""

    async def ask() -> tuple[int, str]:
        failed = 0
        for _ in range(TRIALS):
            try:
                path = f"/api/v1/namespaces/{manifests.NAMESPACE}/services/{canary_name(APP)}:80/proxy/"
                await client.request("GET", path, attempts=1)
            except ApiError:
                failed += 1
        return (500 if failed else 200), f"{failed} of {TRIALS} requests failed\n"

    async with webhook(ask, "trial", address) as url:
        yield url


@asynccontextmanager
async def webhook(say: Callable[[], Awaitable[tuple[int, str]]], name: str, address: str) -> AsyncIterator[str]:
    """A server on a free port that answers every question with what `say` says (status, text); gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            length = next((line.partition(b":")[2] for line in asked.splitlines() if line.lower().startswith(b"content-length")), b"0")
            await reader.readexactly(int(length))
            status, text = await say()
            head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
            writer.write(f"{head}{text}".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, address, 0)
    async with server:
        yield f"http://{address}:{server.sockets[0].getsockname()[1]}/{name}"


async def promote(client: Client) -> str:
    """`flaggerpy promote podinfo -n demo`: what it prints."""
    out = io.StringIO()
    said = Console(file=out, width=200)
    await perform(parser().parse_args(["promote", APP, "-n", manifests.NAMESPACE]), ClusterAccess(client), Screen(said, said))
    return out.getvalue().strip()
