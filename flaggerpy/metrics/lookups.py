"""Why a query has no data: does the metric exist at all, and does any of its series carry the label values that are asked for?

Uses prometheus-api-client, which is synchronous, in a thread; off the hot path, since only a query without data leads here. Its requests
are sent by `http.py` all the same, so that egress rules, deadline and bounds hold for them too. What cannot be found out is left out: a
hint never fails a measurement, and whoever waits for one waits for no other namespace's.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

from flaggerpy.egress.connections import Turns
from flaggerpy.http import Http, HttpError, HttpRequest, HttpResponse
from flaggerpy.metrics.prometheus import headers
from flaggerpy.metrics.reading import Access

TIMEOUT = 5
"""Seconds for a whole hint, the wait for a turn too: the verdict waits for it."""
WINDOW = 3600
"""Seconds back in which a series counts as existing."""
KEPT = 60.0
"""Seconds for which a hint is repeated without asking again."""
MOST_SELECTORS = 3
SHOWN_VALUES = 5
MOST_VALUES = 1000
MAX_BODY = 2**20
AT_ONCE = 4
OF_TENANT = 2
"""How many of them may be of one namespace: one whose servers are slow leaves room for the others."""
LONGEST_QUERY = 2048
"""Characters of what is looked through at all, here and of a pattern and a value: the time for it is none of the event loop's."""
LONGEST_PATTERN = 200
LONGEST_VALUE = 128
MOST_REPEATS = 2
MOST_CHOICES = 3


@dataclass(frozen=True)
class Matcher:
    """`label="value"` and its like within a selector."""

    label: str
    operator: str
    value: str

    def holds(self, values: Sequence[str]) -> bool:
        """Whether one of the values fits. Patterns that only RE2 knows, and those that it alone is quick with, count as fitting."""
        if self.operator == "=":
            return self.value in values
        if not is_quick(self.value) or any(len(value) > LONGEST_VALUE for value in values):
            return True
        try:
            with warnings.catch_warnings():
                # RE2's [[:alpha:]] makes Python warn of a nested set
                warnings.simplefilter("error", FutureWarning)
                pattern = re.compile(self.value)
        except (re.error, FutureWarning):
            return True
        return any(pattern.fullmatch(value) for value in values)


def is_quick(pattern: str) -> bool:
    """Whether Python's `re` is done with a pattern in a moment, whatever the value: it tries all ways to match, unlike RE2.

    A tenant writes both, the ways may be more than can be counted, and while `re` works, nothing else in this process does.
    """
    plain = not any(sign in pattern for sign in "([\\")
    return len(pattern) <= LONGEST_PATTERN and all(map(_has_few_ways, pattern.split("|") if plain else [pattern]))


def _has_few_ways(pattern: str) -> bool:
    repeats, choices = (sum(map(pattern.count, signs)) for signs in ("*+{", "?|"))
    return repeats <= MOST_REPEATS and choices <= MOST_CHOICES and not _REPEATED_GROUP.search(pattern) and not _FLAGS.search(pattern)


@dataclass(frozen=True)
class Selector:
    """A metric's name in a query, with its positive matchers."""

    metric: str
    matchers: tuple[Matcher, ...]


_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_SELECTOR = re.compile(rf"{_STRING}|#[^\n]*|([a-zA-Z_:][\w:]*)\s*(\{{(?:[^}}\"'`]|{_STRING})*+\}}|\[)?")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_FLAGS = re.compile(r"\(\?(?!:)")
"""What changes how the rest is read (`(?x)` lets a blank stand before a repeat), and what looks around."""
_MATCHER = re.compile(rf"(?<!\w)(\w++)\s*(=~|!~|!=|=)\s*({_STRING})")


def selectors(query: str) -> list[Selector]:
    """The series selectors of a PromQL text that begin with a metric's name and are followed by matchers or a range."""
    found = list[Selector]()
    if len(query) > LONGEST_QUERY:
        return found
    for match in _SELECTOR.finditer(query):
        name, rest = match.groups()
        if not name or not rest:
            continue
        pairs = [Matcher(label, sign, _unquote(text)) for label, sign, text in _MATCHER.findall(rest) if sign in ("=", "=~") and text]
        selector = Selector(name, tuple(pairs))
        if selector not in found:
            found.append(selector)
    return found


def _unquote(text: str) -> str:
    return text[1:-1] if text[0] == "`" else re.sub(r"\\(.)", r"\1", text[1:-1])


class Client(Protocol):
    """The part of PrometheusConnect that is used."""

    def get_label_values(self, label_name: str, params: dict[str, Any] | None = None) -> list[str]:
        """The values of a label, of the series that `match[]` selects."""


Connect = Callable[[Access], Client]
Fetch = Callable[[HttpRequest], HttpResponse]


