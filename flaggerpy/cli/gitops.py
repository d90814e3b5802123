"""Who keeps a target in Git, read off the marks that the tool left on it: such a tool puts back what a command changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Obj = Mapping[str, Any]


def keeper_of(workload: Obj | None) -> str:
    """The tool and its application, as in `the Flux Kustomization apps/podinfo`; "" when there is no mark of one."""
    metadata = (workload or {}).get("metadata") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    for kind, prefix in (("Flux Kustomization", "kustomize.toolkit.fluxcd.io"), ("Flux HelmRelease", "helm.toolkit.fluxcd.io")):
        if f"{prefix}/name" in labels:
            return f"the {kind} {labels.get(f'{prefix}/namespace', '?')}/{labels[f'{prefix}/name']}"
    tracked = annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0] or labels.get("argocd.argoproj.io/instance")
    if tracked:
        return f"the Argo CD application {tracked}"
    if "meta.helm.sh/release-name" in annotations:
        return f"the Helm release {annotations['meta.helm.sh/release-name']}"
    return ""
