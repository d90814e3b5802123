"""The only room that talks to anything but Kubernetes: hooks, metric providers, alert receivers.

A request is a value, so that other rooms can be tested without a network; `Http.send` carries it out over one pool of connections per
(TLS verification, proxy of the environment). Answers are values too, whatever their status; only the lack of an answer is an error:

    HttpError             attempts
    ├── BadRequestUrl     the URL cannot be used
    │   └── Denied        the egress rules close its scheme or address (`flaggerpy.egress`)
    ├── TimedOut          no whole answer within `timeout` seconds
    └── Unreachable       cause: "DNS", "connection refused", "TLS", "connection broken", "no route"

Retries follow Flagger's webhook client: lack of an answer, 429, and 5xx except 501; 1 s doubling to 30 s; `Retry-After` honoured. Neither
messages nor reprs nor logs carry headers, bodies, user info or query values; with `secret_url` the path neither. Who quotes an answer does
it by `HttpRequest.quoted`: a server may send back what it was sent.

An answer is read up to `max_body` bytes, unpacked, and has one deadline from the look-up of the name to its last byte, redirects included.
Each redirect is a request of its own: held to the egress rules, by the proxy that is right for it, and to another server without
credentials.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json as json_codec
import logging
import os
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import tenacity

from flaggerpy import lean
from flaggerpy.api.texts import mask, one_line
from flaggerpy.egress.connections import REQUESTS_OF_TENANT, CheckedTransport, EgressDenied, Resolver, Turns, on_behalf_of
from flaggerpy.egress.proxies import Proxies, of_environment
from flaggerpy.egress.rules import Egress
from flaggerpy.egress.trust import tls_context

with lean.without("click", "rich", "pygments"):
    import httpx

MAX_BODY = 4 * 2**20
BACKOFF_FIRST = 1.0
BACKOFF_CAP = 30.0
RETRY_AFTER_CAP = 300.0
MAX_REDIRECTS = 10
SHOWN_REFUSAL = 100
PLAIN_HEADERS = frozenset({
    "accept", "accept-encoding", "content-type", "content-length", "user-agent", "host", "idempotency-key", "traceparent",
})  # fmt: skip
"""Headers that hold no credentials; all others are secrets, and stay with the server that they were written for."""

# at INFO httpx writes each URL to the log, and the URL of a chat's webhook is a secret
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. `content` is sent as it is; `json` is encoded. `timeout`: seconds for one attempt, from connecting to the last byte.

    `verify`: False skips the verification of certificates, a string is the path of a CA bundle. `auth`: user and password.
    `max_body`: bytes of the answer that are kept. `trusted`: URL and proxy are the operator's own, so that the egress rules hold only for
    where it redirects to. `tenant`: the namespace on whose behalf it is sent, and whose share of the connections it takes; "" for nobody's.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | str | None = None
    json: Any = None
    timeout: float = 10.0
    verify: bool | str = True
    auth: tuple[str, str] | None = None
    proxy: str | None = None
    max_body: int = MAX_BODY
    secret_url: bool = False
    peer: tuple[str, str] = ("other", "")
    """Whom it goes to, for what is measured of it: a kind (hook, metrics, alert, registry) and a type of that kind; never an address."""
    trusted: bool = False
    tenant: str = ""

    def __repr__(self) -> str:
        return f"<{self.method} {self.place}>"

    @property
    def place(self) -> str:
        """The URL without what may be secret."""
        try:
            parts = urlsplit(self.url)
            host = parts.hostname or ""
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            return "(a URL that cannot be read)"
        path = "/..." if self.secret_url else parts.path
        return f"{parts.scheme}://{host}{port}{path}"

    @property
    def secrets(self) -> frozenset[str]:
        """What of this request must not be repeated to anybody: credentials, also for proxies, and values of the query in its URL."""
        found = {value for name, value in self.headers.items() if name.lower() not in PLAIN_HEADERS}
        found |= set(_pair(*self.auth)) if self.auth else set()
        try:
            parts = urlsplit(self.url)
            found |= {value for _, value in parse_qsl(parts.query)}
            found |= set(parts.path.split("/")) if self.secret_url else set()
        except ValueError:
            found.add(self.url)
        # a proxy answers in the place of who is asked through it, in plain HTTP with any text
        for url in (self.url, self.proxy or "", *of_environment()):
            found |= set(_of_user(url))
        for value in tuple(found):
            found |= set(_of_credentials(value))
        return frozenset(found | {quote(value, safe="") for value in found} | {unquote(value) for value in found})

    def quoted(self, text: str, longest: int = 500) -> str:
        """What a server said, for people: one line of so many characters, without what this request was sent with."""
        return one_line(mask(text, self.secrets), longest)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer. `attempts`: how many requests it took; `truncated`: `body` is only the beginning."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    attempts: int = 1
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not becomes a replacement character."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body parsed. Raises ValueError, also where it was too long to keep."""
        if self.truncated:
            raise ValueError(f"the answer is longer than {len(self.body)} bytes")
        return json_codec.loads(self.body)


