"""The one HTTP client: answers are values, the lack of one is a typed error that tells its cause, retries are Flagger's, secrets stay."""

from __future__ import annotations

import asyncio
import base64
import gzip
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.http import BadRequestUrl, Http, HttpError, HttpRequest, HttpResponse, TimedOut, Unreachable, doubling, worth_repeating

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
CERTIFICATE = Path(__file__).parent / "data" / "self-signed.pem"


class Site:
    """A server whose answers are given in order; the last one is repeated."""

    def __init__(self) -> None:
        self.answers: list[Callable[[], web.Response]] = [lambda: web.Response(text="ok")]
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.hang = False
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append((request.method, request.path_qs, dict(request.headers), await request.text()))
        if self.hang:
            await asyncio.sleep(300)
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])()

    def say(self, *statuses: int, **headers: str) -> None:
        self.answers = [partial(web.Response, status=status, text=str(status), headers=headers) for status in statuses]


async def serve(site: Site, context: ssl.SSLContext | None = None) -> web.AppRunner:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    site.url = f"{'https' if context else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    return runner


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    runner = await serve(made)
    yield made
    await runner.cleanup()


@pytest.fixture
async def secure() -> AsyncIterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    made = Site()
    runner = await serve(made, context)
    yield made
    await runner.cleanup()


@pytest.fixture
def waited() -> list[float]:
    return []


@pytest.fixture
async def http(waited: list[float]) -> AsyncIterator[Http]:
    async def note(seconds: float) -> None:
        waited.append(seconds)

    async with Http(sleep=note, wall=lambda: 784111777.0) as made:
        yield made


async def test_a_request_goes_out_as_it_says(site: Site, http: Http) -> None:
    request = HttpRequest(
        "POST", f"{site.url}/gate", headers={"X-Key": "1"}, params={"q": "a b"}, json={"name": "podinfo"}, auth=("user", "pass")
    )
    answer = await http.send(request)
    method, path, headers, body = site.requests[0]
    assert (method, path, body) == ("POST", "/gate?q=a+b", '{"name":"podinfo"}')
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic dXNlcjpwYXNz"
    assert headers["X-Key"] == "1"
    assert headers["User-Agent"] == "flaggerpy"
    assert (answer.status, answer.text, answer.ok, answer.attempts) == (200, "ok", True, 1)


async def test_content_is_sent_as_it_is_and_a_query_in_the_url_is_kept(site: Site, http: Http) -> None:
    await http.send(HttpRequest("PUT", f"{site.url}/x?a=1", content=b"\x00raw"))
    assert site.requests[0][1] == "/x?a=1"
    assert site.requests[0][3] == "\x00raw"


@pytest.mark.parametrize("status", [202, 301, 400, 404, 501])
async def test_any_status_is_an_answer_and_these_are_not_repeated(site: Site, http: Http, status: int, waited: list[float]) -> None:
    site.say(status)
    answer = await http.send(HttpRequest("POST", site.url), retries=3)
    assert answer.status == status
    assert answer.text == str(status)
    assert waited == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_passing_trouble_is_repeated_with_doubling_pauses(site: Site, http: Http, status: int, waited: list[float]) -> None:
    site.say(status, status, 200)
    answer = await http.send(HttpRequest("POST", site.url), retries=5)
    assert (answer.status, answer.attempts) == (200, 3)
    assert waited == [1, 2]


async def test_the_last_answer_is_returned_when_the_retries_are_used_up(site: Site, http: Http) -> None:
    site.say(503)
    answer = await http.send(HttpRequest("POST", site.url), retries=2)
    assert (answer.status, answer.attempts, answer.text) == (503, 3, "503")


@pytest.mark.parametrize(
    ("retry_after", "pause"), [("7", 7.0), ("Sun, 06 Nov 1994 08:49:47 GMT", 10.0), ("9999", 300.0), ("soon", 1.0), ("", 1.0)]
)
async def test_retry_after_is_honoured_in_seconds_or_as_a_date(
    site: Site, http: Http, waited: list[float], retry_after: str, pause: float
) -> None:
    site.answers = [lambda: web.Response(status=503, headers={"Retry-After": retry_after}), lambda: web.Response()]
    await http.send(HttpRequest("POST", site.url), retries=1)
    assert waited == [pause]


