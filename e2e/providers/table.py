"""What each provider can do, and how that is known: read from the marks of the suites and from their last run, and asked of the routers.

`@pytest.mark.proves(LEVEL, FEATURE, ..., providers=(NAME, ...))` on a test says what it shows; all of it is literal text. `live` is shown
by real requests through the provider's own proxy (for built-in metrics: series of its own), `envoy` by real requests through an Envoy whose
routes the test translated, `accepted` by a real API server (for built-in metrics: a real Prometheus). `python -m e2e.providers` runs the
suites and keeps in docs/providers.json what passed; the page has nothing that is not there.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flaggerpy.api.canary import parse_canary
from flaggerpy.api.problems import spec_problems
from flaggerpy.routers.registry import BUILT_IN, router_for
from tests.routers.contract import profile_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "providers.md"
KEPT = ROOT / "docs" / "providers.json"
LEVELS = ("live", "envoy", "accepted")
SUITES = ("e2e/core", "e2e/providers")
REFUSING = (
    "e2e/providers/test_refused.py::test_what_a_provider_cannot_do_is_refused_by_name",
    "e2e/providers/test_refused.py::test_what_has_no_effect_is_told_by_an_event",
)
"""The tests of what the page says to be refused, and to be warned of."""

WEIGHTED = {"interval": "10s", "threshold": 5, "maxWeight": 50, "stepWeight": 10}
MATCH = [{"headers": {"x-user": {"exact": "insider"}}}]
ALWAYS: Mapping[str, Any] = {"analysis": WEIGHTED}

FEATURES: dict[str, Mapping[str, Any]] = {
    "a whole release": {},
    "weights": ALWAYS,
    "A/B test": {"analysis": {"interval": "10s", "threshold": 5, "iterations": 3, "match": MATCH}},
    "weights for matching requests": {"analysis": {**WEIGHTED, "match": MATCH}},
    "mirror": {"analysis": {**WEIGHTED, "mirror": True}},
    "session affinity": {"analysis": {**WEIGHTED, "sessionAffinity": {"cookieName": "canary"}}},
    "a route of the user taken over": {},
    "built-in metrics": {},
    "service.match": {"service": {"match": [{"uri": {"prefix": "/api"}}]}},
    "service.timeout": {"service": {"timeout": "15s"}},
    "service.retries": {"service": {"retries": {"attempts": 3, "perTryTimeout": "5s"}}},
    "service.headers": {"service": {"headers": {"request": {"set": {"x": "1"}}}}},
    "service.rewrite": {"service": {"rewrite": {"uri": "/new"}}},
    "service.mirror": {"service": {"mirror": [{"backendRef": {"name": "shadow", "port": 80}}]}},
    "service.corsPolicy": {"service": {"corsPolicy": {"allowOrigin": ["https://a.example.com"], "allowMethods": ["GET"]}}},
    "service.trafficPolicy": {"service": {"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}},
}
"""Feature to the fields of a Canary that ask for it; none where the fields of every Canary do."""


def canary_for(provider: str, feature: str, namespace: str = "test", name: str = "podinfo") -> dict[str, Any]:
    """A Canary, as a manifest, that asks a provider for that feature and for nothing beside it."""
    fields, profile = FEATURES[feature], profile_of(provider)
    weights = router_for(provider).supports.weights or feature == "weights"
    analysis: dict[str, Any] = {**(fields.get("analysis") or WEIGHTED)}
    if not weights:
        analysis = {name: value for name, value in analysis.items() if name not in ("stepWeight", "maxWeight")} | {"iterations": 3}
    return {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "provider": provider,
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "service": {"port": 80, **profile.service, **(fields.get("service") or {})},
            "analysis": analysis,
            **profile.spec,
        },
    }


def refusals(provider: str, feature: str) -> list[str]:
    """The sentences by which a provider refuses a feature; [] where it does not."""
    if not FEATURES[feature]:
        return []
    obj = canary_for(provider, feature)
    return spec_problems(obj, providers=tuple(BUILT_IN)) or router_for(provider).problems(parse_canary(obj))


def warning(provider: str, feature: str) -> str:
    """The sentence by which a provider says that a field of `spec.service` has no effect; "" where it says none."""
    field = next(iter(FEATURES[feature].get("service") or ()), "")
    told = router_for(provider).warnings(parse_canary(canary_for(provider, feature))) if field else []
    return next((sentence for sentence in told if sentence.startswith(f"spec.service.{field}: ")), "")


def refused() -> list[tuple[str, str]]:
    """Every provider and feature that is refused."""
    return [(provider, feature) for provider in sorted(BUILT_IN) for feature in FEATURES if refusals(provider, feature)]


@dataclass(frozen=True)
class Mark:
    """What a test shows of a provider. `test` is its function, as pytest names it without parameters."""

    test: str
    level: str
    feature: str
    provider: str


def stated(word: str) -> list[tuple[str, str]]:
    """Every provider and feature of which the page says this word: what a user goes by, whatever the routers say now."""
    rows = [
        [cell.strip().replace("`", "") for cell in line.strip("|").split("|")] for line in PAGE.read_text().splitlines() if line[:1] == "|"
    ]
    providers = rows[0][1:]
    return [(provider, row[0]) for row in rows[2:] for provider, said in zip(providers, row[1:], strict=True) if said == word]


def field_of(feature: str) -> str:
    """The field of a Canary by which a feature is asked for, as it is named in sentences."""
    fields = FEATURES[feature]
    if "service" in fields:
        return f"spec.service.{next(iter(fields['service']))}"
    [*_, last] = fields["analysis"]
    return f"spec.analysis.{last}"


def marks() -> list[Mark]:
    """Every mark of the suites. Raises ValueError for one that names what there is not."""
    found = []
    for suite in SUITES:
        for file in sorted((ROOT / suite).glob("test_*.py")):
            for mark in marks_of(file.read_text(), f"{suite}/{file.name}"):
                if mark.level not in LEVELS or mark.feature not in FEATURES or mark.provider not in BUILT_IN:
                    raise ValueError(f"{mark.test}: {mark} is none of those in {__name__}")
                found.append(mark)
    return found


def marks_of(source: str, file: str) -> Iterator[Mark]:
    """The marks in the text of a file."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in functions:
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.proves":
                level, *features = (ast.literal_eval(argument) for argument in decorator.args)
                providers = next(ast.literal_eval(keyword.value) for keyword in decorator.keywords if keyword.arg == "providers")
                yield from (Mark(f"{file}::{node.name}", level, feature, provider) for feature in features for provider in providers)


