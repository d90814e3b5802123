"""DaemonSets as targets: one pod on each node that matches, so that the size is the cluster's, and zero is a nodeSelector.

Scaled to zero means Flagger's key `flagger.app/scale-to-zero` in the nodeSelector of the template, which no node has. That is an edit of
the template, so that the DaemonSet has another ControllerRevision by it; the target's revision must not change with it. It is a digest of
the template without that key, and as many ControllerRevisions as hold this template, with the key or without, name its pods. The key is in
nothing that is kept, so never on a primary (Q-20).

- A DaemonSet that was deleted and made anew, or replaced as a whole, has no such key: it runs pods without traffic until the next release.
- An update of the template while scaled to zero is a new revision like any other: the key stays, and no pod is made of it.
- No node that matches is no readiness: what cannot run anywhere cannot be proven (Q-20).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL
from flaggerpy.api.workloads import WorkloadFacts
from flaggerpy.targets import primary
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.metadata import Obj
from flaggerpy.targets.pods import owner_uid, pod_facts, seconds
from flaggerpy.targets.templates import SCALE_TO_ZERO, as_written, images, of_template, template_digest

HASH = "controller-revision-hash"
REVISION_LENGTH = 10
NO_NODE = "no node matches its nodeSelector, affinity and tolerations"
_KEPT_FIELDS = ("updateStrategy", "minReadySeconds", "revisionHistoryLimit")
_SELECTOR = "/spec/template/spec/nodeSelector"
_ENDED = ("Succeeded", "Failed")
CANNOT_BE_MADE = "FailedCreate"
"""The reason of the events that tell why a pod cannot be made."""


@dataclass(frozen=True)
class _Counts:
    """Pods as `WorkloadFacts` counts them."""

    created: int
    ready: int
    available: int
    old: int
    serving: int


class DaemonSet:
    """See `base.Target`. Its history are ControllerRevisions."""

    kind = "DaemonSet"

    def revision(self, obj: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> str:
        """A digest of the template as the user wrote it, the same whether scaled to zero or not."""
        return template_digest(obj["spec"].get("template") or {})[:REVISION_LENGTH]

    def facts(
        self,
        obj: Mapping[str, Any],
        history: Iterable[Mapping[str, Any]],
        pods: Iterable[Mapping[str, Any]] | None,
        events: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> WorkloadFacts:
        meta, status = obj["metadata"], obj.get("status") or {}
        template = obj["spec"].get("template") or {}
        history, name = list(history), str(meta.get("name", ""))
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        observed = int(status.get("observedGeneration", 0)) >= int(meta.get("generation", 0))
        nowhere = observed and not is_scaled_to_zero(obj) and not status.get("desiredNumberScheduled")
        counts = _by_pods(obj, history, pods) if pods is not None else _by_status(status)
        return WorkloadFacts(
            name=name,
            replicas=self.size(obj),
            revision=self.revision(obj, history),
            fresh=observed,
            word="daemonset",
            images=images(template),
            pods=tuple(
                sorted(
                    (pod_facts(pod, events.get(pod["metadata"]["name"], ())) for pod in _mine(obj, history, pods or ())),
                    key=lambda pod: pod.name,
                )
            ),
            pods_known=pods is not None,
            pod_creation_error=NO_NODE if nowhere else _creation_error(events.get(name, ()), counts.created, self.size(obj)),
            created=counts.created,
            updated=counts.created,
            ready=counts.ready,
            available=counts.available,
            old=counts.old,
            serving=counts.serving,
            revision_born=_born(obj, history),
            flagger_id=annotations.get(FLAGGER_ID, ""),
            source_revision=annotations.get(REVISION_LABEL, ""),
            problem=unfit(obj) or (f"{_called(obj)} runs nowhere: {NO_NODE}" if nowhere else ""),
        )

    def kept(self, canary: Canary, obj: Mapping[str, Any], revision: str, configs: Mapping[str, str] | None) -> Obj:
        number = int(obj["metadata"].get("generation") or 0)
        return primary.kept_revision(canary, obj, revision, configs, fields=_KEPT_FIELDS, number=number)

    def primary(self, canary: Canary, kept: Mapping[str, Any], wanted: Wanted) -> Obj:
        return primary.primary_manifest(self.kind, canary, kept, wanted, fields=_KEPT_FIELDS)

    def held(self, obj: Mapping[str, Any]) -> tuple[str, Obj]:
        template = as_written(((obj.get("data") or {}).get("spec") or {}).get("template") or {})
        template.pop("$patch", None)
        return template_digest(template)[:REVISION_LENGTH], template

    def size(self, obj: Mapping[str, Any]) -> int:
        """As many pods as nodes match. Before that is known, and while no node does, one: 0 is only what was scaled to zero."""
        if is_scaled_to_zero(obj):
            return 0
        return max(1, int((obj.get("status") or {}).get("desiredNumberScheduled") or 0))

    def scaling(self, obj: Mapping[str, Any], replicas: int) -> list[Obj]:
        """Zero puts the key into the nodeSelector, any other size takes it out; the user's own keys stay."""
        if is_scaled_to_zero(obj) == (replicas == 0):
            return []
        key = f"{_SELECTOR}/{SCALE_TO_ZERO.replace('/', '~1')}"
        selector = _node_selector(obj)
        if replicas == 0:
            whole = {"op": "add", "path": _SELECTOR, "value": {SCALE_TO_ZERO: "true"}}
            return [{"op": "add", "path": key, "value": "true"}] if selector else [whole]
        return [{"op": "remove", "path": key if len(selector) > 1 else _SELECTOR}]

    def restoring(self, obj: Mapping[str, Any], template: Mapping[str, Any]) -> list[Obj]:
        if as_written(obj["spec"].get("template") or {}) == template:
            return []
        value = as_written(template)
        if is_scaled_to_zero(obj):
            value["spec"]["nodeSelector"] = (value["spec"].get("nodeSelector") or {}) | {SCALE_TO_ZERO: "true"}
        return [{"op": "replace", "path": "/spec/template", "value": value}]


