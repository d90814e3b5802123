from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.gatewayapi import GatewayAPI, acceptance, gateway_duration
from flaggerpy.routers.manifest import ORIGINAL
from tests.routers.builders import AB, GATEWAY, META, WEIGHTED, a_canary

ROUTER = GatewayAPI("v1")
SETTINGS = Settings()


def desired(canary: Canary, split: RouteSplit, current: list[Obj] | None = None, router: GatewayAPI = ROUTER) -> Obj:
    [route] = router.desired(canary, split, current or [], SETTINGS)
    return route


def backends(primary: int, canary: int) -> list[Obj]:
    return [
        {"group": "", "kind": "Service", "name": "podinfo-primary", "port": 80, "weight": primary},
        {"group": "", "kind": "Service", "name": "podinfo-canary", "port": 80, "weight": canary},
    ]


ALL = {"path": {"type": "PathPrefix", "value": "/"}}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_weighted_route(version: str) -> None:
    assert desired(a_canary(GATEWAY), RouteSplit(30), router=GatewayAPI(version)) == {
        "apiVersion": f"gateway.networking.k8s.io/{version}",
        "kind": "HTTPRoute",
        "metadata": META,
        "spec": {
            "parentRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "contour", "namespace": "projectcontour"},
            ],
            "hostnames": ["app.example.com"],
            "rules": [{"matches": [ALL], "backendRefs": backends(70, 30)}],
        },
    }


def test_everything_that_a_service_may_ask_for() -> None:
    service = {
        "gatewayRefs": [{"name": "podinfo", "group": "core", "kind": "Service", "port": 80}],
        "match": [
            {"uri": {"prefix": "/api"}, "method": {"exact": "GET"}, "headers": {"b": {"regex": "x.*"}, "a": {"exact": "1"}}},
            {"uri": {"exact": "/login"}, "queryParams": {"q": {"exact": "1"}}},
            {"uri": {"regex": "/v[0-9]+"}},
        ],
        "rewrite": {"uri": "/new", "authority": "inner.example.com"},
        "timeout": "1m30s",
        "backendTimeout": "1.5s",
        "headers": {
            "request": {"set": {"z": "1", "y": "2"}, "add": {"x": "3"}, "remove": ["w", "v"]},
            "response": {"add": {"server": "s"}},
        },
        "mirror": [{"backendRef": {"name": "shadow", "port": 8080, "namespace": "other"}}],
        "corsPolicy": {
            "allowOrigin": ["https://a.example.com"],
            "allowOrigins": [{"exact": "https://b.example.com"}],
            "allowMethods": ["GET", "GET", "POST"],
            "allowHeaders": ["x"],
            "exposeHeaders": ["y"],
            "allowCredentials": True,
            "maxAge": "24h",
        },
        "apex": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    }
    canary = a_canary(service)
    assert ROUTER.problems(canary) == []
    route = desired(canary, RouteSplit(0))
    assert route["metadata"]["labels"] == {"team": "a"}
    assert route["metadata"]["annotations"]["note"] == "b"
    assert route["spec"]["parentRefs"] == [{"group": "core", "kind": "Service", "name": "podinfo", "port": 80}]
    assert route["spec"]["rules"] == [
        {
            "matches": [
                {
                    "path": {"type": "PathPrefix", "value": "/api"},
                    "method": "GET",
                    "headers": [
                        {"name": "a", "type": "Exact", "value": "1"},
                        {"name": "b", "type": "RegularExpression", "value": "x.*"},
                    ],
                },
                {
                    "path": {"type": "Exact", "value": "/login"},
                    "queryParams": [{"name": "q", "type": "Exact", "value": "1"}],
                },
                {"path": {"type": "RegularExpression", "value": "/v[0-9]+"}},
            ],
            "filters": [
                {
                    "type": "RequestHeaderModifier",
                    "requestHeaderModifier": {
                        "set": [{"name": "y", "value": "2"}, {"name": "z", "value": "1"}],
                        "add": [{"name": "x", "value": "3"}],
                        "remove": ["v", "w"],
                    },
                },
                {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "server", "value": "s"}]}},
                {
                    "type": "URLRewrite",
                    "urlRewrite": {
                        "hostname": "inner.example.com",
                        "path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"},
                    },
                },
                {
                    "type": "RequestMirror",
                    "requestMirror": {
                        "backendRef": {"group": "", "kind": "Service", "name": "shadow", "namespace": "other", "port": 8080},
                    },
                },
                {
                    "type": "CORS",
                    "cors": {
                        "allowOrigins": ["https://a.example.com", "https://b.example.com"],
                        "allowMethods": ["GET", "POST"],
                        "allowHeaders": ["x"],
                        "exposeHeaders": ["y"],
                        "allowCredentials": True,
                        "maxAge": 86400,
                    },
                },
            ],
            "backendRefs": backends(100, 0),
            "timeouts": {"request": "1m30s", "backendRequest": "1s500ms"},
        }
    ]


