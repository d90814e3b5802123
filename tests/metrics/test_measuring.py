"""Measuring: results of all kinds, equal queries sent once, servers that are not there."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from flaggerpy.http import BadRequestUrl, Http, HttpRequest, HttpResponse, TimedOut
from flaggerpy.metrics.evaluate import Settings
from flaggerpy.metrics.lookups import Lookups
from flaggerpy.metrics.measuring import AT_ONCE, Material, Measurer, Result
from tests.fake_http import FakeHttp, answer
from tests.metrics.canaries import canary, metric, template, vector

SETTINGS = Settings(mesh_provider="kubernetes")
NOTHING = Material()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def measurer(*answers: HttpResponse | Exception, clock: Clock | None = None, lookups: Lookups | None = None) -> tuple[Measurer, FakeHttp]:
    """Gives the answers in order, the last one for ever."""
    left = list(answers)

    def respond(_: HttpRequest) -> HttpResponse:
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, Exception):
            raise said
        return said

    http = FakeHttp(respond)
    return Measurer(http, lookups, clock or Clock()), http


async def test_a_value_that_passes_has_no_text() -> None:
    measure, _ = measurer(vector("99.5"))
    result = await measure.measure(canary(), metric(thresholdRange={"min": 99}), NOTHING, SETTINGS)
    assert result == Result("value", 99.5)
    assert result.passed


async def test_a_value_that_fails_carries_the_verdict() -> None:
    measure, _ = measurer(vector("1.515625"))
    result = await measure.measure(canary(), metric("request-duration", thresholdRange={"max": 500}), NOTHING, SETTINGS)
    assert result == Result("value", 1515.625, "Halt podinfo.test advancement request duration 1.515s > 500ms")
    assert not result.passed


async def test_no_data_is_a_kind_of_its_own() -> None:
    measure, _ = measurer(vector())
    result = await measure.measure(canary(), metric(), NOTHING, SETTINGS)
    assert result.kind == "no-data"
    assert "probably podinfo.test is not receiving traffic" in result.text


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (TimedOut("http://prometheus:9090/api/v1/query: no answer within 5 s"), "unreachable"),
        (answer(b"busy", 503), "unreachable"),
        (answer(b"bad", 400), "error"),
        (BadRequestUrl("the URL cannot be used"), "error"),
    ],
)
async def test_a_server_that_cannot_be_asked_is_told_from_one_that_refuses(said: HttpResponse | Exception, kind: str) -> None:
    measure, _ = measurer(said)
    result = await measure.measure(canary(), metric(), NOTHING, SETTINGS)
    assert result.kind == kind
    assert result.text.startswith("Prometheus query failed: ")


async def test_a_metric_without_any_query_is_an_error() -> None:
    measure, http = measurer(vector("1"))
    result = await measure.measure(canary(), metric("mine"), NOTHING, SETTINGS)
    assert result == Result("error", text="Metric query failed for no usable metrics template and query were configured")
    assert not http.sent


async def test_all_checks_of_a_metric_must_pass_and_the_first_that_does_not_is_told() -> None:
    both = metric(thresholdRange={"min": 99}, templateRef={"name": "errors", "namespace": "flagger"})
    measure, http = measurer(vector("100"), vector("3"))
    result = await measure.measure(canary(), both, Material(template()), SETTINGS)
    assert result.text == "Halt podinfo.test advancement request-success-rate 3.00 < 99"
    assert [request.url.split("/")[2] for request in http.sent] == ["prometheus:9090", "prometheus.monitoring:9090"]
    measure, _ = measurer(vector("100"), vector("99.9"))
    assert await measure.measure(canary(), both, Material(template()), SETTINGS) == Result("value", 100.0)


async def test_a_missing_template_is_an_error_and_sends_nothing() -> None:
    measure, http = measurer(vector("1"))
    result = await measure.measure(canary(), metric("mine", templateRef={"name": "x"}), NOTHING, SETTINGS)
    assert result == Result("error", text="Metric template x.test error: there is no such MetricTemplate")
    assert not http.sent


class SlowHttp(Http):
    """Answers only when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.sent = asyncio.Event(), 0

    async def send(self, request: HttpRequest, **_: Any) -> HttpResponse:
        self.sent += 1
        await self.go.wait()
        return vector("100")


async def test_equal_queries_at_the_same_time_are_sent_once() -> None:
    http = SlowHttp()
    measure = Measurer(http)
    waiting = [asyncio.create_task(measure.measure(canary(), metric(), NOTHING, SETTINGS)) for _ in range(20)]
    await asyncio.sleep(0)
    http.go.set()
    assert {result.value for result in await asyncio.gather(*waiting)} == {100.0}
    assert http.sent == 1


