"""PodDisruptionBudgets: a copy for the primary's pods of those that ask for it by label, for a budget of the target's selects none of them.

Which pods a budget means is told by its selector. One that selects the primary's pods as well (by a label that both have) needs no copy.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import COPY_TO_PRIMARY, primary_name
from flaggerpy.targets.metadata import Obj, canary_label, owned_by, owner_reference

ASKED = "true"
COPIED = "copy"
_FIELDS = ("minAvailable", "maxUnavailable", "unhealthyPodEvictionPolicy")


def copies(budgets: Iterable[Mapping[str, Any]], canary: Canary, label: str, value: str) -> list[Obj]:
    """The manifests `<name>-primary` for the budgets that ask for a copy and select the target's pods by `label` = `value`."""
    made = []
    for budget in budgets:
        meta, spec = budget["metadata"], budget.get("spec") or {}
        if (meta.get("labels") or {}).get(COPY_TO_PRIMARY) != ASKED:
            continue
        selector = _of_primary(spec.get("selector") or {}, label, value)
        if selector is None:
            continue
        made.append(
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "metadata": {
                    "name": primary_name(meta["name"]),
                    "namespace": canary.namespace,
                    "labels": canary_label(canary) | {COPY_TO_PRIMARY: COPIED},
                    "ownerReferences": [owner_reference(canary)],
                },
                "spec": {field: spec[field] for field in _FIELDS if spec.get(field) is not None} | {"selector": selector},
            }
        )
    return made


def orphans(budgets: Iterable[Mapping[str, Any]], canary: Canary, wanted: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The copies of this Canary that are not wanted any more."""
    names = {obj["metadata"]["name"] for obj in wanted}
    return [
        budget
        for budget in budgets
        if (budget["metadata"].get("labels") or {}).get(COPY_TO_PRIMARY) == COPIED
        and owned_by(budget, canary)
        and budget["metadata"]["name"] not in names
    ]


def _of_primary(selector: Mapping[str, Any], label: str, value: str) -> Obj | None:
    """The selector for the primary's pods; None for one that does not tell them from the target's."""
    found: Obj = copy.deepcopy(dict(selector))
    told = False
    if (found.get("matchLabels") or {}).get(label) == value:
        found["matchLabels"][label] = primary_name(value)
        told = True
    for expression in found.get("matchExpressions") or ():
        if expression.get("key") == label and expression.get("operator") == "In" and value in (expression.get("values") or ()):
            expression["values"] = [primary_name(value)]
            told = True
    return found if told else None
