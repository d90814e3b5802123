"""The alert rules of Prometheus, each with what it means and what to do. `rules()` is the file that Prometheus and promtool take.

Thresholds that a release's own length decides (an analysis may well take a day) are those of common use, and stand in one place each. Where
a label is the Canary's namespace, it is `namespace` with `honorLabels: true` and `exported_namespace` without: texts take what there is.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

NAMESPACE = "{{ with $labels.exported_namespace }}{{ . }}{{ else }}{{ $labels.namespace }}{{ end }}"
CANARY = f"{{{{ $labels.name }}}}.{NAMESPACE}"
LOOK = f"kubectl flaggerpy describe {{{{ $labels.name }}}} -n {NAMESPACE}"
STUCK_SECONDS = 1800
ANALYSIS_SECONDS = 4 * 3600
APPROVAL_SECONDS = 24 * 3600


class Alert(NamedTuple):
    """One rule. `lasts`: how long the expression must hold; `runbook`: what to do, in a line."""

    name: str
    expr: str
    lasts: str
    severity: Literal["info", "warning", "critical"]
    summary: str
    meaning: str
    runbook: str


ALERTS = (
    Alert(
        "FlaggerCanaryFailed",
        "flagger_canary_status == 2",
        "0m",
        "warning",
        f"the last release of {CANARY} failed and was rolled back",
        "Traffic is on the primary with the revision before. It fires until the next release, or a retry.",
        f"{LOOK} says why; mend the target, or: kubectl flaggerpy retry",
    ),
    Alert(
        "FlaggerCanaryStalled",
        'flagger_canary_stalled{reason!="Failed"} == 1',
        "10m",
        "warning",
        f"{CANARY} cannot go on without a person: {{{{ $labels.reason }}}}",
        "The target is missing or unfit, the spec is refused, or the API server refuses what the controller must do (Blocked).",
        f"{LOOK} names what is wrong: the condition Stalled has it as a sentence",
    ),
    Alert(
        "FlaggerCanaryStuck",
        "time() - flagger_canary_phase_start_time_seconds"
        f'{{phase=~"Initializing|Promoting|Finalising|Terminating"}} > {STUCK_SECONDS}',
        "0m",
        "warning",
        f"{CANARY} has been {{{{ $labels.phase }}}} for {{{{ $value | humanizeDuration }}}}",
        "A phase that should take minutes: pods of the primary that are not ready, a route that its controller does not accept, a drain "
        "that does not end.",
        f"{LOOK}: what is waited for, until when, and what happens then",
    ),
    Alert(
        "FlaggerAnalysisLong",
        f'time() - flagger_canary_phase_start_time_seconds{{phase="Progressing"}} > {ANALYSIS_SECONDS}',
        "0m",
        "info",
        f"the analysis of {CANARY} has taken {{{{ $value | humanizeDuration }}}}",
        "Long intervals make long analyses; else it is held by a gate, a person, or a metrics server that cannot be reached.",
        f"{LOOK} names what holds it; kubectl flaggerpy plan tells how long a run should take",
    ),
    Alert(
        "FlaggerWaitsForApproval",
        f'time() - flagger_canary_phase_start_time_seconds{{phase=~"Waiting|WaitingPromotion"}} > {APPROVAL_SECONDS}',
        "0m",
        "info",
        f"{CANARY} has waited {{{{ $value | humanizeDuration }}}} for approval",
        "A confirm-rollout or confirm-promotion gate is closed.",
        f"open the gate, or: kubectl flaggerpy promote (or abort); {LOOK} names the gate",
    ),
    Alert(
        "FlaggerDown",
        "absent(flagger_info)",
        "5m",
        "critical",
        "no flaggerpy controller is scraped",
        "Nothing moves releases on and nothing rolls one back. Traffic stays as it is. It fires too when Prometheus lost its target.",
        "kubectl get pods,events in the controller's namespace; then Prometheus' page of targets",
    ),
    Alert(
        "FlaggerNoLeader",
        "sum(flagger_leader) == 0",
        "2m",
        "critical",
        "controllers run, and none of them leads",
        "The Lease cannot be taken, or a check at the start fails: an older CRD, missing rights.",
        "GET /readyz of a controller says what is missing, and so does its log; then the Lease flagger-leader-election",
    ),
    Alert(
        "FlaggerNamespaceUnattended",
        "max without (instance, pod) (flagger_namespace_attended) == 0",
        "10m",
        "warning",
        f"no controller can attend namespace {NAMESPACE}",
        "It stands in -namespace, and is not there, or the roles in it are missing.",
        "GET /readyz of a controller says what is missing; apply the roles of this version to the namespace",
    ),
    Alert(
        "FlaggerShardUnattended",
        "max without (instance, pod) (flagger_shard_attended) == 0",
        "2m",
        "critical",
        "no controller leads shard {{ $labels.shard }}: the Canaries of its namespaces stand still",
        "The replicas of this shard are gone, or cannot take its Lease; the other shards do not act for it.",
        "Start a replica with this -shard; GET /readyz of one that runs says what is missing",
    ),
    Alert(
        "FlaggerEventLoopLag",
        "histogram_quantile(0.99, sum by (le) (rate(flagger_event_loop_lag_seconds_bucket[5m]))) > 0.25",
        "10m",
        "warning",
        "the controller is late by {{ $value | humanizeDuration }} (p99)",
        "It has too little CPU: everything that it does waits for that long.",
        "raise the CPU limit of the Deployment (throttling shows in container_cpu_cfs_throttled_periods_total), or shard",
    ),
    Alert(
        "FlaggerQueueLag",
        "histogram_quantile(0.99, sum by (le) (rate(flagger_inbox_wait_seconds_bucket[5m]))) > 0.5",
        "10m",
        "warning",
        "canaries wait {{ $value | humanizeDuration }} (p99) to be looked at",
        "Workers wait for an API server that is slow, or for the bound of requests per second.",
        "compare flagger_api_request_duration_seconds; raise -kubeconfig-qps where the API server has room",
    ),
    Alert(
        "FlaggerApiErrors",
        'sum by (verb, resource, code) (rate(flagger_api_requests_total{code=~"0|401|403|429|5.."}[5m])) > 0.05',
        "10m",
        "warning",
        "the API server answers {{ $labels.verb }} {{ $labels.resource }} with {{ $labels.code }} (0: not at all)",
        "403: a right is missing; 429: it is too busy; 5xx and 0: it is in trouble, or the way to it is.",
        "403: apply the roles of this version again; else look at the API server; releases hold meanwhile and lose nothing",
    ),
    Alert(
        "FlaggerWatchErrors",
        'sum by (resource) (rate(flagger_watch_restarts_total{reason="error"}[10m])) > 0.02',
        "10m",
        "warning",
        "the watch of {{ $labels.resource }} breaks again and again",
        "What the controller knows of them is late.",
        "GET /readyz names the watch and its error",
    ),
    Alert(
        "FlaggerProviderUnreachable",
        'sum by (kind, provider) (rate(flagger_outside_requests_total{outcome!~"[234]xx"}[5m])) '
        "/ sum by (kind, provider) (rate(flagger_outside_requests_total[5m])) > 0.5",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the requests to {{ $labels.kind }} {{ $labels.provider }} get no answer, or 5xx",
        "kind metrics: analyses hold, and canaries lose their weight when it lasts longer than progressDeadlineSeconds; hook: gates stay "
        "closed, checks fail; alert: messages are given up after four tries; registry: images are not checked beforehand.",
        "sum by (outcome) (rate(flagger_outside_requests_total[5m])) says how; the controller's log says which address",
    ),
    Alert(
        "FlaggerFault",
        'increase(flagger_worker_failures_total{kind="internal"}[15m]) > 0',
        "0m",
        "critical",
        "the controller failed at a canary by a fault of its own",
        "The Canary is looked at again, and the others are not touched; a release of it may not go on.",
        "the controller's log has the stack trace: please report it",
    ),
)


def rules() -> dict[str, Any]:
    """The rule file, as Prometheus takes it and as a PrometheusRule has it in its spec."""
    return {"groups": [{"name": "flaggerpy", "rules": [_rule(alert) for alert in ALERTS]}]}


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        **({"for": alert.lasts} if alert.lasts != "0m" else {}),
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "description": alert.meaning, "runbook": alert.runbook},
    }
