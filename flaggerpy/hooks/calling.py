"""Calling a webhook: one POST, tried again as often as the hook allows, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flaggerpy.api.canary import Webhook
from flaggerpy.api.durations import parse_duration
from flaggerpy.http import Denied, Http, HttpError, HttpRequest, HttpResponse

DEFAULT_TIMEOUT = 10.0
MAX_BODY = 65_536
SHOWN_BODY = 1000
HEADER_SAFE = " !#$&'()*+,-./:;<=>?@[]^_`{|}~"


@dataclass(frozen=True)
class HookAnswer:
    """`ok` lets the release go on. `text` is the answer's body, or why there was none; `denied`: the egress rules close its URL."""

    ok: bool
    text: str = ""
    denied: bool = False


def timeout(hook: Webhook) -> float:
    """Seconds for one attempt: 10 where none, or nothing readable, is given."""
    try:
        seconds = parse_duration(hook.timeout or "")
    except ValueError:
        return DEFAULT_TIMEOUT
    return seconds if seconds > 0 else DEFAULT_TIMEOUT


def request(
    hook: Webhook, payload: Mapping[str, Any], idempotency_key: str = "", *, tenant: str = "", operators: bool = False
) -> HttpRequest:
    """The POST of a payload. Repeats of one call carry the same `Idempotency-Key`, so that a receiver can tell them.

    `tenant`: the Canary's namespace. `operators`: the hook is the operator's own (`-event-webhook`), and its URL a secret.
    """
    return HttpRequest(
        method="POST",
        url=hook.url,
        # a hook's name is any text, and not every text can be a header
        headers={"Idempotency-Key": quote(idempotency_key, safe=HEADER_SAFE)} if idempotency_key else {},
        json=dict(payload),
        timeout=timeout(hook),
        verify=not hook.disable_tls,
        max_body=MAX_BODY,
        trusted=operators,
        secret_url=operators,
        tenant=tenant,
        peer=("hook", hook.role),
    )


def answer(sent: HttpRequest, response: HttpResponse) -> HookAnswer:
    """Success is any 2xx (Flagger takes 203 and 204 for failures); the body is kept for any status, 5xx included."""
    shown = sent.quoted(response.text, SHOWN_BODY)
    if response.ok:
        return HookAnswer(True, shown)
    return HookAnswer(False, shown or f"status {response.status} without a text")


async def call(
    http: Http, hook: Webhook, payload: Mapping[str, Any], idempotency_key: str = "", *, tenant: str = "", operators: bool = False
) -> HookAnswer:
    """Ask a webhook. Connection errors, 429 and 5xx (but 501) are tried again `hook.retries` times. Never raises for what a hook does."""
    asked = request(hook, payload, idempotency_key, tenant=tenant, operators=operators)
    try:
        return answer(asked, await http.send(asked, retries=hook.retries))
    except Denied as error:
        return HookAnswer(False, f"spec.analysis.webhooks, url of {hook.name}: {error}", denied=True)
    except HttpError as error:
        return HookAnswer(False, str(error))
