"""The hands of story e: a gate that nobody has opened, and a person who types `flaggerpy promote`."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rich.console import Console

from e2e.demo import manifests
from e2e.demo.play import APP
from flaggerpy.cli.access import ClusterAccess
from flaggerpy.cli.main import Screen, parser, perform
from flaggerpy.cluster.client import Client

CLOSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 17\r\nConnection: close\r\n\r\nnot approved yet\n"


@asynccontextmanager
async def closed_gate() -> AsyncIterator[str]:
    """A webhook that says no to everybody, where the controller reaches it; gives its URL."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next((line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length")), b"0")
            await reader.readexactly(int(length))
            writer.write(CLOSED)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/gate"


async def promote(client: Client) -> str:
    """`flaggerpy promote podinfo -n demo`: what it prints."""
    out = io.StringIO()
    said = Console(file=out, width=200)
    await perform(parser().parse_args(["promote", APP, "-n", manifests.NAMESPACE]), ClusterAccess(client), Screen(said, said))
    return out.getvalue().strip()
