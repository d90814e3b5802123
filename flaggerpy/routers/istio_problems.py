"""What an Istio VirtualService cannot express of a Canary, as sentences that name the field."""

from __future__ import annotations

from flaggerpy.api.canary import Canary, Service
from flaggerpy.api.durations import parse_duration
from flaggerpy.api.rules import BUILT_IN_METRICS
from flaggerpy.routers import matching
from flaggerpy.routers.base import Supports
from flaggerpy.routers.fields import analysis_path, refused, warned
from flaggerpy.routers.istio_rules import affinity_of, is_ab, is_tcp
from flaggerpy.routers.matching import Capabilities, Kind

PROVIDER = "istio"
TCP = "istio with appProtocol tcp"
COMMON = frozenset({"hosts", "gateways", "delegation", "trafficPolicy"})
HTTP = COMMON | {"match", "rewrite", "timeout", "retries", "headers", "corsPolicy"}
TEXT: frozenset[Kind] = frozenset({"exact", "prefix", "suffix", "regex"})
FURTHER = frozenset(
    {"authority", "scheme", "method", "withoutHeaders", "sourceLabels", "sourceNamespace", "gateways", "ignoreUriCase", "port"}
)
CAN = Capabilities(path=TEXT, headers=TEXT, query=TEXT, fields=FURTHER, presence=True)
IGNORED_HEADERS = frozenset({"uri", "scheme", "method", "authority"})
"""Names of headers that Istio passes over: it takes them for the fields of a match of that name."""
SHORTEST = 0.001
"""Seconds. A shorter duration, 0 among them, is refused by Istio's CustomResourceDefinition."""


def problems(canary: Canary, supports: Supports) -> list[str]:
    """All that keeps this Canary from being routed, one sentence each."""
    service = canary.spec.service
    if service is None:
        return refused(canary, supports, HTTP, PROVIDER)
    if is_tcp(service):
        found = refused(canary, Supports(), COMMON | {"match"}, TCP) + _tcp_match_problems(service)
    else:
        found = refused(canary, supports, HTTP, PROVIDER) + _http_problems(canary, service)
    if "*" in service.hosts and ("mesh" in service.gateways or not service.gateways):
        found.append("spec.service.hosts: '*' cannot be routed in the mesh; name spec.service.gateways (without mesh), or the hosts")
    return found


def warnings(canary: Canary) -> list[str]:
    """The fields that have no effect, one sentence each."""
    service, tcp = canary.spec.service, canary.spec.service is not None and is_tcp(canary.spec.service)
    found = warned(canary, COMMON if tcp else HTTP, TCP if tcp else PROVIDER)
    if tcp:
        found += [
            f"{analysis_path(canary)}.metrics[{index}]: {metric.name} counts requests, of which there are none with appProtocol tcp"
            for index, metric in enumerate(canary.spec.plan.metrics)
            if metric.name in BUILT_IN_METRICS and not metric.query and metric.template_ref is None
        ]
    if service and service.rewrite and service.rewrite.type:
        found.append(f"spec.service.rewrite.type: has no effect with provider {PROVIDER}: what matched is replaced")
    if canary.spec.plan.session_affinity and is_ab(canary):
        found.append(f"{analysis_path(canary)}.sessionAffinity: has no effect in an A/B test, as match decides who sees the canary")
    return found


def _tcp_match_problems(service: Service) -> list[str]:
    found = []
    for index, match in enumerate(service.match):
        given = match.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
        found += [
            f"spec.service.match[{index}].{name}: cannot be matched by provider {TCP}, which knows ports only"
            for name in sorted(given)
            if name not in ("port", "name")
        ]
    return found


def _http_problems(canary: Canary, service: Service) -> list[str]:
    found = matching.problems(canary, service, CAN, PROVIDER)
    for index, match in enumerate(service.match):
        at = f"spec.service.match[{index}]"
        for name, test in (("authority", match.authority), ("scheme", match.scheme), ("method", match.method)):
            if test is not None:
                found += matching.comparison_problems(test, f"{at}.{name}", TEXT, PROVIDER)
        for name, test in sorted(match.without_headers.items()):
            if matching.chosen(test):
                found += matching.comparison_problems(test, f"{at}.withoutHeaders.{name}", TEXT, PROVIDER)
    return found + _header_problems(canary, service) + _duration_problems(service)


def _header_problems(canary: Canary, service: Service) -> list[str]:
    at = analysis_path(canary)
    maps = [(f"spec.service.match[{index}].headers", match.headers) for index, match in enumerate(service.match)]
    maps += [(f"spec.service.match[{index}].withoutHeaders", match.without_headers) for index, match in enumerate(service.match)]
    maps += [(f"{at}.match[{index}].headers", match.headers) for index, match in enumerate(canary.spec.plan.match)]
    found = [
        f"{where}.{name}: Istio passes over a header of this name: it would match every request"
        for where, names in maps
        for name in sorted(names)
        if name.lower() in IGNORED_HEADERS
    ]
    if affinity_of(canary) is None:
        return found
    if any(name.lower() == "cookie" for where, names in maps if not where.endswith("withoutHeaders") for name in names):
        found.append(f"{at}.sessionAffinity: excludes a match on the header Cookie, as a VirtualService compares a header once")
    response = service.headers.response if service.headers else None
    if response and any(name.lower() == "set-cookie" for name in (*response.add, *response.set, *response.remove)):
        found.append(f"{at}.sessionAffinity: excludes a change of the header Set-Cookie in spec.service.headers.response")
    return found


def _duration_problems(service: Service) -> list[str]:
    found = []
    for field, value in (
        ("timeout", service.timeout),
        ("retries.perTryTimeout", service.retries.per_try_timeout if service.retries else None),
        ("corsPolicy.maxAge", service.cors_policy.max_age if service.cors_policy else None),
    ):
        if not value:
            continue
        try:
            if parse_duration(value) < SHORTEST:
                found.append(f"spec.service.{field}: {value} is shorter than 1ms, which Istio refuses; leave it out for none")
        except ValueError as error:
            found.append(f"spec.service.{field}: {error}")
    return found
