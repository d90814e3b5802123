"""What a resource must obey beyond types and enums: each rule once, in CEL for the API server and in Python for stored objects.

`api/crds.py` puts the rules into the CRDs, `api/problems.py` applies them to objects that were stored before the rule was there, and
`tests/api/broken_specs.py` holds both to the same verdict. A path leads to the value that a rule looks at: `[]` stands for every item of
a list, `{}` for every value of a map. Rules on leaves come before rules on objects, so that an update of a stored old object is only
measured by what it changes (CRD ratcheting).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

Obj = dict[str, Any]


@dataclass(frozen=True)
class Rule:
    """`cel` must be true of the value at `path`; `broken` says the opposite of it in Python. `message` says what would be right."""

    path: str
    cel: str
    message: str
    broken: Callable[[Any], bool]


@dataclass(frozen=True)
class Range:
    """The number at `path` lies within these ends, both included; an end that is None is open."""

    path: str
    least: int | None
    greatest: int | None

    @property
    def message(self) -> str:
        """What would be right."""
        if self.greatest is None:
            return f"must be at least {self.least}"
        return f"must lie within {self.least} and {self.greatest}"

    def broken(self, value: float) -> bool:
        """Whether the number lies outside."""
        return (self.least is not None and value < self.least) or (self.greatest is not None and value > self.greatest)


@dataclass(frozen=True)
class Bound:
    """The greatest length of the text, list or map at `path`; where a rule looks, so that the API server can tell its cost."""

    path: str
    keyword: Literal["maxLength", "maxItems", "maxProperties"]
    length: int

    @property
    def message(self) -> str:
        """What would be right."""
        unit = {"maxLength": "characters", "maxItems": "items", "maxProperties": "keys"}[self.keyword]
        return f"must have at most {self.length} {unit}"

    def broken(self, value: Any) -> bool:
        """Whether the value is longer."""
        return len(value) > self.length


@dataclass(frozen=True)
class Required:
    """The object at `path` has this field: the CRD requires it, though the models can do without."""

    path: str
    field: str

    @property
    def message(self) -> str:
        """What would be right."""
        return f"{self.field} is missing"

    def broken(self, value: Obj) -> bool:
        """Whether the field is missing."""
        return self.field not in value


Check = Rule | Range | Bound | Required

DURATION = "([0-9]+([.][0-9]+)?(ms|s|m|h))+"
URL = "^(?i:https?)://[^/?#\\s]+"
COOKIE = "^[!#$%&*+.^_|~0-9A-Za-z-]+$"
PORT_NAME = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
SERVICE_NAME = "^[a-z]([a-z0-9-]*[a-z0-9])?$"
BUILT_IN_METRICS = ("request-success-rate", "request-duration")
# a Service's name has 63 characters at most, and "-primary" follows
LONGEST_APEX = 55


def steps_of(path: str) -> list[str]:
    """The parts of a path: names, `[]` and `{}`."""
    return re.findall(r"[^.\[{]+|\[\]|\{\}", path)


def values_at(obj: Any, path: str) -> Iterator[tuple[str, Any]]:
    """All values at a path of an object with their own paths, such as `spec.analysis.metrics[0].interval`."""
    found = [("", obj)]
    for step in steps_of(path):
        if step == "[]":
            found = [(f"{at}[{i}]", item) for at, value in found if isinstance(value, list) for i, item in enumerate(value)]
        elif step == "{}":
            found = [(f"{at}[{key}]", item) for at, value in found if isinstance(value, dict) for key, item in value.items()]
        else:
            objects = [(at, value) for at, value in found if isinstance(value, dict) and value.get(step) is not None]
            found = [(f"{at}.{step}".lstrip("."), value[step]) for at, value in objects]
    yield from found


def _fits(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\") + "'"


def duration(path: str, *words: str, zero: bool = False) -> Rule:
    """The text is a duration longer than zero; with `zero` also zero, or one of these words."""
    name = path.rpartition(".")[2]
    if zero:
        whole = f"^({'|'.join((DURATION, *words))})$"
        return Rule(
            path,
            f"self.matches({_quoted(whole)})",
            f"{name} must be a duration such as 15s or 500ms",
            lambda text: not _fits(whole, text),
        )
    whole = f"^({DURATION})$"
    return Rule(
        path,
        f"self.matches({_quoted(whole)}) && self.matches('[1-9]')",
        f"{name} must be a duration longer than zero, such as 30s, 1m or 1m30s",
        lambda text: not (_fits(whole, text) and _fits("[1-9]", text)),
    )


def url(path: str) -> Rule:
    """The text is an http or https URL; an empty one counts as not given."""
    name = path.rpartition(".")[2]
    return Rule(
        path,
        f"self == '' || (isURL(self) && self.matches({_quoted(URL)}))",
        f"{name} must be a URL such as http://gate.test:8080/check",
        lambda text: text != "" and not _is_url(text),
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return _fits(URL, text) and bool(parts.hostname)


def text(path: str, pattern: str, message: str) -> Rule:
    """The text fits a pattern; an empty one counts as not given."""
    return Rule(path, f"self == '' || self.matches({_quoted(pattern)})", message, lambda value: value != "" and not _fits(pattern, value))


def one_match(path: str, *, needed: bool) -> Rule:
    """A text match has one way to compare (at most one where not `needed`)."""
    ways = ("exact", "prefix", "suffix", "regex")
    count = f"[{', '.join(f'has(self.{way})' for way in ways)}].filter(x, x).size()"
    return Rule(
        path,
        f"{count} == 1" if needed else f"{count} <= 1",
        f"{'exactly' if needed else 'at most'} one of exact, prefix, suffix and regex must be given",
        lambda match: not (1 if needed else 0) <= sum(way in match for way in ways) <= 1,
    )


def _nothing_measured(metric: Obj) -> bool:
    return not (metric.get("query") or metric.get("templateRef") or metric.get("name") in BUILT_IN_METRICS)


def _impossible_rate(metric: Obj) -> bool:
    own = metric.get("query") or metric.get("templateRef")
    return bool(metric.get("name") == "request-success-rate" and not own and (metric.get("thresholdRange") or {}).get("min", 0) > 100)


# An integer field that holds a fraction (Flagger's CRD admitted it, Q-5) makes CEL fail as soon as a rule looks at it, even for
# presence; that failure is not ratcheted, so neither status nor finalizers of the stored object could be written any more. Such a
# value is not equal to itself, and then the rule steps aside: the schema refuses the type anyway where it is new.
_ILL_TYPED = "self != self"


def _analysis(at: str) -> list[Check]:
    """The rules of `analysis`, or of its deprecated name."""
    return [
        # Flagger's CRD requires both
        Required(at, "interval"),
        Required(at, "threshold"),
        duration(f"{at}.interval"),
        Range(f"{at}.threshold", 0, None),
        Range(f"{at}.iterations", 1, None),
        Range(f"{at}.maxWeight", 1, 100),
        Range(f"{at}.stepWeight", 1, 100),
        Range(f"{at}.stepWeights[]", 1, 100),
        Range(f"{at}.stepWeightPromotion", 0, 100),
        Range(f"{at}.mirrorWeight", 0, 100),
        Range(f"{at}.primaryReadyThreshold", 0, 100),
        Range(f"{at}.canaryReadyThreshold", 0, 100),
        Rule(
            f"{at}.stepWeights",
            f"{_ILL_TYPED} || self.size() > 0 && self.isSorted() && self.all(x, self.exists_one(y, y == x))",
            "stepWeights must rise from step to step, such as [5, 20, 50]",
            lambda steps: not steps or any(b <= a for a, b in itertools.pairwise(steps)),
        ),
        duration(f"{at}.metrics[].interval"),
        Rule(
            f"{at}.metrics[].thresholdRange",
            "!has(self.min) || !has(self.max) || self.min <= self.max",
            "thresholdRange: min must not be greater than max",
            lambda ends: "min" in ends and "max" in ends and ends["min"] > ends["max"],
        ),
        Rule(
            f"{at}.metrics[]",
            f"(has(self.query) && self.query != '') || has(self.templateRef) || self.name in [{', '.join(map(_quoted, BUILT_IN_METRICS))}]",
            f"metrics: templateRef is missing; only {' and '.join(BUILT_IN_METRICS)} are built in",
            _nothing_measured,
        ),
        Rule(
            f"{at}.metrics[]",
            "self.name != 'request-success-rate' || (has(self.query) && self.query != '') || has(self.templateRef) || "
            "!has(self.thresholdRange) || !has(self.thresholdRange.min) || self.thresholdRange.min <= 100.0",
            "thresholdRange.min of request-success-rate is a percentage and must not be greater than 100",
            _impossible_rate,
        ),
        url(f"{at}.webhooks[].url"),
        duration(f"{at}.webhooks[].timeout"),
        Range(f"{at}.webhooks[].retries", 0, None),
        one_match(f"{at}.match[].headers{{}}", needed=True),
        one_match(f"{at}.match[].queryParams{{}}", needed=True),
        Rule(
            f"{at}.match[]",
            "(has(self.headers) && self.headers.size() > 0) || (has(self.queryParams) && self.queryParams.size() > 0) || "
            "(has(self.sourceLabels) && self.sourceLabels.size() > 0)",
            "match: headers, queryParams or sourceLabels must be given; an empty match would send everybody to the canary",
            lambda match: not (match.get("headers") or match.get("queryParams") or match.get("sourceLabels")),
        ),
        text(f"{at}.sessionAffinity.cookieName", COOKIE, "cookieName must be a cookie's name: letters, digits, - and _"),
        text(f"{at}.sessionAffinity.primaryCookieName", COOKIE, "primaryCookieName must be a cookie's name: letters, digits, - and _"),
        Range(f"{at}.sessionAffinity.maxAge", 1, None),
        Rule(
            f"{at}.sessionAffinity",
            "!has(self.primaryCookieName) || self.primaryCookieName != self.cookieName",
            "primaryCookieName must differ from cookieName",
            lambda affinity: affinity.get("primaryCookieName", "") == affinity.get("cookieName"),
        ),
        Rule(
            at,
            f"{_ILL_TYPED} || [has(self.iterations), has(self.stepWeight), has(self.stepWeights)].exists_one(x, x)",
            "exactly one of iterations (blue/green, A/B), stepWeight and stepWeights (canary) must be given",
            lambda analysis: sum(key in analysis for key in ("iterations", "stepWeight", "stepWeights")) != 1,
        ),
    ]


def _plan(spec: Obj) -> Obj:
    plan: Obj = spec.get("analysis") or spec.get("canaryAnalysis") or {}
    return plan


def _steps(spec: Obj) -> bool:
    return "iterations" not in _plan(spec)


def _is_knative(spec: Obj) -> bool:
    target = spec["targetRef"]
    return bool(target["kind"] == "Service" and target["apiVersion"] == "serving.knative.dev/v1")


def _both(cel: str) -> str:
    """A test of `analysis`, where ANALYSIS stands for it, on it and on its deprecated name."""
    names = ("self.analysis", "self.canaryAnalysis")
    return " && ".join(f"(!has({name}) || {name} != {name} || {cel.replace('ANALYSIS', name)})" for name in names)


_PROVIDER = "has(self.provider) && self.provider"
_KNATIVE = "(self.targetRef.kind == 'Service' && self.targetRef.apiVersion == 'serving.knative.dev/v1')"
_SKIPS = "(has(self.skipAnalysis) && self.skipAnalysis)"

CANARY: list[Check] = [
    text("spec.targetRef.apiVersion", "^[^/\\s]+(/[^/\\s]+)?$", "apiVersion must be a group and a version, such as apps/v1"),
    url("spec.metricsServer"),
    Range("spec.progressDeadlineSeconds", 1, None),
    Rule(
        "spec.autoscalerRef.primaryScalerReplicas",
        "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
        "primaryScalerReplicas: minReplicas must not be greater than maxReplicas",
        lambda ends: "minReplicas" in ends and "maxReplicas" in ends and ends["minReplicas"] > ends["maxReplicas"],
    ),
    text("spec.service.name", SERVICE_NAME, "name must be a Service's name: lower case letters, digits and -, a letter first"),
    text("spec.service.portName", PORT_NAME, "portName must be a port's name: lower case letters, digits and -, such as http"),
    Rule(
        "spec.service.targetPort",
        "type(self) == int ? self >= 0 && self <= 65535 : "
        f"self in ['', '0'] || (self.size() <= 15 && self.matches({_quoted(PORT_NAME)}) && self.matches('[a-z]'))",
        "targetPort must be the number of a port (1 to 65535) or the name of one",
        lambda port: (
            not 0 <= port <= 65535
            if isinstance(port, int)
            else port not in ("", "0") and not (len(port) <= 15 and _fits(PORT_NAME, port) and _fits("[a-z]", port))
        ),
    ),
    duration("spec.service.timeout", "", "infinity", "infinite", zero=True),
    duration("spec.service.backendTimeout", "", zero=True),
    duration("spec.service.retries.perTryTimeout", "", zero=True),
    Range("spec.service.retries.attempts", 0, None),
    duration("spec.service.corsPolicy.maxAge", "", zero=True),
    *(one_match(f"spec.service.match[].{field}", needed=False) for field in ("uri", "scheme", "method", "authority")),
    *(one_match(f"spec.service.match[].{field}{{}}", needed=False) for field in ("headers", "withoutHeaders", "queryParams")),
    one_match("spec.service.corsPolicy.allowOrigins[]", needed=False),
    Rule(
        "spec.service.mirror[].backendRef",
        "(has(self.group) && self.group != '') || (has(self.kind) && self.kind != 'Service') || has(self.port)",
        "port is missing: a Service is mirrored to by its port",
        lambda ref: not ref.get("group") and ref.get("kind", "Service") == "Service" and "port" not in ref,
    ),
    Rule(
        "spec.service",
        "!(has(self.delegation) && self.delegation) || ((!has(self.hosts) || self.hosts.size() == 0) && "
        "(!has(self.gateways) || self.gateways.size() == 0))",
        "hosts and gateways must not be given together with delegation: they belong to the VirtualService that delegates",
        lambda service: bool(service.get("delegation") and (service.get("hosts") or service.get("gateways"))),
    ),
    *_analysis("spec.analysis"),
    *_analysis("spec.canaryAnalysis"),
    duration("spec.podHealth.certainGrace", zero=True),
    duration("spec.podHealth.doubtfulGrace", zero=True),
    duration("spec.podHealth.settle", zero=True),
    Rule(
        "spec",
        "!has(self.analysis) || !has(self.canaryAnalysis)",
        "analysis and canaryAnalysis must not be given together; canaryAnalysis is the older name of analysis",
        lambda spec: "analysis" in spec and "canaryAnalysis" in spec,
    ),
    Rule(
        "spec",
        f"has(self.analysis) || has(self.canaryAnalysis) || {_SKIPS}",
        "analysis is missing; write it, or skipAnalysis: true to promote every revision that is ready",
        lambda spec: "analysis" not in spec and "canaryAnalysis" not in spec and not spec.get("skipAnalysis"),
    ),
    Rule(
        "spec",
        f"!({_PROVIDER} != 'istio') || self.provider == 'contour' || self.provider.startsWith('gatewayapi') || {_SKIPS} || ("
        + _both("!has(ANALYSIS.match) || ANALYSIS.match.size() == 0 || has(ANALYSIS.iterations)")
        + ")",
        "analysis.match needs analysis.iterations (A/B testing); with stepWeight or stepWeights it is for istio, contour and gatewayapi, "
        "where the weights hold for the requests that match",
        lambda spec: bool(
            spec.get("provider", "istio") not in ("istio", "contour")
            and not spec["provider"].startswith("gatewayapi")
            and not spec.get("skipAnalysis")
            and _plan(spec).get("match")
            and _steps(spec)
        ),
    ),
    Rule(
        "spec",
        f"!({_PROVIDER} == 'kubernetes') || {_SKIPS} || (" + _both("has(ANALYSIS.iterations)") + ")",
        "analysis.iterations must be given with provider kubernetes (blue/green), which cannot split traffic by stepWeight or stepWeights",
        lambda spec: bool(spec.get("provider") == "kubernetes" and not spec.get("skipAnalysis") and _plan(spec) and _steps(spec)),
    ),
    Rule(
        "spec",
        f"!({_PROVIDER}.startsWith('gatewayapi')) || "
        "(has(self.service) && has(self.service.gatewayRefs) && self.service.gatewayRefs.size() > 0)",
        "service.gatewayRefs is missing: provider gatewayapi needs the Gateway (or Service) that the HTTPRoute belongs to",
        lambda spec: spec.get("provider", "").startswith("gatewayapi") and not (spec.get("service") or {}).get("gatewayRefs"),
    ),
    Rule(
        "spec",
        f"!({_PROVIDER} in ['nginx', 'skipper']) || has(self.ingressRef)",
        "ingressRef is missing: providers nginx and skipper need the Ingress that leads to the Service",
        lambda spec: spec.get("provider") in ("nginx", "skipper") and "ingressRef" not in spec,
    ),
    Rule(
        "spec",
        f"!({_PROVIDER} == 'apisix') || has(self.routeRef)",
        "routeRef is missing: provider apisix needs the ApisixRoute that leads to the Service",
        lambda spec: spec.get("provider") == "apisix" and "routeRef" not in spec,
    ),
    Rule(
        "spec",
        f"{_KNATIVE} == ({_PROVIDER} == 'knative')",
        "provider knative goes with a targetRef of kind Service and apiVersion serving.knative.dev/v1, and only with it",
        lambda spec: _is_knative(spec) != (spec.get("provider") == "knative"),
    ),
    Rule(
        "spec",
        f"!{_KNATIVE} || !has(self.autoscalerRef)",
        "autoscalerRef must not be given with a Knative Service, which scales by itself",
        lambda spec: _is_knative(spec) and "autoscalerRef" in spec,
    ),
    Rule(
        "spec",
        "self.targetRef.kind == 'Service' || has(self.service)",
        "service is missing; write service.port, the port that clients call",
        lambda spec: spec["targetRef"]["kind"] != "Service" and "service" not in spec,
    ),
    Rule(
        "spec",
        "self.targetRef.kind == 'Service' || (has(self.service) && has(self.service.name) && self.service.name != '') || "
        f"(self.targetRef.name.size() <= {LONGEST_APEX} && self.targetRef.name.matches({_quoted(SERVICE_NAME)}))",
        "service.name is missing: targetRef.name cannot name a Service, "
        f"which takes lower case letters, digits and -, {LONGEST_APEX} at most",
        lambda spec: (
            spec["targetRef"]["kind"] != "Service"
            and not (spec.get("service") or {}).get("name")
            and not (len(spec["targetRef"]["name"]) <= LONGEST_APEX and _fits(SERVICE_NAME, spec["targetRef"]["name"]))
        ),
    ),
]

METRIC_TEMPLATE: list[Check] = [
    url("spec.provider.address"),
    Rule("spec.query", "self.matches('[^ \\\\t\\\\r\\\\n]')", "query must not be empty", lambda query: not query.strip()),
    Rule(
        "spec.provider",
        "!(self.type in ['prometheus', 'graphite', 'dynatrace', 'splunk']) || (has(self.address) && self.address != '')",
        "address is missing: this type of provider has no default address",
        lambda provider: provider["type"] in ("prometheus", "graphite", "dynatrace", "splunk") and not provider.get("address"),
    ),
    Rule(
        "spec.provider",
        "self.type != 'cloudwatch' || (has(self.region) && self.region != '')",
        "region is missing: cloudwatch needs the AWS region, such as eu-central-1",
        lambda provider: provider["type"] == "cloudwatch" and not provider.get("region"),
    ),
]

ALERT_PROVIDER: list[Check] = [
    url("spec.address"),
    url("spec.proxy"),
    Rule(
        "spec",
        "(has(self.address) && self.address != '') || has(self.secretRef)",
        "address is missing; write it, or secretRef to a Secret with the key address",
        lambda spec: not spec.get("address") and "secretRef" not in spec,
    ),
]


def _analysis_bounds(at: str) -> list[Bound]:
    lists = ("metrics", "alerts", "webhooks", "stepWeights")
    return [
        Bound(f"{at}.interval", "maxLength", 64),
        *(Bound(f"{at}.{name}", "maxItems", 100) for name in lists),
        Bound(f"{at}.match", "maxItems", 32),
        Bound(f"{at}.match[].headers", "maxProperties", 32),
        Bound(f"{at}.match[].queryParams", "maxProperties", 32),
        Bound(f"{at}.metrics[].name", "maxLength", 253),
        Bound(f"{at}.metrics[].interval", "maxLength", 64),
        Bound(f"{at}.metrics[].query", "maxLength", 16384),
        Bound(f"{at}.webhooks[].url", "maxLength", 2048),
        Bound(f"{at}.webhooks[].timeout", "maxLength", 64),
        Bound(f"{at}.sessionAffinity.cookieName", "maxLength", 256),
        Bound(f"{at}.sessionAffinity.primaryCookieName", "maxLength", 256),
    ]


CANARY += [
    Bound("spec.targetRef.apiVersion", "maxLength", 317),
    Bound("spec.targetRef.name", "maxLength", 253),
    Bound("spec.metricsServer", "maxLength", 2048),
    Bound("spec.service.name", "maxLength", LONGEST_APEX),
    Bound("spec.service.portName", "maxLength", 63),
    Bound("spec.service.timeout", "maxLength", 64),
    Bound("spec.service.backendTimeout", "maxLength", 64),
    Bound("spec.service.retries.perTryTimeout", "maxLength", 64),
    Bound("spec.service.corsPolicy.maxAge", "maxLength", 64),
    Bound("spec.service.corsPolicy.allowOrigins", "maxItems", 64),
    Bound("spec.service.match", "maxItems", 64),
    Bound("spec.service.match[].headers", "maxProperties", 32),
    Bound("spec.service.match[].withoutHeaders", "maxProperties", 32),
    Bound("spec.service.match[].queryParams", "maxProperties", 32),
    Bound("spec.service.mirror", "maxItems", 16),
    Bound("spec.service.mirror[].backendRef.group", "maxLength", 253),
    Bound("spec.service.mirror[].backendRef.kind", "maxLength", 63),
    *_analysis_bounds("spec.analysis"),
    *_analysis_bounds("spec.canaryAnalysis"),
    Bound("spec.podHealth.certainGrace", "maxLength", 64),
    Bound("spec.podHealth.doubtfulGrace", "maxLength", 64),
    Bound("spec.podHealth.settle", "maxLength", 64),
]
METRIC_TEMPLATE += [Bound("spec.provider.address", "maxLength", 2048), Bound("spec.query", "maxLength", 65536)]
ALERT_PROVIDER += [Bound("spec.address", "maxLength", 2048), Bound("spec.proxy", "maxLength", 2048)]


def violations(obj: Obj, rules: list[Check]) -> list[str]:
    """One sentence per broken rule, the field first. The object's types must be right (see `problems.py`)."""
    return [f"{at}: {rule.message}" for rule in rules for at, value in values_at(obj, rule.path) if rule.broken(value)]