def kept() -> set[str]:
    """The tests that passed in the last run of `python -m e2e.providers`, with all their parameters."""
    return set(json.loads(KEPT.read_text())["passed"])


def proven(passed: set[str]) -> dict[tuple[str, str], set[str]]:
    """(provider, feature) to the levels that a test shows which passed."""
    found: dict[tuple[str, str], set[str]] = {}
    for mark in marks():
        if mark.test in passed:
            found.setdefault((mark.provider, mark.feature), set()).add(mark.level)
    return found


def cell(provider: str, feature: str, known: Mapping[tuple[str, str], set[str]]) -> str:
    """What the table says of a feature of a provider."""
    levels = known.get((provider, feature), set())
    shown = next((level for level in LEVELS if level in levels), "")
    if shown:
        return shown
    if refusals(provider, feature):
        return "refused"
    if warning(provider, feature):
        return "warned"
    return "-" if not FEATURES[feature] or provider == "kubernetes" else "unit tests"


def page(known: Mapping[tuple[str, str], set[str]]) -> str:
    """The text of docs/providers.md."""
    names = sorted(BUILT_IN)
    lines = [
        "# What each provider can do",
        "",
        "Generated by `python -m e2e.providers`, which runs the suites on a sandbox, from what passed and what the routers refuse.",
        "",
        "- **live**: real requests went through the provider's own proxy; its built-in metrics are measured of its own series.",
        "- **envoy**: its own programs cannot be run in the sandbox. A real API server took what is written; the same rules were "
        "translated into routes of a real Envoy, and real requests counted where they arrived.",
        "- **accepted**: a real API server took what is written, with unknown fields an error, and it was read back as it was meant; for "
        "built-in metrics, a real Prometheus answered over series of the provider's shape.",
        "- **unit tests**: built, and shown by unit tests alone.",
        "- **refused**: the API server or the condition `Stalled` names the field, before any traffic moves.",
        "- **warned**: the field has no effect; an event of type Warning says so, and releases go on without it.",
        "- **-**: there is no such thing to show, or nothing shows it yet.",
        "",
        "How a provider is used stands in its page under [providers/](providers).",
        "",
        "| feature | " + " | ".join(f"`{name}`" for name in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for feature in FEATURES:
        title = f"`{feature}`" if feature.startswith("service.") else feature
        lines.append(f"| {title} | " + " | ".join(cell(name, feature, known) for name in names) + " |")
    return "\n".join(lines) + "\n"
