"""Sending alerts: where to, with what, and what counts as arrived."""

from __future__ import annotations

import pytest

from flaggerpy.alerts import Alert, Delivery, Destination, send
from flaggerpy.http import HttpRequest, HttpResponse, TimedOut
from tests.fake_http import FakeHttp, answer

ALERT = Alert("podinfo", "test", "m")
URL = "https://hooks.example/services/secret"


async def sent(place: Destination, said: HttpResponse | Exception | None = None) -> tuple[Delivery, HttpRequest]:
    def respond(_: HttpRequest) -> HttpResponse:
        if isinstance(said, Exception):
            raise said
        return said or answer(b"ok")

    http = FakeHttp(respond)
    delivery = await send(http, ALERT, place)
    assert http.retries == [0]
    return delivery, http.sent[0]


async def test_the_request() -> None:
    delivery, request = await sent(Destination("slack", URL, token="t", proxy="http://proxy:3128"))
    assert delivery == Delivery(True)
    assert (request.method, request.url, request.timeout, request.proxy) == ("POST", URL, 5.0, "http://proxy:3128")
    assert dict(request.headers) == {"Authorization": "Bearer t"}
    assert request.json["attachments"][0]["text"] == "m"
    assert request.secret_url


@pytest.mark.parametrize("kind", ["discord", "rocket", "msteams", "gchat"])
async def test_only_slack_gets_a_token(kind: str) -> None:
    _, request = await sent(Destination(kind, URL, token="t"))
    assert not request.headers


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("https://discord.example/api/webhooks/1/2", "https://discord.example/api/webhooks/1/2/slack"),
        ("https://discord.example/api/webhooks/1/2/", "https://discord.example/api/webhooks/1/2/slack"),
        ("https://discord.example/api/webhooks/1/2/slack", "https://discord.example/api/webhooks/1/2/slack"),
        ("https://discord.example/api/webhooks/1/2?thread_id=3", "https://discord.example/api/webhooks/1/2/slack?thread_id=3"),
    ],
)
async def test_discord_takes_slacks_shape_under_its_own_path(url: str, asked: str) -> None:
    _, request = await sent(Destination("discord", url))
    assert request.url == asked


async def test_what_did_not_arrive_says_why() -> None:
    slack = Destination("slack", URL)
    assert (await sent(slack, answer(b"no_service", 404)))[0] == Delivery(False, "slack answered with status 404: no_service")
    refused = answer({"ok": False, "error": "channel_not_found"})
    assert (await sent(slack, refused))[0] == Delivery(False, "slack refused the message: channel_not_found")
    assert (await sent(slack, answer({"ok": True})))[0] == Delivery(True)
    lost = TimedOut("https://hooks.example/...: no answer within 5 s")
    assert (await sent(slack, lost))[0] == Delivery(False, "slack could not be reached: https://hooks.example/...: no answer within 5 s")
