"""What is wrong with a Canary, as sentences that begin with the field: for stored objects, `flaggerpy lint` and the condition Stalled.

The same rules as in the CRD (`api/rules.py`), and what this controller does not do yet: that is refused by name, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from copy import deepcopy
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from flaggerpy.api import rules
from flaggerpy.api.alertprovider import AlertProviderSpec
from flaggerpy.api.canary import Analysis, Canary, CanarySpec, Metric, Model, parse_canary
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.metrictemplate import MetricTemplateSpec

Obj = dict[str, Any]

BUILT_TARGETS = ("Deployment", "DaemonSet")
BUILT_PROVIDERS = (
    "kubernetes", "gatewayapi:v1", "gatewayapi:v1beta1", "contour", "istio", "linkerd", "smi:v1alpha1", "smi:v1alpha2", "smi:v1alpha3",
    "traefik", "nginx",
)  # fmt: skip
_SCALER_GROUPS = {"HorizontalPodAutoscaler": "autoscaling", "ScaledObject": "keda.sh"}


def spec_problems(
    obj: Obj, default_provider: str = "", *, providers: Collection[str] = BUILT_PROVIDERS, same_namespace: bool = False
) -> list[str]:
    """All that keeps this Canary from being released, one sentence each; empty when it can be.

    `default_provider` is the controller's -mesh-provider ("" when it is not known, as for `lint`); `providers` those that have a
    router; `same_namespace` the controller's -no-cross-namespace-refs. Pure shape comes first: while a field has the wrong type,
    nothing further is looked at.
    """
    found = _shape_problems(obj.get("spec") or {}, CanarySpec)
    if found:
        return found
    # a null that somebody wrote into a file means the same as nothing, and the API server keeps none
    obj = _without_nulls(obj)
    spec = obj["spec"]
    found = rules.violations(_with_provider(obj, default_provider), rules.CANARY)
    found += _not_built(spec, default_provider, providers)
    if same_namespace:
        found += _foreign_references(obj)
    return found


def salvaged_canary(obj: Obj) -> Canary | None:
    """The Canary with every field left out that cannot be read, such as a fraction in an integer field; None without a target.

    For a stored old object that is never released (`spec_problems` says why), yet must be finalized when it is deleted.
    """
    spec = deepcopy(obj.get("spec"))
    while isinstance(spec, dict):
        try:
            return parse_canary({**obj, "spec": spec})
        except ValidationError as error:
            # outermost last and items from the end, so that taking one away does not move the next
            places = sorted({_place(detail) for detail in error.errors()}, key=lambda place: [str(part).zfill(9) for part in place])
            if not all(_take_away(spec, place) for place in reversed(places)):
                return None
    return None


def _place(detail: ErrorDetails) -> tuple[int | str, ...]:
    """Where a field stands that must go: for a missing one, the object that lacks it."""
    location = detail["loc"][:-1] if detail["loc"][-1:] in (("int",), ("str",)) else detail["loc"]
    return location[:-1] if detail["type"] == "missing" else location


def _take_away(spec: Obj, place: tuple[int | str, ...]) -> bool:
    """Take a field out of the spec; False when it is the spec itself. One that went with another is gone already."""
    if not place:
        return False
    parent: Any = spec
    for part in place[:-1]:
        try:
            parent = parent[part]
        except (KeyError, IndexError, TypeError):
            return True
    if isinstance(parent, list) and isinstance(place[-1], int):
        del parent[place[-1] : place[-1] + 1]
    elif isinstance(parent, dict):
        parent.pop(place[-1], None)
    return True


def _without_nulls(value: Any) -> Any:
    """A value without the fields that are null, at any depth."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def metric_template_problems(obj: Obj) -> list[str]:
    """All that is wrong with a MetricTemplate, one sentence each."""
    return _shape_problems(obj.get("spec") or {}, MetricTemplateSpec) or rules.violations(_without_nulls(obj), rules.METRIC_TEMPLATE)


def alert_provider_problems(obj: Obj) -> list[str]:
    """All that is wrong with an AlertProvider, one sentence each."""
    return _shape_problems(obj.get("spec") or {}, AlertProviderSpec) or rules.violations(_without_nulls(obj), rules.ALERT_PROVIDER)


def warnings(canary: Canary) -> list[str]:
    """What works but is better written otherwise, or does nothing: one sentence each. Never a reason to stop a release."""
    found = []
    at = "spec.analysis"
    if canary.spec.canary_analysis is not None and canary.spec.analysis is None:
        at = "spec.canaryAnalysis"
        found.append("spec.canaryAnalysis: is deprecated; write spec.analysis instead")
    plan = canary.spec.plan
    if plan.interval and 0 < parse_duration(plan.interval) < 1:
        found.append(f"{at}.interval: {plan.interval} is shorter than 1s; 1s is used")
    for i, metric in enumerate(plan.metrics):
        found += [f"{at}.metrics[{i}].{sentence}" for sentence in _metric_warnings(metric)]
    return found + [f"{at}.{sentence}" for sentence in _analysis_warnings(plan)]


