"""Hints for queries without data: the selectors of a query, and what a server does not know of them."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from flaggerpy.http import Http
from flaggerpy.metrics.lookups import Lookups, Matcher, Selector, explain, selectors
from flaggerpy.metrics.reading import Access

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
