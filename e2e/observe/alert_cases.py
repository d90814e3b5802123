"""For each alert a story told in series, and when it must fire and when it must not; promtool plays them.

A case is (series, minute, labels or None): at that minute the alert fires with these labels, or does not; `value` is how its text shows the
value. Series are promtool's notation, a sample a minute. Time begins at 0, so that `time()` is 60 a minute.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from flaggerpy.observe.alerts import ALERTS

OWN = 'name="podinfo",namespace="test"'
BUCKETS = ("0.001", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1.0", "5.0", "+Inf")


class Case(NamedTuple):
    """`labels` None: it does not fire then."""

    series: dict[str, str]
    minute: int
    labels: dict[str, str] | None
    value: str = ""


def _histogram(name: str, slowest: str) -> dict[str, str]:
    """Sixty observations a minute, all within the bucket that `slowest` closes."""
    return {f'{name}_bucket{{le="{le}"}}': "0+60x60" if float(le) >= float(slowest) else "0x60" for le in BUCKETS}


def _since(phase: str, values: str) -> dict[str, str]:
    return {f'flagger_canary_phase_start_time_seconds{{{OWN},phase="{phase}"}}': values}


def _attended(*values: str) -> dict[str, str]:
    return {f'flagger_namespace_attended{{namespace="test",instance="{number}"}}': f"{value}x30" for number, value in enumerate(values)}


def _led(*values: int) -> dict[str, str]:
    return {f'flagger_shard_attended{{shard="1",instance="{number}"}}': f"{value}x30" for number, value in enumerate(values)}


CANARY = {"name": "podinfo", "namespace": "test"}
CASES: dict[str, tuple[Case, ...]] = {
    "FlaggerCanaryFailed": (
        Case({f"flagger_canary_status{{{OWN}}}": "0x3 2x5 0x5"}, 2, None),
        Case({f"flagger_canary_status{{{OWN}}}": "0x3 2x5 0x5"}, 5, CANARY),
        Case({f"flagger_canary_status{{{OWN}}}": "0x3 2x5 0x5"}, 12, None),
    ),
    "FlaggerCanaryStalled": (
        # as it is where the monitor does not honour labels
        Case(
            {'flagger_canary_stalled{name="podinfo",namespace="system",exported_namespace="test",reason="Blocked"}': "1x30"}, 11,
            {"name": "podinfo", "namespace": "system", "exported_namespace": "test", "reason": "Blocked"},
        ),
        Case({f'flagger_canary_stalled{{{OWN},reason="TargetMissing"}}': "1x30"}, 9, None),
        Case({f'flagger_canary_stalled{{{OWN},reason="TargetMissing"}}': "1x30"}, 11, {**CANARY, "reason": "TargetMissing"}),
        Case({f'flagger_canary_stalled{{{OWN},reason="Failed"}}': "1x30"}, 20, None),
    ),
    "FlaggerCanaryStuck": (
        Case(_since("Promoting", "60x60"), 25, None),
        Case(_since("Promoting", "60x60"), 32, {**CANARY, "phase": "Promoting"}, "31m 0s"),
        Case(_since("Succeeded", "60x60"), 50, None),
    ),
    "FlaggerAnalysisLong": (
        Case(_since("Progressing", "0x300"), 230, None),
        Case(_since("Progressing", "0x300"), 241, {**CANARY, "phase": "Progressing"}, "4h 1m 0s"),
    ),
    "FlaggerWaitsForApproval": (
        Case(_since("Waiting", "0x1500"), 1439, None),
        Case(_since("Waiting", "0x1500"), 1441, {**CANARY, "phase": "Waiting"}, "1d 0h 1m 0s"),
    ),
    "FlaggerDown": (
        Case({'flagger_info{version="1"}': "1x5 _x20"}, 5, None),
        Case({'flagger_info{version="1"}': "1x2 stale _x20"}, 9, {}),
    ),
    "FlaggerNoLeader": (
        Case({'flagger_leader{instance="a"}': "0x20", 'flagger_leader{instance="b"}': "1x20"}, 10, None),
        Case({'flagger_leader{instance="a"}': "0x20", 'flagger_leader{instance="b"}': "0x20"}, 1, None),
        Case({'flagger_leader{instance="a"}': "0x20", 'flagger_leader{instance="b"}': "0x20"}, 3, {}),
    ),
    "FlaggerShardUnattended": (
        Case(_led(0, 0), 1, None),
        Case(_led(0, 0), 5, {"shard": "1"}),
        Case(_led(0, 1), 5, None),
    ),
    "FlaggerNamespaceUnattended": (
        Case(_attended("0", "1"), 20, None),
        Case(_attended("0", "0"), 20, {"namespace": "test"}),
    ),
    "FlaggerEventLoopLag": (
        Case(_histogram("flagger_event_loop_lag_seconds", "0.05"), 30, None),
        Case(_histogram("flagger_event_loop_lag_seconds", "1.0"), 30, {}, "992.5ms"),
    ),
    "FlaggerQueueLag": (
        Case(_histogram("flagger_inbox_wait_seconds", "0.25"), 30, None),
        Case(_histogram("flagger_inbox_wait_seconds", "5.0"), 30, {}, "4.96s"),
    ),
    "FlaggerApiErrors": (
        Case({'flagger_api_requests_total{verb="patch",resource="deployments",code="200"}': "0+60x60"}, 30, None),
        Case({'flagger_api_requests_total{verb="patch",resource="deployments",code="409"}': "0+60x60"}, 30, None),
        Case(
            {'flagger_api_requests_total{verb="patch",resource="deployments",code="403"}': "0+6x60"}, 30,
            {"verb": "patch", "resource": "deployments", "code": "403"},
        ),
        Case(
            {'flagger_api_requests_total{verb="list",resource="pods",code="0"}': "0+6x60"}, 30,
            {"verb": "list", "resource": "pods", "code": "0"},
        ),
    ),
    "FlaggerWatchErrors": (
        Case({'flagger_watch_restarts_total{resource="pods",reason="ended"}': "0+5x60"}, 40, None),
        Case({'flagger_watch_restarts_total{resource="pods",reason="error"}': "0+5x60"}, 40, {"resource": "pods"}),
    ),
    "FlaggerProviderUnreachable": (
        Case(
            {
                'flagger_outside_requests_total{kind="metrics",provider="prometheus",outcome="2xx"}': "0+60x60",
                'flagger_outside_requests_total{kind="metrics",provider="prometheus",outcome="timeout"}': "0+10x60",
            },
            30, None,
        ),
        Case(
            {
                'flagger_outside_requests_total{kind="metrics",provider="prometheus",outcome="2xx"}': "0+10x60",
                'flagger_outside_requests_total{kind="metrics",provider="prometheus",outcome="refused"}': "0+30x60",
            },
            30, {"kind": "metrics", "provider": "prometheus"}, "75%",
        ),
        # a gate that says no answers with 403: it is there
        Case({'flagger_outside_requests_total{kind="hook",provider="confirm-rollout",outcome="4xx"}': "0+30x60"}, 30, None),
    ),
    "FlaggerFault": (
        Case({'flagger_worker_failures_total{kind="internal"}': "0x60"}, 30, None),
        Case({'flagger_worker_failures_total{kind="api"}': "0+5x60"}, 30, None),
        Case({'flagger_worker_failures_total{kind="internal"}': "0x10 1x10"}, 15, {"kind": "internal"}),
    ),
}  # fmt: skip


def shown(text: str, case: Case) -> str:
    """A text as Prometheus writes it for the alert of this case."""
    labels = case.labels or {}
    choice = r"\{\{ with \$labels\.exported_namespace \}\}.*?\{\{ end \}\}"
    text = re.sub(choice, labels.get("exported_namespace", labels.get("namespace", "")), text)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found.group(1)], text)
    return re.sub(r"\{\{ \$value [^}]*\}\}", case.value, text)


def test_file(rule_file: str) -> dict[str, Any]:
    """What `promtool test rules` takes."""
    about = {alert.name: alert for alert in ALERTS}
    tests = [
        {
            "name": f"{name} {'fires' if case.labels is not None else 'is silent'} at minute {case.minute}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                {
                    "eval_time": f"{case.minute}m",
                    "alertname": name,
                    "exp_alerts": []
                    if case.labels is None
                    else [
                        {
                            "exp_labels": {"severity": about[name].severity, **case.labels},
                            "exp_annotations": {
                                "summary": shown(about[name].summary, case),
                                "description": about[name].meaning,
                                "runbook": shown(about[name].runbook, case),
                            },
                        }
                    ],
                }
            ],
        }
        for name, cases in CASES.items()
        for case in cases
    ]
    return {"rule_files": [rule_file], "evaluation_interval": "1m", "fuzzy_compare": True, "tests": tests}


test_file.__test__ = False  # type: ignore[attr-defined]