@pytest.mark.fault("Q-40")
def test_an_ab_test_sends_the_matching_requests_to_the_canary_and_nobody_else() -> None:
    canary = a_canary(GATEWAY, AB)
    assert desired(canary, RouteSplit(0))["spec"]["rules"] == [{"matches": [ALL], "backendRefs": backends(100, 0)}]
    insiders = ALL | {"headers": [{"name": "x-canary", "type": "Exact", "value": "insider"}]}
    assert desired(canary, RouteSplit(0, match=True))["spec"]["rules"] == [
        {"matches": [insiders], "backendRefs": backends(0, 100)},
        {"matches": [ALL], "backendRefs": backends(100, 0)},
    ]


def test_an_ab_test_stays_within_what_the_route_takes() -> None:
    service = {**GATEWAY, "match": [{"uri": {"prefix": "/a"}, "headers": {"z": {"exact": "1"}, "x-canary": {"exact": "no"}}}, {}]}
    analysis = AB | {"match": [{"headers": {"X-Canary": {"exact": "insider"}}}]}
    [rule, _] = desired(a_canary(service, analysis), RouteSplit(0, match=True))["spec"]["rules"]
    insider = {"name": "X-Canary", "type": "Exact", "value": "insider"}
    assert rule["matches"] == [
        {"path": {"type": "PathPrefix", "value": "/a"}, "headers": [insider, {"name": "z", "type": "Exact", "value": "1"}]},
        ALL | {"headers": [insider]},
    ]


def test_weights_with_a_match_hold_for_the_matching_requests_only() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"match": AB["match"]})
    insiders = ALL | {"headers": [{"name": "x-canary", "type": "Exact", "value": "insider"}]}
    route = desired(canary, RouteSplit(40))
    assert route["spec"]["rules"] == [
        {"matches": [insiders], "backendRefs": backends(60, 40)},
        {"matches": [ALL], "backendRefs": backends(100, 0)},
    ]
    assert ROUTER.observed(canary, [route], SETTINGS).split == RouteSplit(40)


@pytest.mark.parametrize("analysis", [WEIGHTED, {"interval": "10s", "threshold": 1, "iterations": 5}])
@pytest.mark.parametrize(("weight", "extra"), [(None, {}), (100, {}), (20, {"percent": 20})])
@pytest.mark.fault("Q-11")
def test_a_mirror_copies_to_the_canary_in_every_strategy(analysis: dict[str, Any], weight: int | None, extra: Obj) -> None:
    canary = a_canary(GATEWAY, analysis | {"mirror": True} | ({"mirrorWeight": weight} if weight else {}))
    [rule] = desired(canary, RouteSplit(0, mirror=True))["spec"]["rules"]
    ref = {"group": "", "kind": "Service", "name": "podinfo-canary", "port": 80}
    assert rule["filters"] == [{"type": "RequestMirror", "requestMirror": {"backendRef": ref, **extra}}]
    assert "filters" not in desired(canary, RouteSplit(0))["spec"]["rules"][0]


