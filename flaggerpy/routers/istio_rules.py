"""The rules of an Istio VirtualService: the split as a list of HTTP or TCP routes, and read back from one.

HTTP rules, in this order:

1. A/B: the requests of `analysis.match`, all to the canary while the split says so, else to the primary;
2. session affinity: visitors with a cookie of this run to where they were before;
3. everybody, by weight (with `analysis.match` and `stepWeight`: only the requests that match);
4. with `analysis.match` and `stepWeight`: everybody else to the primary.

A match is plain JSON in Istio's words; no match at all takes every request. Both destinations are always there with an explicit weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import AnalysisMatch, Canary, CorsPolicy, HTTPMatch, Service, SessionAffinity, StringMatch
from flaggerpy.routers import cookies, manifest, matching
from flaggerpy.routers.base import Obj, RouteSplit

SET_COOKIE = "Set-Cookie"
TAKEN_BACK = "Max-Age=-1"


def is_tcp(service: Service) -> bool:
    """Whether connections are split and not requests: `appProtocol: tcp`, in whatever case."""
    return (service.app_protocol or "").lower() == "tcp"


def field_of(service: Service) -> str:
    """The field of a VirtualService that holds our rules."""
    return "tcp" if is_tcp(service) else "http"


def is_ab(canary: Canary) -> bool:
    """Whether matching requests go to the canary as a whole."""
    return canary.spec.strategy == "ab-testing"


def affinity_of(canary: Canary) -> SessionAffinity | None:
    """Session affinity where it has an effect: an A/B test decides by match alone."""
    return None if is_ab(canary) else canary.spec.plan.session_affinity


def rules(canary: Canary, service: Service, split: RouteSplit) -> list[Obj]:
    """The rules for this split."""
    if is_tcp(service):
        ports: list[Obj] = [{"port": match.port} for match in service.match if match.port]
        everywhere = len(ports) < len(service.match)
        return [{**({"match": ports} if ports and not everywhere else {}), "route": _destinations(canary, service, split.canary)}]
    return _http_rules(canary, service, split)


def split_of(canary: Canary, found: Sequence[Mapping[str, Any]]) -> RouteSplit | None:
    """The split that these rules make; None when none of them leads to our backends."""
    affinity = affinity_of(canary)
    pairs = {_pair(value) for rule in found for value in (*_handed_out(rule, ""), *_taken_back(rule))}
    sticky = [rule for rule in found if _asks_for_cookie(rule, pairs)]
    plain = [rule for rule in found if rule not in sticky]
    weight, match = manifest.weighed([_share(canary, rule) for rule in plain], 1, ab=is_ab(canary), restricted=_restricted(canary))
    if weight is None:
        return None
    mirror = any(host_of(canary, rule.get("mirror")) == manifest.canary_service(canary) for rule in plain)
    cookie = primary_cookie = previous = ""
    if affinity and weight > 0:
        cookie = cookies.bare(affinity.cookie_name, _last_pair(plain, manifest.canary_service(canary)))
        primary_cookie = cookies.bare(affinity.primary_cookie_name or "", _last_pair(plain, manifest.primary_service(canary)))
    elif affinity:
        gone = [value for rule in sticky for value in _taken_back(rule)]
        previous = cookies.bare(affinity.cookie_name, _pair(gone[-1])) if gone else ""
    return RouteSplit(weight, match, mirror, cookie, primary_cookie if cookie else "", previous)


def host_of(canary: Canary, destination: Mapping[str, Any] | None) -> str:
    """The Service that a destination names: the short name of one in the Canary's namespace, any other host as it is; "" without one."""
    host = str((destination or {}).get("host") or "")
    name, _, rest = host.partition(".")
    own = (canary.namespace, f"{canary.namespace}.svc", f"{canary.namespace}.svc.cluster.local")
    return name if rest.rstrip(".") in own else host


def destination(canary: Canary, service: Service, name: str) -> Obj:
    """A Service as a destination. Behind a gateway a Service of several ports has to be named with the one that is meant."""
    found: Obj = {"host": name}
    behind_gateway = service.delegation or (service.gateways and service.gateways[0] != "mesh")
    if service.port_discovery and behind_gateway:
        found["port"] = {"number": service.port}
    return found


