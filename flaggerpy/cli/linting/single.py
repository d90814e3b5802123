"""Rules about one object: shape, the CRD's rules (`api/rules.py`), unknown fields, and what works otherwise than it seems."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from flaggerpy.api import crds
from flaggerpy.api.canary import Canary, parse_canary
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.names import GROUP, VERSION
from flaggerpy.api.problems import alert_provider_problems, metric_template_problems, spec_problems, warnings
from flaggerpy.cli.linting.findings import Finding, found, sentence
from flaggerpy.cli.manifests import Document
from flaggerpy.hooks.calling import DEFAULT_TIMEOUT
from flaggerpy.routers.registry import UnknownProvider, known_providers, router_for

KINDS = ("Canary", "MetricTemplate", "AlertProvider")
SHORTEST_WINDOW = 30.0
"""Seconds: two samples at Prometheus' usual scrape interval of 15 s."""
_NOT_BUILT = ("is not built yet", "is not supported: use one of")


def lint(document: Document, provider: str) -> list[Finding]:
    """All findings about one of our objects on its own. `provider` is the controller's -mesh-provider, "" when it is not known."""
    if document.group != GROUP or document.kind not in KINDS:
        return []
    version = str(document.obj.get("apiVersion") or "")
    findings = [
        found("duplicate-key", document, path, f"{path}: stands twice; the second hides the first")
        for path, place in document.twice
        if place.file == document.file
    ]
    if version != f"{GROUP}/{VERSION}":
        return [*findings, found("api-version", document, "apiVersion", f"apiVersion: {version} is not served; write {GROUP}/{VERSION}")]
    findings += _metadata(document)
    findings += unknown_fields(document)
    if not isinstance(document.obj.get("spec") or {}, dict):
        return [*findings, found("invalid-field", document, "spec", "spec: must be an object")]
    if document.kind == "MetricTemplate":
        return findings + [sentence("invalid-field", document, text) for text in metric_template_problems(document.obj)]
    if document.kind == "AlertProvider":
        return findings + [sentence("invalid-field", document, text) for text in alert_provider_problems(document.obj)]
    return findings + list(_canary(document, provider))


def _metadata(document: Document) -> Iterator[Finding]:
    metadata = document.obj.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        yield found("invalid-field", document, "metadata", "metadata.name: is missing")
        return
    for name in ("name", "namespace"):
        if not isinstance(metadata.get(name, ""), str):
            yield found("invalid-field", document, f"metadata.{name}", f"metadata.{name}: must be a text")
    for name in ("labels", "annotations"):
        values = metadata.get(name, {})
        if not isinstance(values, dict) or not all(isinstance(each, str) for pair in values.items() for each in pair):
            yield found("invalid-field", document, f"metadata.{name}", f"metadata.{name}: must be a map of texts")


def typed(document: Document, provider: str = "") -> Canary | None:
    """The Canary of a document when its spec can be read."""
    return None if _refused(document, provider) else parse_canary(document.obj)


def _refused(document: Document, provider: str) -> list[str]:
    served = document.obj.get("apiVersion") == f"{GROUP}/{VERSION}" and not list(_metadata(document))
    if document.kind != "Canary" or not served or not isinstance(document.obj.get("spec"), dict):
        return ["spec: is missing"]
    refused = spec_problems(document.obj, provider, providers=known_providers())
    return [text for text in refused if not any(words in text for words in _NOT_BUILT)]


def _canary(document: Document, provider: str) -> Iterator[Finding]:
    spec = document.obj.get("spec")
    if not isinstance(spec, dict):
        yield found("invalid-field", document, "", "spec: is missing")
        return
    told = spec_problems(document.obj, provider, providers=known_providers())
    for text in told:
        yield sentence("not-built" if any(words in text for words in _NOT_BUILT) else "invalid-field", document, text)
    canary = typed(document, provider)
    if canary is None:
        return
    used = canary.spec.provider or provider
    if used and not told:
        try:
            router = router_for(used)
        except UnknownProvider as error:
            yield sentence("not-built", document, f"spec.provider: {error}")
        else:
            for text in router.problems(canary):
                yield sentence("invalid-field", document, text)
            for text in router.warnings(canary) if canary.spec.service else ():
                yield sentence("no-effect", document, text)
    for text in warnings(canary):
        yield sentence("no-effect", document, text)
    yield from _analysis(document, canary)


