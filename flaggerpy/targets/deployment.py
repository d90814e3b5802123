"""Deployments as targets: their revision is the pod-template-hash of the ReplicaSet that holds their template, their size is `replicas`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL
from flaggerpy.api.workloads import WorkloadFacts
from flaggerpy.targets import primary
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.metadata import Obj
from flaggerpy.targets.pods import owner_uid, pod_facts, seconds
from flaggerpy.targets.templates import HASH_LABEL, TEMPLATE_DIGEST, as_written, images, of_template, template_digest

DEPLOYMENT_REVISION = "deployment.kubernetes.io/revision"
_KEPT_FIELDS = ("strategy", "minReadySeconds", "progressDeadlineSeconds", "revisionHistoryLimit")


class Deployment:
    """See `base.Target`. Its history are ReplicaSets."""

    kind = "Deployment"

    def revision(self, obj: Mapping[str, Any], history: Iterable[Mapping[str, Any]]) -> str:
        """The pod-template-hash of the ReplicaSet that holds its template, "" when none does."""
        held = of_template(history, obj["spec"].get("template") or {})
        return str((held[0]["metadata"].get("labels") or {}).get(HASH_LABEL, "")) if held else ""

    def facts(
        self,
        obj: Mapping[str, Any],
        history: Iterable[Mapping[str, Any]],
        pods: Iterable[Mapping[str, Any]] | None,
        events: Mapping[str, Sequence[Mapping[str, Any]]],
    ) -> WorkloadFacts:
        meta, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
        owned = [replicaset for replicaset in history if owner_uid(replicaset) == meta.get("uid")]
        current = _current(obj, owned)
        template = spec["template"]
        observed = status.get("observedGeneration", 0) >= meta.get("generation", 0)
        same = bool(current) and current["spec"].get(TEMPLATE_DIGEST) == template_digest(template)
        counts = current.get("status") or {}
        annotations = (template.get("metadata") or {}).get("annotations") or {}
        uid = (current.get("metadata") or {}).get("uid")
        revision = ((current.get("metadata") or {}).get("labels") or {}).get(HASH_LABEL, "")
        problem = ""
        if spec.get("paused") and observed and not same:
            problem = (
                f"deployment {meta.get('name')}.{meta.get('namespace')} is paused (spec.paused), so no pods of its new template are made: "
                "resume it with kubectl rollout resume"
            )
        mine = [pod for pod in pods or () if uid and owner_uid(pod) == uid]
        return WorkloadFacts(
            name=meta.get("name", ""),
            replicas=self.size(obj),
            revision=revision,
            fresh=same and (observed or _nothing_to_do(current, self.size(obj))),
            created=counts.get("replicas", 0),
            updated=counts.get("replicas", 0),
            ready=counts.get("readyReplicas", 0),
            available=counts.get("availableReplicas", 0),
            old=sum((rs.get("status") or {}).get("replicas", 0) for rs in owned if rs is not current),
            revision_born=seconds((current.get("metadata") or {}).get("creationTimestamp")),
            serving=sum((rs.get("status") or {}).get("readyReplicas", 0) for rs in owned) if owned else None,
            images=images(template),
            pods=tuple(sorted((pod_facts(pod, events.get(pod["metadata"]["name"], ())) for pod in mine), key=lambda pod: pod.name)),
            pods_known=pods is not None,
            pod_creation_error=_creation_error(current),
            flagger_id=annotations.get(FLAGGER_ID, ""),
            source_revision=annotations.get(REVISION_LABEL, ""),
            problem=problem,
        )

    def kept(self, canary: Canary, obj: Mapping[str, Any], revision: str, configs: Mapping[str, str] | None) -> Obj:
        return primary.kept_revision(canary, obj, revision, configs, fields=_KEPT_FIELDS, number=_number(obj))

    def primary(self, canary: Canary, kept: Mapping[str, Any], wanted: Wanted) -> Obj:
        made = primary.primary_manifest(self.kind, canary, kept, wanted, fields=_KEPT_FIELDS)
        if wanted.replicas is not None:
            made["spec"]["replicas"] = wanted.replicas
        return made

    def held(self, obj: Mapping[str, Any]) -> tuple[str, Obj]:
        return str((obj["metadata"].get("labels") or {}).get(HASH_LABEL, "")), obj["spec"].get("template") or {}

    def size(self, obj: Mapping[str, Any]) -> int:
        replicas = obj["spec"].get("replicas")
        return 1 if replicas is None else int(replicas)

    def scaling(self, obj: Mapping[str, Any], replicas: int) -> list[Obj]:
        return [] if self.size(obj) == replicas else [{"op": "add", "path": "/spec/replicas", "value": replicas}]

    def restoring(self, obj: Mapping[str, Any], template: Mapping[str, Any]) -> list[Obj]:
        same = as_written(obj["spec"].get("template") or {}) == template
        return [] if same else [{"op": "replace", "path": "/spec/template", "value": dict(template)}]


def _number(obj: Mapping[str, Any]) -> int:
    """Which of a Deployment's revisions it is, 0 where that is not noted."""
    text = str((obj["metadata"].get("annotations") or {}).get(DEPLOYMENT_REVISION, ""))
    return int(text) if text.isdigit() else 0


def _current(deployment: Mapping[str, Any], owned: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The ReplicaSet that the deployment controller worked on last; {} for none.

    Who replaces the whole Deployment (`helm upgrade --force`, `kubectl replace`) takes its revision's number off for a moment: it is then
    the highest, and no pod is lost.
    """
    numbered = [(_number(replicaset), replicaset) for replicaset in owned]
    wanted = _number(deployment) or max((number for number, _ in numbered), default=0)
    return next((replicaset for number, replicaset in numbered if number and number == wanted), {})


def _nothing_to_do(current: Mapping[str, Any], wanted: int) -> bool:
    """Whether the deployment controller, when it looks, finds the ReplicaSet of the template as it is to be.

    An annotation of a Deployment counts its generation up too (and Helm's `--force` takes one off): that is no news of its pods.
    """
    return bool(current["spec"].get("replicas") == wanted)


def _creation_error(replicaset: Mapping[str, Any]) -> str:
    for condition in (replicaset.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True" and condition.get("reason") == "FailedCreate":
            return str(condition.get("message", "")) or "FailedCreate"
    return ""
