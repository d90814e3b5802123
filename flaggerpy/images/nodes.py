"""Nodes, as far as images care: which of them a pod may land on, of what platform they are, and which images they hold already.

A node lists its 50 largest images (`nodeStatusMaxImages`), so what is not listed may still be there; what is listed is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flaggerpy.images.platforms import Platform
from flaggerpy.images.reference import InvalidName, Reference, parse

Obj = Mapping[str, Any]

OS_LABEL = "kubernetes.io/os"
ARCHITECTURE_LABEL = "kubernetes.io/arch"


def platforms(nodes: Iterable[Obj], pod_spec: Obj) -> tuple[Platform, ...]:
    """The platforms of the nodes that the pod may land on, by their labels; () where no node tells."""
    found = [_platform(node) for node in nodes if may_land(pod_spec, node)]
    return tuple(dict.fromkeys(item for item in found if item is not None))


def may_land(pod_spec: Obj, node: Obj) -> bool:
    """Whether nodeSelector and required node affinity of the pod allow this node. Taints and room are not looked at: they change."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    if any(labels.get(name) != value for name, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = ((pod_spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = required.get("nodeSelectorTerms") or ()
    name = str((node.get("metadata") or {}).get("name") or "")
    return not terms or any(_term(term, labels, name) for term in terms)


def holds(nodes: Iterable[Obj], image: Reference) -> bool:
    """Whether any node lists this very image."""
    return any(_lists(name, image) for node in nodes for entry in (node.get("status") or {}).get("images") or () for name in _names(entry))


def _names(entry: Obj) -> Sequence[str]:
    return entry.get("names") or ()


def _lists(name: str, image: Reference) -> bool:
    # most names are other images': look closely only where the end agrees
    if not name.endswith(image.pulled):
        return False
    try:
        return parse(name).same_image(image)
    except InvalidName:
        return False


def _platform(node: Obj) -> Platform | None:
    labels = (node.get("metadata") or {}).get("labels") or {}
    os, architecture = labels.get(OS_LABEL), labels.get(ARCHITECTURE_LABEL)
    return Platform(str(os), str(architecture)) if os and architecture else None


def _term(term: Obj, labels: Mapping[str, str], name: str) -> bool:
    by_label, by_field = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not by_label and not by_field:
        return False
    return all(_expression(item, labels) for item in by_label) and all(_expression(item, {"metadata.name": name}) for item in by_field)


def _expression(item: Obj, labels: Mapping[str, str]) -> bool:
    value = labels.get(str(item.get("key")))
    values: Sequence[Any] = item.get("values") or ()
    match item.get("operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                there, bound = int(str(value)), int(values[0])
            except (ValueError, IndexError):
                return False
            return there > bound if operator == "Gt" else there < bound
        case _:
            # an operator that is not known here may allow the node
            return True
