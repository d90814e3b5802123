"""The web page over HTTP: its files, the streams that feed it (server-sent events), who somebody is, and their commands.

Streams are bounded in number; one whose reader does not take what it is sent within ten seconds is ended, and the page comes back by
itself. A token travels in the Authorization header only, never in a cookie or an address: no other site can make a browser send it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from flaggerpy import __version__
from flaggerpy.cluster.errors import ApiError, Forbidden, NotFound
from flaggerpy.cluster.signing import signed
from flaggerpy.dashboard import verbs
from flaggerpy.dashboard.feed import Feed, Key, Reader
from flaggerpy.dashboard.files import File, files
from flaggerpy.dashboard.hosts import may_open
from flaggerpy.dashboard.people import BELIEVED_SECONDS, Busy, People, Person, Unknown
from flaggerpy.telemetry.server import Request

STREAMS = 100
"""Open streams of one replica, at most."""
SLOW_SECONDS = 10.0
KEEPALIVE_SECONDS = 15.0
LIVE_SECONDS = 2.0
"""How often the page of one Canary is made anew without a change of it: pods get ready in between."""
PACE_SECONDS = 0.4
"""The least time between two messages of a stream: what changes meanwhile goes together."""
CHUNK = 50
BODY_BYTES = 4096
REQUEST_SECONDS = 15.0
BUFFER_BYTES, SOCKET_BYTES = 64 * 1024, 256 * 1024
LONGEST_NAMESPACE, LONGEST_NAME = 63, 253

HEADERS = (
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options: nosniff",
    "X-Frame-Options: DENY",
    "Referrer-Policy: no-referrer",
    "Cross-Origin-Opener-Policy: same-origin",
    "Cross-Origin-Resource-Policy: same-origin",
    "Connection: close",
)

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Answer(Exception):
    """Ends a request with this status and sentence."""

    def __init__(self, status: HTTPStatus, sentence: str, *headers: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


class Pages:
    """Answers what is below /ui. `people` None: there are no tokens here, so everybody reads and nobody acts.

    `hosts`: names, in lower case, by which the page may be opened beside those of the cluster where reading takes no token.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        people: People | None = None,
        auth: bool = False,
        actions: bool = False,
        hosts: Collection[str] = (),
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._feed = feed
        self._people = people
        self._auth = auth
        self._actions = actions
        self._hosts = hosts
        self._leads = leads
        self._files: dict[str, File] = files()
        self._streams: set[asyncio.Task[Any]] = set()
        self._stopping = False

    async def stop(self) -> None:
        """End all streams: the pages will look for another replica, or for this one when it is back."""
        self._stopping = True
        for task in self._streams:
            task.cancel()
        await asyncio.gather(*self._streams, return_exceptions=True)

    async def __call__(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request; fits `telemetry.server.Room`."""
        try:
            self._right_name(request)
            if request.path == "/ui/api/stream" and request.method == "GET":
                await self._stream(request, reader, writer)
                return
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._once(request, reader, writer)
        except Answer as answer:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    await _send(writer, answer.status, "application/json", _json({"sentence": answer.sentence}), *answer.headers, *NO_STORE)
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
            _log.debug("a page's request was broken off: %r", error)

    def _right_name(self, request: Request) -> None:
        # with a token no other site can read anything: it has none
        host = request.headers.get("host", "")
        if not self._auth and not may_open(host, self._hosts):
            raise Answer(
                HTTPStatus.MISDIRECTED_REQUEST,
                f"Whoever opens this page under the name {host[:100]} could be led here by somebody else: -ui-hosts allows a name "
                "(chart: ui.hosts), and -ui-auth asks every reader for a token.",
            )

    # --- one answer --------------------------------------------------------------------------------------------------------------------

    async def _once(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = request.path
        if path.startswith("/ui/api/"):
            _same_site(request)
        if path == "/ui/api/orders":
            if request.method != "POST":
                raise Answer(HTTPStatus.METHOD_NOT_ALLOWED, "POST", "Allow: POST")
            found = await self._order(request, reader)
        elif request.method not in ("GET", "HEAD"):
            raise Answer(HTTPStatus.METHOD_NOT_ALLOWED, "GET or HEAD", "Allow: GET, HEAD")
        elif path == "/ui/api/me":
            found = await self._me(request)
        elif path == "/ui":
            # relative, so that it is right behind whatever prefix an ingress takes off
            await _send(writer, HTTPStatus.FOUND, "text/plain", b"", "Location: ui/", *NO_STORE)
            return
        else:
            await self._file(request, writer)
            return
        await _send(writer, HTTPStatus.OK, "application/json", _json(found), *NO_STORE, body=request.method != "HEAD")

    async def _file(self, request: Request, writer: asyncio.StreamWriter) -> None:
        file = self._files.get(request.path.removeprefix("/ui/"))
        if file is None:
            raise Answer(HTTPStatus.NOT_FOUND, "There is no such page.")
        fresh = (f"ETag: {file.tag}", "Cache-Control: no-cache", "Vary: Accept-Encoding")
        if request.headers.get("if-none-match") == file.tag:
            await _send(writer, HTTPStatus.NOT_MODIFIED, file.kind, b"", *fresh)
            return
        packed = "gzip" in request.headers.get("accept-encoding", "")
        data, encoding = (file.packed, ("Content-Encoding: gzip",)) if packed else (file.data, ())
        await _send(writer, HTTPStatus.OK, file.kind, data, *fresh, *encoding, body=request.method != "HEAD")

    async def _me(self, request: Request) -> dict[str, Any]:
        """What this page offers, and who asks; with ?canary=NAMESPACE/NAME whether they may command it."""
        found: dict[str, Any] = {"auth": self._auth, "actions": self._actions, "version": __version__, "name": ""}
        if self._people is not None and "authorization" in request.headers:
            person = await self._person(request)
            found["name"] = person.name
            key = _key(request)
            if key and self._actions:
                found["may"] = await _asked(person.may("patch", *key))
        return found

    async def _order(self, request: Request, reader: asyncio.StreamReader) -> dict[str, Any]:
        if not self._actions:
            raise Answer(HTTPStatus.NOT_FOUND, "This controller takes no commands from the page (-ui-actions).")
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The command should be JSON.")
        person = await self._person(request)
        wanted = await _body(request, reader)
        key = Key(str(wanted.get("namespace") or ""), str(wanted.get("name") or ""))
        verb, step = wanted.get("verb"), wanted.get("step")
        if not _can_be(key) or verb not in verbs.VERBS or not isinstance(step, int):
            raise Answer(HTTPStatus.BAD_REQUEST, "The command cannot be understood.")
        # asked before anything is told about the Canary: whoever may not touch it does not learn whether it is there
        if not await _asked(person.may("patch", *key)):
            raise Answer(HTTPStatus.FORBIDDEN, f"{person.name} may not patch the Canary {key.name} in {key.namespace}.")
        order = self._feed.ordered(str(verb), key, str(wanted.get("revision") or ""), step)
        if order is None:
            raise Answer(HTTPStatus.NOT_FOUND, f"There is no Canary {key.name} in {key.namespace}.")
        if isinstance(order, str):
            raise Answer(HTTPStatus.CONFLICT, order)
        manager = signed("flaggerpy-ui", person.name)
        await _asked(person.annotate(key.namespace, key.name, {order.annotation: order.value}, manager))
        _log.info("%s of %s.%s ordered by %s on the page", verb, key.name, key.namespace, person.name)
        return {"sentence": f"{verb.capitalize()} is written, signed by {person.name}."}

    async def _person(self, request: Request) -> Person:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if self._people is None or scheme.lower() != "bearer":
            raise Answer(HTTPStatus.UNAUTHORIZED, "Sign in with a token first.", "WWW-Authenticate: Bearer")
        try:
            return await self._people.person(token.strip())
        except Unknown:
            raise Answer(HTTPStatus.UNAUTHORIZED, "The API server does not accept this token.", "WWW-Authenticate: Bearer") from None
        except Busy:
            raise Answer(HTTPStatus.TOO_MANY_REQUESTS, "Too many sign-ins at the moment.", "Retry-After: 5") from None
        except ApiError as error:
            raise Answer(HTTPStatus.BAD_GATEWAY, f"Nobody can sign in now: {error}") from None

    # --- streams -----------------------------------------------------------------------------------------------------------------------

    async def _stream(self, request: Request, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _same_site(request)
        if len(self._streams) >= STREAMS:
            raise Answer(HTTPStatus.SERVICE_UNAVAILABLE, "Too many pages are open.", "Retry-After: 10")
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(writer)
        self._streams.add(task)
        try:
            person = await self._person(request) if self._auth else None
            key = _key(request)
            if key is None:
                await self._list(stream, client, request, person)
            else:
                await self._detail(stream, client, request, person, key)
        except Answer:
            # within a stream there is no place for it: the page comes back, and is told then
            if not stream.begun:
                raise
        except asyncio.CancelledError:
            # asyncio's streams of Python 3.11 report a cancelled handler as an error
            if not self._stopping:
                raise
        finally:
            self._streams.discard(task)

    async def _list(self, stream: _Stream, client: asyncio.StreamReader, request: Request, person: Person | None) -> None:
        visible = await self._visible(person)
        sight = _sight(visible)
        # who may see other namespaces than before knows nothing of them
        known, _, seen = request.headers.get("last-event-id", "").rpartition("/")
        reader = Reader()
        resumes = self._feed.join(reader, known if seen == sight else "")
        try:
            await stream.begin()
            await stream.send("hello", {**self._hello(person), "resumes": resumes}, None)
            whole, checked = not resumes, asyncio.get_running_loop().time()
            async for _ in _turns(stream, client, reader, KEEPALIVE_SECONDS):
                if person is not None and asyncio.get_running_loop().time() - checked > BELIEVED_SECONDS:
                    person = await self._person(request)
                    if visible != (visible := await self._visible(person)):
                        return  # the page comes back and gets what may be seen now
                    checked = asyncio.get_running_loop().time()
                while reader.dirty or whole:
                    moment = f"{self._feed.moment}/{sight}"
                    rows, gone = self._taken(reader, visible)
                    last = not reader.dirty
                    await stream.raw("rows", b'{"rows":[' + b",".join(rows) + b'],"gone":' + _json(gone) + b"}", moment if last else None)
                    if last and whole:
                        whole = False
                        await stream.send("whole", {}, moment)
        finally:
            self._feed.leave(reader)

    def _taken(self, reader: Reader, visible: frozenset[str] | None) -> tuple[list[bytes], list[list[str]]]:
        rows: list[bytes] = []
        gone: list[list[str]] = []
        while reader.dirty and len(rows) < CHUNK:
            key, _ = reader.dirty.popitem(last=False)
            if visible is None or key.namespace in visible:
                found = self._feed.row(key)
                if found is None:
                    gone.append([*key])
                else:
                    rows.append(found)
        return rows, gone

    async def _visible(self, person: Person | None) -> frozenset[str] | None:
        return None if person is None else await _asked(person.readable(self._feed.namespaces()))

    async def _detail(
        self, stream: _Stream, client: asyncio.StreamReader, request: Request, person: Person | None, key: Key
    ) -> None:
        if person is not None and not await _asked(person.may("get", *key)):
            raise Answer(HTTPStatus.FORBIDDEN, f"{person.name} may not get the Canary {key.name} in {key.namespace}.")
        reader = Reader(key)
        self._feed.join(reader)
        told: bytes | None = b""
        try:
            await stream.begin()
            await stream.send("hello", self._hello(person), None)
            checked = asyncio.get_running_loop().time()
            async for _ in _turns(stream, client, reader, LIVE_SECONDS):
                if person is not None and asyncio.get_running_loop().time() - checked > BELIEVED_SECONDS:
                    person = await self._person(request)
                    if not await _asked(person.may("get", *key)):
                        return
                    checked = asyncio.get_running_loop().time()
                reader.dirty.clear()
                found = self._feed.detail(key)
                if found != told:
                    told = found
                    await stream.raw("canary" if found is not None else "gone", found or b"{}", self._feed.moment)
        finally:
            self._feed.leave(reader)

    def _hello(self, person: Person | None) -> dict[str, Any]:
        return {
            "auth": self._auth, "actions": self._actions, "version": __version__, "leads": self._leads(), "now": self._feed.now(),
            "name": person.name if person else "",
        }  # fmt: skip


class _Stream:
    """Server-sent events on one connection. Raises ConnectionError when the reader is gone, or too slow."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.begun = False
        self.spoke = 0.0
        # what a slow reader has not taken is bounded here and in the kernel
        writer.transport.set_write_buffer_limits(high=BUFFER_BYTES)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)

    async def begin(self) -> None:
        self.begun = True
        await self._write(_head(HTTPStatus.OK, "text/event-stream", *NO_STORE, "X-Accel-Buffering: no"))

    async def send(self, event: str, data: dict[str, Any], identity: str | None) -> None:
        await self.raw(event, _json(data), identity)

    async def raw(self, event: str, data: bytes, identity: str | None) -> None:
        named = f"id: {identity}\n" if identity else ""
        await self._write(f"{named}event: {event}\n".encode() + b"data: " + data + b"\n\n")

    async def keep_alive(self) -> None:
        await self._write(b":\n\n")

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        self.spoke = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._writer.drain()
        except TimeoutError:
            self._writer.transport.abort()
            raise ConnectionAbortedError("a page's reader was too slow") from None
        # drain returns at once while there is room: the loop's other work has its turn
        await asyncio.sleep(0)


