"""Sending an alert: one POST per destination, and whether it arrived."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from urllib.parse import urlsplit, urlunsplit

from flaggerpy.alerts.payloads import PAYLOADS, Alert, Destination
from flaggerpy.http import Denied, Http, HttpError, HttpRequest, HttpResponse

TIMEOUT = 5.0
MAX_BODY = 65_536
SHOWN = 500


@dataclass(frozen=True)
class Delivery:
    """Whether a destination took an alert; else why not, without its URL, which is a credential. `denied`: by the egress rules."""

    ok: bool
    text: str = ""
    denied: bool = False


def request(alert: Alert, destination: Destination) -> HttpRequest:
    """The POST of an alert. Discord takes Slack's shape under a path of its own; only Slack takes a token."""
    return HttpRequest(
        method="POST",
        url=_discord(destination.url) if destination.kind == "discord" else destination.url,
        headers={"Authorization": f"Bearer {destination.token}"} if destination.token and destination.kind == "slack" else {},
        json=PAYLOADS[destination.kind](alert, destination),
        timeout=TIMEOUT,
        proxy=destination.proxy or None,
        secret_url=True,
        peer=("alert", destination.kind),
        max_body=MAX_BODY,
        trusted=destination.trusted,
        tenant=destination.tenant,
    )


def delivery(destination: Destination, response: HttpResponse) -> Delivery:
    """Success is any 2xx, unless Slack's API says otherwise in the body, as it does for a wrong token or channel."""
    body = response.text
    if not response.ok:
        return Delivery(False, f"{destination.kind} answered with status {response.status}: {body}")
    if destination.kind == "slack":
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            return Delivery(True)
        if isinstance(said, dict) and said.get("ok") is False:
            return Delivery(False, f"slack refused the message: {said.get('error', 'no reason given')}")
    return Delivery(True)


async def send(http: Http, alert: Alert, destination: Destination) -> Delivery:
    """Send one alert. Not tried again here: who calls keeps it until it has left."""
    asked = request(alert, destination)
    try:
        told = delivery(destination, await http.send(asked))
        return replace(told, text=asked.quoted(told.text, SHOWN))
    except Denied as error:
        return Delivery(False, str(error), denied=True)
    except HttpError as error:
        return Delivery(False, f"{destination.kind} could not be reached: {error}")


def _discord(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith("/slack") else f"{path}/slack"))
