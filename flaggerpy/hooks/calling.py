"""Calling a webhook: one POST, tried again as often as the hook allows, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.canary import Webhook
from flaggerpy.api.durations import parse_duration
from flaggerpy.http import Http, HttpError, HttpRequest, HttpResponse

DEFAULT_TIMEOUT = 10.0
SHOWN_BODY = 1000


@dataclass(frozen=True)
class HookAnswer:
    """`ok` lets the release go on. `text` is the answer's body, or why there was none."""

    ok: bool
    text: str = ""


def timeout(hook: Webhook) -> float:
    """Seconds for one attempt: 10 where none, or nothing readable, is given."""
    try:
        seconds = parse_duration(hook.timeout or "")
    except ValueError:
        return DEFAULT_TIMEOUT
    return seconds if seconds > 0 else DEFAULT_TIMEOUT


def request(hook: Webhook, payload: Mapping[str, Any], idempotency_key: str = "") -> HttpRequest:
    """The POST of a payload. Repeats of one call carry the same `Idempotency-Key`, so that a receiver can tell them."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return HttpRequest(
        method="POST", url=hook.url, headers=headers, json=dict(payload), timeout=timeout(hook), verify=not hook.disable_tls,
        peer=("hook", hook.role),
    )  # fmt: skip


def answer(hook: Webhook, response: HttpResponse) -> HookAnswer:
    """Success is any 2xx (Flagger takes 203 and 204 for failures); the body is kept for any status, 5xx included."""
    body = " ".join(response.text.split())
    shown = body if len(body) <= SHOWN_BODY else f"{body[:SHOWN_BODY]}..."
    if response.ok:
        return HookAnswer(True, shown)
    return HookAnswer(False, shown or f"status {response.status} without a text")


async def call(http: Http, hook: Webhook, payload: Mapping[str, Any], idempotency_key: str = "") -> HookAnswer:
    """Ask a webhook. Connection errors, 429 and 5xx (but 501) are tried again `hook.retries` times. Never raises for what a hook does."""
    try:
        return answer(hook, await http.send(request(hook, payload, idempotency_key), retries=hook.retries))
    except HttpError as error:
        return HookAnswer(False, str(error))
