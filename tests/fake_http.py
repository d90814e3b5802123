"""The waist of `http.py` without a network: requests are kept, answers given."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flaggerpy.http import Http, HttpRequest, HttpResponse


def answer(body: Any = b"", status: int = 200) -> HttpResponse:
    """An answer with these bytes, or with this as JSON."""
    return HttpResponse(status=status, headers={}, body=body if isinstance(body, bytes) else json.dumps(body).encode())


class FakeHttp(Http):
    """Gives what `respond` says for a request (raising what it raises), and keeps what was sent."""

    def __init__(self, respond: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__()
        self.respond, self.sent, self.retries = respond, list[HttpRequest](), list[int]()

    async def send(self, request: HttpRequest, *, retries: int = 0, **_: Any) -> HttpResponse:
        self.sent.append(request)
        self.retries.append(retries)
        return self.respond(request)
