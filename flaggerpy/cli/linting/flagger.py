"""`flaggerpy lint --for-flagger`: what of a Canary Flagger 1.44 refuses, drops, or does otherwise. For those who run both, or go back.

Source: Flagger 1.44's CRD (fields, patterns, what is pruned) and its documented behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flaggerpy.api import rules
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.names import GROUP
from flaggerpy.cli.linting.findings import Finding, found
from flaggerpy.cli.manifests import Document

DURATION = re.compile(r"^[0-9]+(m|s)")
"""Flagger's pattern, open at its end: `500ms` and `10sec` pass, `1h` and `1.5m` do not."""
SHORTEST = 10.0
"""Seconds: Flagger takes shorter intervals as this."""
_OURS = {"spec.podHealth": "our judgement of pods: Flagger only has progressDeadlineSeconds"}
_SUFFIXES = ("spec.service.match[].uri", "spec.service.match[].scheme", "spec.service.match[].method", "spec.service.match[].authority")
_SUFFIX_MAPS = ("spec.service.match[].headers{}", "spec.service.match[].queryParams{}", "spec.service.match[].withoutHeaders{}")


def lint(document: Document) -> list[Finding]:
    """What Flagger would not understand of one object."""
    if document.group != GROUP:
        return []
    if document.kind == "AlertProvider":
        return list(_alert_provider(document))
    return list(_canary(document)) if document.kind == "Canary" and isinstance(document.obj.get("spec"), dict) else []


def _alert_provider(document: Document) -> Iterator[Finding]:
    spec = document.obj.get("spec") or {}
    if isinstance(spec, dict) and spec.get("address") and spec.get("secretRef"):
        yield found("flagger-refuses", document, "spec.secretRef", "spec: address and secretRef together; Flagger's CRD takes one of them")


def _canary(document: Document) -> Iterator[Finding]:
    spec: Mapping[str, Any] = document.obj["spec"]
    for field, why in _OURS.items():
        for at, _ in rules.values_at(document.obj, field):
            yield found("flagger-ignores", document, at, f"{at}: is dropped by Flagger's CRD ({why})")
    if "canaryAnalysis" in spec:
        text = "spec.canaryAnalysis: is dropped by Flagger's CRD, which then misses spec.analysis; write analysis"
        yield found("flagger-refuses", document, "spec.canaryAnalysis", text)
    elif "analysis" not in spec:
        yield found("flagger-refuses", document, "spec", "spec: analysis is missing; Flagger's CRD requires it, with skipAnalysis too")
    for pattern in (*_SUFFIXES, *_SUFFIX_MAPS, "spec.analysis.match[].queryParams{}"):
        for at, value in rules.values_at(document.obj, pattern):
            if isinstance(value, dict) and "suffix" in value:
                yield found("flagger-ignores", document, f"{at}.suffix", f"{at}.suffix: is dropped by Flagger's CRD: the match gets wider")
    yield from _durations(document)
    yield from _habits(document, spec)


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
    for index, hook in enumerate(plan.get("webhooks") or ()):
        if isinstance(hook, dict) and hook.get("type") == "rollback":
            at = f"spec.analysis.webhooks[{index}]"
            text = f"{at}: Flagger asks rollback hooks once an interval, and neither while it waits at a gate nor during a promotion"
            yield found("flagger-differs", document, at, text)