class _Adapter:
    """What carries out the requests of the library: see `requests.adapters.BaseAdapter`."""

    def __init__(self, access: Access, fetch: Fetch) -> None:
        self._access = access
        self._fetch = fetch

    def send(self, request: Any, **_: Any) -> Any:
        """The answer to a prepared request. Raises HttpError."""
        import requests

        asked = HttpRequest(
            "GET",
            str(request.url),
            headers(self._access),
            timeout=TIMEOUT,
            verify=not self._access.insecure_skip_verify,
            max_body=MAX_BODY,
            trusted=self._access.trusted,
            tenant=self._access.tenant,
        )
        said = self._fetch(asked)
        made = requests.Response()
        made.status_code, made.url, made.raw = said.status, str(request.url), io.BytesIO(b"" if said.truncated else said.body)
        return made

    def close(self) -> None:
        """Nothing of its own is open."""


def connect(access: Access, fetch: Fetch) -> Client:
    """A client with the same address, headers and TLS settings as the query had, which sends by `fetch`."""
    # imported late: it brings requests along, which an untroubled controller never needs
    import requests
    from prometheus_api_client import PrometheusConnect

    session = requests.Session()
    # neither proxies nor ~/.netrc: that is for `http.py` to judge
    session.trust_env = False
    adapter = _Adapter(access, fetch)
    session.get_adapter = lambda url: adapter  # type: ignore[method-assign,return-value,assignment,misc,unused-ignore]
    client: Client = PrometheusConnect(url=access.address.rstrip("/"), session=session, timeout=TIMEOUT)
    return client


def explain(client: Client, server: str, query: str, now: float) -> str:
    """A sentence about the first thing in the query that the server does not know; "" when it knows all. Blocks; may raise."""
    span = {"start": str(int(now - WINDOW)), "end": str(int(now)), "limit": str(MOST_VALUES)}
    for selector in selectors(query)[:MOST_SELECTORS]:
        if not client.get_label_values("__name__", {"match[]": selector.metric, **span}):
            return f"metric {selector.metric} does not exist on {server}"
        for matcher in selector.matchers:
            values = [str(value) for value in client.get_label_values(matcher.label, {"match[]": selector.metric, **span})]
            if not values:
                return f"metric {selector.metric} has no label {matcher.label} on {server}"
            if not matcher.holds(values) and len(values) < MOST_VALUES:
                more = f" and {len(values) - SHOWN_VALUES} more" if len(values) > SHOWN_VALUES else ""
                known = f"{', '.join(values[:SHOWN_VALUES])}{more}"
                return f'no series of {selector.metric} has {matcher.label}{matcher.operator}"{matcher.value}" on {server} (there: {known})'
    return ""


class Lookups:
    """Explains queries without data, a few at a time, and remembers what it found for a while."""

    def __init__(self, source: Http | Connect, clock: Callable[[], float] = time.monotonic) -> None:
        """`source`: what sends the requests, or what makes the clients."""
        self._source, self._clock = source, clock
        self._known: dict[object, tuple[float, str]] = {}
        self._turns = Turns(OF_TENANT)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._threads: ThreadPoolExecutor | None = None

    async def explain(self, access: Access, query: str) -> str:
        """The sentence for a query without data, "" when nothing is known."""
        now = self._clock()
        try:
            # with the headers: what one tenant may see is not told to another; nor what he could not find out in his share of the time
            key = (access.tenant, access.address, query, tuple(sorted(headers(access).items())))
        except ValueError:
            return ""
        for old in [known for known, (at, _) in self._known.items() if now - at > KEPT]:
            del self._known[old]
        if key in self._known:
            return self._known[key][1]
        begun, until = False, asyncio.get_running_loop().time() + TIMEOUT
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until), self._turns.turn(access.tenant), self._slots:
                begun = True
                self._known[key] = (now, await self._found(access, query, until))
        if begun:
            # what takes too long is not asked again at once
            self._known.setdefault(key, (now, ""))
        return self._known.get(key, (now, ""))[1]

    async def _found(self, access: Access, query: str, until: float) -> str:
        """Raises CancelledError when the time is over; nothing of it goes on then."""
        loop = asyncio.get_running_loop()
        asked: Future[HttpResponse] | None = None
        if self._threads is None:
            # not the loop's own threads, which others wait for too
            self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lookups")

        def fetch(request: HttpRequest) -> HttpResponse:
            # in the thread; every request ends within what is left of the whole time
            nonlocal asked
            left = until - loop.time()
            assert isinstance(self._source, Http)
            if left <= 0:
                raise HttpError("no time is left")
            asked = asyncio.run_coroutine_threadsafe(self._source.send(replace(request, timeout=left)), loop)
            return asked.result(left + 1)

        try:
            return await loop.run_in_executor(self._threads, self._blocking, access, query, fetch)
        finally:
            # a thread cannot be cancelled, but what it waits for can: it would take the place of whoever has the next turn
            until = 0.0
            if asked is not None:
                asked.cancel()

    def _blocking(self, access: Access, query: str, fetch: Fetch) -> str:
        try:
            client = connect(access, fetch) if isinstance(self._source, Http) else self._source(access)
            return explain(client, access.server, query, time.time())
        except Exception:
            # whatever the library raises: a hint that cannot be had must not turn "no data" into a crash
            return ""
