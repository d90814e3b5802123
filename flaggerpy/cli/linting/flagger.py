"""`flaggerpy lint --for-flagger`: what of a Canary Flagger 1.44 refuses, drops, or does otherwise. For those who run both, or go back.

Source: Flagger 1.44's CRD (flagger_fields.txt has its fields; patterns; pruning) and its documented behaviour. A field that we get and
that is not in that file is told without a line here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from flaggerpy.api import crds, rules
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.names import COMMANDS, CONFIG_TRACKING, GROUP
from flaggerpy.cli.linting.findings import Finding, found
from flaggerpy.cli.manifests import Document

DURATION = re.compile(r"^[0-9]+(m|s)")
"""Flagger's pattern, open at its end: `500ms` and `10sec` pass, `1h` and `1.5m` do not."""
SHORTEST = 10.0
"""Seconds: Flagger takes shorter intervals as this."""
_MEANS = {
    "spec.podHealth": "our judgement of pods: Flagger only has progressDeadlineSeconds",
    "spec.release": "ours, for tools that wait for Ready: Flagger has no such condition",
    "spec.autoscalerRef.sync": "Flagger brings the primary's scaler up to date at promotions only",
    "suffix": "the match gets wider",
}
"""What the loss of a field comes to, by its path or by its own name."""
_TOLD_APART = ("spec.canaryAnalysis",)


def lint(document: Document) -> list[Finding]:
    """What Flagger would not understand of one object."""
    if document.kind in ("ConfigMap", "Secret") and document.group == "":
        return list(_config(document))
    if document.group != GROUP:
        return []
    if document.kind == "AlertProvider":
        return list(_alert_provider(document))
    return list(_canary(document)) if document.kind == "Canary" and isinstance(document.obj.get("spec"), dict) else []


def _alert_provider(document: Document) -> Iterator[Finding]:
    spec = document.obj.get("spec") or {}
    if isinstance(spec, dict) and spec.get("address") and spec.get("secretRef"):
        yield found("flagger-refuses", document, "spec.secretRef", "spec: address and secretRef together; Flagger's CRD takes one of them")


@cache
def flagger_fields() -> frozenset[str]:
    """The fields of a Canary's spec that Flagger's CRD has, `[]` for the items of a list and `{}` for the values of a map."""
    return frozenset(resources.files("flaggerpy.cli.linting").joinpath("flagger_fields.txt").read_text().split())


@cache
def _spec_schema() -> Mapping[str, Any]:
    root = crds.canary_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec: Mapping[str, Any] = root["properties"]["spec"]
    return spec