AFFINITY = {
    "cookieName": "fl.gr",
    "primaryCookieName": "main",
    "maxAge": 600,
    "domain": "example.com",
    "path": "/",
    "httpOnly": True,
    "partitioned": True,
    "sameSite": "Lax",
    "secure": True,
}
AFFINE = WEIGHTED | {"sessionAffinity": AFFINITY}
ATTRIBUTES = "Domain=example.com; HttpOnly; Partitioned; Path=/; SameSite=Lax; Secure"


def set_cookie(value: str) -> list[Obj]:
    return [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "Set-Cookie", "value": value}]}}]


def with_cookie(pattern: str) -> Obj:
    return ALL | {"headers": [{"name": "Cookie", "type": "RegularExpression", "value": f"^(.*;\\s*)?{pattern}(;.*)?$"}]}


def test_session_affinity_keeps_visitors_where_they_were() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": AFFINITY})
    assert ROUTER.problems(canary) == []
    route = desired(canary, RouteSplit(20, cookie="abc", primary_cookie="xyz", previous_cookie="old"))
    primary, candidate = backends(80, 20)
    assert route["spec"]["rules"] == [
        {"matches": [with_cookie(r"fl\.gr\=abc")], "backendRefs": backends(0, 100)},
        {"matches": [with_cookie(r"main\=xyz")], "backendRefs": backends(100, 0)},
        {
            "matches": [ALL],
            "backendRefs": [
                primary | {"filters": set_cookie(f"main=xyz; Max-Age=10; {ATTRIBUTES}")},
                candidate | {"filters": set_cookie(f"fl.gr=abc; Max-Age=600; {ATTRIBUTES}")},
            ],
        },
    ]
    assert ROUTER.observed(canary, [route], SETTINGS).split == RouteSplit(20, cookie="abc", primary_cookie="xyz")


@pytest.mark.fault("Q-38")
def test_the_cookie_of_the_last_run_is_taken_back_and_leads_to_the_primary() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": AFFINITY})
    route = desired(canary, RouteSplit(0, cookie="new", previous_cookie="fl.gr=old"))
    primary, candidate = backends(100, 0)
    assert route["spec"]["rules"] == [
        {
            "matches": [with_cookie(r"fl\.gr\=old")],
            "backendRefs": [primary | {"filters": set_cookie(f"fl.gr=old; Max-Age=-1; {ATTRIBUTES}")}, candidate],
        },
        {"matches": [ALL], "backendRefs": [primary, candidate]},
    ]
    assert ROUTER.observed(canary, [route], SETTINGS).split == RouteSplit(0, previous_cookie="old")


@pytest.mark.fault("Q-38")
def test_no_cookie_is_taken_back_while_the_canary_has_weight() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": AFFINITY})
    assert desired(canary, RouteSplit(20, previous_cookie="old")) == desired(canary, RouteSplit(20))


def test_an_ab_test_pins_nobody_by_cookie() -> None:
    canary = a_canary(GATEWAY, AB | {"sessionAffinity": AFFINITY})
    plain = a_canary(GATEWAY, AB)
    for split in (RouteSplit(50, match=True, cookie="abc"), RouteSplit(0, previous_cookie="abc")):
        assert desired(canary, split) == desired(plain, split)
    assert ROUTER.warnings(canary) == ["spec.analysis.sessionAffinity: has no effect in an A/B test, as match decides who sees the canary"]


@pytest.mark.parametrize(
    ("header", "sticky"),
    [
        ("fl.gr=abc", True),
        ("a=b; fl.gr=abc", True),
        ("a=b;fl.gr=abc; c=d", True),
        ("flxgr=abc", False),
        ("fl.gr=abcd", False),
        ("xfl.gr=abc", False),
        ("fl.gr=other; z=abc", False),
    ],
)
@pytest.mark.fault("Q-38")
def test_only_the_very_cookie_is_sticky(header: str, sticky: bool) -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": {"cookieName": "fl.gr"}})
    rule = desired(canary, RouteSplit(10, cookie="abc"))["spec"]["rules"][0]
    pattern = rule["matches"][0]["headers"][0]["value"]
    assert bool(re.fullmatch(pattern, header)) is sticky


