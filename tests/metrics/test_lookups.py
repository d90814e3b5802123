"""Hints for queries without data: the selectors of a query, and what a server does not know of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flaggerpy.http import Http, HttpRequest, HttpResponse
from flaggerpy.metrics import lookups as module
from flaggerpy.metrics.lookups import AT_ONCE, LONGEST_QUERY, OF_TENANT, Lookups, Matcher, Selector, explain, is_quick, selectors
from flaggerpy.metrics.reading import Access
from tests.fake_http import answer

SERVER = Access("http://prometheus:9090", {}, {})


class Known:
    """A server that knows these metrics, each with these label values."""

    def __init__(self, series: dict[str, dict[str, list[str]]]) -> None:
        self.series, self.asked = series, list[tuple[str, str]]()
        self.threads = set[int]()

    def get_label_values(self, label_name: str, params: dict[str, Any] | None = None) -> list[str]:
        self.threads.add(threading.get_ident())
        metric = (params or {})["match[]"]
        self.asked.append((metric, label_name))
        if label_name == "__name__":
            return [metric] if metric in self.series else []
        return self.series[metric].get(label_name, [])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("sum(rate(foo_total[1m]))", [Selector("foo_total", ())]),
        (
            """sum(rate(foo_total{a="x", b=~'y.*',c!="z",d!~"w"}[1m])) by (le)""",
            [Selector("foo_total", (Matcher("a", "=", "x"), Matcher("b", "=~", "y.*")))],
        ),
        ("foo{a=\"}\"} / bar{} > 3", [Selector("foo", (Matcher("a", "=", "}"),)), Selector("bar", ())]),
        ("foo{a='1'} / foo{a='1'}", [Selector("foo", (Matcher("a", "=", "1"),))]),
        ('label_replace(up{a="b#c"}, "x", "bar{", "y", "z") # baz{q="r"}', [Selector("up", (Matcher("a", "=", "b#c"),))]),
        ("vector(1)", []),
        ("ns:rule:rate5m{}", [Selector("ns:rule:rate5m", ())]),
    ],
)
def test_selectors_of_a_query(query: str, found: list[Selector]) -> None:
    assert selectors(query) == found


SERIES = {"foo_total": {"ns": ["test", "prod"], "pod": [f"podinfo-{number}" for number in range(9)]}}


@pytest.mark.parametrize(
    ("query", "hint"),
    [
        ("rate(bar_total[1m])", "metric bar_total does not exist on S"),
        ('rate(foo_total{job="x"}[1m])', "metric foo_total has no label job on S"),
        ('rate(foo_total{ns="tset"}[1m])', 'no series of foo_total has ns="tset" on S (there: test, prod)'),
        (
            'rate(foo_total{ns="test",pod=~"web-.*"}[1m])',
            'no series of foo_total has pod=~"web-.*" on S (there: podinfo-0, podinfo-1, podinfo-2, podinfo-3, podinfo-4 and 4 more)',
        ),
        ('rate(foo_total{ns="test",pod=~"podinfo-.*"}[1m])', ""),
        ('rate(foo_total{pod=~"[[:alpha:]](?P<x"}[1m])', ""),
        ("vector(1)", ""),
    ],
)
def test_the_first_thing_that_the_server_does_not_know_is_named(query: str, hint: str) -> None:
    assert explain(Known(SERIES), "S", query, 1000.0) == hint


async def test_looking_up_happens_in_another_thread_and_is_remembered_for_a_while() -> None:
    known, now = Known(SERIES), [0.0]
    lookups = Lookups(lambda access: known, lambda: now[0])
    for _ in range(3):
        assert (await lookups.explain(SERVER, "bar[1m]")) == "metric bar does not exist on http://prometheus:9090"
    assert known.asked == [("bar", "__name__")]
    assert threading.get_ident() not in known.threads
    now[0] = 61.0
    await lookups.explain(SERVER, "bar[1m]")
    assert len(known.asked) == 2


async def test_what_one_tenant_may_see_is_not_told_to_another() -> None:
    known = Known(SERIES)
    lookups = Lookups(lambda access: known)
    await lookups.explain(Access("http://p", {"X-Scope-OrgID": ("a",)}, {}), "bar[1m]")
    await lookups.explain(Access("http://p", {"X-Scope-OrgID": ("b",)}, {}), "bar[1m]")
    assert len(known.asked) == 2


async def test_a_hint_that_cannot_be_had_is_left_out() -> None:
    def broken(access: Access) -> Known:
        raise OSError("no route")

    assert await Lookups(broken).explain(SERVER, "bar[1m]") == ""
    assert await Lookups(broken).explain(Access("http://p", {}, {"username": "x"}), "bar[1m]") == ""


async def test_the_library_asks_the_server_with_the_querys_own_address_and_headers() -> None:
    asked = list[tuple[str, str | None, str | None]]()

    async def values(request: web.Request) -> web.Response:
        asked.append((request.path, request.headers.get("Authorization"), request.query.get("match[]")))
        return web.json_response({"status": "success", "data": ["foo_total"] if "__name__" in request.path else ["a", "b"]})

    app = web.Application()
    app.router.add_get("/tenant/api/v1/label/{label}/values", values)
    async with TestServer(app) as server:
        access = Access(f"http://127.0.0.1:{server.port}/tenant/", {}, {"token": "t"})
        async with Http() as http:
            hint = await Lookups(http).explain(access, 'rate(foo_total{job="x"}[1m])')
    assert hint == f'no series of foo_total has job="x" on {access.server} (there: a, b)'
    assert asked == [
        ("/tenant/api/v1/label/__name__/values", "Bearer t", "foo_total"),
        ("/tenant/api/v1/label/job/values", "Bearer t", "foo_total"),
    ]


async def test_a_server_that_refuses_gives_no_hint() -> None:
    async with TestServer(web.Application()) as server, Http() as http:
        assert await Lookups(http).explain(Access(f"http://127.0.0.1:{server.port}", {}, {}), "foo[1m]") == ""


class HangsFor(Http):
    """Servers that know nothing, but never answer one tenant."""

    def __init__(self, tenant: str) -> None:
        super().__init__()
        self.tenant, self.hanging, self.ended = tenant, 0, 0
        self._changed = asyncio.Event()

    async def send(self, request: HttpRequest, **_: Any) -> HttpResponse:
        if request.tenant != self.tenant:
            return answer({"status": "success", "data": []})
        self.hanging += 1
        self._changed.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended += 1
            self._changed.set()
        raise AssertionError

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for requests to come or to end."""
        async with asyncio.timeout(10):
            while not holds():
                self._changed.clear()
                await self._changed.wait()


