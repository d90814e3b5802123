"""What the suite's releases are measured by: the canary's answers as the Gateway's Envoy counts them."""

from __future__ import annotations

from typing import Any

_CLUSTER = 'envoy_cluster_name=~"{{ namespace }}_{{ service }}-canary_[0-9]+"'


def success_rate(least: float, over: str = "5s") -> dict[str, Any]:
    """Percent of answers that are no 5xx."""
    every = f"envoy_cluster_upstream_rq{{{_CLUSTER}%s}}[{{{{ interval }}}}]"
    good = every % ',envoy_response_code!~"5.*"'
    query = f"100 * sum(rate({good})) / sum(rate({every % ''}))"
    return {"name": "success-rate", "thresholdRange": {"min": least}, "interval": over, "query": query}


def latency(most: float, over: str = "5s") -> dict[str, Any]:
    """The 99th percentile in milliseconds."""
    query = f"histogram_quantile(0.99, sum(rate(envoy_cluster_upstream_rq_time_bucket{{{_CLUSTER}}}[{{{{ interval }}}}])) by (le))"
    return {"name": "latency-p99", "thresholdRange": {"max": most}, "interval": over, "query": query}
