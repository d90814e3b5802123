"""Calling webhooks: what counts as yes, what a no says, time-outs, retries and keys."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.api.canary import Webhook
from flaggerpy.hooks import HookAnswer, call
from flaggerpy.http import HttpRequest, HttpResponse, TimedOut
from tests.fake_http import FakeHttp, answer


def hook(**fields: Any) -> Webhook:
    return Webhook.model_validate({"name": "gate", "url": "http://loadtester/gate/check"} | fields)


async def ask(said: HttpResponse | Exception, subject: Webhook | None = None, key: str = "") -> tuple[HookAnswer, FakeHttp]:
    def respond(_: HttpRequest) -> HttpResponse:
        if isinstance(said, Exception):
            raise said
        return said

    http = FakeHttp(respond)
    return await call(http, subject or hook(), {"name": "podinfo"}, key), http


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 299])
@pytest.mark.fault("Q-51")
async def test_every_2xx_is_a_yes(status: int) -> None:
    said, _ = await ask(answer(b"OK", status))
    assert said == HookAnswer(True, "OK")


@pytest.mark.parametrize("status", [199, 300, 400, 403, 404, 429, 500, 501, 503])
@pytest.mark.fault("Q-51")
async def test_everything_else_is_a_no_with_the_answers_text(status: int) -> None:
    said, _ = await ask(answer(b"acceptance test\nfailed: 3 of 10", status))
    assert said == HookAnswer(False, "acceptance test failed: 3 of 10")


async def test_a_no_without_a_text_names_its_status() -> None:
    said, _ = await ask(answer(b"", 503))
    assert said == HookAnswer(False, "status 503 without a text")


async def test_long_texts_are_cut() -> None:
    said, _ = await ask(answer(b"x" * 5000, 500))
    assert said.text == "x" * 1000 + "..."


async def test_no_answer_is_a_no() -> None:
    said, _ = await ask(TimedOut("http://loadtester/gate/check: no answer within 10 s"))
    assert said == HookAnswer(False, "http://loadtester/gate/check: no answer within 10 s")


async def test_the_request() -> None:
    _, http = await ask(answer(), hook(retries=3), "run-step-gate")
    assert http.retries == [3]
    sent = http.sent[0]
    assert (sent.method, sent.url, sent.json, sent.verify) == ("POST", "http://loadtester/gate/check", {"name": "podinfo"}, True)
    assert dict(sent.headers) == {"Idempotency-Key": "run-step-gate"}


async def test_without_a_key_there_is_no_header() -> None:
    _, http = await ask(answer())
    assert not http.sent[0].headers


async def test_certificates_are_not_checked_when_tls_is_disabled() -> None:
    _, http = await ask(answer(), hook(disableTLS=True))
    assert http.sent[0].verify is False


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, 10.0), ("", 10.0), ("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("5", 10.0), ("0s", 10.0)]
)
async def test_the_time_out_of_an_attempt(text: str | None, seconds: float) -> None:
    _, http = await ask(answer(), hook(timeout=text))
    assert http.sent[0].timeout == seconds
