"""ReplicaSets in the cache carry a digest in place of their pod template, as there are ten of them per Deployment. Pure.

A look at a Deployment puts its template back into the ReplicaSet whose digest is equal, so that `targets.deployment` sees what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flaggerpy.controller.patches import digest

Obj = dict[str, Any]

HASH_LABEL = "pod-template-hash"
TEMPLATE_DIGEST = "templateDigest"


def template_digest(template: Mapping[str, Any]) -> str:
    """A short name of a pod template, the same for a Deployment's and for its ReplicaSet's (which has one label more)."""
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    return digest(
        _without_nothing({"labels": labels, "annotations": metadata.get("annotations") or {}, "spec": template.get("spec") or {}})
    )


def _without_nothing(value: Any) -> Any:
    """Without nulls and empty maps, which the API server prints for some objects and not for others."""
    if isinstance(value, Mapping):
        inner = {name: _without_nothing(item) for name, item in value.items()}
        return {name: item for name, item in inner.items() if item is not None and item != {}}
    if isinstance(value, list):
        return [_without_nothing(item) for item in value]
    return value


def with_templates(deployment: Mapping[str, Any], sets: Iterable[Obj]) -> list[Obj]:
    """The ReplicaSets with the Deployment's own template where their digest is that of it, and with an empty one else."""
    template = deployment["spec"].get("template") or {}
    want = template_digest(template)
    return [
        {**obj, "spec": {**obj["spec"], "template": template if obj["spec"].get(TEMPLATE_DIGEST) == want else {}}} for obj in sets
    ]


def present_hash(deployment: Mapping[str, Any], sets: Iterable[Obj]) -> str:
    """The pod-template-hash of the ReplicaSet that holds the Deployment's template, "" when none does."""
    want = template_digest(deployment["spec"].get("template") or {})
    for obj in sets:
        if obj["spec"].get(TEMPLATE_DIGEST) == want:
            return str((obj["metadata"].get("labels") or {}).get(HASH_LABEL, ""))
    return ""


def selector_text(selector: Mapping[str, Any]) -> str:
    """A LabelSelector in the API's text form."""
    parts = [f"{name}={value}" for name, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        name, values = expression["key"], ",".join(expression.get("values") or ())
        match expression["operator"]:
            case "In":
                parts.append(f"{name} in ({values})")
            case "NotIn":
                parts.append(f"{name} notin ({values})")
            case "Exists":
                parts.append(name)
            case "DoesNotExist":
                parts.append(f"!{name}")
    return ",".join(parts)