def of(tenant: str) -> Access:
    return Access("http://prometheus:9090", {}, {}, tenant=tenant)


async def test_queries_without_data_of_one_namespace_take_no_hint_from_another() -> None:
    http = HangsFor("hostile")
    lookups = Lookups(http)
    tasks = [asyncio.create_task(lookups.explain(of("hostile"), f"m{number}[1m]")) for number in range(3 * AT_ONCE)]
    await http.until(lambda: http.hanging >= OF_TENANT)
    async with asyncio.timeout(3):
        assert await lookups.explain(of("quiet"), "bar[1m]") == "metric bar does not exist on http://prometheus:9090"
    assert http.hanging == OF_TENANT
    for task in tasks:
        task.cancel()
    await http.until(lambda: http.ended == http.hanging)


async def test_the_wait_for_a_turn_is_a_part_of_the_time_of_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    http = HangsFor("busy")
    lookups = Lookups(http)
    before = [asyncio.create_task(lookups.explain(of("busy"), f"m{number}[1m]")) for number in range(OF_TENANT)]
    await http.until(lambda: http.hanging == OF_TENANT)
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    async with asyncio.timeout(3):
        assert await lookups.explain(of("busy"), "bar[1m]") == ""
    assert http.hanging == OF_TENANT
    assert not any(task.done() for task in before)
    for task in before:
        task.cancel()


async def test_a_hint_that_takes_too_long_ends_with_its_thread_and_is_not_asked_for_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    http = HangsFor("hostile")
    lookups = Lookups(http)
    # what the first of all imports takes longer than this test's time
    await lookups.explain(of("quiet"), "bar[1m]")
    monkeypatch.setattr(module, "TIMEOUT", 0.3)
    assert [await lookups.explain(of("hostile"), "bar[1m]") for _ in range(3)] == ["", "", ""]
    await http.until(lambda: http.ended == 1)
    assert http.hanging == 1


async def test_several_canaries_that_ask_the_same_at_once_are_all_told() -> None:
    known = Known(SERIES)
    lookups = Lookups(lambda access: known)
    hints = await asyncio.gather(*(lookups.explain(SERVER, "bar[1m]") for _ in range(3)))
    assert set(hints) == {"metric bar does not exist on http://prometheus:9090"}


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+b", "(a|a)(a|a)(a|a)(a|a)b", "(?:a*)*b", "a*a*a*a*b", "a?a?a?a?a?b", "(a{1,9}){1,9}b", "[a][a]*[a]*[a]*b", "a" * 201,
        "(?x)(a+) +b", "(?x)(a+)#\n+b", "(?x:(a+) +b)", "(?=(a+))+b",
    ],
)
def test_a_pattern_that_may_have_more_ways_than_can_be_tried_is_not_tried(pattern: str) -> None:
    assert not is_quick(pattern)
    assert Matcher("pod", "=~", pattern).holds(["a" * 18])


@pytest.mark.parametrize(
    "pattern",
    ["podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)", "podinfo-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)?", "5..|404|403|402|401", ".*-primary", "(web|api)-.*"],
)
def test_a_pattern_as_people_write_them_is_tried(pattern: str) -> None:
    assert is_quick(pattern)
    assert not Matcher("pod", "=~", pattern).holds(["else"])


def test_what_is_long_is_not_looked_through() -> None:
    assert Matcher("pod", "=~", "a.*").holds(["b" * 1000])
    assert selectors("foo{}" + " " * LONGEST_QUERY) == []