class HttpError(Exception):
    """No answer. `attempts`: how many requests were tried."""

    def __init__(self, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.attempts = attempts


class BadRequestUrl(HttpError):
    """The request cannot be sent: its URL, proxy or CA bundle cannot be used."""


class Denied(BadRequestUrl):
    """The egress rules do not let it be sent."""


class TimedOut(HttpError):
    """No whole answer in time."""


class Unreachable(HttpError):
    """No connection, or one that broke."""

    def __init__(self, message: str, *, cause: str, attempts: int = 1) -> None:
        super().__init__(message, attempts=attempts)
        self.cause = cause


Outcome = HttpResponse | HttpError
Send = Callable[..., Awaitable[HttpResponse]]
Observer = Callable[[str, str, str, float], None]
"""Is told each attempt: kind and type of the peer, outcome (see `outcome_of`), seconds."""

traceparent: ContextVar[str] = ContextVar("traceparent", default="")
"""The W3C trace context that requests made here carry; "" for none. Not a part of the request: equal requests of two traces are equal."""
_held: ContextVar[str] = ContextVar("held", default="")
"""The tenant of whose requests one is held here."""
OUTCOMES = {
    "connection refused": "refused", "DNS": "dns", "TLS": "tls", "connection broken": "broken", "no route": "unreachable",
    "proxy": "unreachable", "no connection": "unreachable",
}  # fmt: skip


def outcome_of(result: Outcome) -> str:
    """2xx to 5xx, timeout, refused, dns, tls, broken, unreachable, or unusable (a URL, proxy or CA bundle that cannot be used)."""
    if isinstance(result, HttpResponse):
        return f"{result.status // 100}xx"
    if isinstance(result, Unreachable):
        return OUTCOMES.get(result.cause, "unreachable")
    return "timeout" if isinstance(result, TimedOut) else "unusable"


def worth_repeating(outcome: Outcome) -> bool:
    """Flagger's rule: lack of an answer, 429, and 5xx except 501."""
    if isinstance(outcome, HttpError):
        return not isinstance(outcome, BadRequestUrl)
    return outcome.status == 429 or (outcome.status >= 500 and outcome.status != 501)


def doubling(attempt: int) -> float:
    """Seconds before the attempt after `attempt` (counted from 1): 1, 2, 4 ... 30."""
    return float(min(BACKOFF_CAP, BACKOFF_FIRST * 2 ** (attempt - 1)))


class Http:
    """The pools of connections; one for the process, closed by `aclose`."""

    def __init__(
        self,
        *,
        user_agent: str = "flaggerpy",
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
        wall: Callable[[], float] = time.time,
        on_request: Observer | None = None,
        egress: Egress | None = None,
    ) -> None:
        """`egress`: where to; by default all but what no service of anybody's is (`Egress`)."""
        self.on_request = on_request
        self._user_agent = user_agent
        self._sleep = sleep
        self._wall = wall
        self._egress = egress or Egress()
        self._resolver = Resolver()
        self._proxies = Proxies()
        self._turns = Turns(REQUESTS_OF_TENANT)
        self._contexts: dict[bool | str, ssl.SSLContext] = {}
        self._pools: dict[tuple[bool | str, str | None, bool], httpx.AsyncClient] = {}
        self._making = asyncio.Lock()

    async def __aenter__(self) -> Http:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.aclose()
        self._resolver.close()

    async def warm(self) -> None:
        """Make the pool of default requests before the first of them is in a hurry: the system's authorities are read for it.

        Raises nothing: authorities that cannot be read are told by the requests that need them.
        """
        with contextlib.suppress(OSError):
            self._pool(True, None, await self._context(True), held=True)

    @contextlib.asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Hold one of the tenant's requests for the one that is sent within: nobody should wait for it who holds what others wait for."""
        async with self._turns.turn(tenant):
            token = _held.set(tenant)
            try:
                yield
            finally:
                _held.reset(token)

    async def send(
        self,
        request: HttpRequest,
        *,
        retries: int = 0,
        retry_on: Callable[[Outcome], bool] = worth_repeating,
        backoff: Callable[[int], float] = doubling,
    ) -> HttpResponse:
        """The answer to `request`, asked up to `retries` times again. When the retries are used up the last answer is returned, or the last
        error raised; both tell their `attempts`."""

        def pause(state: tenacity.RetryCallState) -> float:
            answer = state.outcome.result() if state.outcome and not state.outcome.failed else None
            asked = self._retry_after(answer) if answer else None
            return min(asked, RETRY_AFTER_CAP) if asked is not None else backoff(state.attempt_number)

        def last(state: tenacity.RetryCallState) -> HttpResponse:
            assert state.outcome
            outcome: HttpResponse = state.outcome.result()
            return outcome

        retrying = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(retries + 1),
            wait=pause,
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, HttpError) and retry_on(error))
            | tenacity.retry_if_result(lambda answer: retry_on(answer)),
            retry_error_callback=last,
        )
        attempts = 0

        async def attempt() -> HttpResponse:
            nonlocal attempts
            attempts += 1
            began = time.monotonic()
            try:
                answer = await self._once(request)
            except HttpError as error:
                self._observe(request, error, began)
                raise
            self._observe(request, answer, began)
            return answer

        try:
            answer: HttpResponse = await retrying(attempt)
        except HttpError as error:
            error.attempts = attempts
            raise
        return replace(answer, attempts=attempts)

    def _observe(self, request: HttpRequest, result: Outcome, began: float) -> None:
        if self.on_request:
            self.on_request(*request.peer, outcome_of(result), time.monotonic() - began)

    async def _once(self, request: HttpRequest) -> HttpResponse:
        # none of these errors tells what it came from: causes quote headers, and tracebacks print causes
        try:
            async with contextlib.nullcontext() if _held.get() == request.tenant else self._turns.turn(request.tenant):
                with on_behalf_of(request.tenant):
                    # outside of the deadline: the first request of a kind reads the system's authorities
                    context = await self._context_of(request)
                    async with asyncio.timeout(request.timeout):
                        return await self._exchange(request, context)
        except EgressDenied as error:
            raise Denied(f"{request.place}: {error.why}") from None
        except (httpx.TimeoutException, TimeoutError):
            raise TimedOut(f"{request.place}: no answer within {request.timeout:g} s") from None
        except httpx.LocalProtocolError:
            raise BadRequestUrl(f"{request.place}: a header of it cannot be sent") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError):
            raise BadRequestUrl(f"{request.place}: the URL or the proxy cannot be used") from None
        except (httpx.HTTPError, OSError, zlib.error) as error:
            cause, detail = told(error)
            text = f"{cause}: {request.quoted(detail, SHOWN_REFUSAL)}" if detail else cause
            raise Unreachable(f"{request.place}: {text}", cause=cause) from None

    async def _exchange(self, request: HttpRequest, context: ssl.SSLContext) -> HttpResponse:
        """The answer at the end of the redirects."""
        url, redirected = httpx.URL(request.url), None
        for number in range(MAX_REDIRECTS + 1):
            self._check_scheme(url, request, number)
            async with self._pool_for(request, str(url), context, first=number == 0) as pool:
                hop = redirected or _first_hop(request, pool)
                auth = (request.auth if number == 0 else None) or httpx.USE_CLIENT_DEFAULT
                answer = await pool.send(hop, stream=True, auth=auth, follow_redirects=False)
                try:
                    if answer.next_request is None:
                        return await _read(answer, request.max_body)
                    redirected = _next(hop, answer.next_request)
                    url = redirected.url
                finally:
                    await answer.aclose()
        raise httpx.TooManyRedirects(f"more than {MAX_REDIRECTS} redirects")

    def _check_scheme(self, url: httpx.URL, request: HttpRequest, number: int) -> None:
        if url.scheme not in self._egress.schemes and url.scheme in ("http", "https") and not (request.trusted and number == 0):
            raise EgressDenied(f"{url.scheme} is closed by -egress-schemes={','.join(sorted(self._egress.schemes))}")

    @contextlib.asynccontextmanager
    async def _pool_for(
        self, request: HttpRequest, url: str, context: ssl.SSLContext, *, first: bool
    ) -> AsyncIterator[httpx.AsyncClient]:  # fmt: skip
        # a proxy of the environment is the operator's, one of the request only where the request is
        environment = None if request.proxy else self._proxies.of(url)
        held = environment is None and not (request.trusted and (first or request.proxy))
        if not request.proxy:
            yield self._pool(request.verify, environment, context, held=held)
            return
        # tenants can name any number of proxies: connections through them are not kept
        async with self._made(request.proxy, context, held=held) as pool:
            yield pool

    def _pool(self, verify: bool | str, proxy: str | None, context: ssl.SSLContext, *, held: bool) -> httpx.AsyncClient:
        """The connections of one kind that are kept; `held`: to the egress rules."""
        key = (verify, proxy, held)
        if key not in self._pools:
            self._pools[key] = self._made(proxy, context, held=held)
        return self._pools[key]

    def _made(self, proxy: str | None, context: ssl.SSLContext, *, held: bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=CheckedTransport(context, proxy, self._egress if held else None, self._egress, self._resolver),
            trust_env=False,
            # what can be unpacked without ever holding more than is kept
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "gzip, deflate"},
        )

    async def _context_of(self, request: HttpRequest) -> ssl.SSLContext:
        try:
            return await self._context(request.verify)
        except OSError:
            bundle = request.verify if isinstance(request.verify, str) else os.environ.get("SSL_CERT_FILE") or "of the system"
            raise BadRequestUrl(f"{request.place}: the CA bundle {bundle} cannot be used") from None

    async def _context(self, verify: bool | str) -> ssl.SSLContext:
        if verify not in self._contexts:
            async with self._making:
                if verify not in self._contexts:
                    # too long for the event loop
                    self._contexts[verify] = await asyncio.to_thread(tls_context, verify)
        return self._contexts[verify]

    def _retry_after(self, answer: HttpResponse) -> float | None:
        raw = answer.headers.get("Retry-After")
        if not raw:
            return None
        if raw.strip().isdecimal():
            return float(raw)
        try:
            return max(0.0, parsedate_to_datetime(raw).timestamp() - self._wall())
        except (ValueError, TypeError):
            return None


