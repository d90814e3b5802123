"""Alerts and hooks as they leave: what was delivered is not sent again when something else of the same item failed."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flaggerpy.api.canary import Canary, Webhook, parse_canary
from flaggerpy.api.status import CanaryStatus, OutboxItem
from flaggerpy.controller import outside as beyond_the_cluster
from flaggerpy.controller.outside import SECRET_CHARACTERS, SECRETS_KEPT, Beyond
from flaggerpy.controller.settings import Settings
from flaggerpy.http import Http, HttpRequest, HttpResponse
from flaggerpy.rollout.effects import AskHook, RecordEvent
from tests.fake_http import FakeHttp, answer


def canary(**analysis: Any) -> Canary:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"}
    return parse_canary({"metadata": {"name": "app", "namespace": "shop", "uid": "u"}, "spec": {"targetRef": target, "analysis": analysis}})


def provider(name: str) -> dict[str, Any]:
    spec = {"type": "slack", "channel": "c", "username": "u", "address": f"http://{name}/"}
    return {"metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"}, "spec": spec}


class Providers:
    def get(self, namespace: str, name: str) -> dict[str, Any]:
        return provider(name)


class Recorder:
    """Writes down events."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def record(self, involved: Any, message: str, *, type: str = "Normal", reason: str = "Synced", chapter: str = "") -> bool:
        self.told.append((type, message))
        return True


def beyond(http: Http, recorder: Recorder | None = None, providers: Any = None, settings: Settings | None = None) -> Beyond:
    world = SimpleNamespace(alert_providers=providers or Providers(), secrets=SimpleNamespace(get=lambda *_: None))
    client = SimpleNamespace(now=lambda: 0.0)
    told = cast(Any, recorder or Recorder())
    return Beyond(cast(Any, client), cast(Any, world), http, cast(Any, None), settings or Settings(), cast(Any, None), told)


class Shelf:
    """Secrets by name, and what was read of them."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.read: list[str] = []

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        return {"metadata": {"resourceVersion": "1"}} if name in self.data else None

    async def find(self, kind: Any, namespace: str, name: str) -> dict[str, Any] | None:
        self.read.append(name)
        if name not in self.data:
            return None
        return {"metadata": {"resourceVersion": "1"}, "data": {"token": base64.b64encode(self.data[name].encode()).decode()}}


async def test_secrets_are_read_once_and_none_is_kept_that_is_large_or_gone() -> None:
    shelf = Shelf()
    world, client = SimpleNamespace(alert_providers=None, secrets=shelf), SimpleNamespace(now=lambda: 0.0, find=shelf.find)
    nobody = cast(Any, None)
    outside = Beyond(cast(Any, client), cast(Any, world), FakeHttp(lambda _: answer()), nobody, Settings(), nobody, nobody)
    shelf.data = {"small": "t", "large": "t" * (SECRET_CHARACTERS + 1)}
    for _ in range(2):
        for name, token in shelf.data.items():
            assert await outside._secret("shop", name) == {"token": token}
    assert shelf.read == ["small", "large", "large"]
    shelf.data = {str(number): "t" for number in range(2 * SECRETS_KEPT)}
    for name in ("small", *shelf.data):
        await outside._secret("shop", name)
    assert len(outside._secrets) == SECRETS_KEPT
    assert ("shop", "small") not in outside._secrets


async def test_an_alert_is_repeated_only_where_it_did_not_arrive() -> None:
    refusing = {"http://two/"}

    def respond(request: HttpRequest) -> HttpResponse:
        return answer(b"no", 500) if request.url in refusing else answer()

    http = FakeHttp(respond)
    outside = beyond(http)
    released = canary(alerts=[{"name": name, "providerRef": {"name": name}} for name in ("one", "two")])
    item = OutboxItem(id="i", kind="alert", phase="Failed", severity="error", message="no")
    with pytest.raises(RuntimeError):
        await outside.deliver(released, CanaryStatus(), item)
    refusing.clear()
    await outside.deliver(released, CanaryStatus(), item)
    assert [request.url for request in http.sent] == ["http://one/", "http://two/", "http://two/"]


async def test_every_event_webhook_is_told_though_one_fails() -> None:
    http = FakeHttp(lambda request: answer(b"no", 500) if "bad" in request.url else answer())
    hooks = [{"name": name, "type": "event", "url": f"http://{name}/"} for name in ("bad", "good")]
    with pytest.raises(RuntimeError, match="bad"):
        await beyond(http).tell_event(canary(webhooks=hooks), CanaryStatus(), RecordEvent("Normal", "hello", "Progressing"))
    assert [request.url for request in http.sent] == ["http://bad/", "http://good/"]


class Silent(Http):
    """Takes every request, and lets those wait whose URL has this word, until `go`."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word, self.asked, self.go = word, list[str](), asyncio.Event()

    async def send(self, request: HttpRequest, **_: Any) -> HttpResponse:
        self.asked.append(request.url)
        if self.word in request.url:
            await self.go.wait()
        return answer()