def _metric_warnings(metric: Metric) -> list[str]:
    ends = metric.threshold_range
    rate = metric.name == "request-success-rate"
    if metric.threshold is not None:
        if ends is not None:
            return ["threshold: is deprecated and not used, as thresholdRange is given; take it out"]
        return [f"threshold: is deprecated; write thresholdRange.{'min' if rate else 'max'} instead"]
    if ends is None and rate:
        return ["thresholdRange: is missing, so every success rate passes; write thresholdRange.min, such as 99"]
    if ends is None:
        return ["thresholdRange: is missing, so every value above 0 fails; write thresholdRange.max"]
    return ["thresholdRange: has neither min nor max, so every value passes"] if ends.min is None and ends.max is None else []


def _analysis_warnings(plan: Analysis) -> list[str]:
    found = []
    if plan.step_weights and plan.max_weight is not None:
        found.append("maxWeight: is not used with stepWeights; the last step is the greatest weight")
    if plan.mirror_weight is not None and not plan.mirror:
        found.append("mirrorWeight: is not used without mirror: true")
    if plan.mirror and plan.match:
        found.append("mirror: is not used in A/B testing (match)")
    affinity = plan.session_affinity
    if affinity and plan.iterations:
        found.append("sessionAffinity: is not used with iterations; it needs stepWeight or stepWeights")
    if affinity and affinity.same_site == "None" and not affinity.secure:
        found.append("sessionAffinity.sameSite: browsers drop a cookie with SameSite=None; write secure: true as well")
    return found


def _with_provider(obj: Obj, default_provider: str) -> Obj:
    """The object with the provider in force, but for knative, where the controller's default does not count (Flagger's rule)."""
    spec = obj["spec"]
    if "provider" in spec or default_provider in ("", "knative"):
        return obj
    return {**obj, "spec": {**spec, "provider": default_provider}}


def _not_built(spec: Obj, default_provider: str, providers: Collection[str]) -> list[str]:
    found = []
    target = spec["targetRef"]
    if target["apiVersion"] != "apps/v1" or target["kind"] not in BUILT_TARGETS:
        found.append(
            f"spec.targetRef: kind {target['kind']} of {target['apiVersion']} is not built yet; "
            f"{' and '.join(BUILT_TARGETS)} of apps/v1 can be released"
        )
    if "autoscalerRef" in spec:
        found += _scaler_problems(spec)
    provider = spec.get("provider")
    usable = f"can be used: {', '.join(providers)}"
    if provider is not None and provider not in providers:
        found.append(f"spec.provider: {provider} is not built yet; {usable}")
    elif provider is None and default_provider and default_provider not in providers:
        found.append(f"spec.provider: is not given, and {default_provider}, the controller's -mesh-provider, is not built yet; {usable}")
    return found


def _scaler_problems(spec: Obj) -> list[str]:
    ref, kind = spec["autoscalerRef"], spec["targetRef"]["kind"]
    if kind == "DaemonSet":
        return ["spec.autoscalerRef: a DaemonSet has one pod on each node and cannot be scaled; take autoscalerRef out"]
    if kind != "Deployment":
        return [f"spec.autoscalerRef: nothing scales a {kind}; take autoscalerRef out"]
    group = _SCALER_GROUPS[ref["kind"]]
    if ref["apiVersion"].partition("/")[0] != group:
        return [f"spec.autoscalerRef.apiVersion: {ref['kind']} is of {group}, not {ref['apiVersion']}"]
    return []


def _foreign_references(obj: Obj) -> list[str]:
    home = (obj.get("metadata") or {}).get("namespace")
    paths = ["spec.upstreamRef"]
    for at in ("spec.analysis", "spec.canaryAnalysis"):
        paths += [f"{at}.metrics[].templateRef", f"{at}.alerts[].providerRef"]
    return [
        f"{at}.namespace: {ref['name']} of namespace {ref['namespace']}: references into other namespaces are switched off"
        for path in paths
        for at, ref in rules.values_at(obj, path)
        if ref.get("namespace") and ref["namespace"] != home
    ]


def _shape_problems(spec: Any, model: type[Model]) -> list[str]:
    """Sentences for fields that are missing or have the wrong type, as the CRD's schema would refuse them."""
    try:
        # JSON is what the API server holds; strict, because it coerces nothing either
        model.model_validate_json(json.dumps(spec), strict=True)
    except ValidationError as error:
        return list(dict.fromkeys(_sentence(detail) for detail in error.errors(include_url=False)))
    return []


_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a map",
    "model_type": "must be an object",
    "string_too_short": "must not be empty",
}


def _sentence(detail: ErrorDetails) -> str:
    # the two branches of an int-or-string field end the path with their type's name
    location = detail["loc"][:-1] if detail["loc"][-1:] in (("int",), ("str",)) else detail["loc"]
    at = "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    if location != detail["loc"]:
        return f"{at}: must be a number or a text"
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "literal_error":
        words = f"must be one of {context['expected']}"
    elif kind in ("greater_than_equal", "less_than_equal"):
        words = f"must be at {'least' if 'ge' in context else 'most'} {context.get('ge', context.get('le'))}"
    elif kind == "too_long":
        words = f"must have at most {context['max_length']} items"
    else:
        words = _WORDS.get(kind) or detail["msg"][:1].lower() + detail["msg"][1:]
    value = detail["input"]
    plain = kind != "missing" and isinstance(value, (bool, int, float, str))
    return f"{at}: {words}, not {json.dumps(value)}" if plain else f"{at}: {words}"
