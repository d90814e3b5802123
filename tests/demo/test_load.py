"""The load: its counts against a real server on this machine."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from e2e.demo.load import Answered, Count, Load, percentile, traffic


async def serve(answers: list[int], hosts: list[str]) -> tuple[web.AppRunner, str]:
    """A server whose n-th answer has the n-th status (the last one from there on), and which notes the Host headers."""

    async def answer(request: web.Request) -> web.Response:
        hosts.append(request.headers["Host"])
        return web.Response(status=answers.pop(0) if len(answers) > 1 else answers[0])

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    return runner, f"http://127.0.0.1:{listener.getsockname()[1]}/"


async def sent(count: Count, number: int) -> None:
    while count.sent < number:  # noqa: ASYNC110 - the load tells nobody
        await asyncio.sleep(0.001)


async def test_answers_below_400_are_good_and_all_others_lost() -> None:
    hosts: list[str] = []
    runner, url = await serve([200, 302, 500, 503, 200], hosts)
    async with Load(url, "app.example.com", rate=500) as load:
        count = load.begin()
        await sent(count, 8)
    await runner.cleanup()
    assert count.lost == 2
    assert dict(count.how) == {"HTTP 500": 1, "HTTP 503": 1}
    assert set(hosts) == {"app.example.com"}


async def test_a_refused_connection_is_lost() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with Load(f"http://127.0.0.1:{port}/", "x", rate=500) as load:
        count = load.begin()
        await sent(count, 3)
        await load.settle()
        assert count.lost >= 3
    assert set(count.how) == {"ClientConnectorError"}


async def test_a_request_counts_where_it_was_sent_even_if_its_answer_comes_later() -> None:
    hosts: list[str] = []
    runner, url = await serve([200], hosts)
    async with Load(url, "x", rate=500) as load:
        first = load.begin()
        await sent(first, 3)
        second = load.begin()
        before = first.sent
        await sent(second, 3)
        await load.settle()
    await runner.cleanup()
    assert first.sent == before
    assert second.sent >= 3


@pytest.mark.parametrize(("values", "percent", "value"), [([], 99, 0.0), ([1.0], 99, 1.0), ([float(i) for i in range(100)], 99, 99.0)])
def test_percentile(values: list[float], percent: float, value: float) -> None:
    assert percentile(values, percent) == value


def test_the_live_figures_are_of_the_window() -> None:
    good, bad = Answered(0, True, 0.010), Answered(0, False, 0.020)
    seen = traffic([good, bad, good, good], Count(9, 2), window=2)
    assert (seen.success_rate, seen.p99_ms, seen.per_second, seen.sent, seen.lost) == (75.0, 20.0, 2.0, 9, 2)
    assert traffic([], Count(9, 2)).success_rate is None
