"""Providers `gatewayapi:v1` and `gatewayapi:v1beta1`: the HTTPRoute `<apex>` under the parents of `service.gatewayRefs`.

A parent is a Gateway, or a Service for a mesh such as Linkerd. Rules, in this order:

1. A/B: the requests of `analysis.match`, all to the canary (only while the split says so);
2. session affinity: visitors with a cookie of this run to where they were before;
3. everybody, by weight (with `analysis.match` and `stepWeight`: only the requests that match);
4. with `analysis.match` and `stepWeight`: everybody else to the primary.

Both backends are always there with an explicit weight, so that a step changes two numbers and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from flaggerpy.api.canary import Canary, CorsPolicy, GatewayRef, HeaderOperations, Service, SessionAffinity
from flaggerpy.api.durations import parse_duration
from flaggerpy.routers import cookies, manifest, matching, taken
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import analysis_path, refused, warned
from flaggerpy.routers.matching import Capabilities, Comparison, Match
from flaggerpy.routers.wayback import Place

GROUP = "gateway.networking.k8s.io"
HONOURS = frozenset({"timeout", "backendTimeout", "hosts", "gatewayRefs", "match", "rewrite", "mirror", "headers", "corsPolicy"})
CAN = Capabilities(
    path=frozenset({"exact", "prefix", "regex"}), headers=frozenset({"exact", "regex"}), query=frozenset({"exact", "regex"}), method=True
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
MOST_MATCHES = 64
MOST_BACKENDS = 16

TAKEN_BACK = "Max-Age=-1"
_DURATION = re.compile(r"^([0-9]{1,5}(h|m|s|ms)){1,4}$")
_TYPES = {"exact": "Exact", "regex": "RegularExpression", "prefix": "PathPrefix"}
# Within a rule these are ours altogether: what somebody else put there goes.
_OURS = frozenset(
    {"matches", "filters", "timeouts", "headers", "queryParams", "method", "add", "set", "remove", "hostname", "path", "percent"}
) | {"fraction"}
_ORDERED = frozenset({"rules"})


class GatewayAPI:
    """One version of the HTTPRoute; the two have the same fields."""

    supports = Supports(match=True, mirror=True, affinity=True)
    place = Place("rules", "backendRefs")

    def __init__(self, version: str) -> None:
        self.version = version
        self.provider = f"gatewayapi:{version}"

    def problems(self, canary: Canary) -> list[str]:
        found = refused(canary, self.supports, HONOURS, self.provider)
        service = canary.spec.service
        if service is None:
            return found
        if not service.gateway_refs:
            found.append(f"spec.service.gatewayRefs: is missing; provider {self.provider} needs a Gateway (or Service) as parent")
        if "*" in service.hosts:
            found.append("spec.service.hosts: '*' is no hostname of an HTTPRoute; leave hosts out for all")
        found += matching.problems(canary, service, CAN, self.provider)
        for index, match in enumerate(service.match):
            if match.method and match.method.exact and match.method.exact not in METHODS:
                found.append(f"spec.service.match[{index}].method.exact: {match.method.exact!r} is none of {', '.join(sorted(METHODS))}")
            if match.uri and any(text is not None and not text.startswith("/") for text in (match.uri.exact, match.uri.prefix)):
                found.append(f"spec.service.match[{index}].uri: must begin with /")
        matches = len(service.match or [0]) * max(len(canary.spec.plan.match), 1)
        if matches > MOST_MATCHES:
            found.append(
                f"spec.service.match: makes {matches} pairs with analysis.match, and a rule of an HTTPRoute takes {MOST_MATCHES} matches"
            )
        found += _affinity_problems(canary)
        return found + _timeout_problems(service) + _cors_problems(service.cors_policy) + _rewrite_problems(canary, service)

    def warnings(self, canary: Canary) -> list[str]:
        found = warned(canary, HONOURS, self.provider)
        if canary.spec.plan.session_affinity and _ab(canary):
            found.append(f"{analysis_path(canary)}.sessionAffinity: has no effect in an A/B test, as match decides who sees the canary")
        return found

    def objects(self, canary: Canary) -> list[RouteObject]:
        return [RouteObject(GROUP, self.version, "httproutes", "HTTPRoute", canary.apex)]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        service = manifest.service_of(canary)
        spec: Obj = {"parentRefs": [_parent(ref) for ref in service.gateway_refs]}
        if service.hosts:
            spec["hostnames"] = list(service.hosts)
        spec["rules"] = _rules(canary, service, split)
        meta = manifest.metadata(canary, canary.apex, service.apex, manifest.find(current, "HTTPRoute", canary.apex))
        return [{"apiVersion": f"{GROUP}/{self.version}", "kind": "HTTPRoute", "metadata": meta, "spec": spec}]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        """A rule without backends (a redirect) must have none, and one that is full takes no more: these stay as they are."""
        [route] = self.objects(canary)
        return taken.told(route, canary, current, "rules", lambda rule: _tell(canary, rule, lead))

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        have = manifest.find(current, "HTTPRoute", canary.apex)
        if have is None:
            return Observed(split=None, judges=True, in_shape=False)
        rules = (have.get("spec") or {}).get("rules") or []
        return taken.read_back(
            canary,
            have,
            _split(canary, rules),
            [rule.get("backendRefs") for rule in rules],
            lambda split: self.desired(canary, split, current, settings)[0],
            verdict=acceptance(canary, have),
            ours=_OURS | {"hostnames"} if manifest.is_ours(have, canary) else _OURS,
            ordered=_ORDERED,
        )

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """The spec that a taken-over route had; where it is not known, all requests to the apex Service."""
        return taken.given_back(self.objects(canary)[0], canary, current, lambda have: self.plain(canary, have))

    def plain(self, canary: Canary, have: Obj) -> Obj:
        """See `wayback.LeadsIn`."""
        [wanted] = self.desired(canary, RouteSplit(0), [have], Settings())
        for rule in wanted["spec"]["rules"]:
            rule["backendRefs"] = [_backend(canary.apex, manifest.service_of(canary).port, 100)]
        return wanted


def acceptance(canary: Canary, route: Obj) -> tuple[bool | None, str]:
    """Whether every parent took the present generation of the route, and the sentence that names the one that did not.

    None when a parent's controller does not say which generation it judged: that may be an older one.
    """
    generation = (route.get("metadata") or {}).get("generation") or 0
    reports = (route.get("status") or {}).get("parents") or []
    tells = True
    for ref in manifest.service_of(canary).gateway_refs:
        parent = f"{ref.kind or 'Gateway'} {ref.namespace or canary.namespace}/{ref.name}"
        mine = [report for report in reports if _is_parent(ref, report.get("parentRef") or {}, canary.namespace)]
        if not mine:
            return False, f"no controller has reported on HTTPRoute {canary.apex} for {parent} yet"
        for report in mine:
            conditions = {condition.get("type"): condition for condition in report.get("conditions") or ()}
            if "Accepted" not in conditions:
                return False, f"{parent} has not accepted HTTPRoute {canary.apex} yet"
            for name in ("Accepted", "ResolvedRefs"):
                condition = conditions.get(name)
                if condition is None:
                    continue
                seen = condition.get("observedGeneration")
                if seen is None:
                    tells = False
                elif seen < generation:
                    return False, f"{parent} has not judged generation {generation} of HTTPRoute {canary.apex} yet"
                if condition.get("status") != "True":
                    why = ": ".join(text for text in (condition.get("reason"), condition.get("message")) if text)
                    return False, f"{parent} refuses HTTPRoute {canary.apex} ({name} is {condition.get('status')}): {why}"
    return (True if tells else None), ""


def gateway_duration(text: str) -> str:
    """A Go duration as the Gateway API writes it: whole numbers of h, m, s and ms. Raises ValueError."""
    if _DURATION.match(text):
        return text
    seconds = parse_duration(text)
    if seconds < 0:
        raise ValueError(f"{text!r} is negative")
    # a time-out of 0 is none at all: the shortest is a millisecond
    millis = max(round(seconds * 1000), 1) if seconds else 0
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, millis = divmod(millis, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"


def _is_parent(ref: GatewayRef, reported: Mapping[str, Any], namespace: str) -> bool:
    def core(group: str) -> str:
        return "" if group == "core" else group

    return (
        reported.get("name") == ref.name
        and (reported.get("namespace") or namespace) == (ref.namespace or namespace)
        and (reported.get("kind") or "Gateway") == (ref.kind or "Gateway")
        and core(reported.get("group", GROUP)) == core(GROUP if ref.group is None else ref.group)
        and (ref.section_name is None or reported.get("sectionName") == ref.section_name)
        and (ref.port is None or reported.get("port") == ref.port)
    )


def _parent(ref: GatewayRef) -> Obj:
    parent: Obj = {"group": GROUP if ref.group is None else ref.group, "kind": ref.kind or "Gateway", "name": ref.name}
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    return parent | {name: value for name, value in optional.items() if value is not None}


def _tell(canary: Canary, rule: Obj, lead: bool) -> None:
    backends = rule.get("backendRefs")
    if not backends:
        return
    named = {backend.get("name") for backend in backends}
    new = [name for name in manifest.our_services(canary) if name not in named]
    if len(backends) + len(new) > MOST_BACKENDS:
        return
    backends += [_backend(name, manifest.service_of(canary).port, 0) for name in new]
    if lead:
        for backend in backends:
            backend["weight"] = 100 if backend.get("name") == manifest.primary_service(canary) else 0


def _rules(canary: Canary, service: Service, split: RouteSplit) -> list[Obj]:
    plan, affinity = canary.spec.plan, _affinity(canary)
    ab, restricted = _ab(canary), _restricted(canary)
    everybody = matching.service_matches(service)
    candidates = matching.canary_matches(canary, service) if plan.match else []
    weighted = candidates if restricted else everybody
    shared = _filters(service)
    rules: list[Obj] = []

    def rule(matches: list[Match], weight: int, handed: tuple[str, str] = ("", ""), mirror: bool = False) -> None:
        backends = [
            _backend(manifest.primary_service(canary), service.port, 100 - weight, handed[0]),
            _backend(manifest.canary_service(canary), service.port, weight, handed[1]),
        ]
        filters = shared + ([_mirror_filter(canary, service.port)] if mirror else [])
        rules.append({"matches": [_match(match) for match in matches]} | ({"filters": filters} if filters else {}))
        rules[-1]["backendRefs"] = backends
        rules[-1] |= _timeouts(service)

    if ab and split.match:
        rule(candidates, 100)
    handed = ("", "")
    if affinity:
        if split.canary > 0 and split.cookie:
            sticky = cookies.pair_of(affinity.cookie_name, split.cookie)
            rule([_with_cookie(match, sticky) for match in weighted], 100)
            handed = ("", cookies.set_cookie(sticky, affinity, affinity.max_age))
            if affinity.primary_cookie_name and split.primary_cookie:
                fair = cookies.pair_of(affinity.primary_cookie_name, split.primary_cookie)
                rule([_with_cookie(match, fair) for match in weighted], 0)
                handed = (cookies.set_cookie(fair, affinity, max(int(plan.interval_seconds), 1)), handed[1])
        elif split.canary == 0 and split.previous_cookie:
            old = cookies.pair_of(affinity.cookie_name, split.previous_cookie)
            rule([_with_cookie(match, old) for match in weighted], 0, (cookies.set_cookie(old, affinity, -1), ""))
    rule(weighted, split.canary, handed, split.mirror)
    if restricted:
        rule(everybody, 0)
    return rules


def _split(canary: Canary, rules: Sequence[Mapping[str, Any]]) -> RouteSplit | None:
    affinity = _affinity(canary)
    pairs = {value.partition(";")[0] for rule in rules for value in (*_handed(rule), *_taken_back(canary, rule))}
    sticky = [rule for rule in rules if _asks_for_cookie(rule, pairs)]
    plain = [rule for rule in rules if rule not in sticky]
    shares = [_share(canary, rule) for rule in plain]
    weight, match = manifest.weighed(shares, 1, ab=_ab(canary), restricted=_restricted(canary))
    if weight is None:
        return None
    mirror = any(_mirrors(rule, manifest.canary_service(canary)) for rule in plain)
    cookie = primary_cookie = previous = ""
    if affinity and weight > 0:
        cookie = cookies.bare(affinity.cookie_name, _handed_out(plain, manifest.canary_service(canary)))
        primary_cookie = cookies.bare(affinity.primary_cookie_name or "", _handed_out(plain, manifest.primary_service(canary)))
    elif affinity:
        previous = cookies.bare(affinity.cookie_name, _handed_out(sticky, manifest.primary_service(canary)))
    return RouteSplit(weight, match, mirror, cookie, primary_cookie if cookie else "", previous)


def _ab(canary: Canary) -> bool:
    return canary.spec.strategy == "ab-testing"


def _affinity(canary: Canary) -> SessionAffinity | None:
    return None if _ab(canary) else canary.spec.plan.session_affinity


def _restricted(canary: Canary) -> bool:
    return bool(canary.spec.plan.match) and not _ab(canary)


def _share(canary: Canary, rule: Mapping[str, Any]) -> int | None:
    weights: dict[str, int] = {}
    for backend in rule.get("backendRefs") or ():
        name = backend.get("name", "")
        weights[name] = weights.get(name, 0) + backend.get("weight", 1)
    return manifest.share(weights.get(manifest.primary_service(canary), 0), weights.get(manifest.canary_service(canary), 0))


def _backend(name: str, port: int, weight: int, cookie: str = "") -> Obj:
    backend: Obj = {"group": "", "kind": "Service", "name": name, "port": port, "weight": weight}
    if cookie:
        header = {"name": "Set-Cookie", "value": cookie}
        backend["filters"] = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [header]}}]
    return backend


def _match(match: Match) -> Obj:
    path = match.path or Comparison("prefix", "/")
    out: Obj = {"path": {"type": _TYPES[path.kind], "value": path.value}}
    if match.method:
        out["method"] = match.method
    if match.headers:
        out["headers"] = [{"name": name, "type": _TYPES[test.kind], "value": test.value} for name, test in match.headers]
    if match.query:
        out["queryParams"] = [{"name": name, "type": _TYPES[test.kind], "value": test.value} for name, test in match.query]
    return out


def _filters(service: Service) -> list[Obj]:
    filters: list[Obj] = []
    for kind, field, change in (
        ("RequestHeaderModifier", "requestHeaderModifier", service.headers and service.headers.request),
        ("ResponseHeaderModifier", "responseHeaderModifier", service.headers and service.headers.response),
    ):
        modifier = _modifier(change) if change else {}
        if modifier:
            filters.append({"type": kind, field: modifier})
    rewrite = _url_rewrite(service)
    if rewrite:
        filters.append({"type": "URLRewrite", "urlRewrite": rewrite})
    for mirror in service.mirror:
        ref = mirror.backend_ref
        backend: Obj = {"group": ref.group or "", "kind": ref.kind or "Service", "name": ref.name}
        backend |= {name: value for name, value in (("namespace", ref.namespace), ("port", ref.port)) if value is not None}
        filters.append({"type": "RequestMirror", "requestMirror": {"backendRef": backend}})
    if service.cors_policy:
        filters.append({"type": "CORS", "cors": _cors(service.cors_policy)})
    return filters


def _modifier(change: HeaderOperations) -> Obj:
    out: Obj = {}
    for field, values in (("set", change.set), ("add", change.add)):
        if values:
            out[field] = [{"name": name, "value": values[name]} for name in sorted(values)]
    if change.remove:
        out["remove"] = sorted(set(change.remove))
    return out


def _url_rewrite(service: Service) -> Obj:
    if service.rewrite is None:
        return {}
    out: Obj = {}
    if service.rewrite.authority:
        out["hostname"] = service.rewrite.authority
    if service.rewrite.uri:
        if service.rewrite.type == "ReplacePrefixMatch":
            out["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": service.rewrite.uri}
        else:
            out["path"] = {"type": "ReplaceFullPath", "replaceFullPath": service.rewrite.uri}
    return out


def _cors(policy: CorsPolicy) -> Obj:
    out: Obj = {}
    origins = [*policy.allow_origin, *(origin.exact for origin in policy.allow_origins if origin.exact)]
    for field, values in (
        ("allowOrigins", origins),
        ("allowMethods", policy.allow_methods),
        ("allowHeaders", policy.allow_headers),
        ("exposeHeaders", policy.expose_headers),
    ):
        if values:
            out[field] = list(dict.fromkeys(values))
    if policy.allow_credentials:
        out["allowCredentials"] = True
    out["maxAge"] = max(int(parse_duration(policy.max_age)), 1) if policy.max_age else 5
    return out


def _mirror_filter(canary: Canary, port: int) -> Obj:
    mirror: Obj = {"backendRef": {"group": "", "kind": "Service", "name": manifest.canary_service(canary), "port": port}}
    weight = canary.spec.plan.mirror_weight or 0
    if 0 < weight < 100:
        mirror["percent"] = weight
    return {"type": "RequestMirror", "requestMirror": mirror}


def _mirrors(rule: Mapping[str, Any], name: str) -> bool:
    return any(
        ((filter_.get("requestMirror") or {}).get("backendRef") or {}).get("name") == name for filter_ in rule.get("filters") or ()
    )


def _timeouts(service: Service) -> Obj:
    timeouts = {
        name: gateway_duration(value)
        for name, value in (("request", service.timeout), ("backendRequest", service.backend_timeout))
        if value
    }
    return {"timeouts": timeouts} if timeouts else {}


def _with_cookie(match: Match, pair: str) -> Match:
    return matching.with_header(match, "Cookie", Comparison("regex", cookies.pattern_of(pair)))


def _asks_for_cookie(rule: Mapping[str, Any], pairs: Set[str]) -> bool:
    """Whether a rule is for visitors with a cookie that the route hands out or takes back: a match of the user's own is not."""
    return any(
        header.get("name", "").lower() == "cookie" and any(cookies.is_about(header.get("value", ""), pair) for pair in pairs)
        for match in rule.get("matches") or ()
        for header in match.get("headers") or ()
    )


