"""The strategies that are explored: the least spec of each that has all its parts."""

from __future__ import annotations

from typing import Any

from flaggerpy.model.scene import GATES
from flaggerpy.model.workloads import Autoscaler

WEIGHTED: dict[str, Any] = {"interval": "10s", "threshold": 2, "stepWeight": 30, "maxWeight": 60, "metrics": [{"name": "m"}]}
STEPS: dict[str, Any] = {"interval": "10s", "threshold": 2, "iterations": 2}
STRATEGIES: dict[str, dict[str, Any]] = {
    "weighted": {"analysis": WEIGHTED},
    "gated": {"analysis": {**WEIGHTED, "stepWeight": 50, "maxWeight": 100, "webhooks": GATES}},
    "back in steps": {"analysis": {**WEIGHTED, "stepWeightPromotion": 50}},
    "mirrored": {"analysis": {**WEIGHTED, "mirror": True}},
    "blue/green": {"analysis": {**STEPS, "webhooks": GATES}},
    "A/B": {"analysis": {**STEPS, "match": [{"headers": {"x": {"exact": "y"}}}]}},
    "by Services": {"analysis": STEPS, "weights": False},
    "adopting": {"analysis": WEIGHTED, "foreign": True},
    "scaled": {"analysis": {**WEIGHTED, "stepWeight": 50, "maxWeight": 100}, "scaler": Autoscaler(), "replicas": 3},
    "scaled by KEDA": {"analysis": STEPS, "scaler": Autoscaler(pauses=True), "replicas": 3},
    "skipped": {"skipAnalysis": True, "analysis": WEIGHTED, "podHealth": {"imageCheck": "Fail"}},
}
