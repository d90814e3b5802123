"""What all kinds of targets share of a primary: the label that tells it from its target, what is kept of a revision, and the manifest.

Object names, labels, selectors and the primary's fields are Flagger's; the template comes from what was kept when the run began and
never from the target as it is now (Q-2, Q-18), and affinities are rewritten by the label's value (Q-64).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import FLAGGER_ID, REVISION_LABEL, kept_revision_name, primary_name
from flaggerpy.targets.base import Wanted
from flaggerpy.targets.configs import rename_references
from flaggerpy.targets.metadata import Obj, by_prefix, canary_label, owner_reference, without_toolkit
from flaggerpy.targets.templates import as_written

_BOOKKEEPING = ("kubectl.kubernetes.io/last-applied-configuration", "deployment.kubernetes.io/", "deprecated.daemonset.template.generation")


def selector_of(workload: Mapping[str, Any], selector_labels: Sequence[str]) -> tuple[str, str] | str:
    """The label by which target and primary are told apart, and its value; or Flagger's sentence why there is none."""
    matched = ((workload.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    for label in selector_labels:
        if label in matched:
            return label, str(matched[label])
    meta = workload.get("metadata") or {}
    what = f"{str(workload.get('kind') or 'workload').lower()} {meta.get('name')}.{meta.get('namespace')}"
    return f"{what} spec.selector.matchLabels must contain one of [{' '.join(selector_labels)}]"


def kept_revision(
    canary: Canary,
    workload: Mapping[str, Any],
    revision: str,
    configs: Mapping[str, str] | None,
    *,
    fields: Sequence[str],
    number: int,
) -> Obj:
    """See `base.Target.kept`. `fields` of the spec are kept beside the template; `number` orders the revisions of a workload."""
    spec = workload["spec"]
    meta = workload["metadata"]
    data: Obj = {field: copy.deepcopy(spec[field]) for field in fields if spec.get(field) is not None}
    data["template"] = as_written(spec["template"])
    if spec.get("replicas"):
        data["replicas"] = spec["replicas"]
    data["labels"] = dict(meta.get("labels") or {})
    data["annotations"] = {key: value for key, value in (meta.get("annotations") or {}).items() if not key.startswith(_BOOKKEEPING)}
    if configs is not None:
        data["configs"] = dict(configs)
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": kept_revision_name(canary.name, revision),
            "namespace": canary.namespace,
            "labels": {**canary_label(canary), REVISION_LABEL: revision},
            "ownerReferences": [owner_reference(canary)],
        },
        "revision": number,
        "data": data,
    }


def primary_manifest(kind: str, canary: Canary, kept: Mapping[str, Any], wanted: Wanted, *, fields: Sequence[str]) -> Obj:
    """See `base.Target.primary`; without a size. `fields` of what was kept go into its spec."""
    label, old = wanted.selector_label, wanted.label_value
    value = f"{old}-primary"
    template = kept["template"]
    meta = template.get("metadata") or {}
    labels = without_toolkit(meta.get("labels"))
    annotations = without_toolkit(meta.get("annotations")) | {FLAGGER_ID: wanted.run_id, REVISION_LABEL: wanted.revision}
    pod_spec = _keeping_apart(rename_references(template["spec"], wanted.config_names), label, old, value)
    spec: Obj = {field: copy.deepcopy(kept[field]) for field in fields if kept.get(field) is not None}
    spec["selector"] = {"matchLabels": {label: value}}
    spec["template"] = {"metadata": {"labels": labels | {label: value}, "annotations": annotations}, "spec": pod_spec}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": primary_name(canary.target),
            "namespace": canary.namespace,
            "labels": by_prefix(kept.get("labels"), wanted.include_label_prefix) | {label: value},
            "annotations": by_prefix(kept.get("annotations"), wanted.include_label_prefix) | {REVISION_LABEL: wanted.revision},
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