@pytest.mark.parametrize(
    ("service", "analysis", "names"),
    [
        ({"gatewayRefs": []}, None, "service.gatewayRefs"),
        ({"hosts": ["*"]}, None, "service.hosts"),
        ({"match": [{"uri": {"suffix": "x"}}]}, None, "service.match[0].uri.suffix"),
        ({"match": [{"uri": {"prefix": "x"}}]}, None, "service.match[0].uri: must begin with /"),
        ({"match": [{"method": {"regex": "G.*"}}]}, None, "service.match[0].method.regex"),
        ({"match": [{"method": {"exact": "get"}}]}, None, "service.match[0].method.exact"),
        ({"match": [{"headers": {"h": {"prefix": "x"}}}]}, None, "; write regex: 'x.*'"),
        ({"match": [{"headers": {"h": {}}}]}, None, "service.match[0].headers.h: needs one of"),
        ({"match": [{"headers": {"h": {"exact": "a", "regex": "b"}}}]}, None, "has exact and regex"),
        ({"match": [{"headers": {"h": {"regex": "(a"}}}]}, None, "no regular expression"),
        ({"match": [{"authority": {"exact": "x"}}]}, None, "service.match[0].authority"),
        ({"match": [{"sourceLabels": {"a": "b"}}]}, None, "service.match[0].sourceLabels"),
        ({}, AB | {"match": [{"headers": {"h": {"suffix": "x"}}}]}, "analysis.match[0].headers.h.suffix"),
        ({}, AB | {"match": [{"sourceLabels": {"a": "b"}}]}, "analysis.match[0].sourceLabels"),
        ({}, AB | {"match": [{}]}, "it would take every request to the canary"),
        ({}, AB | {"match": [{"queryParams": {"q": {"prefix": "x"}}}]}, "analysis.match[0].queryParams.q.prefix"),
        ({"headers": {"response": {"set": {"set-cookie": "a=b"}}}}, AFFINE, "analysis.sessionAffinity: excludes service.headers.response"),
        ({"headers": {"response": {"remove": ["Set-Cookie"]}}}, AFFINE, "analysis.sessionAffinity: excludes service.headers.response"),
        ({"timeout": "soon"}, None, "service.timeout"),
        ({"timeout": "1s", "backendTimeout": "2s"}, None, "cannot be longer"),
        ({"corsPolicy": {"allowOrigins": [{"regex": ".*"}]}}, None, "allowOrigins[0]"),
        (
            {"rewrite": {"uri": "/", "type": "ReplacePrefixMatch"}, "match": [{"uri": {"exact": "/a"}}]},
            None,
            "ReplacePrefixMatch needs exactly one match",
        ),
        ({"match": [{"uri": {"prefix": f"/{n}"}} for n in range(65)]}, None, "makes 65 pairs"),
        (
            {"match": [{"headers": {"cookie": {"exact": "a"}}}]},
            WEIGHTED | {"sessionAffinity": {"cookieName": "c"}},
            "excludes a match on the header Cookie",
        ),
    ],
)
@pytest.mark.fault("Q-40")
def test_what_an_httproute_cannot_express_is_refused_by_name(service: Obj, analysis: Obj | None, names: str) -> None:
    found = ROUTER.problems(a_canary({**GATEWAY, **service}, analysis))
    assert len(found) == 1
    assert found[0].startswith("spec.")
    assert names in found[0]


def test_what_has_no_effect_is_warned_of() -> None:
    canary = a_canary(GATEWAY | {"retries": {"attempts": 3}, "gateways": ["mesh"]})
    assert ROUTER.problems(canary) == []
    assert ROUTER.warnings(canary) == [
        "spec.service.gateways: has no effect with provider gatewayapi:v1",
        "spec.service.retries: has no effect with provider gatewayapi:v1",
    ]