async def test_a_caller_can_choose_what_is_repeated_and_how_long_to_wait(site: Site, http: Http, waited: list[float]) -> None:
    site.say(404, 200)

    def absent(outcome: HttpResponse | HttpError) -> bool:
        return isinstance(outcome, HttpResponse) and outcome.status == 404

    answer = await http.send(HttpRequest("GET", site.url), retries=1, retry_on=absent, backoff=lambda attempt: 0.5)
    assert answer.status == 200
    assert waited == [0.5]


async def test_no_answer_in_time_is_told_and_repeated(site: Site, http: Http) -> None:
    site.hang = True
    with pytest.raises(TimedOut, match=r"no answer within 0\.3 s") as caught:
        await http.send(HttpRequest("GET", site.url, timeout=0.3), retries=1)
    assert caught.value.attempts == 2
    assert len(site.requests) == 2


async def test_an_answer_that_drips_has_no_more_time_than_any_other(http: Http) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(200):
            writer.write(b".")
            await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        with pytest.raises(TimedOut):
            await http.send(HttpRequest("GET", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout=0.2))


async def test_a_refused_connection_is_told(http: Http) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable) as caught:
        await http.send(HttpRequest("GET", f"http://127.0.0.1:{port}/"), retries=2)
    assert caught.value.cause == "connection refused"
    assert caught.value.attempts == 3


async def test_an_untrusted_certificate_is_told_and_can_be_trusted_or_ignored(secure: Site, http: Http) -> None:
    with pytest.raises(Unreachable) as caught:
        await http.send(HttpRequest("GET", secure.url))
    assert caught.value.cause == "TLS"
    assert "self" in str(caught.value)
    assert (await http.send(HttpRequest("GET", secure.url, verify=False))).ok
    assert (await http.send(HttpRequest("GET", secure.url, verify=str(CERTIFICATE)))).ok
    with pytest.raises(Unreachable):
        await http.send(HttpRequest("GET", secure.url))


async def test_a_missing_bundle_of_authorities_is_told(secure: Site, http: Http) -> None:
    with pytest.raises(BadRequestUrl, match=r"the CA bundle /nowhere/ca\.pem cannot be used"):
        await http.send(HttpRequest("GET", secure.url, verify="/nowhere/ca.pem"), retries=3)


async def test_a_broken_connection_is_told(http: Http) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unreachable) as caught:
            await http.send(HttpRequest("GET", f"http://127.0.0.1:{port}/"))
    assert caught.value.cause == "connection broken"


@pytest.mark.parametrize("url", ["ftp://host/x", "no-scheme", "http://[::1", "http://host:port/"])
async def test_a_url_that_cannot_be_used_is_told_and_not_repeated(http: Http, waited: list[float], url: str) -> None:
    with pytest.raises(BadRequestUrl):
        await http.send(HttpRequest("GET", url), retries=3)
    assert waited == []


async def test_requests_go_through_the_proxy_given(site: Site, http: Http) -> None:
    await http.send(HttpRequest("GET", "http://behind.example/gate", proxy=site.url))
    assert site.requests[0][2]["Host"] == "behind.example"


async def test_what_a_proxy_says_when_it_refuses_is_told_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        user, _, password = base64.b64decode(request.headers["Proxy-Authorization"].removeprefix("Basic ")).decode().partition(":")
        # the text is cut within the password
        return web.Response(status=407, reason=f"{user} {'no ' * 29}{password} is wrong")

    runner = web.ServerRunner(web.Server(refuse))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy = f"http://jane:p%40ssword@127.0.0.1:{runner.addresses[0][1]}"
    asked = HttpRequest("GET", "https://behind.example/gate", proxy=proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    async with Http() as http:
        for request in (asked, replace(asked, proxy=None)):
            with pytest.raises(Unreachable) as caught:
                await http.send(request)
            assert caught.value.message == f"https://behind.example/gate: proxy: 407 *** {'no ' * 29}*** i..."
    await runner.cleanup()


def test_what_a_proxy_echoes_is_masked_like_what_a_server_echoes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "jane:p%40ssword@proxy.example:3128")
    asked = HttpRequest("GET", "http://behind.example/", proxy="http://john:secret@other.example:3128")
    basic = base64.b64encode(b"jane:p@ssword").decode()
    assert asked.quoted(f"jane p@ssword p%40ssword {basic} john secret hello") == "*** *** *** *** *** *** hello"