def is_scaled_to_zero(obj: Mapping[str, Any]) -> bool:
    """True while the key is there that keeps the pods off all nodes."""
    return SCALE_TO_ZERO in _node_selector(obj)


def lacks_pods(obj: Mapping[str, Any]) -> bool:
    """True while nodes that match have no pod of it, as its controller counted last. Never for another kind of workload."""
    status = obj.get("status") or {}
    return int(status.get("currentNumberScheduled") or 0) < int(status.get("desiredNumberScheduled") or 0)


def unfit(obj: Mapping[str, Any]) -> str:
    """Why this DaemonSet cannot have a primary beside it, as its manifest tells: a sentence, "" where it can."""
    spec = obj.get("spec") or {}
    strategy = _map(spec.get("updateStrategy")).get("type") or "RollingUpdate"
    if strategy != "RollingUpdate":
        return (
            f"{_called(obj)} must have RollingUpdate strategy but have {strategy}: with it a promotion would never reach the primary's pods"
        )
    ports = host_ports(spec.get("template") or {})
    if ports:
        some = ", ".join(map(str, ports))
        return (
            f"{_called(obj)} takes port {some} of its nodes (hostPort), which primary and canary cannot both have: "
            "let its Service lead to the pods' own ports"
        )
    return ""


def host_ports(template: Mapping[str, Any]) -> list[int]:
    """The ports of the node that a pod of this template takes; with hostNetwork those are all that it declares."""
    pod = template.get("spec") or {}
    sidecars = [each for each in pod.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    declared = [_map(port) for each in (*(pod.get("containers") or ()), *sidecars) for port in each.get("ports") or ()]
    taken = (port.get("hostPort") or (port.get("containerPort") if pod.get("hostNetwork") else None) for port in declared)
    return sorted({port for port in taken if isinstance(port, int)})


def _map(value: object) -> Mapping[str, Any]:
    """An object of a user's file, where nothing has been judged before."""
    return value if isinstance(value, Mapping) else {}


def _called(obj: Mapping[str, Any]) -> str:
    meta = obj.get("metadata") or {}
    return f"daemonset {meta.get('name')}.{meta['namespace']}" if meta.get("namespace") else f"daemonset {meta.get('name')}"


def _node_selector(obj: Mapping[str, Any]) -> Mapping[str, str]:
    return (((obj.get("spec") or {}).get("template") or {}).get("spec") or {}).get("nodeSelector") or {}


def _holding(obj: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Its ControllerRevisions that hold the present template: one as it is written, one or none as it is scaled to zero."""
    uid = obj["metadata"].get("uid")
    return of_template([each for each in history if owner_uid(each) == uid], obj["spec"].get("template") or {})


def _born(obj: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> float:
    """When the present template was first there, scaled to zero or not (epoch seconds); 0 while that is not known."""
    return min((seconds(each["metadata"].get("creationTimestamp")) for each in _holding(obj, history)), default=0.0)


def _mine(obj: Mapping[str, Any], history: Sequence[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The pods of the present template. Which they are their hash tells: that of each ControllerRevision which holds it."""
    uid = obj["metadata"].get("uid")
    hashes = {(each["metadata"].get("labels") or {}).get(HASH) for each in _holding(obj, history)} - {None}
    return [pod for pod in pods if owner_uid(pod) == uid and (pod["metadata"].get("labels") or {}).get(HASH) in hashes]


def _by_pods(obj: Mapping[str, Any], history: Sequence[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> _Counts:
    """The counts of a DaemonSet whose pods are watched.

    Its status counts available pods of all templates together: at least those are of the present one that are more than others' ready.
    """
    uid = obj["metadata"].get("uid")
    every = [pod for pod in pods if owner_uid(pod) == uid]
    mine = _mine(obj, history, every)
    others = [pod for pod in every if pod not in mine]
    ready = sum(_is_ready(pod) for pod in mine if _stays(pod))
    elsewhere = sum(_is_ready(pod) for pod in (*others, *(pod for pod in mine if not _stays(pod))))
    available = int((obj.get("status") or {}).get("numberAvailable") or 0) - elsewhere
    return _Counts(
        created=sum(map(_stays, mine)),
        ready=ready,
        available=max(0, min(ready, available)),
        old=sum(map(_stays, others)),
        serving=sum(_is_ready(pod) for pod in every if _stays(pod)),
    )


def _by_status(status: Mapping[str, Any]) -> _Counts:
    """The counts where its pods are not watched; of nodes that have no pod of the present template yet none counts for it."""
    desired, updated, current, ready, available = (
        int(status.get(name) or 0)
        for name in ("desiredNumberScheduled", "updatedNumberScheduled", "currentNumberScheduled", "numberReady", "numberAvailable")
    )
    behind = max(0, desired - updated)
    return _Counts(updated, max(0, ready - behind), max(0, available - behind), old=max(0, current - updated), serving=ready)


def _stays(pod: Mapping[str, Any]) -> bool:
    return not pod["metadata"].get("deletionTimestamp") and (pod.get("status") or {}).get("phase") not in _ENDED


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions: Sequence[Mapping[str, Any]] = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _creation_error(events: Iterable[Mapping[str, Any]], created: int, size: int) -> str:
    """Why pods are lacking, as the DaemonSet's controller said last: it has no condition for that, as ReplicaSets have."""
    if created >= size:
        return ""
    told = [event for event in events if event.get("reason") == CANNOT_BE_MADE]
    newest = max(told, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""), default=None)
    return str((newest or {}).get("message") or "")
