"""Pod templates compared, and the objects in which Kubernetes keeps the earlier ones (history). Pure.

A Deployment keeps its templates in ReplicaSets, a DaemonSet in ControllerRevisions: ten of them per workload, so that caches hold a
digest in place of the template (`slim_history`). Templates are equal when their digests are: what the API server prints for one object and
not for another (nulls, empty maps, the hash label of a ReplicaSet) does not count.

The digest of a DaemonSet's template is the name of its revision in the status of Canaries: `template_digest` must never answer
differently for the same template.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Obj = dict[str, Any]

HASH_LABEL = "pod-template-hash"
TEMPLATE_DIGEST = "templateDigest"
SCALE_TO_ZERO = "flagger.app/scale-to-zero"
"""The key in a DaemonSet's nodeSelector that keeps its pods off all nodes (Flagger's)."""


def template_digest(template: Mapping[str, Any]) -> str:
    """A short name of a pod template, the same for a workload's own and for the one in its history, scaled to zero or not."""
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    spec = dict(template.get("spec") or {})
    spec["nodeSelector"] = {name: value for name, value in (spec.get("nodeSelector") or {}).items() if name != SCALE_TO_ZERO}
    whole = _without_nothing({"labels": labels, "annotations": metadata.get("annotations") or {}, "spec": spec})
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def _without_nothing(value: Any) -> Any:
    """Without nulls and empty maps, which the API server prints for some objects and not for others."""
    if isinstance(value, Mapping):
        inner = {name: _without_nothing(item) for name, item in value.items()}
        return {name: item for name, item in inner.items() if item is not None and item != {}}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def slim_history(obj: Obj) -> Obj:
    """A ReplicaSet or ControllerRevision with the digest of its pod template, as `spec.templateDigest`, in place of the template."""
    spec = dict(obj.get("spec") or {})
    data = obj.get("data")
    template = spec.pop("template", None) or ((data or {}).get("spec") or {}).get("template") or {}
    spec[TEMPLATE_DIGEST] = template_digest(template)
    return {name: value for name, value in obj.items() if name != "data"} | {"spec": spec}


def of_template(history: Iterable[Mapping[str, Any]], template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of a history (as `slim_history` left them) that hold this template."""
    want = template_digest(template)
    return [obj for obj in history if (obj.get("spec") or {}).get(TEMPLATE_DIGEST) == want]


def as_written(template: Mapping[str, Any]) -> Obj:
    """The template as the user wrote it: without the hash that the deployment controller adds, what scaled it to zero, and empty maps."""
    plain = copy.deepcopy(dict(template))
    meta = plain.get("metadata") or {}
    (meta.get("labels") or {}).pop(HASH_LABEL, None)
    plain["metadata"] = {key: value for key, value in meta.items() if value and key in ("labels", "annotations")}
    spec = plain.get("spec") or {}
    selector = spec.get("nodeSelector") or {}
    if SCALE_TO_ZERO in selector:
        del selector[SCALE_TO_ZERO]
        if not selector:
            del spec["nodeSelector"]
    return plain


def images(template: Mapping[str, Any]) -> tuple[str, ...]:
    """The images of a template's containers, those of init containers first, each once."""
    pod: Mapping[str, Sequence[Mapping[str, Any]]] = template.get("spec") or {}
    every = (str(container.get("image", "")) for group in ("initContainers", "containers") for container in pod.get(group) or ())
    return tuple(dict.fromkeys(every))
