"""Canaries for the tests of routers."""

from __future__ import annotations

from typing import Any

from flaggerpy.api.canary import Canary, parse_canary

OWNER = {
    "apiVersion": "flagger.app/v1beta1",
    "kind": "Canary",
    "name": "podinfo",
    "uid": "u-1",
    "controller": True,
    "blockOwnerDeletion": True,
}
FLUX = {"helm.toolkit.fluxcd.io/driftDetection": "disabled", "kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
META = {"name": "podinfo", "namespace": "test", "annotations": FLUX, "ownerReferences": [OWNER]}
WEIGHTED: dict[str, Any] = {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 10}
AB: dict[str, Any] = {"interval": "10s", "threshold": 5, "iterations": 3, "match": [{"headers": {"x-canary": {"exact": "insider"}}}]}


def a_canary(service: dict[str, Any] | None = None, analysis: dict[str, Any] | None = None, provider: str = "", **spec: Any) -> Canary:
    """A Canary `podinfo.test` on port 80 with these fields of `spec.service` and this analysis (weighted when None)."""
    return parse_canary(
        {
            "metadata": {"name": "podinfo", "namespace": "test", "uid": "u-1", "generation": 1},
            "spec": {
                **({"provider": provider} if provider else {}),
                "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"},
                "service": {"port": 80, "targetPort": 9898, **(service or {})},
                "analysis": WEIGHTED if analysis is None else analysis,
                **spec,
            },
        }
    )


GATEWAY: dict[str, Any] = {"gatewayRefs": [{"name": "contour", "namespace": "projectcontour"}], "hosts": ["app.example.com"]}