def as_stored(route: Obj, generation: int = 1) -> Obj:
    stored = copy.deepcopy(route)
    stored["metadata"] |= {"generation": generation, "uid": "r", "resourceVersion": "1"}
    return stored


@pytest.mark.fault("Q-9", "Q-31")
def test_a_foreign_order_and_foreign_fields_are_no_drift() -> None:
    service = GATEWAY | {"match": [{"headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}}, {"uri": {"prefix": "/x"}}]}
    canary = a_canary(service)
    stored = as_stored(desired(canary, RouteSplit(30)))
    [rule] = stored["spec"]["rules"]
    rule["matches"].reverse()
    rule["matches"][1]["headers"].reverse()
    rule["backendRefs"].reverse()
    rule["name"] = "given-by-a-later-api"
    stored["metadata"]["annotations"]["foreign"] = "x"
    observed = ROUTER.observed(canary, [stored], SETTINGS)
    assert observed.split == RouteSplit(30)
    assert observed.in_shape


def meddled(change: str) -> Obj:
    stored = as_stored(desired(a_canary(GATEWAY), RouteSplit(30)))
    rules = stored["spec"]["rules"]
    match change:
        case "timeouts":
            rules[0]["timeouts"] = {"request": "1s"}
        case "filter":
            rules[0]["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}]
        case "method":
            rules[0]["matches"][0]["method"] = "GET"
        case "rule":
            rules.append(copy.deepcopy(rules[0]))
        case "hostnames":
            stored["spec"]["hostnames"] = ["b.example.com"]
        case "port":
            rules[0]["backendRefs"][0]["port"] = 81
        case "scale":
            rules[0]["backendRefs"][0]["weight"], rules[0]["backendRefs"][1]["weight"] = 7, 3
        case "annotation":
            del stored["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/reconcile"]
        case "third":
            rules[0]["backendRefs"].append({"group": "", "kind": "Service", "name": "x", "port": 80, "weight": 0})
    return stored


@pytest.mark.parametrize("change", ["timeouts", "filter", "method", "rule", "hostnames", "port", "scale", "annotation", "third"])
def test_a_foreign_change_is_seen_and_the_weight_still_read(change: str) -> None:
    observed = ROUTER.observed(a_canary(GATEWAY), [meddled(change)], SETTINGS)
    assert observed.split == RouteSplit(30)
    assert not observed.in_shape


def test_hosts_that_were_taken_out_are_missed_on_a_route_of_ours_only() -> None:
    without = a_canary({"gatewayRefs": GATEWAY["gatewayRefs"]})
    stored = as_stored(desired(a_canary(GATEWAY), RouteSplit(30)))
    assert not ROUTER.observed(without, [stored], SETTINGS).in_shape
    del stored["metadata"]["ownerReferences"]
    assert ROUTER.observed(without, [stored], SETTINGS).in_shape


@pytest.mark.fault("Q-9")
def test_an_edit_of_the_spec_keeps_the_observed_weight() -> None:
    stored = as_stored(desired(a_canary(GATEWAY), RouteSplit(30)))
    observed = ROUTER.observed(a_canary(GATEWAY | {"timeout": "5s"}), [stored], SETTINGS)
    assert observed.split == RouteSplit(30)
    assert not observed.in_shape


def test_no_route_and_a_route_without_our_backends_hold_no_split() -> None:
    assert ROUTER.observed(a_canary(GATEWAY), [], SETTINGS).split is None
    foreign = {"metadata": {"name": "podinfo"}, "spec": {"rules": [{"backendRefs": [{"name": "podinfo", "port": 80}]}]}}
    observed = ROUTER.observed(a_canary(GATEWAY), [foreign], SETTINGS)
    assert observed.split is None
    assert not observed.in_shape


def test_the_shape_that_flagger_gave_an_ab_route_is_read() -> None:
    canary = a_canary(GATEWAY, AB)
    insiders = ALL | {"headers": [{"name": "x-canary", "type": "Exact", "value": "insider"}]}
    for weights, match in (((100, 0), False), ((0, 100), True)):
        rules = [
            {"matches": [insiders], "backendRefs": backends(*weights)},
            {"matches": [ALL], "backendRefs": backends(100, 0)[:1]},
        ]
        observed = ROUTER.observed(canary, [{"metadata": {"name": "podinfo"}, "spec": {"rules": rules}}], SETTINGS)
        assert observed.split == RouteSplit(0, match=match)


def test_a_users_match_on_a_cookie_is_not_taken_for_affinity() -> None:
    match = [{"headers": {"cookie": {"regex": r"^(.*;\s*)?beta=1(;.*)?$"}}}]
    canary = a_canary(GATEWAY, AB | {"match": match})
    route = desired(canary, RouteSplit(0, match=True))
    assert ROUTER.observed(canary, [route], SETTINGS).split == RouteSplit(0, match=True)


def handing(cookie: str) -> Obj:
    return GATEWAY | {"headers": {"response": {"add": {"set-cookie": cookie}}}}


@pytest.mark.parametrize("cookie", ["beta=1", "beta=1; Max-Age=-1"])
def test_a_cookie_that_the_user_hands_out_himself_is_none_of_ours(cookie: str) -> None:
    match = [{"headers": {"cookie": {"regex": r"^(.*;\s*)?beta=1(;.*)?$"}}}]
    canary = a_canary(handing(cookie), AB | {"match": match})
    for split in (RouteSplit(0, match=True), RouteSplit(0)):
        assert ROUTER.observed(canary, [desired(canary, split)], SETTINGS).split == split


@pytest.mark.parametrize("cookie", ["theme=dark", "fl.gr=theirs", "old=1; Max-Age=-1"])
@pytest.mark.parametrize(
    "split", [RouteSplit(20, cookie="abc", primary_cookie="xyz"), RouteSplit(0, previous_cookie="abc"), RouteSplit(0), RouteSplit(100)]
)
def test_a_cookie_of_the_users_own_stands_beside_those_of_affinity(cookie: str, split: RouteSplit) -> None:
    canary = a_canary(handing(cookie), WEIGHTED | {"sessionAffinity": AFFINITY})
    assert ROUTER.problems(canary) == []
    route = desired(canary, split)
    own = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "set-cookie", "value": cookie}]}}
    assert all(rule["filters"] == [own] for rule in route["spec"]["rules"])
    observed = ROUTER.observed(canary, [route], SETTINGS)
    assert (observed.split, observed.in_shape) == (split, True)