def _ours(value: Any, schema: Mapping[str, Any], at: str, path: str) -> Iterator[tuple[str, str]]:
    """The fields of a value that our CRD has and Flagger's has not: where they stand, and their path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _ours(item, schema.get("items") or {}, f"{at}[{index}]", f"{path}[]")
    elif isinstance(value, dict):
        known: Mapping[str, Any] = schema.get("properties") or {}
        every = schema.get("additionalProperties")
        for key, item in value.items():
            if key in known:
                where, inner = f"{at}.{key}", f"{path}.{key}"
                if inner not in flagger_fields():
                    yield where, inner
                else:
                    yield from _ours(item, known[key], where, inner)
            elif isinstance(every, dict):
                yield from _ours(item, every, f"{at}[{key}]", f"{path}{{}}")


def _config(document: Document) -> Iterator[Finding]:
    """Flagger knows one value of the annotation only."""
    metadata = document.obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    value = annotations.get(CONFIG_TRACKING) if isinstance(annotations, dict) else None
    if value is not None and value != "track" and not str(value).startswith("disable"):
        at = f"metadata.annotations.{CONFIG_TRACKING}"
        yield found("flagger-differs", document, at, f"{at}: Flagger knows disabled only and tracks this {document.kind}")


def _canary(document: Document) -> Iterator[Finding]:
    spec: Mapping[str, Any] = document.obj["spec"]
    for at, path in _ours(spec, _spec_schema(), "spec", "spec"):
        if path not in _TOLD_APART:
            why = _MEANS.get(path) or _MEANS.get(path.rpartition(".")[2])
            yield found("flagger-ignores", document, at, f"{at}: is dropped by Flagger's CRD{f' ({why})' if why else ''}")
    yield from _commands(document)
    if "canaryAnalysis" in spec:
        text = "spec.canaryAnalysis: is dropped by Flagger's CRD, which then misses spec.analysis; write analysis"
        yield found("flagger-refuses", document, "spec.canaryAnalysis", text)
    elif "analysis" not in spec:
        yield found("flagger-refuses", document, "spec", "spec: analysis is missing; Flagger's CRD requires it, with skipAnalysis too")
    yield from _durations(document)
    yield from _habits(document, spec)


def _commands(document: Document) -> Iterator[Finding]:
    metadata = document.obj.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    for name in COMMANDS.values():
        if isinstance(annotations, dict) and name in annotations:
            at = f"metadata.annotations.{name}"
            yield found("flagger-ignores", document, at, f"{at}: Flagger knows no commands")


def _durations(document: Document) -> Iterator[Finding]:
    for pattern in ("spec.analysis.interval", "spec.analysis.metrics[].interval", "spec.analysis.webhooks[].timeout"):
        for at, value in rules.values_at(document.obj, pattern):
            if isinstance(value, str) and not DURATION.match(value):
                text = f"{at}: {value} does not fit Flagger's pattern of whole minutes or seconds, such as 90s"
                yield found("flagger-refuses", document, at, text)
    for at, value in rules.values_at(document.obj, "spec.analysis.interval"):
        if isinstance(value, str) and DURATION.match(value):
            try:
                seconds = parse_duration(value)
            except ValueError:
                continue
            if seconds < SHORTEST:
                yield found("flagger-differs", document, at, f"{at}: Flagger takes {value} as 10s: its release is that much slower")


def _habits(document: Document, spec: Mapping[str, Any]) -> Iterator[Finding]:
    """What Flagger takes without a word and does otherwise."""
    plan = spec.get("analysis")
    if not isinstance(plan, dict):
        return
    for index, alert in enumerate(plan.get("alerts") or ()):
        if isinstance(alert, dict) and not alert.get("severity"):
            at = f"spec.analysis.alerts[{index}]"
            text = f"{at}.severity: is empty: Flagger then never sends this alert; write severity: info"
            yield found("flagger-ignores", document, f"{at}.severity", text)
    if plan.get("mirror") and "iterations" not in plan and spec.get("provider") != "istio":
        text = "spec.analysis.mirror: with weights Flagger mirrors by Istio only; by others it starts its analysis over and over"
        yield found("flagger-refuses", document, "spec.analysis.mirror", text)
    if spec.get("provider") == "istio":
        yield from _istio_habits(document)
    for index, hook in enumerate(plan.get("webhooks") or ()):
        if isinstance(hook, dict) and hook.get("type") == "rollback":
            at = f"spec.analysis.webhooks[{index}]"
            text = f"{at}: Flagger asks rollback hooks once an interval, and neither while it waits at a gate nor during a promotion"
            yield found("flagger-differs", document, at, text)


def _istio_habits(document: Document) -> Iterator[Finding]:
    """What Flagger makes of two matches at once, and of a comparison that Istio does not have."""
    both = any(rules.values_at(document.obj, "spec.service.match[]"))
    for at, match in rules.values_at(document.obj, "spec.analysis.match[]"):
        if not isinstance(match, dict):
            continue
        for name, value in sorted((match.get("headers") or {}).items()):
            if isinstance(value, dict) and "suffix" in value:
                text = f"{at}.headers[{name}].suffix: Istio has no suffix: by Flagger the header only has to be there; write a regex"
                yield found("flagger-differs", document, f"{at}.headers[{name}].suffix", text)
        if both and match.get("queryParams"):
            text = f"{at}.queryParams: is dropped by Flagger beside spec.service.match: the match gets wider"
            yield found("flagger-ignores", document, f"{at}.queryParams", text)
        if match.get("headers") and any(rules.values_at(document.obj, "spec.service.match[].headers")):
            text = f"{at}.headers: take the place of those of spec.service.match with Flagger: the match gets wider"
            yield found("flagger-differs", document, f"{at}.headers", text)
