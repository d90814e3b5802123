"""Canaries in every phase under Flagger: each is brought there by a few words, and held there by a gate where it would go on. Data.

Flagger looks every 10 s, so that a phase without a gate (Promoting, Finalising) is one to be caught: those come last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from e2e import releases
from e2e.kube import Object

GATEWAY = [{"name": "contour", "namespace": "projectcontour"}]
WEIGHTS: Object = {"interval": "10s", "threshold": 3, "stepWeight": 20, "maxWeight": 40}
ITERATIONS: Object = {"interval": "10s", "threshold": 3, "iterations": 2}
INSIDERS: Object = {**ITERATIONS, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}


@dataclass(frozen=True)
class Case:
    """One Canary. `gate` is a type of webhook that says no until it is opened; `release` the tag of its release, "" for none.

    `weight` is the canary's share of the traffic at which it waits, None where it is not looked at.
    """

    name: str
    phase: str
    provider: str = "gatewayapi:v1"
    analysis: Mapping[str, Any] = field(default_factory=lambda: WEIGHTS)
    release: str = ""
    gate: str = ""
    weight: int = 0
    configs: bool = False
    spec: Mapping[str, Any] = field(default_factory=dict)
    tag: str = "1.0.0"
    """The first image."""

    @property
    def held(self) -> bool:
        """It stays as it is until somebody opens its gate or releases again."""
        return self.phase not in ("Promoting", "Finalising")


def _idle() -> list[Case]:
    return [
        Case("idle-gateway", "Initialized"),
        Case("idle-contour", "Initialized", "contour"),
        Case("idle-services", "Initialized", "kubernetes", ITERATIONS),
        Case("idle-configs", "Initialized", configs=True),
        Case("idle-configs-bg", "Initialized", "kubernetes", ITERATIONS, configs=True),
    ]


SKIPPED = {"skipAnalysis": True}
MISSING = {"progressDeadlineSeconds": 20}

EVERY = (
    *_idle(),
    Case("done-gateway", "Succeeded", release="1.0.1", spec=SKIPPED),
    Case("done-contour", "Succeeded", "contour", release="1.0.1", spec=SKIPPED),
    Case("done-services", "Succeeded", "kubernetes", ITERATIONS, release="1.0.1", spec=SKIPPED),
    Case("done-configs", "Succeeded", release="1.0.1", configs=True, spec=SKIPPED),
    Case("failed-gateway", "Failed", release="9.9.9", spec=MISSING),
    Case("failed-configs", "Failed", release="9.9.9", configs=True, spec=MISSING),
    Case("failed-services", "Failed", "kubernetes", ITERATIONS, release="9.9.9", spec=MISSING),
    Case("waiting", "Waiting", release="1.0.1", gate="confirm-rollout"),
    Case("going", "Progressing", release="1.0.1", gate="confirm-traffic-increase", weight=0),
    Case("half", "Progressing", release="1.0.1", gate="confirm-traffic-increase", weight=20),
    Case("half-contour", "Progressing", "contour", release="1.0.1", gate="confirm-traffic-increase", weight=20),
    Case("insiders", "WaitingPromotion", analysis=INSIDERS, release="1.0.1", gate="confirm-promotion"),
    Case("asked", "WaitingPromotion", release="1.0.1", gate="confirm-promotion", weight=40, configs=True),
    Case("promoting", "Promoting", analysis={**WEIGHTS, "stepWeightPromotion": 10}, release="1.0.1", gate="confirm-promotion"),
    Case("finalising", "Finalising", release="1.0.1", gate="confirm-promotion"),
)
"""20 Canaries in all phases that a Canary can be found in."""

FEW = tuple(case for case in EVERY if case.name in ("idle-configs", "failed-gateway", "half", "asked"))
LOADED = ("idle-gateway", "idle-configs", "half", "half-contour", "asked")
"""Those that are asked through Envoy all the while, of the ones that there are."""


def users_objects(case: Case, host: str) -> list[Object]:
    """What people have beside the Deployment: of Contour the root proxy, without which nobody comes in; ConfigMap and Secret."""
    root = {
        "apiVersion": "projectcontour.io/v1", "kind": "HTTPProxy", "metadata": {"name": f"{case.name}-root"},
        "spec": {"virtualhost": {"fqdn": host}, "includes": [{"name": case.name}]},
    }  # fmt: skip
    made: list[Object] = [root] if case.provider == "contour" else []
    if not case.configs:
        return made
    return [
        *made,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{case.name}-config"}, "data": {"colour": "blue"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{case.name}-secret"}, "type": "Opaque", "data": {"key": "c2VjcmV0"}},
    ]


def deployment(case: Case, image: str) -> Object:
    # Flagger rolls primaries under load in here, and a busy machine tells Envoy late which pods are gone
    template = releases.pod_template(case.name, image, env={"LINGER": "8s"})
    template["spec"]["terminationGracePeriodSeconds"] = 20
    if case.configs:
        container = template["spec"]["containers"][0]
        container["envFrom"] = [{"configMapRef": {"name": f"{case.name}-config"}}]
        template["spec"]["volumes"] = [{"name": "secret", "secret": {"secretName": f"{case.name}-secret"}}]
        container["volumeMounts"] = [{"name": "secret", "mountPath": "/secret"}]
    return releases.deployment(case.name, template, replicas=1)


def canary(case: Case, host: str, url: str) -> Object:
    """`url` is where its gate is asked."""
    analysis = dict(case.analysis)
    if case.gate:
        analysis["webhooks"] = [{"name": "gate", "type": case.gate, "url": url, "timeout": "5s"}]
    made = releases.canary(case.name, host, analysis=analysis, provider=case.provider, **case.spec)
    if not case.provider.startswith("gatewayapi"):
        for name in ("hosts", "gatewayRefs"):
            del made["spec"]["service"][name]
    return made