def test_where_flagger_takes_a_cookie_back_is_read() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": AFFINITY})
    cookie = {"name": "Cookie", "type": "RegularExpression", "value": ".*fl.gr.*LpsIaLdoNZ.*"}
    rules = [
        {"matches": [ALL | {"headers": [cookie]}], "filters": set_cookie("fl.gr=LpsIaLdoNZ; Max-Age=-1"), "backendRefs": backends(100, 0)},
        {"matches": [ALL], "backendRefs": backends(70, 30)},
    ]
    observed = ROUTER.observed(canary, [{"metadata": {"name": "podinfo"}, "spec": {"rules": rules}}], SETTINGS)
    assert observed.split == RouteSplit(30)


def test_the_shape_that_flagger_gave_a_route_with_affinity_is_read() -> None:
    canary = a_canary(GATEWAY, WEIGHTED | {"sessionAffinity": {"cookieName": "flagger-cookie"}})
    cookie = {"name": "Cookie", "type": "RegularExpression", "value": ".*flagger-cookie.*LpsIaLdoNZ.*"}
    primary, candidate = backends(80, 20)
    candidate = candidate | {"filters": set_cookie("flagger-cookie=LpsIaLdoNZ; Max-Age=86400")}
    rules = [
        {"matches": [ALL | {"headers": [cookie]}], "backendRefs": backends(0, 100)},
        {"matches": [ALL], "backendRefs": [primary, candidate]},
    ]
    observed = ROUTER.observed(canary, [{"metadata": {"name": "podinfo"}, "spec": {"rules": rules}}], SETTINGS)
    assert observed.split == RouteSplit(20, cookie="LpsIaLdoNZ")