async def test_who_gives_up_does_not_take_the_answer_from_others() -> None:
    http = SlowHttp()
    measure = Measurer(http)
    first, second = (asyncio.create_task(measure.measure(canary(), metric(), NOTHING, SETTINGS)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    http.go.set()
    assert (await second).value == 100.0
    assert http.sent == 1


async def test_an_answer_is_shared_for_half_an_interval_and_no_longer() -> None:
    clock = Clock()
    measure, http = measurer(vector("1"), clock=clock)
    pace = canary(analysis={"interval": "4s"})
    for at, sent in ((0.0, 1), (1.9, 1), (2.1, 2), (4.0, 2), (4.2, 3)):
        clock.now = at
        await measure.measure(pace, metric(), NOTHING, SETTINGS)
        assert len(http.sent) == sent


async def test_queries_with_other_credentials_are_not_equal() -> None:
    measure, http = measurer(vector("1"))
    mine = metric("mine", templateRef={"name": "errors", "namespace": "flagger"})
    for token in ("a", "b", "a"):
        await measure.measure(canary(), mine, Material(template(secretRef={"name": "keys"}), {"token": token}), SETTINGS)
    assert [request.headers["Authorization"] for request in http.sent] == ["Bearer a", "Bearer b"]


async def test_a_server_that_could_not_be_asked_is_asked_again_at_once() -> None:
    measure, http = measurer(TimedOut("no answer"), vector("100"))
    assert (await measure.measure(canary(), metric(), NOTHING, SETTINGS)).kind == "unreachable"
    assert (await measure.measure(canary(), metric(), NOTHING, SETTINGS)).kind == "value"
    assert len(http.sent) == 2


async def test_an_unforeseen_error_is_not_shared() -> None:
    measure, http = measurer(RuntimeError("a bug"), vector("100"))
    with pytest.raises(RuntimeError, match="a bug"):
        await measure.measure(canary(), metric(), NOTHING, SETTINGS)
    assert (await measure.measure(canary(), metric(), NOTHING, SETTINGS)).value == 100.0
    assert len(http.sent) == 2


async def test_a_server_that_hangs_does_not_hold_up_another() -> None:
    class Hanging(Http):
        async def send(self, request: HttpRequest, **_: Any) -> HttpResponse:
            if "hangs" in request.url:
                await asyncio.Event().wait()
            return vector("100")

    measure = Measurer(Hanging())
    slow = [
        asyncio.create_task(measure.measure(canary(metricsServer="http://hangs:9090"), metric(interval=f"{n}s"), NOTHING, SETTINGS))
        for n in range(1, 2 * AT_ONCE)
    ]
    await asyncio.sleep(0)
    assert (await measure.measure(canary(), metric(), NOTHING, SETTINGS)).value == 100.0
    for task in slow:
        task.cancel()


async def test_namespaces_whose_hooks_hang_hold_up_no_measurement_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tarpit(Http):
        async def _exchange(self, request: HttpRequest, context: ssl.SSLContext) -> HttpResponse:
            if "tarpit" in request.url:
                await asyncio.Event().wait()
            return vector("100")

    monkeypatch.setattr("flaggerpy.http.REQUESTS_OF_TENANT", 2)
    http, tasks = Tarpit(), list[asyncio.Task[Any]]()
    measure = Measurer(http)
    for namespace in ("hostile", "accomplice"):
        tasks += [asyncio.create_task(http.send(HttpRequest("POST", "http://tarpit/", tenant=namespace))) for _ in range(2)]
        of = canary().model_copy(update={"namespace": namespace})
        asked = [metric(interval=f"{n}s") for n in range(1, 2 * AT_ONCE)]
        tasks += [asyncio.create_task(measure.measure(of, each, NOTHING, SETTINGS)) for each in asked]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(5):
        assert (await measure.measure(canary(), metric(), NOTHING, SETTINGS)).value == 100.0
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await http.aclose()


async def test_shared_answers_do_not_pile_up() -> None:
    clock = Clock()
    measure, _ = measurer(vector("1"), clock=clock)
    for number in range(50):
        clock.now = number * 10.0
        await measure.measure(canary(), metric(interval=f"{number + 1}s"), NOTHING, SETTINGS)
    assert len(measure._shared) <= 2


class KnowsNothing:
    def get_label_values(self, label_name: str, params: dict[str, Any] | None = None) -> list[str]:
        return []


async def test_no_data_says_which_metric_does_not_exist() -> None:
    measure, _ = measurer(vector(), lookups=Lookups(lambda access: KnowsNothing()))
    result = await measure.measure(canary(), metric("mine", query="sum(rate(foo_total[1m]))"), NOTHING, SETTINGS)
    assert result.text == (
        "Halt advancement no values found for metric: mine; metric foo_total does not exist on http://prometheus:9090"
    )


async def test_servers_that_are_not_there_are_named_once() -> None:
    measure, http = measurer(TimedOut("no answer within 5 s"))
    asked = [(metric(), NOTHING), (metric("request-duration"), NOTHING), (metric("mine"), NOTHING)]
    assert await measure.unavailable(canary(), asked, SETTINGS) == (
        "prometheus at http://prometheus:9090 is not available: no answer within 5 s",
    )
    assert len(http.sent) == 1


async def test_servers_that_are_there_are_not_named() -> None:
    measure, _ = measurer(vector("1"))
    assert await measure.unavailable(canary(), [(metric(), NOTHING)], SETTINGS) == ()
    missing = metric("mine", templateRef={"name": "x"})
    assert await measure.unavailable(canary(), [(missing, NOTHING)], SETTINGS) == (
        "Metric template x.test error: there is no such MetricTemplate",
    )
