"""A proxy in front of the API server that misbehaves as it is told, and notes what passed through it.

It runs in a thread and an event loop of its own, speaks TLS with a certificate made for it, hands credentials on as they come, and streams
watches line by line. `rules` may be changed at any time; `clock_ahead` shifts the Date of every answer, and what the server notes of when a
Lease was written, by so many seconds, as if the server's clock had been set.

    with Proxy(kube) as proxy:
        proxy.rules = [Rule(Refuse(429, retry_after=1), share=0.2)]
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from types import TracebackType

import aiohttp
import yaml
from aiohttp import web

from e2e.disorder import faults
from e2e.disorder.faults import Rule
from e2e.sandbox.pki import certificate
from flaggerpy.cluster.client import describe

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization", "content-length", "date"}
SWAP_SECONDS = 0.5
NOTED = re.compile(rb'"time":\s*"([^"]+)"')
"""The time of an entry of managedFields."""


@dataclass(frozen=True)
class Passed:
    """One request: when it came (epoch seconds), what it was, the answer's status (0 for none) and the fault it met, if any."""

    at: float
    verb: str
    path: str
    status: int
    fault: str = ""

    def beside_a_release(self) -> bool:
        """Of the Lease, events and access reviews."""
        return any(part in self.path for part in ("/leases", "/events", "/selfsubject"))