def report(accepted: str = "True", resolved: str = "True", seen: int | None = 3, **parent: Any) -> Obj:
    generation = {} if seen is None else {"observedGeneration": seen}
    return {
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "contour", "namespace": "projectcontour", **parent},
        "conditions": [
            {"type": "Accepted", "status": accepted, "reason": "R1", "message": "m1", **generation},
            {"type": "ResolvedRefs", "status": resolved, "reason": "R2", "message": "m2", **generation},
        ],
    }


@pytest.mark.parametrize(
    ("reports", "accepted", "text"),
    [
        ([], False, "no controller has reported on HTTPRoute podinfo for Gateway projectcontour/contour yet"),
        ([report(name="other")], False, "no controller has reported"),
        ([report()], True, ""),
        ([report(seen=2)], False, "has not judged generation 3"),
        ([report(accepted="False")], False, "(Accepted is False): R1: m1"),
        ([report(resolved="False")], False, "(ResolvedRefs is False): R2: m2"),
        ([report(), report(accepted="False")], False, "R1: m1"),
        ([report(), report(name="other", accepted="False")], True, ""),
        ([report(seen=None)], None, ""),
        ([{**report(), "conditions": []}], False, "has not accepted"),
        ([report(sectionName="http")], True, ""),
    ],
)
def test_acceptance_by_the_parents(reports: list[Obj], accepted: bool | None, text: str) -> None:
    route = {"metadata": {"name": "podinfo", "generation": 3}, "spec": {}, "status": {"parents": reports}}
    verdict, refusal = acceptance(a_canary(GATEWAY), route)
    assert verdict is accepted
    assert text in refusal
    assert ROUTER.observed(a_canary(GATEWAY), [route], SETTINGS).judges is (accepted is not None)


def test_a_service_as_parent_is_found_under_both_names_of_the_core_group() -> None:
    for given, reported in (("", ""), ("core", ""), ("", "core"), ("core", "core")):
        canary = a_canary({"gatewayRefs": [{"name": "podinfo", "group": given, "kind": "Service"}]})
        parent = report(group=reported, kind="Service", name="podinfo", namespace="test")
        assert acceptance(canary, {"metadata": {"generation": 3}, "status": {"parents": [parent]}}) == (True, "")


def users_route() -> Obj:
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "podinfo", "namespace": "test", "annotations": {"mine": "1"}},
        "spec": {"parentRefs": [{"name": "gw"}], "rules": [{"backendRefs": [{"name": "podinfo", "port": 80}]}]},
    }


def test_a_route_of_the_user_is_taken_over_without_owning_it_and_given_back() -> None:
    canary, theirs = a_canary(GATEWAY), users_route()
    taken = desired(canary, RouteSplit(0), [theirs])
    assert "ownerReferences" not in taken["metadata"]
    assert json.loads(taken["metadata"]["annotations"][ORIGINAL]) == theirs["spec"]
    # the next write keeps the note, and giving back returns the very spec
    assert desired(canary, RouteSplit(10), [taken])["metadata"] == taken["metadata"]
    [back] = ROUTER.restore(canary, [taken])
    assert back["spec"] == theirs["spec"]
    assert back["metadata"] == {"name": "podinfo", "namespace": "test"}


def ours_unweighted() -> list[Obj]:
    names = ("podinfo-primary", "podinfo-canary")
    return [{"group": "", "kind": "Service", "name": name, "port": 80, "weight": 0} for name in names]


def test_a_route_of_the_user_learns_of_our_backends_and_leads_where_it_did() -> None:
    canary, theirs = a_canary(GATEWAY), users_route()
    redirect: Obj = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
    full = {"backendRefs": [{"name": f"b{number}", "port": 80} for number in range(15)]}
    theirs["spec"]["rules"] += [redirect, full]
    before = copy.deepcopy(theirs)
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    assert theirs == before
    assert told["spec"] == {"rules": [{"backendRefs": [{"name": "podinfo", "port": 80}, *ours_unweighted()]}, redirect, full]}
    assert json.loads(told["metadata"]["annotations"][ORIGINAL]) == theirs["spec"]
    assert "ownerReferences" not in told["metadata"]


