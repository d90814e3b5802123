"""Every manifest that this room makes, whole, and all that it reads: of targets that use all that is copied, rewritten or left out.

`manifests.yaml` holds them as they were when somebody last looked at a change; `python -m tests.targets.manifests` writes it anew. The
tests beside it are about rules; here a field shows that no rule speaks of.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from flaggerpy.targets import budgets, configs, scalers
from flaggerpy.targets.base import Target, Wanted
from flaggerpy.targets.daemonset import DaemonSet
from flaggerpy.targets.deployment import Deployment
from flaggerpy.targets.templates import SCALE_TO_ZERO, slim_history
from tests.targets.builders import IMAGE, Obj, canary, config_map, deployment, pod, replicaset, template
from tests.targets.test_budgets import budget
from tests.targets.test_daemonset import counts, daemonset, revision
from tests.targets.test_daemonset import pod as daemon_pod
from tests.targets.test_scalers import CANARY, HPA, KEDA, at, made, ref

KEPT = Path(__file__).parent / "manifests.yaml"
CONFIGS = {"configmap/settings": "1" * 16, "secret/token": "2" * 16, "configmap/init": "3" * 16, "secret/files": "4" * 16}


def pods() -> Obj:
    """A template that names its configs in every way, and keeps its pods apart."""

    def alike(**more: Any) -> Obj:
        return {"labelSelector": {"matchLabels": {"app": "podinfo", "team": "a"}, **more}, "topologyKey": "kubernetes.io/hostname"}

    among = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["podinfo", "other"]}, {"key": "tier", "operator": "Exists"}]}
    terms = {
        "requiredDuringSchedulingIgnoredDuringExecution": [alike(), {"topologyKey": "zone", "labelSelector": among}],
        "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "podAffinityTerm": alike()}, {"podAffinityTerm": {}}],
    }
    container = {
        "name": "podinfo", "image": IMAGE,
        "env": [
            {"name": "A", "value": "settings"},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}},
            {"name": "C", "valueFrom": {"secretKeyRef": {"name": "token", "key": "c", "optional": True}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "envFrom": [{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "token"}}, {"prefix": "P_"}],
    }  # fmt: skip
    return template(
        containers=[container],
        initContainers=[{"name": "before", "image": IMAGE, "envFrom": [{"configMapRef": {"name": "init"}}]}],
        volumes=[
            {"name": "one", "configMap": {"name": "settings"}},
            {"name": "two", "secret": {"secretName": "files"}},
            {"name": "three", "projected": {"sources": [{"configMap": {"name": "init"}}, {"secret": {"name": "files"}}, {}]}},
            {"name": "four", "emptyDir": {}},
        ],
        nodeSelector={"disk": "fast"},
        affinity={"podAntiAffinity": terms, "podAffinity": copy.deepcopy(terms)},
        topologySpreadConstraints=[{"maxSkew": 1, **alike()}, {"maxSkew": 2, "topologyKey": "zone"}],
        imagePullSecrets=[{"name": "registry"}],
    )


def _of_target(target: Target, workload: Obj) -> dict[str, Any]:
    kept = target.kept(canary(), workload, "abc", CONFIGS)
    wanted = Wanted(
        selector_label="app", label_value="podinfo", run_id="run-1", revision="abc", replicas=5,
        config_names=configs.copy_names(CONFIGS), include_label_prefix=("team", "owner."),
    )  # fmt: skip
    return {
        "kept": kept,
        "kept without configs": sorted(target.kept(canary(), workload, "abc", None)["data"]),
        "primary": target.primary(canary(), kept["data"], wanted),
        "to zero": target.scaling(workload, 0),
        "restored": target.restoring(workload, template()),
    }


def _told(found: Any) -> dict[str, str]:
    every = {field.name: repr(getattr(found, field.name)) for field in fields(found)}
    if "pods" in every:
        every["pods"] = "; ".join(f"{each.name} {each.ready} {each.events}" for each in found.pods)
    return every


QUOTA = "exceeded quota: small"
EVENTS: dict[str, list[Obj]] = {
    "podinfo": [
        {"reason": "FailedCreate", "message": QUOTA, "lastTimestamp": "2026-01-01T00:00:09Z"},
        {"reason": "FailedCreate", "message": "earlier", "eventTime": "2026-01-01T00:00:08Z"},
        {"reason": "SuccessfulCreate", "message": "made one", "lastTimestamp": "2026-01-01T00:00:10Z"},
    ],
    "podinfo-a": [{"type": "Warning", "reason": "FailedMount", "message": "no volume"}],
}


def _marked(pod_template: Obj) -> Obj:
    pod_template["metadata"]["annotations"] |= {"flagger-id": "run-1", "flagger.app/revision": "abc"}
    return pod_template


def _daemonset_told(*, watched: bool, observed: int = 4) -> dict[str, str]:
    mine = _marked(template(nodeSelector={"disk": "fast"}))
    history = [revision(mine, "now"), revision(template(), "old")]
    history[0]["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    every = [daemon_pod("podinfo-b", "now"), daemon_pod("podinfo-a", "now", ready=False), daemon_pod("podinfo-c", "old")]
    status = counts(desired=4, current=3, updated=2, ready=2, available=1) | {"observedGeneration": observed}
    return _told(DaemonSet().facts(daemonset(mine, status=status), history, every if watched else None, EVENTS))


def _deployment_told(*, watched: bool, observed: int = 4) -> dict[str, str]:
    mine = _marked(template())
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": QUOTA}
    now = replicaset(mine, 2, "now", replicas=2, readyReplicas=1, availableReplicas=1, conditions=[refused])
    now["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    history = [now, replicaset(template(), 1, "old", replicas=3, readyReplicas=2)]
    every = [pod("podinfo-b", "uid-now"), pod("podinfo-a", "uid-now"), pod("podinfo-c", "uid-old")]
    workload = deployment(mine) | {"status": {"observedGeneration": observed}}
    return _told(Deployment().facts(workload, [slim_history(each) for each in history], every if watched else None, EVENTS))


def _scaler_told(source: Obj | None, have: Obj | None, kind: str = "HorizontalPodAutoscaler", **more: Any) -> dict[str, str]:
    return _told(scalers.facts(CANARY, ref(kind, **more), source, have))


SECRET: Obj = {
    "kind": "Secret", "metadata": {"name": "token", "labels": {"team": "a", "x": "y"}}, "type": "Opaque", "data": {"t": "c2Vj"},
}  # fmt: skip
KEYSTORE = config_map(binaryData={"store": "AAEC"}, immutable=False)
BUDGET = budget({"matchLabels": {"app": "podinfo"}}, maxUnavailable="10%")
BOUNDS = {"minReplicas": 2, "maxReplicas": 5}
MANIFESTS: dict[str, Callable[[], Any]] = {
    "Deployment": lambda: _of_target(Deployment(), deployment(pods())),
    "DaemonSet": lambda: _of_target(DaemonSet(), daemonset(template(nodeSelector={"disk": "fast"}))),
    "DaemonSet at zero": lambda: _of_target(DaemonSet(), daemonset(template(nodeSelector={SCALE_TO_ZERO: "true"}))),
    "copy of a ConfigMap": lambda: configs.copy(KEYSTORE, canary(), configs.checksum(KEYSTORE)),
    "copy of a Secret": lambda: configs.copy(SECRET, canary(), configs.checksum(SECRET), include_label_prefix=("team",)),
    "copy of a budget": lambda: budgets.copies([BUDGET], canary(), "app", "podinfo"),
}
"""By what they are."""
TWINS: dict[str, Callable[[Obj], Obj]] = {
    "": made,
    " with a floor": lambda source: made(source, floor=7),
    " whose floor rises": lambda source: made(source, made(source, floor=7), floor=8, follow=False),
    " whose floor goes": lambda source: made(source, made(source, floor=7), follow=False),
    " that is spoiled": lambda source: made(source, at(made(source, floor=7), "spec.scaleTargetRef", {"name": "other"}), follow=False),
    " with bounds of its own": lambda source: made(source, floor=4, primaryScalerReplicas=BOUNDS),
    " that follows always": lambda source: made(at(source, f"spec.{_most(source)}", 6), made(source, floor=7), floor=7, sync="always"),
}
MANIFESTS |= {
    "told of a DaemonSet": lambda: _daemonset_told(watched=True),
    "told of a DaemonSet whose pods are not watched": lambda: _daemonset_told(watched=False),
    "told of a DaemonSet that was changed just now": lambda: _daemonset_told(watched=True, observed=3),
    "told of a Deployment": lambda: _deployment_told(watched=True),
    "told of a Deployment whose pods are not watched": lambda: _deployment_told(watched=False),
    "told of a Deployment that was changed just now": lambda: _deployment_told(watched=True, observed=3),
    "told of autoscalers that are not there": lambda: _scaler_told(None, None),
    "told of a twin alone": lambda: _scaler_told(None, made(HPA, floor=7)),
    "told of an autoscaler alone": lambda: _scaler_told(HPA, None, primaryScalerReplicas=BOUNDS),
    "told of an autoscaler of another": lambda: _scaler_told(at(HPA, "spec.scaleTargetRef.name", "other"), made(HPA)),
    "told of both": lambda: _scaler_told(HPA, made(HPA, floor=7)),
    "told of both, which differ": lambda: _scaler_told(at(HPA, "spec.maxReplicas", 6), made(HPA, floor=7)),
    "told of KEDA's": lambda: _scaler_told(KEDA, made(KEDA, floor=7), "ScaledObject"),
    "told of KEDA's, unpaused and without bounds": lambda: _scaler_told(
        _bare(KEDA), at(made(KEDA), "metadata.annotations", {}), "ScaledObject"
    ),
}
for _source in (HPA, KEDA):
    MANIFESTS |= {f"twin of a {_source['kind']}{case}": partial(make, _source) for case, make in TWINS.items()}


def _bare(source: Obj) -> Obj:
    plain = at(source, "metadata.annotations", {})
    plain["spec"] = {name: value for name, value in plain["spec"].items() if not name.endswith("ReplicaCount")}
    return plain


def _most(source: Obj) -> str:
    return "maxReplicas" if "maxReplicas" in source["spec"] else "maxReplicaCount"


def told() -> str:
    """The text of the file."""
    return "# Generated by python -m tests.targets.manifests: not to be edited, its diff is to be looked at.\n" + yaml.safe_dump(
        {name: make() for name, make in MANIFESTS.items()}, sort_keys=True, default_flow_style=None, width=140
    )


def main() -> int:
    """Write all of them anew."""
    KEPT.write_text(told())
    return 0


if __name__ == "__main__":
    sys.exit(main())
