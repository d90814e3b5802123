"""Connections that are held to the rules: the address that is checked is the address that is connected to.

A name is looked up once, here; its addresses are checked, and the connection goes to one of those that are open, while TLS and the Host
header keep the name. A name server that answers differently the next time (DNS rebinding) is so never asked a next time. The check is made
for every new connection, so also for what a redirect leads to.

Look-ups have threads of their own, and each tenant a share of them and of the requests under way: whoever names servers that never
answer waits for himself alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any
from weakref import WeakValueDictionary

from flaggerpy import lean
from flaggerpy.egress.rules import NAMES, Egress

with lean.without("click", "rich", "pygments"):
    import httpcore
    import httpx

MAX_CONNECTIONS = 500
"""httpcore's cost of a request grows with the connections that are open (ADR 4)."""
KEPT_ALIVE = 50
KEPT_SECONDS = 30
LOOKUP_THREADS = 64
LOOKUPS_OF_TENANT = 8
REQUESTS_OF_TENANT = 100
"""One of many Canaries has room, and no namespace alone can fill all connections with servers that never answer."""
NEXT_ADDRESS_SECONDS = 0.25
"""RFC 8305: how long one address is tried alone before the next one is tried beside it."""

_tenant: ContextVar[str] = ContextVar("tenant", default="")


class EgressDenied(Exception):
    """A connection that the rules refuse. `why` is a sentence without the URL."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Turns:
    """Shares of something that all tenants use: so many at a time for each; without a tenant there is no bound."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Hold one of the tenant's."""
        if not tenant:
            yield
            return
        turns = self._turns.setdefault(tenant, asyncio.Semaphore(self._share))
        async with turns:
            yield


class Resolver:
    """Names to addresses, by the system's rules, in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")
        self._turns = Turns(LOOKUPS_OF_TENANT)
        self._under_way: set[asyncio.Task[list[str]]] = set()

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a host in the system's order. Raises socket.gaierror."""
        if is_address(host):
            return [host]
        task = asyncio.create_task(self._look_up(host, _tenant.get()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        # a thread cannot be cancelled: who gives up waiting leaves the tenant's share taken until it has ended
        return await asyncio.shield(task)

    async def _look_up(self, host: str, tenant: str) -> list[str]:
        async with self._turns.turn(tenant):
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, look_up, host)
            return list(dict.fromkeys(found))

    def close(self) -> None:
        """Begin no look-up any more; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def is_address(host: str) -> bool:
    """Whether a host is an address as it is written."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def look_up(host: str) -> list[str]:
    """getaddrinfo's addresses. It also reads what looks like a number: 2852039166 and 0xa9.254.43518 are 169.254.169.254."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to addresses that are open. `egress` None: to all, for what the operator wrote himself."""

    def __init__(self, egress: Egress | None, resolver: Resolver) -> None:
        self._egress = egress
        self._resolver = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await self._resolver.addresses(host)
        usable = addresses if self._egress is None else self._open(host, addresses, self._egress)
        options = None if socket_options is None else list(socket_options)
        return await self._first(usable, port, timeout, local_address, options)

    def _open(self, host: str, addresses: list[str], egress: Egress) -> list[str]:
        closed = {address: egress.closing(address) for address in addresses}
        usable = [address for address, entry in closed.items() if entry is None]
        for address, entry in closed.items():
            if not usable and entry is not None:
                named = address if address == host else f"{host} is {address}, which"
                raise EgressDenied(f"{named} is closed by the egress rule {entry}")
        return usable

    async def _first(self, addresses: list[str], *how: Any) -> httpcore.AsyncNetworkStream:
        """The first connection that stands, of attempts that begin one after the other. Raises the last one's error."""
        attempts: set[asyncio.Task[httpcore.AsyncNetworkStream]] = set()
        waiting = list(addresses)
        error: BaseException | None = None if addresses else OSError("no address")
        made: httpcore.AsyncNetworkStream | None = None
        try:
            while made is None and (waiting or attempts):
                if waiting:
                    attempts.add(asyncio.create_task(self._inner.connect_tcp(waiting.pop(0), *how)))
                done, attempts = await asyncio.wait(
                    attempts, timeout=NEXT_ADDRESS_SECONDS if waiting else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    if task.exception() is not None:
                        error = task.exception()
                    elif made is None:
                        made = task.result()
                    else:
                        await task.result().aclose()
        finally:
            for task in attempts:
                task.cancel()
            for late in await asyncio.gather(*attempts, return_exceptions=True):
                if isinstance(late, httpcore.AsyncNetworkStream):
                    await late.aclose()
        if made is not None:
            return made
        assert error is not None
        raise error

    async def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise EgressDenied("sockets of files are not connected to")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class CheckedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport over such connections, directly or through a proxy.

    Through a proxy only what needs no look-up can be checked, for the proxy looks names up: addresses and the names of metadata servers.
    """

    def __init__(
        self, context: ssl.SSLContext, proxy: str | None, egress: Egress | None, rules: Egress, resolver: Resolver
    ) -> None:
        """`egress` is what connections are held to, `rules` what the URL of a request through a proxy is held to."""
        super().__init__(verify=context)
        self._rules = rules if proxy else None
        backend = CheckedBackend(egress, resolver)
        bounds: dict[str, Any] = {
            "ssl_context": context,
            "max_connections": MAX_CONNECTIONS,
            "max_keepalive_connections": KEPT_ALIVE,
            "keepalive_expiry": KEPT_SECONDS,
            "network_backend": backend,
        }
        if proxy is None:
            self._pool = httpcore.AsyncConnectionPool(**bounds)
            return
        given = httpx.Proxy(proxy)
        if given.url.scheme not in ("http", "https"):
            raise ValueError(f"a proxy of scheme {given.url.scheme} cannot be used")
        self._pool = httpcore.AsyncHTTPProxy(
            proxy_url=httpcore.URL(
                scheme=given.url.raw_scheme, host=given.url.raw_host, port=given.url.port, target=given.url.raw_path
            ),
            proxy_auth=given.raw_auth,
            proxy_headers=given.headers.raw,
            **bounds,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._rules is not None:
            check_host(request.url.host, self._rules)
        return await super().handle_async_request(request)


def check_host(host: str, rules: Egress) -> None:
    """Refuse a host that is closed whatever a name server says. Raises EgressDenied."""
    if host.rstrip(".").lower() in NAMES:
        raise EgressDenied(f"{host} is closed by the egress rules: it gives metadata of the cloud")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return
    for entry in found:
        closing = rules.closing(str(entry[4][0]))
        if closing is not None:
            raise EgressDenied(f"{host} is closed by the egress rule {closing}")


@contextlib.contextmanager
def on_behalf_of(tenant: str) -> Iterator[None]:
    """Within this the look-ups count for a tenant (a namespace)."""
    token = _tenant.set(tenant)
    try:
        yield
    finally:
        _tenant.reset(token)
