"""The faulty registry itself: a server on one port, with images in memory and, behind it, a real registry where one is named.

It lives in a thread of its own, so that synchronous and asynchronous tests use it alike. Everything about it can be changed while it runs:
faults, auth and speech count from the next request or connection on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from e2e.registry.auth import REALM, Basic, Bearer
from e2e.registry.faults import Fault
from e2e.registry.speech import PLAIN, Speech
from e2e.registry.store import LISTS, Store, digest

POLL = 0.02
CHUNK = 0.05
"""Seconds between two pieces of a trickled body."""
TLS_HELLO = b"\x16"
HTTP_TO_HTTPS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_HOP = {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "authorization"}
_CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS"}


@dataclass(frozen=True)
class Asked:
    """A request that came.

    `at` in epoch seconds, `authorization` the header's first word, `status` 0 while or where nothing was answered.
    """

    at: float
    method: str
    path: str
    host: str
    authorization: str
    status: int = 0


@dataclass
class _Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    """Of what a HEAD is not given."""


class FaultyRegistry:
    """Listens on `address`:`port` (0: a free one) between entering and leaving.

    `store` has its images; what it has not is asked of `upstream` (HOST:PORT of a registry that speaks plain HTTP; "" for none). `auth`,
    `speech` and `store` may be set at any time.
    """

    def __init__(
        self, *, upstream: str = "", address: str = "127.0.0.1", port: int = 0, speech: Speech = PLAIN, auth: Basic | Bearer | None = None
    ) -> None:
        self.store = Store()
        self.auth = auth
        self.speech = speech
        self.address, self.port = address, port
        self._upstream = upstream
        self._faults: tuple[Fault, ...] = ()
        self._met: dict[Fault, int] = {}
        self._tokens: dict[str, str] = {}
        self._asked: list[Asked] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="faulty registry")
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._meetings: set[asyncio.Task[None]] = set()
        self._server: web.Server | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        """As it stands in an image's name."""
        return f"{self.address}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.speech.certificate else 'http'}://{self.host}"

    @property
    def asked(self) -> list[Asked]:
        """All requests so far, in order of arrival."""
        return list(self._asked)

    def image(self, name: str, tag: str = "1.0.0") -> str:
        """The reference that a pod uses."""
        return f"{self.host}/{name}:{tag}"

    def inject(self, *faults: Fault) -> None:
        """From now on; of several that meet a request the first counts."""
        self._faults += faults

    def heal(self, *faults: Fault) -> None:
        """These faults end (all, when none is named), also for answers that are under way."""
        self._faults = tuple(fault for fault in self._faults if faults and fault not in faults)

    @contextlib.contextmanager
    def faulty(self, *faults: Fault) -> Iterator[None]:
        self.inject(*faults)
        try:
            yield
        finally:
            self.heal(*faults)

    def refuse(self) -> None:
        """Nobody listens any more: connections are refused until `listen`."""
        self._ask(self._close_listener())

    def listen(self) -> None:
        """Listen, on the port of before where there was one."""
        self._ask(self._open_listener())

    def __enter__(self) -> FaultyRegistry:
        self._thread.start()
        self._ask(self._begin())
        return self

    def __exit__(self, *_: object) -> None:
        self._ask(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _ask(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)  # type: ignore[arg-type]

    async def _begin(self) -> None:
        self._server = web.Server(self._handle, access_log=None)
        self._session = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=60))
        await self._open_listener()

    async def _end(self) -> None:
        self._faults = ()
        await self._close_listener()
        for task in list(self._meetings):
            task.cancel()
        assert self._server
        assert self._session
        await self._server.shutdown(0.1)
        await self._session.close()

    # --- connections

    async def _open_listener(self) -> None:
        if self._listener:
            return
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self.address, self.port))
        listener.listen(100)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = asyncio.create_task(self._accept(listener))

    async def _close_listener(self) -> None:
        if self._listener and self._accepting:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._listener.close()
            self._listener = None
            assert self._server
            for connection in self._server.connections:
                if connection.transport:
                    connection.transport.abort()  # a kept-alive connection would hide that nobody listens

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            connection, _ = await self._loop.sock_accept(listener)
            task = asyncio.create_task(self._meet(connection))
            self._meetings.add(task)
            task.add_done_callback(self._meetings.discard)

    async def _meet(self, connection: socket.socket) -> None:
        """Look at the first byte without taking it, and speak as we are told to."""
        handed_over = False
        try:
            connection.setblocking(False)
            if self.speech.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            await until(lambda: self.speech.plain or self.speech.certificate is not None)
            certificate = self.speech.certificate
            if certificate:
                hello = await self._peek(connection)
                if hello != TLS_HELLO:
                    if hello:
                        await self._loop.sock_recv(connection, 65536)  # closed unread it would be a reset
                        await self._loop.sock_sendall(connection, HTTP_TO_HTTPS)
                    return
            assert self._server
            handed_over = True
            with contextlib.suppress(OSError):  # a client that does not like the certificate says so and goes
                await self._loop.connect_accepted_socket(self._server, connection, ssl=certificate.context if certificate else None)
        except OSError:
            return
        finally:
            if not handed_over:
                connection.close()

    async def _peek(self, connection: socket.socket) -> bytes:
        deadline = self._loop.time() + 60
        while self._loop.time() < deadline:
            with contextlib.suppress(BlockingIOError):
                return connection.recv(1, socket.MSG_PEEK)
            await asyncio.sleep(POLL)
        return b""

    # --- requests

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        noted = len(self._asked)
        word = request.headers.get("Authorization", "").partition(" ")[0]
        asked = Asked(time.time(), request.method, request.path, request.host, word)
        self._asked.append(asked)
        fault = self._fault_for(request)
        if fault:
            await self._delayed(fault)
        if fault and fault.status and fault in self._faults:
            answer = _refused(fault.status, _CODES.get(fault.status, "UNKNOWN"), fault.text or f"told to answer {fault.status}")
            answer.headers |= fault.headers
        else:
            answer = await self._answer(request)
        self._asked[noted] = Asked(asked.at, asked.method, asked.path, asked.host, asked.authorization, answer.status)
        return await self._send(request, answer, fault)

    def _fault_for(self, request: web.BaseRequest) -> Fault | None:
        for fault in self._faults:
            if not fault.meets(request.path, request.host):
                continue
            met = self._met.get(fault, 0)
            if fault.times is None or met < fault.times:
                self._met[fault] = met + 1
                return fault
        return None

    async def _delayed(self, fault: Fault) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(until(lambda: fault not in self._faults), fault.delay)

    async def _answer(self, request: web.BaseRequest) -> _Answer:
        """The truth, as far as the asker may know it."""
        base = f"{request.scheme}://{request.host}"
        authorization = request.headers.get("Authorization", "")
        if self.auth:
            if isinstance(self.auth, Bearer) and request.path == REALM:
                return self._token(request.method, authorization)
            refusal = self.auth.refusal(authorization, request.path, base, self._tokens)
            if refusal:
                answer = _refused(refusal.status, refusal.code, refusal.message)
                if refusal.challenge:
                    answer.headers["WWW-Authenticate"] = refusal.challenge
                return answer
        return self._stored(request) or await self._from_upstream(request)

    def _token(self, method: str, authorization: str) -> _Answer:
        if method != "GET":
            return _refused(405, "UNSUPPORTED", "tokens are to be had by GET")
        assert isinstance(self.auth, Bearer)
        user = self.auth.may_have_token(authorization)
        if user is None:
            return _refused(401, "UNAUTHORIZED", "incorrect username or password")
        token = secrets.token_hex(8)
        self._tokens[token] = user
        return _Answer(200, {"Content-Type": "application/json"}, json.dumps({"token": token, "expires_in": 300}).encode())

    def _stored(self, request: web.BaseRequest) -> _Answer | None:
        """From the store; None for what it has not."""
        path = request.path
        if path in ("/v2", "/v2/"):
            return _Answer(200, {"Content-Type": "application/json", "Docker-Distribution-Api-Version": "registry/2.0"}, b"{}")
        if request.method not in ("GET", "HEAD") or not path.startswith("/v2/"):
            return None
        name, _, reference = path.removeprefix("/v2/").rpartition("/")
        name, _, kind = name.rpartition("/")
        if kind == "manifests" and (name, reference) in self.store.manifests:
            media, body = self.store.manifests[name, reference]
            accepted = ",".join(request.headers.getall("Accept", ["*/*"]))
            if media in LISTS and media not in accepted and "*/*" not in accepted:
                return _refused(404, "MANIFEST_UNKNOWN", "a manifest list was found, but the accept header does not name it")
            return _Answer(200, {"Content-Type": media, "Docker-Content-Digest": digest(body)}, body)
        if kind == "blobs" and reference in self.store.blobs:
            body = self.store.blobs[reference]
            headers = {"Content-Type": "application/octet-stream", "Docker-Content-Digest": reference}
            start = _range_start(request.headers.get("Range", ""), len(body))
            if start:
                headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                return _Answer(206, headers, body[start:])
            return _Answer(200, headers, body)
        if kind == "tags" and reference == "list" and self.store.tags(name):
            listed = json.dumps({"name": name, "tags": self.store.tags(name)}).encode()
            return _Answer(200, {"Content-Type": "application/json"}, listed)
        return None

    async def _from_upstream(self, request: web.BaseRequest) -> _Answer:
        if not self._upstream:
            kind = "BLOB_UNKNOWN" if "/blobs/" in request.path else "MANIFEST_UNKNOWN"
            return _refused(404, kind, f"{kind.lower().replace('_', ' ')} to registry")
        assert self._session
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        headers["Host"] = request.host
        url, body = f"http://{self._upstream}{request.path_qs}", await request.read()
        try:
            async with self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False) as found:
                body = await found.read()
                kept = {name: value for name, value in found.headers.items() if name.lower() not in _HOP}
                told = found.headers.get("Content-Length")
                return _Answer(found.status, kept, body, int(told) if request.method == "HEAD" and told else None)
        except aiohttp.ClientError as error:
            return _refused(502, "UNKNOWN", f"the registry behind this one: {error}")

    async def _send(self, request: web.BaseRequest, answer: _Answer, fault: Fault | None) -> web.StreamResponse:
        body = answer.body
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.content_length = len(body) if answer.length is None else answer.length
        with contextlib.suppress(ConnectionError):  # the client did not wait
            await self._deliver(request, response, b"" if request.method == "HEAD" else body, fault if 200 <= answer.status < 300 else None)
        return response

    async def _deliver(self, request: web.BaseRequest, response: web.StreamResponse, body: bytes, fault: Fault | None) -> None:
        whole = len(body)
        if fault and fault in self._faults and body:
            if fault.altered:
                body = body[:-1] + bytes([body[-1] ^ 0xFF])
            if fault.cut is not None:
                body = body[: fault.cut]
        await response.prepare(request)
        await self._write(response, body, fault)
        if len(body) < whole:
            await asyncio.sleep(POLL)  # what was sent arrives before the end does
            if request.transport:
                request.transport.abort()

    async def _write(self, response: web.StreamResponse, body: bytes, fault: Fault | None) -> None:
        while fault and fault.rate and body and fault in self._faults:
            piece = max(1, int(fault.rate * CHUNK))
            await response.write(body[:piece])
            body = body[piece:]
            await asyncio.sleep(CHUNK)
        if body:
            await response.write(body)


async def until(check: Callable[[], bool]) -> None:
    """Wait for what another thread changes."""
    while not check():  # noqa: ASYNC110
        await asyncio.sleep(POLL)


def _refused(status: int, code: str, message: str) -> _Answer:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return _Answer(status, {"Content-Type": "application/json"}, body)


def _range_start(header: str, size: int) -> int:
    """The first byte of `bytes=N-`; 0 for any other range, which then gets the whole."""
    if not (header.startswith("bytes=") and header.endswith("-")):
        return 0
    start = header.removeprefix("bytes=").removesuffix("-")
    return int(start) if start.isdigit() and int(start) < size else 0