async def test_nothing_is_kept_of_a_proxy_that_a_request_names(site: Site, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenants name them, and may name a new one each time: one client is made for each request, and closed after it."""
    made: list[httpx.AsyncClient] = []

    def noted(*words: Any, make: Callable[..., httpx.AsyncClient] = http._made, **more: Any) -> httpx.AsyncClient:
        made.append(make(*words, **more))
        return made[-1]

    monkeypatch.setattr(http, "_made", noted)
    for number in range(3):
        await http.send(HttpRequest("GET", "http://behind.example/gate", proxy=f"{site.url}/{number}"))
    assert (len(site.requests), len(http._pools), len(http._contexts)) == (3, 0, 1)
    assert [client.is_closed for client in made] == [True] * 3


async def test_a_body_is_kept_up_to_its_bound(site: Site, http: Http) -> None:
    site.answers = [lambda: web.Response(body=gzip.compress(b"x" * 10_000_000), headers={"Content-Encoding": "gzip"})]
    answer = await http.send(HttpRequest("GET", site.url, max_body=1000))
    assert answer.body == b"x" * 1000
    assert answer.truncated
    with pytest.raises(ValueError, match="longer than 1000 bytes"):
        answer.json()


async def test_redirects_are_followed(site: Site, http: Http) -> None:
    site.answers = [lambda: web.Response(status=307, headers={"Location": "/there"}), lambda: web.Response(text="there")]
    assert (await http.send(HttpRequest("POST", site.url, json={"a": 1}))).text == "there"
    assert [(method, path, body) for method, path, _, body in site.requests] == [("POST", "/", '{"a":1}'), ("POST", "/there", '{"a":1}')]


async def test_connections_are_used_again(site: Site, http: Http) -> None:
    for verify in (True, True, False):
        await http.send(HttpRequest("GET", site.url, verify=verify))
    assert len(http._pools) == 2


async def test_a_cancelled_request_is_not_repeated(site: Site, http: Http) -> None:
    site.hang = True
    # its own time-out, on a busy machine, would be repeated: what is looked at is the cancellation
    task = asyncio.create_task(http.send(HttpRequest("GET", site.url, timeout=300), retries=3))
    async with asyncio.timeout(60):
        while not site.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(site.requests) == 1


async def test_secrets_are_in_no_repr_message_or_log(site: Site, http: Http, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "s3cret"
    port = site.url.rsplit(":", 1)[1]
    request = HttpRequest(
        "POST",
        f"http://{secret}:{secret}@127.0.0.1:{port}/hook/{secret}?token={secret}",
        headers={"Authorization": secret},
        params={"key": secret},
        json={"password": secret},
        auth=("user", secret),
        secret_url=True,
    )
    site.answers = [lambda: web.Response(text=secret)]
    answer = await http.send(request)
    site.hang = True
    with pytest.raises(HttpError) as caught:
        await http.send(HttpRequest("GET", f"{site.url}/{secret}?x={secret}", timeout=0.01, secret_url=True))
    assert secret not in repr(request) + repr(answer) + str(caught.value) + repr(caught.value)
    assert secret not in "".join(record.getMessage() for record in caplog.records if record.name.startswith("http"))
    assert repr(request) == f"<POST http://127.0.0.1:{port}/...>"


@given(st.integers(min_value=1, max_value=200))
def test_pauses_double_from_one_to_thirty_seconds(attempt: int) -> None:
    assert doubling(attempt) == min(30, 2 ** (attempt - 1))


@given(st.integers(min_value=100, max_value=599))
def test_only_429_and_5xx_but_501_are_repeated(status: int) -> None:
    assert worth_repeating(HttpResponse(status)) == (status == 429 or (status >= 500 and status != 501))


async def test_a_pool_that_was_warmed_is_the_one_that_is_used(site: Site) -> None:
    made: list[object] = []
    async with Http() as opened:
        await opened.warm()
        made += opened._pools.values()
        await opened.send(HttpRequest("GET", site.url))
        assert list(opened._pools.values()) == made
        assert len(made) == 1


async def test_authorities_that_cannot_be_read_are_told_by_the_request_that_needs_them(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file")
    async with Http() as opened:
        await opened.warm()
        with pytest.raises(BadRequestUrl, match="CA bundle /no/such/file"):
            await opened.send(HttpRequest("GET", site.url))
