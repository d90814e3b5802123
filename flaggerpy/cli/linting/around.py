"""Rules about objects that pick pods or Services by label: what picks the target's pods may not pick the primary's, which serve.

Every label of the pods but the one that tells the sides apart is the same on both; a selector on that one sees one side only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import primary_name
from flaggerpy.cli.linting.findings import Finding, found
from flaggerpy.cli.manifests import Document, misshapen
from flaggerpy.cluster.selectors import matches
from flaggerpy.controller.settings import Settings
from flaggerpy.controller.workloads import selector_text
from flaggerpy.routers.services import service_names
from flaggerpy.targets.primary import selector_of

Obj = Mapping[str, Any]

PICKS_PODS: dict[str, tuple[str, str, str]] = {
    "PodDisruptionBudget": ("selector", "budget-misses-primary", "they may all be evicted at once"),
    "NetworkPolicy": ("podSelector", "policy-misses-primary", "its rules do not hold for them"),
    "PodMonitor": ("selector", "monitor-misses-primary", "they are not scraped"),
}
"""Kind to the field of its spec, the rule, and what it comes to."""


def lint(canary: Canary, target: Document, around: list[Document]) -> Iterator[Finding]:
    """The findings about these objects of the Canary's namespace."""
    if misshapen(target.obj):
        return
    label = selector_of(target.obj, Settings().selector_label_names)
    if isinstance(label, str):
        return
    name, value = label
    pods = {**_labels(target.obj["spec"]["template"]), name: value}
    primary = {**pods, name: primary_name(value)}
    for document in around:
        if document.kind in PICKS_PODS:
            field, rule, means = PICKS_PODS[document.kind]
            selector = (document.obj.get("spec") or {}).get(field)
            if _picks(selector, pods) and not _picks(selector, primary):
                text = (
                    f"spec.{field}: picks the pods of {canary.target} by {name}={value}, and not those of {primary_name(canary.target)} "
                    f"({name}={primary_name(value)}), which serve: {means}; pick by a label that both have"
                )
                yield found(rule, document, f"spec.{field}", text)
        elif document.kind == "ServiceMonitor" and canary.spec.service is not None:
            yield from _monitor(canary, name, document, around)


def _monitor(canary: Canary, label: str, document: Document, around: list[Document]) -> Iterator[Finding]:
    service = canary.spec.service
    assert service is not None
    apex, _, candidate = service_names(canary)
    standing = next((each.obj for each in around if each.kind == "Service" and each.name == apex), None)
    own = {**(service.apex.labels if service.apex else {}), label: apex}
    of_apex = _labels(standing) if standing is not None else own
    of_canary = {**(service.canary.labels if service.canary else {}), label: candidate}
    selector = (document.obj.get("spec") or {}).get("selector")
    if _picks(selector, of_apex) and not _picks(selector, of_canary):
        text = (
            f"spec.selector: picks Service {apex}, behind which the primary is, and not {candidate}: the canary is not scraped by it "
            f"while it is analysed; give {candidate} the labels by spec.service.canary.labels, or scrape by a PodMonitor"
        )
        yield found("monitor-misses-canary", document, "spec.selector", text)


def _labels(obj: Obj) -> dict[str, str]:
    return dict((obj.get("metadata") or {}).get("labels") or {})


def _picks(selector: object, labels: Mapping[str, str]) -> bool:
    try:
        return isinstance(selector, dict) and matches(selector_text(selector), dict(labels))
    except (AttributeError, KeyError, TypeError):
        return False  # the API server would refuse it
