"""Objects as the API server returns them: a Canary, its target with ReplicaSets and pods, ConfigMaps and Secrets."""

from __future__ import annotations

import copy
from typing import Any

from flaggerpy.api.canary import Canary, parse_canary

Obj = dict[str, Any]

IMAGE = "registry.example.com/podinfo:6.9.0"


def canary(name: str = "podinfo", uid: str = "canary-uid") -> Canary:
    return parse_canary(
        {
            "metadata": {"name": name, "namespace": "shop", "uid": uid, "generation": 1, "resourceVersion": "1"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "podinfo"}, "service": {"port": 80}},
        }
    )


def template(**spec: Any) -> Obj:
    return {
        "metadata": {
            "creationTimestamp": None,
            "labels": {"app": "podinfo", "team": "a", "kustomize.toolkit.fluxcd.io/name": "x"},
            "annotations": {"prometheus.io/scrape": "true", "helm.toolkit.fluxcd.io/name": "x"},
        },
        "spec": {"containers": [{"name": "podinfo", "image": IMAGE}], **spec},
    }


def deployment(pod_template: Obj | None = None, **changes: Any) -> Obj:
    spec = {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "podinfo", "tier": "web"}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "minReadySeconds": 3,
        "progressDeadlineSeconds": 60,
        "revisionHistoryLimit": 5,
        "template": pod_template or template(),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "podinfo",
            "namespace": "shop",
            "uid": "deployment-uid",
            "generation": 4,
            "labels": {"app": "podinfo", "team": "a", "kustomize.toolkit.fluxcd.io/name": "x"},
            "annotations": {
                "deployment.kubernetes.io/revision": "2",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "owner.example.com/mail": "a@example.com",
            },
        },
        "spec": spec | changes,
        "status": {"observedGeneration": 4},
    }


def replicaset(pod_template: Obj, number: int, digest: str, **status: Any) -> Obj:
    labelled = copy.deepcopy(pod_template)
    labelled["metadata"]["labels"]["pod-template-hash"] = digest
    return {
        "metadata": {
            "name": f"podinfo-{digest}",
            "uid": f"uid-{digest}",
            "labels": labelled["metadata"]["labels"],
            "annotations": {"deployment.kubernetes.io/revision": str(number)},
            "ownerReferences": [{"kind": "Deployment", "uid": "deployment-uid", "controller": True}],
        },
        "spec": {"template": labelled},
        "status": status,
    }


def pod(name: str = "podinfo-1", owner: str = "uid-new", **status: Any) -> Obj:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "ownerReferences": [{"kind": "ReplicaSet", "uid": owner, "controller": True}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "podinfo", "image": IMAGE}]},
        "status": {"phase": "Running"} | status,
    }


def config_map(name: str = "settings", data: dict[str, str] | None = None, **fields: Any) -> Obj:
    return {"kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": data or {"a": "1"}, **fields}