async def _read(answer: httpx.Response, most: int) -> HttpResponse:
    """The answer with as much of its body as is kept, unpacked no further than that."""
    packed = answer.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate")
    unpack = zlib.decompressobj(wbits=47) if packed else None  # 47: gzip or zlib, whichever it is
    kept = bytearray()
    async for chunk in answer.aiter_raw():
        kept += unpack.decompress(chunk, most + 1 - len(kept)) if unpack else chunk
        if len(kept) > most:
            return HttpResponse(answer.status_code, answer.headers, bytes(kept[:most]), truncated=True)
    return HttpResponse(answer.status_code, answer.headers, bytes(kept))


def _first_hop(request: HttpRequest, pool: httpx.AsyncClient) -> httpx.Request:
    body: dict[str, Any] = {}
    if request.json is not None:
        body["json"] = request.json
    elif request.content is not None:
        body["content"] = request.content
    trace = traceparent.get()
    return pool.build_request(
        request.method,
        request.url,
        headers={**request.headers, "traceparent": trace} if trace else dict(request.headers),
        params=dict(request.params) or None,
        timeout=request.timeout,
        **body,
    )


def _next(before: httpx.Request, after: httpx.Request) -> httpx.Request:
    """The request of a redirect; to another server only with what is no credential."""
    old, new = before.url, after.url
    upgraded = (old.scheme, new.scheme, old.port, new.port) == ("http", "https", None, None)
    if old.host != new.host or ((old.scheme, old.port) != (new.scheme, new.port) and not upgraded):
        for name in {name.lower() for name in after.headers} - PLAIN_HEADERS:
            del after.headers[name]
    return after


