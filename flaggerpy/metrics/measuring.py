"""Carrying a measurement out: planned checks are sent, equal ones once, and the answers become one result per metric."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from weakref import WeakValueDictionary

from flaggerpy.api.canary import Canary, Metric
from flaggerpy.api.metrictemplate import MetricTemplate
from flaggerpy.egress.connections import Turns
from flaggerpy.http import BadRequestUrl, Denied, Http, HttpError, HttpRequest
from flaggerpy.metrics import evaluate
from flaggerpy.metrics.evaluate import Problem, Query, Settings
from flaggerpy.metrics.lookups import Lookups
from flaggerpy.metrics.reading import Reading

LONGEST_SHARE = 5.0
"""Seconds for which an answer may be given to others that ask the same."""
AT_ONCE = 16
"""Queries under way at one server: more would only queue within the client, where it costs more (ADR 4), or within the server."""
OF_TENANT = 12
"""How many of them may be of one namespace: one whose queries are slow leaves room for the others."""
SHOWN = 1000
"""Characters of what a server said, in an event."""


@dataclass(frozen=True)
class Result:
    """What a metric said.

    kind: "value" (`value` in percent, milliseconds or the query's own unit; `text` is "" when it passes, else the sentence of the
    verdict); "no-data" (a failed check of its own kind); "error" (a failed check); "unreachable" (nobody could be asked: holds).
    `text` is the text of Flagger's event.
    """

    kind: Literal["value", "no-data", "unreachable", "error"]
    value: float = 0.0
    text: str = ""

    @property
    def passed(self) -> bool:
        """True for a value within its thresholds."""
        return self.kind == "value" and not self.text


@dataclass(frozen=True)
class Material:
    """What the controller read for a metric's template: the object and its Secret's decoded entries; None for what is not there."""

    template: MetricTemplate | None = None
    secret: Mapping[str, str] | None = None


class Measurer:
    """Measures metrics. One for the whole controller, as equal queries are shared between Canaries too."""

    def __init__(self, http: Http, lookups: Lookups | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._http, self._lookups, self._clock = http, lookups, clock
        # for each server its own: one that hangs must not hold up the others
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._turns = Turns(OF_TENANT)
        self._shared: dict[object, tuple[float, asyncio.Task[Reading]]] = {}

    async def measure(self, canary: Canary, metric: Metric, material: Material, settings: Settings) -> Result:
        """All checks of a metric, in order, up to the first that does not pass; the value of the first one when all pass."""
        first: Result | None = None
        for check in evaluate.checks(metric):
            query = evaluate.plan(canary, metric, check, material.template, material.secret, settings)
            result = Result("error", text=query.text) if isinstance(query, Problem) else await self._check(canary, metric, query)
            if not result.passed:
                return result
            first = first or result
        return first or Result("error", text=evaluate.UNUSABLE)

    async def unavailable(self, canary: Canary, materials: Sequence[tuple[Metric, Material]], settings: Settings) -> tuple[str, ...]:
        """Sentences about the metric servers of an analysis that are not there, or refuse us; templates that cannot be planned too."""
        queries, sentences = dict[object, Query](), list[str]()
        for metric, material in materials:
            for check in evaluate.checks(metric):
                query = evaluate.plan(canary, metric, check, material.template, material.secret, settings)
                if isinstance(query, Problem):
                    sentences.append(query.text)
                else:
                    queries.setdefault(_key(query.provider.online_request(query.access)), query)
        found = await asyncio.gather(*(self._online(query) for query in queries.values()))
        return tuple(dict.fromkeys([*sentences, *filter(None, found)]))

    async def _check(self, canary: Canary, metric: Metric, query: Query) -> Result:
        reading = await self._ask(query, min(canary.spec.plan.interval_seconds / 2, LONGEST_SHARE))
        if reading.kind == "value":
            value = reading.value * query.scale
            return Result("value", value, evaluate.verdict(canary, metric, query.check, value) or "")
        hint = ""
        if reading.kind == "no-data" and self._lookups and query.kind == "prometheus":
            hint = query.request.quoted(await self._lookups.explain(query.access, query.text), SHOWN)
        return Result(reading.kind, text=evaluate.failure(canary, metric, query, reading, hint))

    async def _ask(self, query: Query, share: float) -> Reading:
        """The reading of a query; of the same request under way, or answered less than `share` seconds ago, where there is one."""
        now, key = self._clock(), _key(query.request)
        for old in [known for known, (begun, task) in self._shared.items() if task.done() and now - begun > LONGEST_SHARE]:
            del self._shared[old]
        begun, task = self._shared.get(key, (now, None))
        if task is None or (task.done() and (now - begun > share or not _said_something(task))):
            task = asyncio.create_task(self._send(query))
            self._shared[key] = (now, task)
        # who gives up waiting must not take the answer from the others
        return await asyncio.shield(task)

    async def _send(self, query: Query) -> Reading:
        address, tenant = query.access.address, query.access.tenant
        slots = self._slots.setdefault(address, asyncio.Semaphore(AT_ONCE))
        try:
            async with self._turns.turn(tenant and f"{tenant} {address}"), self._http.turn(tenant), slots:
                response = await self._http.send(_addressed(query, query.request))
        except Denied as error:
            return Reading("error", text=f"{query.written}: {error}")
        except BadRequestUrl as error:
            return Reading("error", text=str(error))
        except HttpError as error:
            return Reading("unreachable", text=str(error))
        reading = query.provider.parse(response)
        return replace(reading, text=query.request.quoted(reading.text, SHOWN))

    async def _online(self, query: Query) -> str:
        try:
            answer = await self._http.send(_addressed(query, query.provider.online_request(query.access)))
            said = query.request.quoted(query.provider.online(answer), SHOWN)
        except Denied as error:
            said = f"{query.written}: {error}"
        except HttpError as error:
            said = str(error)
        return f"{query.kind} at {query.access.server} is not available: {said}" if said else ""


def _addressed(query: Query, request: HttpRequest) -> HttpRequest:
    return replace(request, peer=("metrics", query.kind), tenant=query.access.tenant)


def _said_something(task: asyncio.Task[Reading]) -> bool:
    """Whether an ended question led to an answer of the server."""
    return not task.cancelled() and task.exception() is None and task.result().kind != "unreachable"


def _key(request: HttpRequest) -> object:
    """What makes two requests the same: credentials included, so that nobody gets an answer with somebody else's rights."""
    params = tuple(sorted(request.params.items()))
    headers = tuple(sorted(request.headers.items()))
    # of one tenant alone: another's question may have to wait for the turns of a tenant who uses up his
    return (request.method, request.url, params, headers, request.content, request.verify, request.tenant)