def test_what_was_announced_is_no_split_and_is_given_back_or_taken_over_as_it_was_first() -> None:
    canary, theirs = a_canary(GATEWAY), users_route()
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    told["spec"]["parentRefs"] = theirs["spec"]["parentRefs"]
    assert ROUTER.observed(canary, [told], SETTINGS).split is None
    assert ROUTER.announce(canary, [told], SETTINGS) == []
    [back] = ROUTER.restore(canary, [told])
    assert back["spec"] == theirs["spec"]
    assert desired(canary, RouteSplit(0), [told]) == desired(canary, RouteSplit(0), [theirs])


def test_a_route_that_was_told_leads_to_the_primary_while_it_still_names_its_own() -> None:
    canary, theirs = a_canary(GATEWAY), users_route()
    assert ROUTER.observed(canary, [theirs], SETTINGS).foreign
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    assert ROUTER.observed(canary, [told], SETTINGS).foreign
    [leading] = ROUTER.announce(canary, [told], SETTINGS, lead=True)
    [rule] = leading["spec"]["rules"]
    weights = {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}
    assert weights == {"podinfo": 0, "podinfo-primary": 100, "podinfo-canary": 0}
    assert leading["metadata"] == told["metadata"]
    leading["spec"]["parentRefs"] = theirs["spec"]["parentRefs"]
    observed = ROUTER.observed(canary, [leading], SETTINGS)
    assert (observed.split, observed.foreign, observed.in_shape) == (RouteSplit(0), True, False)
    assert ROUTER.announce(canary, [leading], SETTINGS, lead=True) == []
    taken = desired(canary, RouteSplit(0), [leading])
    assert taken == desired(canary, RouteSplit(0), [theirs])
    assert not ROUTER.observed(canary, [taken], SETTINGS).foreign


def test_nothing_is_announced_where_no_route_of_the_user_could_learn_it() -> None:
    canary = a_canary(GATEWAY)
    redirects = users_route() | {"spec": {"rules": [{"filters": []}, {"backendRefs": []}]}}
    for current in ([], [redirects], [desired(canary, RouteSplit(0))], [users_route() | {"spec": {}}]):
        assert ROUTER.announce(canary, current, SETTINGS) == []
        assert ROUTER.announce(canary, current, SETTINGS, lead=True) == []
        assert not ROUTER.observed(canary, current, SETTINGS).foreign
    both = users_route()
    both["spec"]["rules"][0]["backendRefs"] = ours_unweighted()
    assert ROUTER.announce(canary, [both], SETTINGS) == []


def test_a_route_of_ours_is_left_to_the_garbage_collector() -> None:
    canary = a_canary(GATEWAY)
    assert ROUTER.restore(canary, [desired(canary, RouteSplit(0))]) == []
    assert ROUTER.restore(canary, []) == []


def test_a_route_whose_former_spec_is_not_known_is_led_to_the_apex_service() -> None:
    canary = a_canary(GATEWAY)
    route = desired(canary, RouteSplit(0))
    del route["metadata"]["ownerReferences"]
    [back] = ROUTER.restore(canary, [route])
    assert back["spec"]["rules"] == [
        {"matches": [ALL], "backendRefs": [{"group": "", "kind": "Service", "name": "podinfo", "port": 80, "weight": 100}]}
    ]


@pytest.mark.parametrize(
    ("text", "written"),
    [("15s", "15s"), ("1.5s", "1s500ms"), ("90s", "90s"), ("1h0.5s", "1h500ms"), ("0s", "0s"), ("100000s", "27h46m40s"), ("1us", "1ms")],
)
def test_durations_are_written_as_the_gateway_api_wants_them(text: str, written: str) -> None:
    assert gateway_duration(text) == written