def _of_user(url: str) -> Iterator[str]:
    """User and password in a URL."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
    except ValueError:
        yield url
        return
    if parts.username is not None:
        yield from (parts.username, parts.password or "")
        yield from _pair(unquote(parts.username), unquote(parts.password or ""))


def _pair(user: str, password: str) -> Iterator[str]:
    """User and password, one by one and as `Basic` has them."""
    yield from (user, password, base64.b64encode(f"{user}:{password}".encode()).decode())


def _of_credentials(value: str) -> Iterator[str]:
    """What an Authorization header is made of: `Bearer TOKEN`, and `Basic` with user and password within."""
    scheme, _, rest = value.partition(" ")
    if not rest or len(scheme) > 12:
        return
    yield rest
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error, ValueError):
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
            yield from (f"{user}:{password}", password)


def told(error: BaseException) -> tuple[str, str]:
    """The cause of a failed connection in one of a few fixed words, and the system's own words on it, or a proxy's."""
    for inner in chain(error):
        if isinstance(inner, socket.gaierror):
            return "DNS", inner.strerror or str(inner)
        if isinstance(inner, ssl.SSLError):
            return "TLS", getattr(inner, "verify_message", "") or inner.reason or str(inner)
        if isinstance(inner, ConnectionRefusedError):
            return "connection refused", ""
        if isinstance(inner, (ConnectionError, httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)):
            return "connection broken", ""
        if isinstance(inner, zlib.error):
            return "connection broken", "its content cannot be unpacked"
        if isinstance(inner, httpx.TooManyRedirects):
            return "connection broken", f"more than {MAX_REDIRECTS} redirects"
    for inner in chain(error):
        if isinstance(inner, httpx.ProxyError):
            return "proxy", str(inner)
        if isinstance(inner, OSError) and inner.errno:
            return "no route", os.strerror(inner.errno)
    return "no connection", type(error).__name__


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came from, groups opened."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        inner = waiting.pop(0)
        if inner is None or id(inner) in seen:
            continue
        seen.add(id(inner))
        yield inner
        waiting += [*(inner.exceptions if isinstance(inner, BaseExceptionGroup) else ()), inner.__cause__, inner.__context__]
