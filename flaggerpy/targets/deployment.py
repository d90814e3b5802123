"""Deployments as targets: the primary's manifest from a kept template, what a Deployment and its pods say, scaling.

Object names, labels, selectors and the primary's fields are Flagger's; the template comes from what was kept when the run began and
never from the target as it is now (Q-2, Q-18), and affinities are rewritten by the label's value (Q-64).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL, kept_revision_name, primary_name
from flaggerpy.api.workloads import ContainerFacts, PodFacts, WorkloadFacts
from flaggerpy.targets.configs import rename_references
from flaggerpy.targets.metadata import Obj, by_prefix, canary_label, owner_reference, without_toolkit

HASH_LABEL = "pod-template-hash"
DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"
_KEPT_FIELDS = ("strategy", "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit")
_BOOKKEEPING = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/")
_KILLED_BY_PROBE = ("failed liveness probe", "failed startup probe")
_EVENTS_TOLD = 5


def selector_of(deployment: Mapping[str, Any], selector_labels: Sequence[str]) -> tuple[str, str] | str:
    """The label by which target and primary are told apart, and its value; or Flagger's sentence why there is none."""
    matched = ((deployment.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    for label in selector_labels:
        if label in matched:
            return label, str(matched[label])
    meta = deployment.get("metadata") or {}
    name = f"{meta.get('name')}.{meta.get('namespace')}"
    return f"deployment {name} spec.selector.matchLabels must contain one of [{' '.join(selector_labels)}]"


def kept_revision(canary: Canary, deployment: Mapping[str, Any], revision: str, configs: Mapping[str, str] | None) -> Obj:
    """The ControllerRevision that keeps what a primary of this revision is made of; `configs` are the checksums of that time.

    Its data cannot be changed once it is stored, so it is created once, and found to exist already ever after.
    """
    spec = deployment["spec"]
    meta = deployment["metadata"]
    data: Obj = {field: copy.deepcopy(spec[field]) for field in _KEPT_FIELDS if spec.get(field) is not None}
    data["template"] = _without_hash(spec["template"])
    if spec.get("replicas"):
        data["replicas"] = spec["replicas"]
    data["labels"] = dict(meta.get("labels") or {})
    data["annotations"] = {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith(_BOOKKEEPING)}
    if configs is not None:
        data["configs"] = dict(configs)
    number = (meta.get("annotations") or {}).get(DEPLOYMENT_REVISION, "0")
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": kept_revision_name(canary.name, revision),
            "namespace": canary.namespace,
            "labels": {**canary_label(canary), REVISION_LABEL: revision},
            "ownerReferences": [owner_reference(canary)],
        },
        "revision": int(number) if str(number).isdigit() else 0,
        "data": data,
    }


def primary_manifest(
    canary: Canary,
    kept: Mapping[str, Any],
    *,
    selector_label: str,
    label_value: str,
    replicas: int | None,
    run_id: str,
    revision: str,
    config_names: Mapping[tuple[str, str], str],
    include_label_prefix: Sequence[str] = (),
) -> Obj:
    """The Deployment `<target>-primary` for server-side apply, from the `data` of a kept revision.

    `replicas` None leaves the size to who set it. `run_id` becomes `flagger-id`, `revision` is which of the target's it was taken from;
    `config_names` maps (kind, name) to the versioned copy ("configmap" or "secret"; see `configs.copy_names`).
    """
    value = f"{label_value}-primary"
    template = kept["template"]
    meta = template.get("metadata") or {}
    labels = without_toolkit(meta.get("labels"))
    annotations = without_toolkit(meta.get("annotations")) | {FLAGGER_ID: run_id, REVISION_LABEL: revision}
    pod_spec = _keeping_apart(rename_references(template["spec"], config_names), selector_label, label_value, value)
    spec: Obj = {field: copy.deepcopy(kept[field]) for field in _KEPT_FIELDS if kept.get(field) is not None}
    if replicas is not None:
        spec["replicas"] = replicas
    spec["selector"] = {"matchLabels": {selector_label: value}}
    spec["template"] = {"metadata": {"labels": labels | {selector_label: value}, "annotations": annotations}, "spec": pod_spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": primary_name(canary.target),
            "namespace": canary.namespace,
            "labels": by_prefix(kept.get("labels"), include_label_prefix) | {selector_label: value},
            "annotations": by_prefix(kept.get("annotations"), include_label_prefix) | {REVISION_LABEL: revision},
            "ownerReferences": [owner_reference(canary)],
        },
        "spec": spec,
    }


