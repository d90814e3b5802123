"""What can go wrong with the requests to a registry: which of them it meets, and what becomes of their answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

MANIFESTS = r"/v2/.+/manifests/"
BLOBS = r"/v2/.+/blobs/"
ANY = r"^/(v2|token)"


@dataclass(frozen=True, eq=False)
class Fault:
    """A fault meets the requests whose path has `path` (a regular expression) in it and whose Host header has `host`.

    Two of the same content are two faults. What it does, in this order: nothing is answered for `delay` seconds (None: for ever), or until
    it is healed; `status` is answered instead of the truth, with `headers` and `text`; the body is sent at `rate` bytes a second, with
    its last byte turned (`altered`), and the connection breaks after `cut` bytes of it. Only the first `times` requests are met.
    """

    path: str = ANY
    host: str = ""
    times: int | None = None
    delay: float | None = 0.0
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    rate: float | None = None
    altered: bool = False
    cut: int | None = None

    def meets(self, path: str, host: str) -> bool:
        return bool(re.search(self.path, path) and re.search(self.host, host))


def rate_limited(retry_after: float | str | None = None, *, path: str = MANIFESTS, times: int | None = None) -> Fault:
    """429, as public registries answer it; `retry_after` in seconds or as an HTTP date."""
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after}"}
    return Fault(path=path, status=429, headers=headers, text="You have reached your pull rate limit.", times=times)


def failing(status: int = 503, *, path: str = ANY, times: int | None = None) -> Fault:
    return Fault(path=path, status=status, times=times)


def hanging(*, path: str = ANY) -> Fault:
    """Connections are taken and requests read, but nothing is answered until it is healed."""
    return Fault(path=path, delay=None)


def slow(seconds: float, *, path: str = ANY) -> Fault:
    """The first byte comes late."""
    return Fault(path=path, delay=seconds)


def trickling(rate: float, *, path: str = BLOBS) -> Fault:
    """Blobs come at so many bytes a second."""
    return Fault(path=path, rate=rate)


def cut(after: int = 10, *, path: str = BLOBS, times: int | None = None) -> Fault:
    """The connection breaks within the body."""
    return Fault(path=path, cut=after, times=times)


def altered(*, path: str = BLOBS, times: int | None = None) -> Fault:
    """The body is as long as it should be, but not what it should be: its digest does not match. `path=MANIFESTS` for manifests."""
    return Fault(path=path, altered=True, times=times)