async def _turns(stream: _Stream, client: asyncio.StreamReader, reader: Reader, idle: float) -> AsyncIterator[None]:
    """Yield whenever there may be something to tell: at most every PACE_SECONDS, at least every `idle` seconds; end with the reader."""
    closed = asyncio.ensure_future(client.read(1))
    try:
        while True:
            woken = asyncio.ensure_future(reader.woken.wait())
            try:
                await asyncio.wait({closed, woken}, timeout=idle, return_when=asyncio.FIRST_COMPLETED)
            finally:
                woken.cancel()
            if closed.done():
                return
            reader.woken.clear()
            yield None
            if asyncio.get_running_loop().time() - stream.spoke >= KEEPALIVE_SECONDS:
                await stream.keep_alive()
            await asyncio.sleep(PACE_SECONDS)
    finally:
        closed.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await closed


NO_STORE = ("Cache-Control: no-store",)


def _head(status: HTTPStatus, kind: str, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", f"Content-Type: {kind}", *HEADERS, *headers]
    return "\r\n".join([*lines, "", ""]).encode()


async def _send(writer: asyncio.StreamWriter, status: HTTPStatus, kind: str, data: bytes, *headers: str, body: bool = True) -> None:
    writer.write(_head(status, kind, f"Content-Length: {len(data)}", *headers) + (data if body else b""))
    await writer.drain()


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _key(request: Request) -> Key | None:
    """?canary=NAMESPACE/NAME. Raises Answer when it is there and cannot be read."""
    wanted = parse_qs(urlsplit(request.target).query).get("canary")
    if not wanted:
        return None
    key = Key(*wanted[0].partition("/")[::2])
    if not _can_be(key):
        raise Answer(HTTPStatus.BAD_REQUEST, "canary should be NAMESPACE/NAME.")
    return key


def _can_be(key: Key) -> bool:
    """Whether there can be such a Canary; what is asked about others is remembered nowhere."""
    return 0 < len(key.namespace) <= LONGEST_NAMESPACE and 0 < len(key.name) <= LONGEST_NAME and "/" not in key.namespace + key.name


def _sight(visible: frozenset[str] | None) -> str:
    """A short word for the namespaces that are seen."""
    return "all" if visible is None else hashlib.sha256("/".join(sorted(visible)).encode()).hexdigest()[:12]


def _same_site(request: Request) -> None:
    # a page of another site could not read the answer, but it could use up the streams
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Answer(HTTPStatus.FORBIDDEN, "Only the page itself may ask this.")


async def _body(request: Request, reader: asyncio.StreamReader) -> dict[str, Any]:
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or len(length) > 9 or int(length) > BODY_BYTES:
        raise Answer(HTTPStatus.BAD_REQUEST, f"The command should have a length, of at most {BODY_BYTES} bytes.")
    try:
        found = json.loads(await reader.readexactly(int(length)))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Answer(HTTPStatus.BAD_REQUEST, "The command should be a JSON object.")
    return found


async def _asked(question: Awaitable[T]) -> T:
    """What the API server says; its refusals and failures as answers of ours."""
    try:
        return await question
    except Forbidden as error:
        raise Answer(HTTPStatus.FORBIDDEN, f"The API server refuses: {error}") from None
    except NotFound as error:
        raise Answer(HTTPStatus.NOT_FOUND, f"The API server answers: {error}") from None
    except ApiError as error:
        raise Answer(HTTPStatus.BAD_GATEWAY, f"The API server answers: {error}") from None