class Proxy:
    """See the module. `url` and `authority` (PEM) go into a kubeconfig."""

    def __init__(self, upstream: str, trusted: ssl.SSLContext | bool = True, seed: int = 1) -> None:
        self.rules: Sequence[Rule] = ()
        self.clock_ahead = 0.0
        self.passed: list[Passed] = []
        self.struck: Counter[str] = Counter()
        """How often each kind of fault was met."""
        self.told: Counter[str] = Counter()
        """Bytes that watches told, by path."""
        self.url = ""
        self.authority = b""
        self._upstream, self._trusted = upstream.rstrip("/"), trusted
        self._dice = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), daemon=True, name="fault proxy")

    @classmethod
    def before(cls, kubeconfig: Path, seed: int = 1) -> Proxy:
        """A proxy in front of the API server of a kubeconfig's current context."""
        config = yaml.safe_load(kubeconfig.read_text())
        named = {entry["name"]: entry["context"] for entry in config["contexts"]}[config["current-context"]]["cluster"]
        cluster = next(entry["cluster"] for entry in config["clusters"] if entry["name"] == named)
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], ssl.create_default_context(cadata=authority), seed)

    def __enter__(self) -> Proxy:
        self._thread.start()
        if not self._up.wait(20):
            raise RuntimeError("the proxy did not come up within 20 s")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def since(self, moment: float) -> list[Passed]:
        """What came at or after a moment."""
        return [one for one in list(self.passed) if one.at >= moment]

    # --- the server --------------------------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context())
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        connector = aiohttp.TCPConnector(ssl=self._trusted, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False) as self._session:
            self._up.set()
            await self._over.wait()
            await runner.cleanup()

    def _context(self) -> ssl.SSLContext:
        with tempfile.TemporaryDirectory() as folder:
            stem = Path(folder) / "proxy"
            certificate(stem, "/CN=fault-proxy", ["subjectAltName=IP:127.0.0.1"])
            self.authority = stem.with_suffix(".crt").read_bytes()
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(stem.with_suffix(".crt"), stem.with_suffix(".key"))
        return context

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        verb, _ = describe(request.method, request.path)
        watching = request.method == "GET" and request.query.get("watch") in ("1", "true")
        verb = "watch" if watching else verb
        at, body = time.time(), await request.read()
        # who asks for a watch may be refused too
        fault = faults.of_requests(self.rules, "list" if watching else verb, request.path, self._dice)
        name = type(fault).__name__ if fault else ""
        if fault:
            self.struck[f"{name} {fault.status}" if isinstance(fault, faults.Refuse) else name] += 1
        status = 0
        try:
            answer = await self._answer(request, body, fault, watching)
            status = answer.status
            return answer
        finally:
            self.passed.append(Passed(at, verb, request.path, status, name))

    async def _answer(self, request: web.Request, body: bytes, fault: faults.RequestFault | None, watching: bool) -> web.StreamResponse:
        match fault:
            case faults.Refuse(done=False):
                return self._refusal(fault)
            case faults.Cut(done=False):
                return self._broken(request)
            case faults.Delay(seconds=seconds):
                await asyncio.sleep(seconds)
            case faults.Hold(let_go=let_go):
                # as a request in the server's queue: it is carried out even though its client may not wait any more
                return await asyncio.shield(asyncio.ensure_future(self._held(request, body, let_go)))
        if watching:
            return await self._watch(request)
        answer = await self._forward(request, body)
        if isinstance(fault, faults.Refuse):
            return self._refusal(fault)
        return self._broken(request) if isinstance(fault, faults.Cut) else answer

    async def _held(self, request: web.Request, body: bytes, let_go: threading.Event) -> web.Response:
        await asyncio.to_thread(let_go.wait, 120)
        at = time.time()
        answer = await self._forward(request, body)
        self.passed.append(Passed(at, describe(request.method, request.path)[0], request.path, answer.status, "let go"))
        return answer

    def _refusal(self, fault: faults.Refuse) -> web.Response:
        headers = self._dated({"Retry-After": str(fault.retry_after)} if fault.retry_after else {})
        return web.json_response(faults.status_object(fault.status, fault.retry_after), status=fault.status, headers=headers)

    def _noted(self, found: re.Match[bytes]) -> bytes:
        moment = datetime.fromisoformat(found[1].decode().replace("Z", "+00:00")) + timedelta(seconds=self.clock_ahead)
        return b'"time":"' + moment.strftime("%Y-%m-%dT%H:%M:%SZ").encode() + b'"'

    def _dated(self, headers: dict[str, str], date: str | None = None) -> dict[str, str]:
        told = parsedate_to_datetime(date).timestamp() if date else time.time()
        return {**headers, "Date": formatdate(told + self.clock_ahead, usegmt=True)}

    @staticmethod
    def _broken(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    # --- towards the API server --------------------------------------------------------------------------------------------------------

    def _onward(self, request: web.Request) -> dict[str, str]:
        return {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP | {"host", "accept-encoding"}}

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        async with self._session.request(
            request.method, self._upstream + request.raw_path, headers=self._onward(request), data=body or None
        ) as answer:
            data = await answer.read()
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            if self.clock_ahead and "/leases/" in request.path:
                # what the server notes of a write is by its clock too; a Lease is written every two seconds, so since the clock was set
                data = NOTED.sub(self._noted, data)
            return web.Response(status=answer.status, body=data, headers=self._dated(headers, answer.headers.get("Date")))

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        limits = aiohttp.ClientTimeout(total=None, sock_connect=10)
        async with self._session.get(self._upstream + request.raw_path, headers=self._onward(request), timeout=limits) as answer:
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
            response = web.StreamResponse(status=answer.status, headers=self._dated(headers, answer.headers.get("Date")))
            await response.prepare(request)
            if answer.status >= 400:
                await response.write(await answer.read())
                return response
            lines: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
            reading = asyncio.create_task(self._read(answer, lines, request.path))
            try:
                async for line in self._spoilt(lines, request.path):
                    await response.write(line + b"\n")
            except ConnectionAbortedError:
                self._broken(request)
            finally:
                reading.cancel()
            return response

    async def _read(self, answer: aiohttp.ClientResponse, lines: asyncio.Queue[tuple[float, bytes] | None], path: str) -> None:
        rest = b""
        try:
            async for chunk in answer.content.iter_any():
                self.told[path] += len(chunk)
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    if line.strip():
                        lines.put_nowait((time.monotonic(), line))
        finally:
            lines.put_nowait(None)

    async def _spoilt(self, lines: asyncio.Queue[tuple[float, bytes] | None], path: str) -> AsyncIterator[bytes]:
        """The lines of a watch as its client gets them. Bookmarks are never touched: they are what makes a loss go unnoticed."""
        waiting: bytes | None = None
        while True:
            try:
                found = await asyncio.wait_for(lines.get(), SWAP_SECONDS if waiting is not None else None)
            except TimeoutError:
                assert waiting is not None
                yield waiting
                waiting = None
                continue
            if found is None:
                return
            told_at, line = found
            lag = faults.lag_of(self.rules, path)
            if lag:
                self.struck["Lag"] += 1
            await asyncio.sleep(max(0.0, told_at + lag - time.monotonic()))
            fault = None if b'"BOOKMARK"' in line[:40] else faults.of_events(self.rules, path, self._dice)
            if fault:
                self.struck[type(fault).__name__] += 1
            match fault:
                case faults.Drop():
                    continue
                case faults.Forget():
                    yield json.dumps({"type": "ERROR", "object": faults.status_object(410)}).encode()
                    return
                case faults.Break():
                    raise ConnectionAbortedError
                case faults.Swap() if waiting is None:
                    waiting = line
                    continue
            yield line
            if isinstance(fault, faults.Repeat):
                yield line
            if waiting is not None:
                yield waiting
                waiting = None