def _http_rules(canary: Canary, service: Service, split: RouteSplit) -> list[Obj]:
    affinity, restricted = affinity_of(canary), _restricted(canary)
    base = [_match(match) for match in service.match]
    everybody = base if all(base) else []
    candidates = [_merged(match, _analysis_match(wanted)) for wanted in canary.spec.plan.match for match in everybody or [{}]]
    weighted = candidates if restricted else everybody
    shared = _shared(service)
    found: list[Obj] = []

    def rule(matches: list[Obj], weight: int, handed: tuple[str, str] = ("", ""), taken_back: str = "") -> None:
        made: Obj = ({"match": matches} if matches else {}) | shared
        if taken_back:
            made["headers"] = _with_set_cookie(made.get("headers") or {}, taken_back)
        found.append(made | {"route": _destinations(canary, service, weight, handed)})

    if is_ab(canary):
        rule(candidates, 100 if split.match else 0)
    handed = ("", "")
    if affinity:
        if split.canary > 0 and split.cookie:
            sticky = cookies.pair_of(affinity.cookie_name, split.cookie)
            rule([_with_cookie(match, sticky) for match in weighted or [{}]], 100)
            handed = ("", cookies.set_cookie(sticky, affinity, affinity.max_age))
            if affinity.primary_cookie_name and split.primary_cookie:
                fair = cookies.pair_of(affinity.primary_cookie_name, split.primary_cookie)
                rule([_with_cookie(match, fair) for match in weighted or [{}]], 0)
                handed = (cookies.set_cookie(fair, affinity, max(int(canary.spec.plan.interval_seconds), 1)), handed[1])
        elif split.canary == 0 and split.previous_cookie:
            old = cookies.pair_of(affinity.cookie_name, split.previous_cookie)
            rule([_with_cookie(match, old) for match in weighted or [{}]], 0, taken_back=cookies.set_cookie(old, affinity, -1))
    rule(weighted, split.canary, handed)
    if split.mirror:
        found[-1] |= _mirror(canary, service)
    if restricted:
        rule(everybody, 0)
    return found


def _restricted(canary: Canary) -> bool:
    return bool(canary.spec.plan.match) and not is_ab(canary)


def _destinations(canary: Canary, service: Service, weight: int, handed: tuple[str, str] = ("", "")) -> list[Obj]:
    both: list[Obj] = [
        {"destination": destination(canary, service, manifest.primary_service(canary)), "weight": 100 - weight},
        {"destination": destination(canary, service, manifest.canary_service(canary)), "weight": weight},
    ]
    for each, cookie in zip(both, handed, strict=True):
        if cookie:
            each["headers"] = {"response": {"add": {SET_COOKIE: cookie}}}
    return both


def _mirror(canary: Canary, service: Service) -> Obj:
    made: Obj = {"mirror": destination(canary, service, manifest.canary_service(canary))}
    weight = canary.spec.plan.mirror_weight or 0
    return made | ({"mirrorPercentage": {"value": weight}} if weight > 0 else {})


# --- what the fields of a Canary are in Istio's words ---------------------------------------------------------------------------------


def _shared(service: Service) -> Obj:
    """What every HTTP rule has."""
    made: Obj = {}
    if service.rewrite and (service.rewrite.uri or service.rewrite.authority):
        made["rewrite"] = _given(uri=service.rewrite.uri, authority=service.rewrite.authority)
    if service.timeout:
        made["timeout"] = service.timeout
    if service.retries:
        retries = service.retries
        made["retries"] = _given(attempts=retries.attempts, perTryTimeout=retries.per_try_timeout or None, retryOn=retries.retry_on or None)
    if service.cors_policy:
        made["corsPolicy"] = _cors(service.cors_policy)
    if service.headers:
        sides = {"request": service.headers.request, "response": service.headers.response}
        headers = {side: change.model_dump(exclude_defaults=True) for side, change in sides.items() if change}
        made["headers"] = {side: change for side, change in headers.items() if change}
    return {name: value for name, value in made.items() if value}


def _cors(policy: CorsPolicy) -> Obj:
    made = policy.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    if policy.allow_origins:
        made["allowOrigins"] = [_test(origin) for origin in policy.allow_origins]
    return made