def _handed(rule: Mapping[str, Any], backend_name: str = "") -> list[str]:
    """The Set-Cookie headers that a rule adds at its backends: those with this name, or all. Of the rule itself they are the user's."""
    backends = [backend for backend in rule.get("backendRefs") or () if not backend_name or backend.get("name") == backend_name]
    return [value for backend in backends for value in _added(backend)]


def _taken_back(canary: Canary, rule: Mapping[str, Any]) -> list[str]:
    """Where Flagger takes a cookie back: at the rule itself, where else a cookie is one that the Canary hands to everybody."""
    service = canary.spec.service
    response = service.headers.response if service and service.headers else None
    own = set(response.add.values()) if response else set()
    return [value for value in _added(rule) if TAKEN_BACK in value and value not in own]


def _added(place: Mapping[str, Any]) -> list[str]:
    return [
        header.get("value", "")
        for filter_ in place.get("filters") or ()
        for header in (filter_.get("responseHeaderModifier") or {}).get("add") or ()
        if header.get("name", "").lower() == "set-cookie"
    ]


def _handed_out(rules: Sequence[Mapping[str, Any]], backend_name: str) -> str:
    found = [value for rule in rules for value in _handed(rule, backend_name)]
    return found[-1].partition(";")[0] if found else ""


def _affinity_problems(canary: Canary) -> list[str]:
    service = canary.spec.service
    if service is None or _affinity(canary) is None:
        return []
    at, found = analysis_path(canary), []
    maps = [match.headers for match in service.match] + [match.headers for match in canary.spec.plan.match]
    if any(name.lower() == "cookie" for names in maps for name in names):
        found.append(f"{at}.sessionAffinity: excludes a match on the header Cookie, as an HTTPRoute compares a header once")
    response = service.headers.response if service.headers else None
    # what a rule sets or removes takes place after what its backends add; what it adds stands beside it
    if response and any(name.lower() == "set-cookie" for name in (*response.set, *response.remove)):
        found.append(f"{at}.sessionAffinity: excludes service.headers.response that sets or removes Set-Cookie: its cookies would go, too")
    return found


