"""httpx against prometheus-api-client for instant queries at the size of 200 releases in analysis: the figures of ADR 4.

Run: `python -m e2e.bench.prometheus_clients`. A server of its own process answers as Prometheus does, after a pause of 20 ms (a rate
over one minute takes about that). Each way of asking gets a process of its own: rounds of 200 different queries at once on one event
loop, while a task on the same loop measures by how much its naps of 5 ms are late. Prints a table; figures depend on the machine.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import resource
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Stop
from statistics import median, quantiles
from typing import Any

from aiohttp import web

from flaggerpy.metrics.measuring import AT_ONCE

QUERIES = 200
ROUNDS = 10
WARM_UP = 1
TIMEOUT = 60
"""Seconds: long enough that a busy machine shows as slow, not as broken."""
PAUSE = 0.02
NAP = 0.005

Ask = Callable[[str, str], Awaitable[float]]


@dataclass
class Figures:
    """Milliseconds but for `cpu` (seconds of the whole run, server apart), `memory` (MiB at most) and `threads` (most at once)."""

    way: str
    round_median: float
    query_p50: float
    query_p99: float
    loop_lag_p99: float
    loop_lag_max: float
    cpu: float
    memory: float
    threads: int


def serve(port: Queue[int], stop: Stop) -> None:
    """A server that gives each query one value after the pause."""

    async def query(request: web.Request) -> web.Response:
        asked = request.query["query"]
        await asyncio.sleep(PAUSE)
        result = [{"metric": {"query": asked}, "value": [time.time(), "99.5"]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/query", query)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        port.put(runner.addresses[0][1])
        await asyncio.to_thread(stop.wait)
        await runner.cleanup()

    asyncio.run(run())


async def through_httpx(address: str, run: Callable[[Ask], Awaitable[None]], limited: bool) -> None:
    """As flaggerpy does it: one client, one pool, a limit on how many are asked at once."""
    from dataclasses import replace

    from flaggerpy.http import Http
    from flaggerpy.metrics.prometheus import Prometheus
    from flaggerpy.metrics.reading import Access

    prometheus, slots = Prometheus(), asyncio.Semaphore(AT_ONCE if limited else QUERIES)
    async with Http() as http:

        async def ask(server: str, query: str) -> float:
            request = replace(prometheus.request(Access(server, {}, {}), query), timeout=TIMEOUT)
            async with slots:
                return prometheus.parse(await http.send(request)).value

        await run(ask)


async def through_threads(address: str, run: Callable[[Ask], Awaitable[None]], workers: int, shared: bool) -> None:
    """prometheus-api-client in a pool of threads: one client for all, or one for each thread."""
    from prometheus_api_client import PrometheusConnect

    own = threading.local()
    common = PrometheusConnect(url=address, timeout=TIMEOUT)

    def blocking(server: str, query: str) -> float:
        if not shared and not hasattr(own, "client"):
            own.client = PrometheusConnect(url=server, timeout=TIMEOUT)
        client = common if shared else own.client
        return float(client.custom_query(query)[0]["value"][1])

    with ThreadPoolExecutor(workers) as pool:

        async def ask(server: str, query: str) -> float:
            return await asyncio.get_running_loop().run_in_executor(pool, blocking, server, query)

        await run(ask)


async def through_aiohttp(address: str, run: Callable[[Ask], Awaitable[None]]) -> None:
    """For comparison: the client that the Kubernetes library brings along."""
    import aiohttp

    slots = asyncio.Semaphore(AT_ONCE)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT)) as session:

        async def ask(server: str, query: str) -> float:
            async with slots, session.get(f"{server}/api/v1/query", params={"query": query}) as response:
                return float((await response.json())["data"]["result"][0]["value"][1])

        await run(ask)


WAYS: dict[str, Callable[[str, Callable[[Ask], Awaitable[None]]], Awaitable[None]]] = {
    "httpx, as flaggerpy asks": lambda address, run: through_httpx(address, run, True),
    "httpx, all 200 at once": lambda address, run: through_httpx(address, run, False),
    "aiohttp, as many at once": through_aiohttp,
    "prometheus-api-client, 32 threads, a client each": lambda address, run: through_threads(address, run, 32, False),
    "prometheus-api-client, 200 threads, a client each": lambda address, run: through_threads(address, run, 200, False),
    "prometheus-api-client, 200 threads, one client": lambda address, run: through_threads(address, run, 200, True),
}


def measure(way: str, address: str, result: Queue[dict[str, Any]]) -> None:
    """One way of asking, in this process."""
    took, rounds, late, most = list[float](), list[float](), list[float](), 0

    async def lag() -> None:
        nonlocal most
        while True:
            before = time.perf_counter()
            await asyncio.sleep(NAP)
            late.append(time.perf_counter() - before - NAP)
            most = max(most, threading.active_count())

    async def one(ask: Ask, number: int) -> None:
        query = f'sum(rate(http_requests_total{{namespace="team-{number}",status!~"5.*"}}[1m]))'
        before = time.perf_counter()
        value = await ask(address, query)
        took.append(time.perf_counter() - before)
        assert value == 99.5

    async def run(ask: Ask) -> None:
        for number in range(WARM_UP + ROUNDS):
            if number == WARM_UP:
                took.clear()
                late.clear()
                rounds.clear()
            before = time.perf_counter()
            await asyncio.gather(*(one(ask, index) for index in range(QUERIES)))
            rounds.append(time.perf_counter() - before)
            await asyncio.sleep(0.1)

    async def main() -> None:
        watching = asyncio.create_task(lag())
        await WAYS[way](address, run)
        watching.cancel()

    asyncio.run(main())
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = Figures(
        way=way,
        round_median=median(rounds) * 1000,
        query_p50=median(took) * 1000,
        query_p99=quantiles(took, n=100)[98] * 1000,
        loop_lag_p99=quantiles(late, n=100)[98] * 1000,
        loop_lag_max=max(late) * 1000,
        cpu=used.ru_utime + used.ru_stime,
        memory=used.ru_maxrss / 1024,
        threads=most,
    )
    result.put(asdict(figures))


def main() -> None:
    """All ways, one after the other; a table, or JSON with `--json`."""
    spawn = multiprocessing.get_context("spawn")
    port, stop, result = spawn.Queue(), spawn.Event(), spawn.Queue()
    server = spawn.Process(target=serve, args=(port, stop))
    server.start()
    address = f"http://127.0.0.1:{port.get()}"
    table = list[dict[str, Any]]()
    for way in WAYS:
        process = spawn.Process(target=measure, args=(way, address, result))
        process.start()
        table.append(result.get())
        process.join()
    stop.set()
    server.join()
    if "--json" in sys.argv:
        print(json.dumps(table, indent=2))
        return
    names = ("way", "round, median", "query p50", "query p99", "loop late p99", "loop late at most", "CPU per query", "memory", "threads")
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in table:
        times = (row[name] for name in ("round_median", "query_p50", "query_p99", "loop_lag_p99", "loop_lag_max"))
        per_query = row["cpu"] / (QUERIES * (ROUNDS + WARM_UP)) * 1000
        shown = [f"{value:.0f} ms" for value in times]
        cells = [row["way"], *shown, f"{per_query:.1f} ms", f"{row['memory']:.0f} MiB", str(row["threads"])]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
