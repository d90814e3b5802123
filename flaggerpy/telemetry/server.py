"""The small HTTP server for probes and scrapes: /healthz (alive), /readyz (of use), /metrics. GET and HEAD, one request per connection.
What lies below another path (the web page) is handed to whoever serves it.

A check is a function without arguments that returns None when all is well and otherwise what is not, in words. With every check well the
answer is `OK`, as Flagger's; else 503 and a line for each check that is not. What is worth knowing and no reason to take this replica for
unwell (`notes`) stands in lines below the `OK`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from flaggerpy.telemetry.metrics import CONTENT_TYPE, OPENMETRICS_TYPE

Check = Callable[[], str | None]


@dataclass(frozen=True)
class Request:
    """The head of a request. Names of headers are in lower case; of two of a name the first counts."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return path_of(self.target)


def path_of(target: str) -> str:
    """The path of a request's target; "" where it cannot be read."""
    try:
        return urlsplit(target).path
    except ValueError:
        return ""


Room = Callable[[Request, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request on a connection that is closed afterwards. Its time is its own affair."""

REQUEST_SECONDS = 10.0
HEAD_BYTES = 16 * 1024

_log = logging.getLogger(__name__)


class ProbeServer:
    """Serves from `start` to `stop`; `port` 0 takes a free one, told by `port` afterwards."""

    def __init__(
        self,
        port: int,
        host: str | None = None,
        *,
        healthz: Mapping[str, Check] | None = None,
        readyz: Mapping[str, Check] | None = None,
        metrics: Callable[[bool], bytes] | None = None,
        notes: Callable[[], list[str]] = list,
        rooms: Mapping[str, Room] | None = None,
    ) -> None:
        self.port = port
        self._host = host
        self._checks: dict[str, Mapping[str, Check]] = {"/healthz": healthz or {}, "/readyz": readyz or {}}
        self._metrics = metrics
        self._notes = notes
        self._rooms = rooms or {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._host, self.port, limit=HEAD_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the port; answers under way are finished by their own time-out."""
        server, self._server = self._server, None
        if server:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                room, request = self._room(head)
            if room is not None and request is not None:
                await room(request, reader, writer)
                return
            async with asyncio.timeout(REQUEST_SECONDS):
                status, kind, body, encoding = await self._answer(head)
                lines = [
                    f"HTTP/1.1 {status.value} {status.phrase}",
                    f"Content-Type: {kind}",
                    f"Content-Length: {len(body)}",
                    *([f"Content-Encoding: {encoding}"] if encoding else []),
                    "Connection: close",
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if head.startswith("HEAD ") else body))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            _log.debug("a probe or scrape was broken off: %r", error)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _room(self, head: str) -> tuple[Room | None, Request | None]:
        if not self._rooms:
            return None, None
        first, *lines = head.split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3:
            return None, None
        headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if colon:
                headers.setdefault(name.strip().lower(), value.strip())
        request = Request(parts[0], parts[1], headers)
        return self._rooms.get("/" + request.path.split("/")[1] if request.path.startswith("/") else ""), request

    async def _answer(self, head: str) -> tuple[HTTPStatus, str, bytes, str]:
        text = "text/plain; charset=utf-8"
        first, *headers = head.split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3:
            return HTTPStatus.BAD_REQUEST, text, b"not HTTP\n", ""
        method, path = parts[0], path_of(parts[1])
        if method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, text, b"GET or HEAD\n", ""
        if path in self._checks:
            failed = _failed(self._checks[path])
            if failed:
                return HTTPStatus.SERVICE_UNAVAILABLE, text, "".join(f"{line}\n" for line in failed).encode(), ""
            notes = self._notes() if path == "/readyz" else []
            return HTTPStatus.OK, text, "".join(f"{line}\n" for line in ["OK", *notes]).encode(), ""
        if path == "/metrics" and self._metrics:
            said = {name.strip().lower(): value for name, _, value in (line.partition(":") for line in headers)}
            packed = "gzip" in said.get("accept-encoding", "")
            openmetrics = wants_openmetrics(said.get("accept", ""))
            # tens of thousands of series take longer than the loop may stand still
            body = await asyncio.to_thread(_rendered, self._metrics, openmetrics, packed)
            return HTTPStatus.OK, OPENMETRICS_TYPE if openmetrics else CONTENT_TYPE, body, "gzip" if packed else ""
        return HTTPStatus.NOT_FOUND, text, b"not found\n", ""


def wants_openmetrics(accept: str) -> bool:
    """Whether an Accept header likes OpenMetrics 1.0 at least as much as the text format, which is for whoever says nothing."""
    liked: dict[str, float] = {}
    for each in accept.split(","):
        kind, *parameters = [part.strip().lower() for part in each.split(";")]
        said = dict(part.partition("=")[::2] for part in parameters)
        if said.get("version", "1.0.0") != "1.0.0" and kind == "application/openmetrics-text":
            continue
        try:
            liked[kind] = max(liked.get(kind, 0.0), float(said.get("q", "1")))
        except ValueError:
            continue
    return liked.get("application/openmetrics-text", 0.0) >= max(liked.get("text/plain", 0.0), 0.001)


def _rendered(metrics: Callable[[bool], bytes], openmetrics: bool, packed: bool) -> bytes:
    body = metrics(openmetrics)
    return gzip.compress(body, compresslevel=1) if packed else body


def _failed(checks: Mapping[str, Check]) -> list[str]:
    found = []
    for name, check in checks.items():
        try:
            problem = check()
        except Exception as error:
            _log.exception("the check %s failed itself", name)
            problem = f"{type(error).__name__}: {error}"
        if problem:
            found.append(f"{name}: {problem}")
    return found