def plan_path(document: Document) -> str:
    """Where the analysis stands."""
    spec: Mapping[str, Any] = document.obj.get("spec") or {}
    return "spec.canaryAnalysis" if "canaryAnalysis" in spec and "analysis" not in spec else "spec.analysis"


def _analysis(document: Document, canary: Canary) -> Iterator[Finding]:
    plan, at = canary.spec.plan, plan_path(document)
    if canary.spec.skip_analysis:
        if canary.spec.analysis or canary.spec.canary_analysis:
            yield found("skipped-analysis", document, "spec.skipAnalysis", "spec.skipAnalysis: is true, so the analysis is not run")
        return
    if not plan.metrics and not plan.hooks("rollout"):
        text = f"{at}: has neither metrics nor webhooks of type rollout: only failing pods can end a release"
        yield found("nothing-measured", document, at, text)
    if plan.step_weight and plan.max_weight and plan.step_weight > plan.max_weight:
        text = f"{at}.stepWeight: {plan.step_weight} is above maxWeight {plan.max_weight}: the canary gets {plan.step_weight} % at once"
        yield found("step-above-max", document, f"{at}.stepWeight", text)
    yield from _metrics(document, canary, at)
    yield from _hooks(document, canary, at)


def _metrics(document: Document, canary: Canary, at: str) -> Iterator[Finding]:
    for index, metric in enumerate(canary.spec.plan.metrics):
        field = f"{at}.metrics[{index}]"
        own = metric.query or metric.template_ref
        limits = metric.threshold_range
        if not own and limits is not None and limits.max is not None:
            low = 0 if metric.name == "request-success-rate" else 1
            if limits.max < low:
                text = f"{field}.thresholdRange.max: no {metric.name} is ever at most {limits.max:g}, so every check fails"
                yield found("never-passes", document, f"{field}.thresholdRange.max", text)
        if metric.interval and parse_duration(metric.interval) < SHORTEST_WINDOW:
            text = f"{field}.interval: {metric.interval} holds less than two samples at Prometheus' usual pace of 15s: no values"
            yield found("short-window", document, f"{field}.interval", text)


def _hooks(document: Document, canary: Canary, at: str) -> Iterator[Finding]:
    plan = canary.spec.plan
    seen: set[tuple[str, str]] = set()
    for index, hook in enumerate(plan.webhooks):
        field = f"{at}.webhooks[{index}]"
        if (hook.role, hook.name) in seen:
            text = f"{field}.name: a {hook.role} hook {hook.name} stands above already; events cannot tell them apart"
            yield found("same-hook-name", document, f"{field}.name", text)
        seen.add((hook.role, hook.name))
        longest = (parse_duration(hook.timeout) if hook.timeout else DEFAULT_TIMEOUT) * (hook.retries + 1)
        if hook.role == "rollout" and longest > plan.interval_seconds:
            text = f"{field}.timeout: with retries this check may take {longest:g}s; the interval is {plan.interval_seconds:g}s"
            yield found("slow-check", document, field, text)


# --- unknown fields ---------------------------------------------------------------------------------------------------------------------


def unknown_fields(document: Document) -> list[Finding]:
    """Fields that the CRD does not have, with what may have been meant."""
    return list(_unknown(document.obj, _schema(document.kind), "", document))


def _unknown(value: Any, schema: Mapping[str, Any], at: str, document: Document) -> Iterator[Finding]:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema.get("items") or {}, f"{at}[{index}]", document)
    elif isinstance(value, dict):
        known: Mapping[str, Any] = schema.get("properties") or {}
        every = schema.get("additionalProperties")
        for key, item in value.items():
            field = f"{at}.{key}".lstrip(".")
            if key in known:
                yield from _unknown(item, known[key], field, document)
            elif isinstance(every, dict):
                yield from _unknown(item, every, f"{at}[{key}]", document)
            elif known:
                yield found("unknown-field", document, field, f"{field}: there is no such field{_meant(str(key), known)}")


def _meant(key: str, known: Mapping[str, Any]) -> str:
    lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(key.lower(), lower, n=1, cutoff=0.7)
    return f"; {lower[close[0]]} may be meant" if close else ""


@cache
def _schema(kind: str) -> Mapping[str, Any]:
    crd = {"Canary": crds.canary_crd, "MetricTemplate": crds.metric_template_crd, "AlertProvider": crds.alert_provider_crd}[kind]()
    schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = {**schema["properties"], "apiVersion": {}, "kind": {}, "metadata": {}}
    # status comes with objects that were read from a cluster: it is not the user's
    properties["status"] = {}
    return {**schema, "properties": properties}
