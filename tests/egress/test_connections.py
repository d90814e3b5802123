"""Connections under the rules: the address that is checked is the one that is connected to, on every way to it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from flaggerpy.egress import connections
from flaggerpy.egress.connections import LOOKUPS_OF_TENANT, Resolver, Turns, on_behalf_of
from flaggerpy.egress.rules import Egress, parse
from flaggerpy.http import Denied, Http, HttpRequest, Unreachable

CERTIFICATE = Path(__file__).parent.parent / "data" / "self-signed.pem"
RULES = parse(deny="127.0.0.2,::1")
"""127.0.0.1 is open, 127.0.0.2 and ::1 are closed: all of them are this machine."""


class Site:
    """A server on all addresses of loopback; notes which one it was reached by."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.port = 0
        self.to: Callable[[], web.Response] = lambda: web.Response(text="ok")

    async def handle(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.reached.append(request.transport.get_extra_info("sockname")[0])
        self.headers.append(dict(request.headers))
        return self.to()


@asynccontextmanager
async def serving(context: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site, app = Site(), web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0, ssl_context=context).start()
    site.port = runner.addresses[0][1]
    yield site
    await runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serving() as made:
        yield made


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    async with Http(egress=RULES) as made:
        yield made


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """A name server that gives these answers in turn, the last one for ever; what it was asked."""
    asked, left = list[str](), list(answers)

    def look_up(host: str) -> list[str]:
        asked.append(host)
        return left.pop(0) if len(left) > 1 else left[0]

    monkeypatch.setattr(connections, "look_up", look_up)
    return asked


async def test_an_open_address_is_connected_to(site: Site, http: Http) -> None:
    assert (await http.send(HttpRequest("GET", f"http://127.0.0.1:{site.port}/"))).text == "ok"


@pytest.mark.parametrize("host", ["127.0.0.2", "2130706434", "0x7f000002", "127.2", "[::1]", "[::ffff:127.0.0.2]"])
async def test_a_closed_address_is_refused_in_whatever_form_it_is_written(site: Site, http: Http, host: str) -> None:
    with pytest.raises(Denied, match=r"closed by the egress rule (127\.0\.0\.2|::1)/\d+ \(-egress-deny\)") as caught:
        await http.send(HttpRequest("POST", f"http://{host}:{site.port}/latest"), retries=3)
    assert caught.value.attempts == 1
    assert site.reached == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://0.0.0.0:8080/quitquitquit"])
async def test_metadata_of_the_cloud_is_closed_without_any_flag(url: str) -> None:
    async with Http() as made:
        with pytest.raises(Denied, match="built in"):
            await made.send(HttpRequest("GET", url))


async def test_a_name_is_judged_by_its_addresses(site: Site, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.2"])
    with pytest.raises(Denied, match=r"gate\.example is 127\.0\.0\.2, which is closed by the egress rule"):
        await http.send(HttpRequest("GET", f"http://gate.example:{site.port}/"))
    assert site.reached == []


async def test_a_name_that_changes_after_the_check_leads_where_it_led_when_it_was_checked(
    site: Site, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    await http.send(HttpRequest("GET", f"http://gate.example:{site.port}/"))
    assert (asked, site.reached) == (["gate.example"], ["127.0.0.1"])
    assert site.headers[0]["Host"] == f"gate.example:{site.port}"


async def test_of_several_addresses_only_the_open_ones_are_tried(site: Site, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["::1", "127.0.0.2", "127.0.0.1"])
    await http.send(HttpRequest("GET", f"http://gate.example:{site.port}/"))
    assert site.reached == ["127.0.0.1"]


async def test_an_address_that_does_not_answer_does_not_hold_up_the_next(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["::1", "127.0.0.1"])
    async with Http(egress=Egress()) as made:
        await made.send(HttpRequest("GET", f"http://gate.example:{site.port}/"))
    assert site.reached == ["127.0.0.1"]


async def test_a_redirect_to_a_closed_address_is_not_followed(site: Site, http: Http) -> None:
    site.to = lambda: web.Response(status=307, headers={"Location": f"http://127.0.0.2:{site.port}/latest"})
    with pytest.raises(Denied, match=r"127\.0\.0\.2 is closed"):
        await http.send(HttpRequest("GET", f"http://127.0.0.1:{site.port}/"))
    assert site.reached == ["127.0.0.1"]


async def test_redirects_without_an_end_come_to_one(site: Site, http: Http) -> None:
    site.to = lambda: web.Response(status=302, headers={"Location": "/again"})
    with pytest.raises(Unreachable, match="more than 10 redirects"):
        await http.send(HttpRequest("GET", f"http://127.0.0.1:{site.port}/"))
    assert len(site.reached) == 11


async def test_credentials_do_not_follow_a_redirect_to_another_server(site: Site, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.1"])
    there = [lambda: web.Response(), lambda: web.Response(status=307, headers={"Location": f"http://other.example:{site.port}/"})]
    site.to = lambda: there.pop()()
    sent = {"Authorization": "Bearer token", "X-Api-Key": "key", "Accept": "text/plain"}
    await http.send(HttpRequest("POST", f"http://127.0.0.1:{site.port}/", sent, json={}))
    first, second = site.headers
    assert (first["Authorization"], first["X-Api-Key"]) == ("Bearer token", "key")
    assert not {"Authorization", "X-Api-Key"} & set(second)
    assert (second["Accept"], second["Content-Type"]) == ("text/plain", "application/json")


async def test_what_the_operator_wrote_is_open_but_not_where_it_redirects_to(site: Site, http: Http) -> None:
    request = HttpRequest("GET", f"http://127.0.0.2:{site.port}/", trusted=True)
    assert (await http.send(request)).ok
    site.to = lambda: web.Response(status=302, headers={"Location": f"http://[::1]:{site.port}/"})
    with pytest.raises(Denied):
        await http.send(request)
    assert site.reached == ["127.0.0.2", "127.0.0.2"]


async def test_a_scheme_can_be_closed_also_to_redirects() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    async with serving(context) as site, Http(egress=parse(schemes="https")) as made:
        with pytest.raises(Denied, match="http is closed by -egress-schemes=https"):
            await made.send(HttpRequest("GET", f"http://127.0.0.1:{site.port}/"))
        site.to = lambda: web.Response(status=302, headers={"Location": f"http://127.0.0.1:{site.port}/"})
        with pytest.raises(Denied, match="http is closed"):
            await made.send(HttpRequest("GET", f"https://127.0.0.1:{site.port}/", verify=False))
        assert site.reached == ["127.0.0.1"]


async def test_tls_is_asked_for_by_the_name_though_the_connection_goes_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.sni_callback = lambda _socket, name, _context: wanted.append(name)
    names(monkeypatch, ["127.0.0.1"])
    async with serving(context) as site, Http(egress=RULES) as made:
        await made.send(HttpRequest("GET", f"https://gate.example:{site.port}/", verify=False))
    assert wanted == ["gate.example"]


async def test_through_a_proxy_what_needs_no_name_server_is_judged(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.2:{site.port}")
    async with Http(egress=RULES) as made:
        # the proxy of the environment is the operator's: it may be anywhere
        assert (await made.send(HttpRequest("GET", "http://gate.example/"))).ok
        for host in ("169.254.169.254", "2852039166", "metadata.google.internal", "METADATA.google.internal."):
            with pytest.raises(Denied):
                await made.send(HttpRequest("GET", f"http://{host}/"))
    assert site.reached == ["127.0.0.2"]


async def test_a_proxy_that_a_tenant_names_is_held_to_the_rules(site: Site, http: Http) -> None:
    with pytest.raises(Denied, match=r"127\.0\.0\.2 is closed"):
        await http.send(HttpRequest("GET", "http://gate.example/", proxy=f"http://127.0.0.2:{site.port}"))
    assert (await http.send(HttpRequest("GET", "http://gate.example/", proxy=f"http://127.0.0.2:{site.port}", trusted=True))).ok
    assert (await http.send(HttpRequest("GET", "http://gate.example/", proxy=f"http://127.0.0.1:{site.port}"))).ok


async def test_names_that_are_never_answered_hold_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()

    def look_up(host: str) -> list[str]:
        if host.startswith("slow"):
            free.wait(30)
        return ["127.0.0.1"]

    monkeypatch.setattr(connections, "look_up", look_up)
    resolver = Resolver()

    async def of(tenant: str, host: str) -> list[str]:
        with on_behalf_of(tenant):
            return await resolver.addresses(host)

    hostile = [asyncio.create_task(of("hostile", f"slow-{number}.example")) for number in range(100)]
    await asyncio.sleep(0.05)
    assert await asyncio.wait_for(of("shop", "gate.example"), 10) == ["127.0.0.1"]
    assert sum(thread.name.startswith("lookup") for thread in threading.enumerate()) <= LOOKUPS_OF_TENANT + 1
    for task in hostile:
        task.cancel()
    free.set()
    resolver.close()


async def test_slow_servers_of_one_tenant_use_up_his_own_turns_only() -> None:
    turns, held = Turns(2), list[str]()

    async def hold(tenant: str, until: asyncio.Event) -> None:
        async with turns.turn(tenant):
            held.append(tenant)
            await until.wait()

    end = asyncio.Event()
    tasks = [asyncio.create_task(hold("hostile", end)) for _ in range(5)]
    tasks += [asyncio.create_task(hold(tenant, end)) for tenant in ("shop", "", "", "")]
    await asyncio.sleep(0)
    assert sorted(held) == ["", "", "", "hostile", "hostile", "shop"]
    end.set()
    await asyncio.gather(*tasks)


async def test_a_deadline_ends_a_name_that_is_not_answered(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(connections, "look_up", lambda host: free.wait(30) and [])
    began = time.monotonic()
    with pytest.raises(Exception, match=r"no answer within 0\.2 s"):
        await http.send(HttpRequest("GET", "http://slow.example/", timeout=0.2))
    assert time.monotonic() - began < 20
    free.set()


async def test_a_name_that_does_not_exist_is_told(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(host: str) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(connections, "look_up", nowhere)
    with pytest.raises(Unreachable) as caught:
        await http.send(HttpRequest("GET", "http://gate.invalid/"))
    assert caught.value.cause == "DNS"