def _keeping_apart(pod_spec: Obj, label: str, old: str, new: str) -> Obj:
    """The pod spec with its own label's new value wherever pods are spread over, kept from, or drawn to pods like themselves."""
    for constraint in pod_spec.get("topologySpreadConstraints") or ():
        _select_new(constraint.get("labelSelector"), label, old, new)
    affinity = pod_spec.get("affinity") or {}
    for side in ("podAntiAffinity", "podAffinity"):
        terms = affinity.get(side) or {}
        for term in terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ():
            _select_new(term.get("labelSelector"), label, old, new)
        for weighted in terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ():
            _select_new((weighted.get("podAffinityTerm") or {}).get("labelSelector"), label, old, new)
    return pod_spec


def _select_new(selector: Obj | None, label: str, old: str, new: str) -> None:
    if not selector:
        return
    matched = selector.get("matchLabels") or {}
    if matched.get(label) == old:
        matched[label] = new
    for expression in selector.get("matchExpressions") or ():
        if expression.get("key") == label and expression.get("values"):
            expression["values"] = [new if value == old else value for value in expression["values"]]


def scale_patch(replicas: int) -> Obj:
    """The merge patch that gives a Deployment this many replicas."""
    return {"spec": {"replicas": replicas}}


def workload_facts(
    deployment: Mapping[str, Any],
    replicasets: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    *,
    pods_known: bool = True,
    events: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> WorkloadFacts:
    """What a Deployment, its ReplicaSets and pods say. ReplicaSets and pods of others are passed over; `events` by pod name."""
    meta, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    owned = [replicaset for replicaset in replicasets if _owner(replicaset) == meta.get("uid")]
    number = (meta.get("annotations") or {}).get(DEPLOYMENT_REVISION)
    present = [rs for rs in owned if number and (rs["metadata"].get("annotations") or {}).get(DEPLOYMENT_REVISION) == number]
    current: Mapping[str, Any] = present[0] if present else {}
    template = spec["template"]
    observed = status.get("observedGeneration", 0) >= meta.get("generation", 0)
    same = bool(current) and _without_hash(current["spec"]["template"]) == _without_hash(template)
    counts = current.get("status") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    pod_spec = template.get("spec") or {}
    images = (container.get("image", "") for group in ("initContainers", "containers") for container in pod_spec.get(group) or ())
    uid = (current.get("metadata") or {}).get("uid")
    revision = ((current.get("metadata") or {}).get("labels") or {}).get(HASH_LABEL, "")
    problem = ""
    if spec.get("paused") and observed and not same:
        problem = (
            f"deployment {meta.get('name')}.{meta.get('namespace')} is paused (spec.paused), so no pods of its new template are made: "
            "resume it with kubectl rollout resume"
        )
    told = events or {}
    return WorkloadFacts(
        name=meta.get("name", ""),
        replicas=1 if spec.get("replicas") is None else spec["replicas"],
        revision=revision,
        fresh=observed and same,
        created=counts.get("replicas", 0),
        updated=counts.get("replicas", 0),
        ready=counts.get("readyReplicas", 0),
        available=counts.get("availableReplicas", 0),
        old=sum((rs.get("status") or {}).get("replicas", 0) for rs in owned if rs is not current),
        revision_born=_seconds((current.get("metadata") or {}).get("creationTimestamp")),
        serving=sum((rs.get("status") or {}).get("readyReplicas", 0) for rs in owned) if owned else None,
        images=tuple(dict.fromkeys(images)),
        pods=tuple(
            sorted(
                (pod_facts(pod, told.get(pod["metadata"]["name"], ())) for pod in pods if uid and _owner(pod) == uid),
                key=lambda pod: pod.name,
            )
        ),
        pods_known=pods_known,
        pod_creation_error=_creation_error(current),
        flagger_id=annotations.get(FLAGGER_ID, ""),
        source_revision=annotations.get(REVISION_LABEL, ""),
        problem=problem,
    )


def _owner(obj: Mapping[str, Any]) -> str | None:
    """The uid of the controller that an object belongs to."""
    for owner in (obj.get("metadata") or {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner.get("uid"))
    return None


def _without_hash(template: Mapping[str, Any]) -> Obj:
    """The template as the user wrote it: without the hash that the deployment controller adds, and empty maps as none."""
    plain = copy.deepcopy(dict(template))
    meta = plain.get("metadata") or {}
    labels = meta.get("labels") or {}
    labels.pop(HASH_LABEL, None)
    plain["metadata"] = {key: value for key, value in meta.items() if value and key in ("labels", "annotations")}
    return plain


def _creation_error(replicaset: Mapping[str, Any]) -> str:
    for condition in (replicaset.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True" and condition.get("reason") == "FailedCreate":
            return str(condition.get("message", "")) or "FailedCreate"
    return ""


def pod_facts(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]] = ()) -> PodFacts:
    """What a pod and the events about it say."""
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    conditions = {condition.get("type"): condition for condition in status.get("conditions") or ()}
    terminating = bool(meta.get("deletionTimestamp"))
    scheduled = conditions.get("PodScheduled") or {}
    newest_first = sorted(events, key=_when, reverse=True)
    by_name = {
        entry["name"]: entry for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    }
    containers = [_container(entry, by_name.get(entry["name"], {}), init=True) for entry in spec.get("initContainers") or ()]
    containers += [_container(entry, by_name.get(entry["name"], {}), init=False) for entry in spec.get("containers") or ()]
    warnings: dict[tuple[str, str], None] = {}
    pulled = max((_when(event) for event in newest_first if event.get("reason") == "Pulling"), default=0.0)
    for event in newest_first:
        if event.get("reason") == "FailedToRetrieveImagePullSecret" and _when(event) < pulled - 2:
            continue  # told before each pull: at the newest one the secret was there
        if event.get("type") == "Warning":
            warnings[event.get("reason", ""), event.get("message") or event.get("note") or ""] = None
    return PodFacts(
        name=meta["name"],
        node=spec.get("nodeName", ""),
        phase=status.get("phase", "Pending"),
        ready=(conditions.get("Ready") or {}).get("status") == "True",
        terminating=terminating,
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        created=_seconds(meta.get("creationTimestamp")),
        containers=tuple(containers),
        unschedulable=(scheduled.get("message") or scheduled.get("reason") or "") if scheduled.get("status") == "False" else "",
        events=tuple(warnings)[:_EVENTS_TOLD],
        probe_kills=frozenset(name for name, entry in by_name.items() if _killed_by_probe(name, entry, newest_first)),
        pulling=_pulling(newest_first),
        pull_secrets=tuple(str(entry["name"]) for entry in spec.get("imagePullSecrets") or () if entry.get("name")),
    )


def _container(spec: Mapping[str, Any], status: Mapping[str, Any], *, init: bool) -> ContainerFacts:
    state: Mapping[str, Any] = status.get("state") or {}
    last = (status.get("lastState") or {}).get("terminated") or {}
    present: Literal["waiting", "running", "terminated", "none"] = "none"
    if "running" in state:
        present = "running"
    elif "terminated" in state:
        present = "terminated"
    elif "waiting" in state:
        present = "waiting"
    detail = state.get(present) or {}
    role: Literal["init", "sidecar", "main"] = "main"
    if init:
        role = "sidecar" if spec.get("restartPolicy") == "Always" else "init"
    return ContainerFacts(
        name=spec["name"],
        role=role,
        image=spec.get("image", ""),
        state=present,
        reason=detail.get("reason", ""),
        message=detail.get("message", ""),
        exit_code=detail.get("exitCode"),
        ready=bool(status.get("ready")),
        started=status.get("started"),
        restarts=status.get("restartCount", 0),
        last_reason=last.get("reason", ""),
        last_message=last.get("message", ""),
        last_exit_code=last.get("exitCode"),
    )


def _pulling(newest_first: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """The containers about which the kubelet said last that it pulls their image.

    A pull that is over is told in the same second by another event, which is then the one to believe.
    """
    newest: dict[str, tuple[float, set[str]]] = {}
    for event in newest_first:
        path = (event.get("involvedObject") or event.get("regarding") or {}).get("fieldPath") or ""
        if not path.endswith("}"):
            continue
        at, reasons = newest.setdefault(path.rpartition("{")[2][:-1], (_when(event), set()))
        if _when(event) >= at:
            reasons.add(event.get("reason", ""))
    return frozenset(name for name, (_, reasons) in newest.items() if reasons == {"Pulling"})


def _killed_by_probe(name: str, status: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    """True when the container's last end falls to a kill that the kubelet announced, by the name and the time of the event."""
    end = (status.get("state") or {}).get("terminated") or (status.get("lastState") or {}).get("terminated")
    if not end:
        return False
    began, finished = _seconds(end.get("startedAt")), _seconds(end.get("finishedAt"))
    for event in events:
        message = event.get("message") or event.get("note") or ""
        if event.get("reason") != "Killing" or not any(text in message for text in _KILLED_BY_PROBE):
            continue
        path = (event.get("involvedObject") or event.get("regarding") or {}).get("fieldPath") or ""
        if f"{{{name}}}" not in path and not message.startswith((f"Container {name} ", f"Init container {name} ")):
            continue
        if not finished or began - 1 <= _when(event) <= finished + 2:  # events carry whole seconds
            return True
    return False


def _when(event: Mapping[str, Any]) -> float:
    series = event.get("series") or {}
    meta = event.get("metadata") or {}
    for stamp in (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"), meta.get("creationTimestamp")):
        if stamp:
            return _seconds(stamp)
    return 0.0


def _seconds(stamp: str | None) -> float:
    """Epoch seconds of a Kubernetes time, 0.0 of none."""
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() if stamp else 0.0
