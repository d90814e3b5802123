"""Who holds a token, and what the API server lets them do: asked with their own token, remembered for a short while, within limits.

The controller lends nobody its own rights. Whether a token is good and what it may do is asked by the token itself (SelfSubjectReview,
SelfSubjectAccessReview), and a command is written with it, so that authentication, RBAC, admission policies and the audit log of the API
server all see the person (docs/adr: the page acts as the person). Tokens are found by
their digest, kept in memory until nobody has come with them for ten minutes, and written nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

BELIEVED_SECONDS = 60.0
"""How long an answer of the API server about a person is believed."""
REFUSED_SECONDS = 30.0
"""How long a token that it refused is refused without asking again."""
FORGOTTEN_SECONDS = 600.0
REMEMBERED = 256
BURST, PER_SECOND = 20.0, 2.0
"""Tokens that are not known yet: so many at once, and so many a second in the long run."""
AT_ONCE = 8
LONGEST = 12_000
T = TypeVar("T")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class Unknown(Exception):
    """The token is not good: the person has to sign in (again)."""


class Busy(Exception):
    """Too many unknown tokens at the moment: try again in a few seconds."""


class Asking(Protocol):
    """The API server, asked with a person's token. Raises cluster.errors.ApiError."""

    async def who(self, token: str) -> str | None:
        """The user's name; None when the token is refused."""

    async def may(self, token: str, verb: str, namespace: str | None, name: str | None) -> bool:
        """Whether that user may do this with Canaries; namespace None: in all of them."""

    async def annotate(self, token: str, namespace: str, name: str, annotations: Mapping[str, str | None], manager: str) -> None:
        """Write annotations of a Canary as that user; None takes one off."""


class Person:
    """Somebody with a good token. `name` is the API server's."""

    def __init__(self, name: str, token: str, asking: Asking, at: float) -> None:
        self.name, self.at = name, at
        self._token, self._asking = token, asking
        self._may: dict[tuple[str, str, str], tuple[float, bool]] = {}

    async def may(self, verb: str, namespace: str = "", name: str = "") -> bool:
        """Whether the API server lets them do this with Canaries; namespace "" is all of them."""
        key, now = (verb, namespace, name), time.monotonic()
        known = self._may.get(key)
        if known is None or now - known[0] > BELIEVED_SECONDS:
            if len(self._may) > 4096:
                self._may.clear()
            known = self._may[key] = (now, await self._asking.may(self._token, verb, namespace or None, name or None))
        return known[1]

    async def readable(self, namespaces: Iterable[str]) -> frozenset[str] | None:
        """Those of the namespaces in which they may list Canaries; None means all there are and will be."""
        if await self.may("list"):
            return None
        turn = asyncio.Semaphore(AT_ONCE)

        async def ask(namespace: str) -> str:
            async with turn:
                return namespace if await self.may("list", namespace) else ""

        return frozenset(filter(None, await asyncio.gather(*map(ask, namespaces))))

    async def annotate(self, namespace: str, name: str, annotations: Mapping[str, str | None], manager: str) -> None:
        await self._asking.annotate(self._token, namespace, name, annotations, manager)


class People:
    """Persons by their tokens."""

    def __init__(self, asking: Asking, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._asking = asking
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, Person] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._tokens, self._filled_at = BURST, monotonic()

    async def person(self, token: str) -> Person:
        """Who holds this token. Raises Unknown, Busy, or an ApiError when the API server cannot be asked."""
        if not token or len(token) > LONGEST or not _TOKEN.fullmatch(token):
            raise Unknown
        digest, now = hashlib.sha256(token.encode()).digest(), self._monotonic()
        for old in [each for each, person in self._known.items() if now - person.at > FORGOTTEN_SECONDS]:
            del self._known[old]
        known = self._known.get(digest)
        if known is not None and now - known.at <= BELIEVED_SECONDS:
            self._known.move_to_end(digest)
            return known
        if now - self._refused.get(digest, -REFUSED_SECONDS) < REFUSED_SECONDS:
            raise Unknown
        if known is None:
            self._spend(now)
        name = await self._asking.who(token)
        if not name:
            self._known.pop(digest, None)
            _put(self._refused, digest, now)
            raise Unknown
        if known is not None and known.name == name:
            known.at = now
        else:
            known = Person(name, token, self._asking, now)
        _put(self._known, digest, known)
        return known

    def _spend(self, now: float) -> None:
        # guesses must not become a flood at the API server
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            raise Busy
        self._tokens -= 1


def _put(store: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    store[key] = value
    store.move_to_end(key)
    while len(store) > REMEMBERED:
        store.popitem(last=False)