def _timeout_problems(service: Service) -> list[str]:
    seconds: dict[str, float] = {}
    found = []
    for field, value in (("timeout", service.timeout), ("backendTimeout", service.backend_timeout)):
        if value:
            try:
                gateway_duration(value)
                seconds[field] = parse_duration(value)
            except ValueError as error:
                found.append(f"spec.service.{field}: {error}")
    if 0 < seconds.get("timeout", 0) < seconds.get("backendTimeout", 0):
        found.append("spec.service.backendTimeout: cannot be longer than timeout")
    return found


def _cors_problems(policy: CorsPolicy | None) -> list[str]:
    if policy is None:
        return []
    found = [
        f"spec.service.corsPolicy.allowOrigins[{index}]: an HTTPRoute compares origins exactly"
        for index, origin in enumerate(policy.allow_origins)
        if origin.exact is None
    ]
    if policy.max_age:
        try:
            parse_duration(policy.max_age)
        except ValueError as error:
            found.append(f"spec.service.corsPolicy.maxAge: {error}")
    return found


def _rewrite_problems(canary: Canary, service: Service) -> list[str]:
    rewrite = service.rewrite
    if rewrite is None or not rewrite.uri or rewrite.type != "ReplacePrefixMatch":
        return []
    several = len(service.match) > 1 or len(canary.spec.plan.match) > 1
    kinds = {test.kind for match in service.match if match.uri for test in matching.chosen(match.uri)}
    if several or kinds - {"prefix"}:
        return ["spec.service.rewrite.type: ReplacePrefixMatch needs exactly one match, with a prefix as its uri"]
    return []