async def test_an_event_webhook_has_a_minute_whatever_its_timeout_and_a_gate_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert beyond_the_cluster.EVENT_SECONDS == 60.0
    monkeypatch.setattr(beyond_the_cluster, "EVENT_SECONDS", 0.05)
    http = Silent("silent")
    outside = beyond(http)
    gate = Webhook(name="gate", url="http://silent/gate", type="confirm-promotion", timeout="24h")
    released = canary()
    asked = asyncio.create_task(outside.ask(released, CanaryStatus(), AskHook("1/gate", gate, "Progressing", "i")))
    hooks = [{"name": name, "type": "event", "url": f"http://{name}/", "timeout": "24h", "retries": 9} for name in ("silent", "good")]
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match=r"silent: no answer within 0\.05 s"):
            await outside.tell_event(canary(webhooks=hooks), CanaryStatus(), RecordEvent("Normal", "hello", "Progressing"))
    assert sorted(http.asked) == ["http://good/", "http://silent/", "http://silent/gate"]
    assert not asked.done()
    http.go.set()
    assert (await asked).ok


async def test_what_is_the_operators_own_takes_nothing_of_a_tenants_share() -> None:
    http = FakeHttp(lambda _: answer())
    settings = Settings(event_webhook="http://operators/events", slack_url="http://operators/slack", slack_user="u", slack_channel="c")
    outside = beyond(http, settings=settings)
    event, alert = RecordEvent("Normal", "hello", "Progressing"), OutboxItem(id="i", kind="alert", phase="Failed", severity="error")
    hook, provider = {"name": "mine", "type": "event", "url": "http://mine/"}, {"name": "one", "providerRef": {"name": "one"}}
    for released in (canary(), canary(webhooks=[hook], alerts=[provider])):
        await outside.tell_event(released, CanaryStatus(), event)
        await outside.deliver(released, CanaryStatus(), alert)
    assert [(request.url, request.tenant) for request in http.sent] == [
        ("http://operators/events", ""), ("http://operators/slack", ""), ("http://mine/", "shop"), ("http://one/", "shop"),
    ]  # fmt: skip


async def test_post_rollout_hooks_are_told_one_by_one_and_stop_at_the_first_that_fails() -> None:
    http = FakeHttp(lambda request: answer(b"not today", 500) if "second" in request.url else answer())
    hooks = [{"name": name, "type": "post-rollout", "url": f"http://{name}/"} for name in ("first", "second", "third")]
    recorder = Recorder()
    await beyond(http, recorder).deliver(canary(webhooks=hooks), CanaryStatus(), OutboxItem(id="i", kind="post-rollout", phase="Succeeded"))
    assert [request.url for request in http.sent] == ["http://first/", "http://second/"]
    assert recorder.told == [
        ("Normal", "Post-rollout check first passed"),
        ("Warning", "Post-rollout hook second failed not today"),
    ]


async def test_what_came_of_post_rollout_hooks_is_told_to_event_webhooks_too() -> None:
    http = FakeHttp(lambda request: answer(b"no", 500) if "deaf" in request.url else answer())
    hooks = [{"name": "after", "type": "post-rollout", "url": "http://after/"}]
    hooks += [{"name": name, "type": "event", "url": f"http://{name}/"} for name in ("deaf", "ears")]
    recorder = Recorder()
    await beyond(http, recorder).deliver(canary(webhooks=hooks), CanaryStatus(), OutboxItem(id="i", kind="post-rollout", phase="Failed"))
    assert [request.url for request in http.sent] == ["http://after/", "http://deaf/", "http://ears/"]
    body = http.sent[-1].json
    assert isinstance(body, dict)
    assert (body["phase"], body["metadata"]["eventMessage"]) == ("Failed", "Post-rollout check after passed")
    assert recorder.told == [("Normal", "Post-rollout check after passed")]


async def test_an_alert_provider_that_is_not_there_is_told_and_stops_nothing() -> None:
    recorder = Recorder()
    outside = beyond(FakeHttp(lambda request: answer()), recorder, SimpleNamespace(get=lambda *_: None))
    released = canary(alerts=[{"name": "one", "providerRef": {"name": "gone"}}])
    await outside.deliver(released, CanaryStatus(), OutboxItem(id="i", kind="alert", phase="Failed", severity="error", message="no"))
    assert recorder.told == [("Warning", "Alert not sent: alert provider gone.shop does not exist")]
