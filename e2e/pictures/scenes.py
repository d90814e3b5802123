"""The scenes of the pictures: small shops whose releases go well, are held by a gate, or fail."""

from __future__ import annotations

from typing import Any

from e2e.core.stage import PORT, Stage

_REQUESTS = 'envoy_cluster_upstream_rq{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"%s}[{{ interval }}]'
_TIMES = 'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"}[{{ interval }}]'
_GOOD = _REQUESTS % ',envoy_response_code!~"5.*"'
METRICS: list[dict[str, Any]] = [
    {
        "name": "success-rate",
        "thresholdRange": {"min": 99},
        "interval": "8s",
        "query": f"100 * sum(rate({_GOOD})) / sum(rate({_REQUESTS % ''}))",
    },
    {
        "name": "latency-p99",
        "thresholdRange": {"max": 250},
        "interval": "8s",
        "query": f"histogram_quantile(0.99, sum(rate({_TIMES})) by (le))",
    },
]
"""What the gateway sees of the canary: percent of good answers, milliseconds."""


def analysis(*, interval: str = "6s", step: int = 10, top: int = 50, gate: str = "") -> dict[str, Any]:
    """Steps of equal weight, both metrics, and (with its URL) a gate before the promotion."""
    hooks = [{"name": "ask-the-shop", "type": "confirm-promotion", "url": gate}] if gate else []
    return {"interval": interval, "threshold": 3, "stepWeight": step, "maxWeight": top, "metrics": METRICS, "webhooks": hooks}


def serves_bad_answers(stage: Stage, percent: int) -> None:
    """Tell the canary's pods to answer 500 to so many of their requests."""
    for pod in stage.kube.items("Pod", stage.namespace, f"app={stage.name}"):
        name = pod["metadata"]["name"]
        path = f"/api/v1/namespaces/{stage.namespace}/pods/{name}:{PORT}/proxy/fail"
        stage.kube.ask("POST", path, percent=str(percent))
