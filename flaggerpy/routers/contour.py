"""Provider `contour`: the HTTPProxy `<apex>`, which a root HTTPProxy of the user includes (it has no virtualhost of its own).

Routes, in this order: one per pair of `analysis.match` and `service.match` (A/B while the split says so, or by weight where weights
hold for the matching requests only), then one per `service.match` for everybody. Conditions within a route are ANDed, routes are ORed
(Flagger ANDs all entries of a match, Q-43). A prefix or suffix of a header becomes a regular expression, never a `contains`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flaggerpy.api.canary import Canary, HeaderOperations, Service
from flaggerpy.api.durations import parse_duration
from flaggerpy.routers import manifest, matching, taken
from flaggerpy.routers.base import Obj, Observed, RouteObject, RouteSplit, Settings, Supports
from flaggerpy.routers.fields import refused, warned
from flaggerpy.routers.matching import Capabilities, Comparison, Match
from flaggerpy.routers.wayback import Place

GROUP = "projectcontour.io"
PROVIDER = "contour"
HONOURS = frozenset({"timeout", "retries", "match", "headers"})
CAN = Capabilities(
    path=frozenset({"exact", "prefix", "regex"}),
    headers=frozenset({"exact", "prefix", "suffix", "regex"}),
    query=frozenset({"exact", "prefix", "suffix", "regex"}),
)
IDLE_TIMEOUT = "5m"
NO_LIMIT = ("infinity", "infinite")
LINKERD_HEADER = "l5d-dst-override"

# Within a route these are ours altogether: what somebody else put there goes.
_OURS = frozenset(
    {
        "conditions",
        "services",
        "timeoutPolicy",
        "retryPolicy",
        "requestHeadersPolicy",
        "responseHeadersPolicy",
        "requestRedirectPolicy",
        "directResponsePolicy",
        "pathRewritePolicy",
        "mirror",
        "set",
        "remove",
    }
)
_ORDERED = frozenset({"routes"})


class Contour:
    """The HTTPProxy."""

    supports = Supports(match=True, mirror=True)
    place = Place("routes", "services")

    def problems(self, canary: Canary) -> list[str]:
        found = refused(canary, self.supports, HONOURS, PROVIDER)
        service = canary.spec.service
        if service is None:
            return found
        found += matching.problems(canary, service, CAN, PROVIDER)
        for index, match in enumerate(service.match):
            if any(not test.value.startswith("/") for test in (matching.chosen(match.uri) if match.uri else [])):
                found.append(f"spec.service.match[{index}].uri: must begin with /")
        if service.headers:
            for side, change in (("request", service.headers.request), ("response", service.headers.response)):
                if change and change.add:
                    found.append(f"spec.service.headers.{side}.add: is not supported by provider {PROVIDER}; use set")
        per_try = service.retries.per_try_timeout if service.retries else None
        for field, value in (("timeout", service.timeout), ("retries.perTryTimeout", per_try)):
            if value and value not in NO_LIMIT:
                try:
                    parse_duration(value)
                except ValueError as error:
                    found.append(f"spec.service.{field}: {error}")
        return found

    def warnings(self, canary: Canary) -> list[str]:
        return warned(canary, HONOURS, PROVIDER)

    def objects(self, canary: Canary) -> list[RouteObject]:
        return [RouteObject(GROUP, "v1", "httpproxies", "HTTPProxy", canary.apex)]

    def desired(self, canary: Canary, split: RouteSplit, current: Sequence[Obj], settings: Settings) -> list[Obj]:
        service = manifest.service_of(canary)
        spec: Obj = {"ingressClassName": settings.ingress_class} if settings.ingress_class else {}
        spec["routes"] = _routes(canary, service, split)
        meta = manifest.metadata(canary, canary.apex, service.apex, manifest.find(current, "HTTPProxy", canary.apex))
        return [{"apiVersion": f"{GROUP}/v1", "kind": "HTTPProxy", "metadata": meta, "spec": spec}]

    def announce(self, canary: Canary, current: Sequence[Obj], settings: Settings, *, lead: bool = False) -> list[Obj]:
        """A route without services (a redirect, an answer of its own) stays as it is.

        Services without any weight share alike, those of weight 0 among them: then each of the user's gets weight 1.
        """
        [proxy] = self.objects(canary)
        return taken.told(proxy, canary, current, "routes", lambda route: _tell(canary, route, lead))

    def observed(self, canary: Canary, current: Sequence[Obj], settings: Settings) -> Observed:
        have = manifest.find(current, "HTTPProxy", canary.apex)
        if have is None:
            return Observed(split=None, judges=True, in_shape=False)
        routes = (have.get("spec") or {}).get("routes") or []
        return taken.read_back(
            canary,
            have,
            _split(canary, routes),
            [route.get("services") for route in routes],
            lambda split: self.desired(canary, split, current, settings)[0],
            verdict=acceptance(have),
            ours=_OURS,
            ordered=_ORDERED,
        )

    def restore(self, canary: Canary, current: Sequence[Obj]) -> list[Obj]:
        """The spec that a taken-over proxy had; where it is not known, all requests to the apex Service."""
        return taken.given_back(self.objects(canary)[0], canary, current, lambda have: self.plain(canary, have))

    def plain(self, canary: Canary, have: Obj) -> Obj:
        """See `wayback.LeadsIn`."""
        [wanted] = self.desired(canary, RouteSplit(0), [have], Settings())
        for route in wanted["spec"]["routes"]:
            route["services"] = [_service(canary, canary.apex, 100)]
        return wanted


def acceptance(proxy: Obj) -> tuple[bool | None, str]:
    """Whether Contour took the present generation of the proxy, and the sentence that says why not.

    None when its condition names no generation. An `orphaned` proxy is one that no root proxy includes: no request comes through it.
    """
    meta, status = proxy.get("metadata") or {}, proxy.get("status") or {}
    name, generation = meta.get("name", ""), meta.get("generation") or 0
    valid = next((condition for condition in status.get("conditions") or () if condition.get("type") == "Valid"), None)
    verdict = status.get("currentStatus") or ""
    if valid is None or verdict in ("", "NotReconciled"):
        return False, f"Contour has not judged HTTPProxy {name} yet"
    seen = valid.get("observedGeneration")
    if seen is not None and seen < generation:
        return False, f"Contour has not judged generation {generation} of HTTPProxy {name} yet"
    if verdict == "valid" and valid.get("status") == "True":
        return (True if seen is not None else None), ""
    reasons = [f"{error.get('reason')}: {error.get('message')}" for error in valid.get("errors") or ()]
    why = "; ".join(reasons) or status.get("description") or valid.get("message") or ""
    if verdict == "orphaned":
        why = f"no root HTTPProxy includes it ({why})" if why else "no root HTTPProxy includes it"
    return False, f"Contour says HTTPProxy {name} is {verdict}: {why}"


def _tell(canary: Canary, route: Obj, lead: bool) -> None:
    services = route.get("services")
    if not services:
        return
    standing = [each for each in services if not each.get("mirror")]
    new = [name for name in manifest.our_services(canary) if all(each.get("name") != name for each in standing)]
    if new and not any(each.get("weight") for each in standing):
        for each in standing:
            each["weight"] = 1
    services += [_service(canary, name, 0) for name in new]
    if lead:
        for each in services:
            if not each.get("mirror"):
                each["weight"] = 100 if each.get("name") == manifest.primary_service(canary) else 0


def _routes(canary: Canary, service: Service, split: RouteSplit) -> list[Obj]:
    plan = canary.spec.plan
    ab, restricted = _ab(canary), _restricted(canary)
    everybody = matching.service_matches(service)
    candidates = matching.canary_matches(canary, service) if plan.match else []
    routes: list[Obj] = []
    if ab and split.match:
        routes += [_route(canary, service, match, 100, False) for match in candidates]
    if restricted:
        routes += [_route(canary, service, match, split.canary, split.mirror) for match in candidates]
    weight, mirror = (0, False) if restricted else (split.canary, split.mirror)
    return routes + [_route(canary, service, match, weight, mirror) for match in everybody]


def _split(canary: Canary, routes: Sequence[Mapping[str, Any]]) -> RouteSplit | None:
    tail = len(canary.spec.service.match) or 1 if canary.spec.service else 1
    weight, match = manifest.weighed(
        [_share(canary, route) for route in routes], tail, ab=_ab(canary), restricted=_restricted(canary)
    )
    if weight is None:
        return None
    return RouteSplit(weight, match, any(_mirrors(canary, route) for route in routes))


def _ab(canary: Canary) -> bool:
    return canary.spec.strategy == "ab-testing"


def _restricted(canary: Canary) -> bool:
    return bool(canary.spec.plan.match) and not _ab(canary)


def _route(canary: Canary, service: Service, match: Match, weight: int, mirror: bool) -> Obj:
    route: Obj = {"conditions": _conditions(match)}
    services = [
        _service(canary, manifest.primary_service(canary), 100 - weight),
        _service(canary, manifest.canary_service(canary), weight),
    ]
    if mirror:
        share = canary.spec.plan.mirror_weight or 0
        services.append(_service(canary, manifest.canary_service(canary), share if 0 < share < 100 else 100) | {"mirror": True})
    route["services"] = services
    if service.timeout:
        route["timeoutPolicy"] = {"response": service.timeout, "idle": IDLE_TIMEOUT}
    retry = _retry(service)
    if retry:
        route["retryPolicy"] = retry
    if service.headers:
        for field, change in (
            ("requestHeadersPolicy", service.headers.request),
            ("responseHeadersPolicy", service.headers.response),
        ):
            policy = _policy(change) if change else {}
            if policy:
                route[field] = policy
    return route


def _service(canary: Canary, name: str, weight: int) -> Obj:
    port = manifest.service_of(canary).port
    header = {"name": LINKERD_HEADER, "value": f"{name}.{canary.namespace}.svc.cluster.local:{port}"}
    return {"name": name, "port": port, "weight": weight, "requestHeadersPolicy": {"set": [header]}}


def _conditions(match: Match) -> list[Obj]:
    path = match.path or Comparison("prefix", "/")
    conditions: list[Obj] = [{path.kind: path.value}]
    for name, test in match.headers:
        conditions.append({"header": {"name": name, **_header(test)}})
    for name, test in match.query:
        conditions.append({"queryParameter": {"name": name, test.kind: test.value}})
    return conditions


def _header(test: Comparison) -> Obj:
    if test.kind == "prefix":
        return {"regex": f"{matching.literal(test.value)}.*"}
    if test.kind == "suffix":
        return {"regex": f".*{matching.literal(test.value)}"}
    return {test.kind: test.value}


def _retry(service: Service) -> Obj:
    retries = service.retries
    if retries is None:
        return {}
    retry: Obj = {}
    if retries.attempts is not None:
        retry["count"] = retries.attempts
    if retries.per_try_timeout:
        retry["perTryTimeout"] = retries.per_try_timeout
    if retries.retry_on:
        retry["retryOn"] = [reason.strip() for reason in retries.retry_on.split(",") if reason.strip()]
    return retry


def _policy(change: HeaderOperations) -> Obj:
    policy: Obj = {}
    if change.set:
        policy["set"] = [{"name": name, "value": change.set[name]} for name in sorted(change.set)]
    if change.remove:
        policy["remove"] = sorted(set(change.remove))
    return policy


def _share(canary: Canary, route: Mapping[str, Any]) -> int | None:
    weights: dict[str, int] = {}
    for service in route.get("services") or ():
        if not service.get("mirror"):
            name = service.get("name", "")
            weights[name] = weights.get(name, 0) + service.get("weight", 0)
    return manifest.share(weights.get(manifest.primary_service(canary), 0), weights.get(manifest.canary_service(canary), 0))


def _mirrors(canary: Canary, route: Mapping[str, Any]) -> bool:
    return any(
        service.get("mirror") and service.get("name") == manifest.canary_service(canary) for service in route.get("services") or ()
    )
