"""A release that is watched: one trace although its controller is killed, data in every panel of the dashboard, no alert that is wrong."""

from __future__ import annotations

import httpx
import pytest

from e2e.core.controllers import Controller
from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Object, until
from e2e.observe.otlp import Collector, Received
from e2e.sandbox import Sandbox
from flaggerpy.observe.alerts import ALERTS
from flaggerpy.observe.dashboard import expressions, filled

SILENT = ("flagger_namespace_attended", "flagger_shard_attended", 'flagger_watch_restarts_total{reason="error"}', "flagger_restarts_total")
"""Parts of queries that have no data where all is well."""
ELSEWHERE = ("FlaggerCanaryFailed", "FlaggerWatchErrors", "FlaggerEventLoopLag", "FlaggerQueueLag")
"""Alerts that other tests of this run, or a machine that is busy, may well give reason for."""


def watched(stage: Stage, receiver: Receiver, prometheus: str) -> Object:
    """A Canary with a metric, a hook and an alert in it."""
    template = {
        "apiVersion": "flagger.app/v1beta1", "kind": "MetricTemplate", "metadata": {"name": "one", "namespace": stage.namespace},
        "spec": {"provider": {"type": "prometheus", "address": prometheus}, "query": "vector(1)"},
    }  # fmt: skip
    provider = {
        "apiVersion": "flagger.app/v1beta1", "kind": "AlertProvider", "metadata": {"name": "chat", "namespace": stage.namespace},
        "spec": {"type": "slack", "channel": "c", "username": "u", "address": f"{receiver.url}/chat"},
    }  # fmt: skip
    stage.kube.apply(template, provider)
    analysis = {
        "interval": "2s", "threshold": 2, "stepWeight": 20, "maxWeight": 60,
        "metrics": [{"name": "one", "templateRef": {"name": "one"}, "thresholdRange": {"min": 0.5}, "interval": "10s"}],
        "webhooks": [{"name": "load", "type": "rollout", "url": f"{receiver.url}/load"}],
        "alerts": [{"name": "chat", "severity": "info", "providerRef": {"name": "chat"}}],
    }  # fmt: skip
    return stage.canary(analysis=analysis)


def chain(spans: list[Received]) -> list[str]:
    """The names of a run's steps in their order."""
    root = next(span for span in spans if span.name == "release")
    steps = [span for span in spans if span.parent == root.id and span.kind == "INTERNAL"]
    return [span.name for span in sorted(steps, key=lambda span: span.start)]


@pytest.mark.alone
def test_one_release_is_one_trace_although_its_controller_is_killed(
    stage: Stage, receiver: Receiver, controller: Controller, collector: Collector, sandbox: Sandbox
) -> None:
    stage.initialise(watched(stage, receiver, sandbox.prometheus_url), seconds=60)
    stage.release("1.0.1")
    stage.until_status(lambda status: status.get("canaryWeight") == 40, 60, "weight 40")
    controller.kill()
    controller.start()
    stage.phase("Succeeded", seconds=90)
    mine = {"k8s.namespace.name": stage.namespace}
    revision = stage.status()["history"][0]["revision"]

    def release() -> list[Received] | None:
        own = [span for span in collector.spans if mine.items() <= span.attributes.items()]
        roots = [span for span in own if span.name == "release" and span.attributes["flagger.revision"] == revision]
        found = [span for span in own if roots and span.trace == roots[0].trace]
        return found if any(span.name.startswith("alert") for span in found) else None

    spans = until(release, 30, "the spans of the release", lambda: [span.name for span in collector.spans])
    root = next(span for span in spans if span.name == "release")
    assert (root.status, root.attributes["flagger.outcome"]) == ("OK", "Succeeded")
    steps = chain(spans)
    # the step that ended within the killed controller's last second may have gone with it
    wanted = ["start pods", "check before traffic", "weight 20%", "weight 40%", "weight 60%", "promote", "finalise"]
    assert [name for name in wanted if name in steps] == [name for name in steps if name in wanted]
    assert {"weight 40%", "weight 60%", "promote", "finalise"} <= set(steps)
    assert all(root.start - 2 <= span.start <= span.end <= root.end + 30 for span in spans)
    ids = {span.id: span for span in spans}
    queries = [span for span in spans if span.name == "metric one"]
    hooks = [span for span in spans if span.name == "hook load"]
    assert queries
    assert hooks
    assert {ids[span.parent].name for span in (*queries, *hooks) if span.parent in ids} <= set(wanted)
    assert {span.status for span in (*queries, *hooks)} == {"OK"}
    # what the hook does can become a part of the trace
    headers = [item.headers["traceparent"].split("-") for item in receiver.at("/load")]
    assert {trace for _, trace, _, _ in headers} == {root.trace}
    assert {span.id for span in hooks} <= {parent for _, _, parent, _ in headers}
    assert not [item for item in receiver.at("/chat") if "traceparent" in item.headers]


def ask(sandbox: Sandbox, expr: str) -> list[Object]:
    answer = httpx.get(f"{sandbox.prometheus_url}/api/v1/query", params={"query": expr}, timeout=10, trust_env=False)
    assert answer.status_code == 200, f"{expr}: {answer.text}"
    result: list[Object] = answer.json()["data"]["result"]
    return result


def test_every_panel_shows_something_of_a_release_and_no_alert_is_wrong(
    stage: Stage, receiver: Receiver, controller: Controller, sandbox: Sandbox
) -> None:
    stage.initialise(watched(stage, receiver, sandbox.prometheus_url), seconds=60)
    until(lambda: ask(sandbox, "flagger_info"), 30, "Prometheus to scrape the controller")
    stage.release("1.0.1")
    waiting = {filled(expr) for expr in expressions() if not any(part in expr for part in SILENT)}
    shown: set[str] = set()

    def all_shown() -> bool:
        shown.update(expr for expr in waiting - shown if ask(sandbox, expr))
        return shown == waiting

    until(all_shown, 120, "data in every panel", lambda: waiting - shown)
    for expr in expressions():
        ask(sandbox, filled(expr, namespace=stage.namespace, label="exported_namespace"))
    weights = ask(sandbox, f'flagger_canary_weight{{namespace="{stage.namespace}"}}')
    assert {series["metric"]["workload"] for series in weights} == {"app", "app-primary"}
    for alert in ALERTS:
        firing = ask(sandbox, alert.expr)
        # the other test kills a controller, and canaries of other tests may have failed
        assert alert.name in ELSEWHERE or not firing, alert.name


def test_exemplars_lead_from_a_bucket_to_a_trace(controller: Controller, collector: Collector) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    text = httpx.get(f"http://127.0.0.1:{controller.port}/metrics", headers=accept, timeout=5, trust_env=False).text
    assert text.endswith("# EOF\n")
    assert any(f'trace_id="{trace}"' in text for trace in {span.trace for span in collector.spans})