def _match(match: HTTPMatch) -> Obj:
    """An entry of `service.match`; {} takes every request."""
    made = match.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    for name in ("uri", "scheme", "method", "authority"):
        if name in made:
            made[name] = _test(getattr(match, name))
    for name, tests in (("headers", match.headers), ("withoutHeaders", match.without_headers), ("queryParams", match.query_params)):
        if tests:
            made[name] = _tests(tests)
    return {name: value for name, value in made.items() if value}


def _analysis_match(match: AnalysisMatch) -> Obj:
    made = {"headers": _tests(match.headers), "queryParams": _tests(match.query_params), "sourceLabels": dict(match.source_labels)}
    return {name: value for name, value in made.items() if value}


def _merged(base: Obj, over: Obj) -> Obj:
    """Both at once: what must hold of the requests that the route takes, and what `analysis.match` asks beside it, which wins where both
    name the same header, parameter or label (Flagger drops the parameters altogether, Q-39)."""
    made = dict(base)
    for name, wanted in over.items():
        taken = {key.lower() for key in wanted} if name == "headers" else set(wanted)
        kept = {key: value for key, value in made.get(name, {}).items() if (key.lower() if name == "headers" else key) not in taken}
        both = kept | wanted
        made[name] = {key: both[key] for key in sorted(both)}
    return made


def _with_cookie(match: Obj, pair: str) -> Obj:
    return _merged(match, {"headers": {"Cookie": {"regex": cookies.pattern_of(pair)}}})


def _tests(tests: Mapping[str, StringMatch]) -> Obj:
    return {name: _test(tests[name]) for name in sorted(tests)}


def _test(match: StringMatch) -> Obj:
    """A comparison; {} asks for presence. Istio has no suffix: its regular expressions match a text as a whole."""
    for test in matching.chosen(match):
        return {"regex": f".*{matching.literal(test.value)}"} if test.kind == "suffix" else {test.kind: test.value}
    return {}


def _given(**fields: Any) -> Obj:
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _with_set_cookie(headers: Obj, cookie: str) -> Obj:
    response = headers.get("response") or {}
    return headers | {"response": response | {"add": {**(response.get("add") or {}), SET_COOKIE: cookie}}}


# --- reading --------------------------------------------------------------------------------------------------------------------------


def _share(canary: Canary, rule: Mapping[str, Any]) -> int | None:
    routes = rule.get("route") or []
    weights: dict[str, int] = {}
    for each in routes:
        name = host_of(canary, each.get("destination"))
        # a lone destination takes everything, whatever its weight
        weights[name] = weights.get(name, 0) + (100 if len(routes) == 1 else int(each.get("weight") or 0))
    return manifest.share(weights.get(manifest.primary_service(canary), 0), weights.get(manifest.canary_service(canary), 0))


def _asks_for_cookie(rule: Mapping[str, Any], pairs: set[str]) -> bool:
    """Whether a rule is for visitors with a cookie that the route hands out or takes back: a match of the user's own is not."""
    return any(
        name.lower() == "cookie" and any(cookies.is_about(str(test.get("regex") or ""), pair) for pair in pairs)
        for match in rule.get("match") or ()
        for name, test in (match.get("headers") or {}).items()
    )


def _handed_out(rule: Mapping[str, Any], host: str) -> list[str]:
    """The Set-Cookie headers that destinations add: those with this name, or all. Of the rule itself they are the user's."""
    routes = [each for each in rule.get("route") or () if not host or str(each["destination"].get("host")).partition(".")[0] == host]
    return [value for each in routes for value in _added(each)]


def _taken_back(rule: Mapping[str, Any]) -> list[str]:
    return [value for value in _added(rule) if TAKEN_BACK in value]


def _added(place: Mapping[str, Any]) -> list[str]:
    added = ((place.get("headers") or {}).get("response") or {}).get("add") or {}
    return [str(value) for name, value in added.items() if name.lower() == SET_COOKIE.lower()]


def _last_pair(found: Sequence[Mapping[str, Any]], host: str) -> str:
    values = [value for rule in found for value in _handed_out(rule, host)]
    return _pair(values[-1]) if values else ""


def _pair(value: str) -> str:
    return value.partition(";")[0]
