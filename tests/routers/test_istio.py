from __future__ import annotations

import copy
import json
import re

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.istio import LAST_APPLIED, Istio
from flaggerpy.routers.manifest import ORIGINAL
from tests.routers.builders import AB, META, OWNER, WEIGHTED, a_canary

ROUTER = Istio()
SETTINGS = Settings()
AFFINITY: Obj = WEIGHTED | {"sessionAffinity": {"cookieName": "fl", "primaryCookieName": "main", "path": "/", "secure": True}}


def virtual_service(canary: Canary, split: RouteSplit, current: list[Obj] | None = None) -> Obj:
    return next(obj for obj in ROUTER.desired(canary, split, current or [], SETTINGS) if obj["kind"] == "VirtualService")


def rules(canary: Canary, split: RouteSplit) -> list[Obj]:
    found: list[Obj] = virtual_service(canary, split)["spec"]["http"]
    return found


def to(primary: int, canary: int, port: int | None = None) -> list[Obj]:
    more = {"port": {"number": port}} if port else {}
    return [
        {"destination": {"host": "podinfo-primary", **more}, "weight": primary},
        {"destination": {"host": "podinfo-canary", **more}, "weight": canary},
    ]


def read(canary: Canary, *objects: Obj) -> RouteSplit | None:
    return ROUTER.observed(canary, objects, SETTINGS).split


def user_made(spec: Obj, **annotations: str) -> Obj:
    meta: Obj = {"name": "podinfo", "namespace": "test"} | ({"annotations": annotations} if annotations else {})
    return {"apiVersion": "networking.istio.io/v1beta1", "kind": "VirtualService", "metadata": meta, "spec": spec}


def test_a_weighted_route_in_the_mesh() -> None:
    meta = {"namespace": "test", "ownerReferences": [OWNER]}
    assert ROUTER.desired(a_canary(), RouteSplit(30), [], SETTINGS) == [
        {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "DestinationRule",
            "metadata": {"name": "podinfo-primary", **meta},
            "spec": {"host": "podinfo-primary"},
        },
        {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "DestinationRule",
            "metadata": {"name": "podinfo-canary", **meta},
            "spec": {"host": "podinfo-canary"},
        },
        {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "VirtualService",
            "metadata": META,
            "spec": {"hosts": ["podinfo"], "gateways": ["mesh"], "http": [{"route": to(70, 30)}]},
        },
    ]


@pytest.mark.parametrize(
    ("service", "hosts", "gateways"),
    [
        ({}, ["podinfo"], ["mesh"]),
        ({"hosts": ["a.example.com"]}, ["a.example.com", "podinfo"], ["mesh"]),
        ({"hosts": ["a.example.com", "podinfo"], "gateways": ["public"]}, ["a.example.com", "podinfo"], ["public"]),
        ({"hosts": ["*"], "gateways": ["istio-system/public"]}, ["*"], ["istio-system/public"]),
        ({"gateways": ["public", "mesh"]}, ["podinfo"], ["public", "mesh"]),
    ],
)
def test_hosts_and_gateways_are_completed_as_flagger_does(service: Obj, hosts: list[str], gateways: list[str]) -> None:
    canary = a_canary(service)
    assert ROUTER.problems(canary) == []
    spec = virtual_service(canary, RouteSplit(0))["spec"]
    assert (spec["hosts"], spec["gateways"]) == (hosts, gateways)


def test_a_delegate_has_neither_hosts_nor_gateways() -> None:
    canary = a_canary({"delegation": True})
    spec = virtual_service(canary, RouteSplit(0))["spec"]
    assert spec == {"hosts": [], "http": [{"route": to(100, 0)}]}


def test_a_taken_over_delegate_loses_the_gateways_that_it_had_in_two_writes() -> None:
    canary = a_canary({"delegation": True})
    theirs = user_made({"hosts": ["a"], "gateways": ["public"], "http": [{"route": [{"destination": {"host": "x"}}]}]})
    first = virtual_service(canary, RouteSplit(0), [theirs])
    assert first["spec"]["gateways"] == []
    emptied = copy.deepcopy(first)
    fields: Obj = {"f:hosts": {}, "f:gateways": {}, "f:http": {}}
    emptied["metadata"]["managedFields"] = [{"manager": "flaggerpy", "operation": "Apply", "fieldsV1": {"f:spec": fields}}]
    stored = [*ROUTER.desired(canary, RouteSplit(0), [theirs], SETTINGS)[:2], emptied]
    assert not ROUTER.observed(canary, stored, SETTINGS).in_shape
    assert "gateways" not in virtual_service(canary, RouteSplit(0), [emptied])["spec"]


@pytest.mark.parametrize(
    ("service", "port"),
    [
        ({}, None),
        ({"portDiscovery": True}, None),
        ({"portDiscovery": True, "gateways": ["mesh", "public"]}, None),
        ({"portDiscovery": True, "gateways": ["public"]}, 80),
        ({"portDiscovery": True, "delegation": True}, 80),
        ({"gateways": ["public"]}, None),
    ],
)
def test_behind_a_gateway_a_service_of_several_ports_is_named_with_its_port(service: Obj, port: int | None) -> None:
    assert rules(a_canary(service), RouteSplit(0))[0]["route"] == to(100, 0, port)


def test_everything_that_a_service_may_ask_for() -> None:
    canary = a_canary(
        {
            "match": [
                {"name": "api", "uri": {"prefix": "/api"}, "headers": {"b": {"regex": "x.*"}, "a": {}}, "method": {"exact": "GET"}},
                {"authority": {"suffix": ".example.com"}, "port": 80, "sourceLabels": {"app": "web"}, "ignoreUriCase": True},
                {"withoutHeaders": {"x": {"exact": "1"}}, "gateways": ["mesh"], "sourceNamespace": "shop", "scheme": {"exact": "http"}},
            ],
            "rewrite": {"uri": "/v2", "authority": "inner"},
            "timeout": "15s",
            "retries": {"attempts": 3, "perTryTimeout": "5s", "retryOn": "5xx"},
            "headers": {"request": {"set": {"x": "1"}, "add": {"w": "2"}, "remove": ["v"]}, "response": {"remove": ["server"]}},
            "corsPolicy": {"allowOrigin": ["a"], "allowOrigins": [{"suffix": ".b.c"}], "allowCredentials": False, "maxAge": "24h"},
            "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}, "loadBalancer": {"simple": "LEAST_REQUEST"}},
            "apex": {"labels": {"team": "a"}},
        }
    )
    assert ROUTER.problems(canary) == []
    assert ROUTER.warnings(canary) == []
    primary, candidate, route = ROUTER.desired(canary, RouteSplit(0), [], SETTINGS)
    for rule in (primary, candidate):
        assert rule["spec"]["trafficPolicy"] == {"tls": {"mode": "ISTIO_MUTUAL"}, "loadBalancer": {"simple": "LEAST_REQUEST"}}
    assert route["metadata"]["labels"] == {"team": "a"}
    assert route["spec"]["http"] == [
        {
            "match": [
                {"name": "api", "uri": {"prefix": "/api"}, "headers": {"a": {}, "b": {"regex": "x.*"}}, "method": {"exact": "GET"}},
                {"authority": {"regex": ".*\\.example\\.com"}, "port": 80, "sourceLabels": {"app": "web"}, "ignoreUriCase": True},
                {"withoutHeaders": {"x": {"exact": "1"}}, "gateways": ["mesh"], "sourceNamespace": "shop", "scheme": {"exact": "http"}},
            ],
            "rewrite": {"uri": "/v2", "authority": "inner"},
            "timeout": "15s",
            "retries": {"attempts": 3, "perTryTimeout": "5s", "retryOn": "5xx"},
            "corsPolicy": {"allowOrigin": ["a"], "allowOrigins": [{"regex": ".*\\.b\\.c"}], "allowCredentials": False, "maxAge": "24h"},
            "headers": {"request": {"add": {"w": "2"}, "set": {"x": "1"}, "remove": ["v"]}, "response": {"remove": ["server"]}},
            "route": to(100, 0),
        }
    ]


def test_a_match_that_takes_everything_is_no_match() -> None:
    assert rules(a_canary({"match": [{"uri": {"prefix": "/a"}}, {}]}), RouteSplit(0)) == [{"route": to(100, 0)}]


# --- A/B ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("Q-39")
def test_an_ab_test_is_every_pair_of_matches_and_loses_no_condition() -> None:
    match = [
        {"headers": {"X-User": {"exact": "insider"}}, "queryParams": {"q": {"prefix": "b"}}},
        {"sourceLabels": {"app": "tester"}},
    ]
    service = {"match": [{"uri": {"prefix": "/"}, "headers": {"x-user": {"regex": ".+"}, "tenant": {"exact": "a"}}}, {"port": 80}]}
    canary = a_canary(service, AB | {"match": match})
    assert ROUTER.problems(canary) == []
    tenant = {"exact": "a"}
    one: Obj = {"headers": {"X-User": {"exact": "insider"}}, "queryParams": {"q": {"prefix": "b"}}}
    assert rules(canary, RouteSplit(0, match=True)) == [
        {
            "match": [
                {"uri": {"prefix": "/"}, **one, "headers": {"X-User": {"exact": "insider"}, "tenant": tenant}},
                {"port": 80, **one},
                {
                    "uri": {"prefix": "/"},
                    "headers": {"x-user": {"regex": ".+"}, "tenant": tenant},
                    "sourceLabels": {"app": "tester"},
                },
                {"port": 80, "sourceLabels": {"app": "tester"}},
            ],
            "route": to(0, 100),
        },
        {
            "match": [{"uri": {"prefix": "/"}, "headers": {"tenant": tenant, "x-user": {"regex": ".+"}}}, {"port": 80}],
            "route": to(100, 0),
        },
    ]


def test_the_rule_of_an_ab_test_stands_between_the_tests_and_leads_to_the_primary() -> None:
    canary = a_canary(analysis=AB)
    idle, running = rules(canary, RouteSplit(0)), rules(canary, RouteSplit(0, match=True))
    assert [rule["route"] for rule in idle] == [to(100, 0), to(100, 0)]
    assert [rule["route"] for rule in running] == [to(0, 100), to(100, 0)]
    assert idle[0]["match"] == running[0]["match"] == [{"headers": {"x-canary": {"exact": "insider"}}}]


@pytest.mark.parametrize(("ab", "match"), [((100, 0), False), ((0, 100), True)])
def test_an_ab_test_that_flagger_wrote_is_read(ab: tuple[int, int], match: bool) -> None:
    """In the middle of a test Flagger writes weight 0 for its lone destination of everybody else."""
    everybody = {"route": [{"destination": {"host": "podinfo-primary"}, "weight": ab[0]}]}
    theirs = user_made({"hosts": ["podinfo"], "http": [{"match": [{"headers": {"x": {"exact": "1"}}}], "route": to(*ab)}, everybody]})
    assert read(a_canary(analysis=AB), theirs) == RouteSplit(0, match=match)


def test_weights_with_a_match_hold_for_the_matching_requests_only() -> None:
    canary = a_canary(analysis=WEIGHTED | {"match": AB["match"]})
    assert [rule["route"] for rule in rules(canary, RouteSplit(40))] == [to(60, 40), to(100, 0)]


# --- mirror, affinity -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("weight", "percentage"), [({}, {}), ({"mirrorWeight": 20}, {"mirrorPercentage": {"value": 20}})])
def test_a_mirror(weight: Obj, percentage: Obj) -> None:
    canary = a_canary(analysis=WEIGHTED | {"mirror": True} | weight)
    assert rules(canary, RouteSplit(0, mirror=True)) == [{"route": to(100, 0), "mirror": {"host": "podinfo-canary"}, **percentage}]


@pytest.mark.fault("Q-38")
def test_visitors_with_a_cookie_are_led_and_the_mirror_is_everybodys() -> None:
    canary = a_canary({"match": [{"uri": {"prefix": "/a"}}]}, AFFINITY)
    assert ROUTER.problems(canary) == []
    found = rules(canary, RouteSplit(20, mirror=True, cookie="x.y", primary_cookie="p"))
    assert [rule["match"][0]["uri"] for rule in found] == [{"prefix": "/a"}] * 3
    sticky, fair, everybody = found
    pattern = sticky["match"][0]["headers"]["Cookie"]["regex"]
    assert all(re.fullmatch(pattern, text) for text in ("fl=x.y", "a=b; fl=x.y; c=d"))
    assert not any(re.fullmatch(pattern, text) for text in ("fl=x-y", "fl=x.yz", "waffl=x.y", "fl=1; b=x.y"))
    assert [rule["route"] for rule in (sticky, fair)] == [to(0, 100), to(100, 0)]
    assert "main" in fair["match"][0]["headers"]["Cookie"]["regex"]
    assert "headers" not in everybody["match"][0]
    assert [("mirror" in rule) for rule in found] == [False, False, True]
    primary, candidate = everybody["route"]
    assert primary["headers"] == {"response": {"add": {"Set-Cookie": "main=p; Max-Age=10; Path=/; Secure"}}}
    assert candidate["headers"] == {"response": {"add": {"Set-Cookie": "fl=x.y; Max-Age=86400; Path=/; Secure"}}}


@pytest.mark.fault("Q-38")
def test_a_cookie_is_taken_back_from_its_own_visitors_only() -> None:
    change = {"response": {"add": {"x": "1"}}}
    canary = a_canary({"headers": change}, AFFINITY)
    old, everybody = rules(canary, RouteSplit(0, previous_cookie="old"))
    assert old["headers"] == {"response": {"add": {"x": "1", "Set-Cookie": "fl=old; Max-Age=-1; Path=/; Secure"}}}
    assert everybody["headers"] == change
    assert (old["route"], everybody["route"]) == (to(100, 0), to(100, 0))
    assert len(rules(canary, RouteSplit(0))) == 1


@pytest.mark.fault("Q-38")
def test_affinity_that_flagger_wrote_is_read() -> None:
    def rule(name: str, value: str, route: list[Obj], **more: Obj) -> Obj:
        return {"match": [{"headers": {"Cookie": {"regex": f".*{name}.*{value}.*"}}}], "route": route, **more}

    def adding(value: str) -> Obj:
        return {"headers": {"response": {"add": {"Set-Cookie": value}}}}

    primary, candidate = to(90, 10)
    weighted: Obj = {"route": [primary | adding("main=pp; Max-Age=10"), candidate | adding("fl=cc; Max-Age=86400")]}
    running = user_made({"http": [rule("fl", "cc", to(0, 100)), rule("main", "pp", to(100, 0)), weighted]})
    assert read(a_canary(analysis=AFFINITY), running) == RouteSplit(10, cookie="cc", primary_cookie="pp")
    over = user_made({"http": [rule("fl", "cc", to(100, 0), **adding("fl=cc; Max-Age=-1")), {"route": to(100, 0)}]})
    assert read(a_canary(analysis=AFFINITY), over) == RouteSplit(0, previous_cookie="cc")
    twice = user_made({"http": [{"route": to(100, 0)}, {"route": to(100, 0)}]})
    assert read(a_canary(analysis=AFFINITY), twice) == RouteSplit(0)


def test_a_cookie_that_the_user_hands_out_himself_is_none_of_ours() -> None:
    headers = {"response": {"add": {"Set-Cookie": "beta=1"}}}
    canary = a_canary({"headers": headers}, AB | {"match": [{"headers": {"cookie": {"regex": "^(.*;)?beta=1(;.*)?$"}}}]})
    assert ROUTER.problems(canary) == []
    assert read(canary, *ROUTER.desired(canary, RouteSplit(0, match=True), [], SETTINGS)) == RouteSplit(0, match=True)


# --- TCP ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["tcp", "TCP"])
def test_connections_are_split_by_a_tcp_route(protocol: str) -> None:
    canary = a_canary({"appProtocol": protocol, "match": [{"port": 5432}, {"port": 5433}]})
    assert ROUTER.problems(canary) == []
    made = ROUTER.desired(canary, RouteSplit(30), [], SETTINGS)
    spec = {"hosts": ["podinfo"], "gateways": ["mesh"], "tcp": [{"match": [{"port": 5432}, {"port": 5433}], "route": to(70, 30)}]}
    assert made[-1]["spec"] == spec
    observed = ROUTER.observed(canary, made, SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(30), True)
    assert "match" not in virtual_service(a_canary({"appProtocol": protocol}), RouteSplit(0))["spec"]["tcp"][0]


@pytest.mark.parametrize(
    ("given", "analysis", "names"),
    [
        ({"match": [{"uri": {"prefix": "/"}}]}, None, "spec.service.match[0].uri"),
        ({"match": [{"port": 1, "sourceLabels": {"a": "b"}}]}, None, "spec.service.match[0].sourceLabels"),
        ({"rewrite": {"uri": "/"}}, None, "spec.service.rewrite"),
        ({"headers": {"request": {"set": {"a": "b"}}}}, None, "spec.service.headers"),
        ({}, AB, "spec.analysis.match"),
        ({}, WEIGHTED | {"mirror": True}, "spec.analysis.mirror"),
        ({}, AFFINITY, "spec.analysis.sessionAffinity"),
    ],
)
@pytest.mark.fault("Q-10")
def test_what_needs_requests_is_refused_where_connections_are_split(given: Obj, analysis: Obj | None, names: str) -> None:
    [found] = ROUTER.problems(a_canary({"appProtocol": "tcp", **given}, analysis))
    assert found.startswith(f"{names}: ")
    assert "istio with appProtocol tcp" in found


def test_what_has_no_effect_on_connections_is_warned_of() -> None:
    metrics = [{"name": "request-duration"}, {"name": "request-success-rate", "query": "up"}, {"name": "mine", "query": "up"}]
    service = {"appProtocol": "tcp", "timeout": "5s", "trafficPolicy": {"tls": {"mode": "DISABLE"}}}
    canary = a_canary(service, WEIGHTED | {"metrics": metrics})
    assert ROUTER.problems(canary) == []
    assert ROUTER.warnings(canary) == [
        "spec.service.timeout: has no effect with provider istio with appProtocol tcp",
        "spec.analysis.metrics[0]: request-duration counts requests, of which there are none with appProtocol tcp",
    ]


# --- refusals -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "analysis", "names"),
    [
        ({"hosts": ["*"]}, None, "spec.service.hosts: '*' cannot be routed in the mesh"),
        ({"hosts": ["*"], "gateways": ["public", "mesh"]}, None, "spec.service.hosts: '*'"),
        ({"mirror": [{"backendRef": {"name": "x", "port": 80}}]}, None, "spec.service.mirror: is not supported"),
        ({"match": [{"headers": {"method": {"exact": "GET"}}}]}, None, "spec.service.match[0].headers.method: Istio passes over"),
        ({"match": [{"withoutHeaders": {"URI": {"exact": "/"}}}]}, None, "spec.service.match[0].withoutHeaders.URI: Istio passes over"),
        ({}, AB | {"match": [{"headers": {"authority": {"exact": "a"}}}]}, "spec.analysis.match[0].headers.authority: Istio passes over"),
        ({"match": [{"method": {"exact": "A", "prefix": "B"}}]}, None, "spec.service.match[0].method: needs one of"),
        ({"match": [{"withoutHeaders": {"a": {"regex": "("}}}]}, None, "spec.service.match[0].withoutHeaders.a.regex: is no regular"),
        ({"match": [{"uri": {"regex": "("}}]}, None, "spec.service.match[0].uri.regex: is no regular expression"),
        ({"timeout": "0s"}, None, "spec.service.timeout: 0s is shorter than 1ms"),
        ({"timeout": "infinity"}, None, "spec.service.timeout"),
        ({"retries": {"perTryTimeout": "0.5ms"}}, None, "spec.service.retries.perTryTimeout: 0.5ms is shorter"),
        ({"corsPolicy": {"maxAge": "0s"}}, None, "spec.service.corsPolicy.maxAge: 0s is shorter"),
        ({"match": [{"headers": {"cookie": {"exact": "a"}}}]}, AFFINITY, "spec.analysis.sessionAffinity: excludes a match on"),
        ({"headers": {"response": {"add": {"set-cookie": "a=b"}}}}, AFFINITY, "spec.analysis.sessionAffinity: excludes a change of"),
        ({"headers": {"response": {"remove": ["Set-Cookie"]}}}, AFFINITY, "spec.analysis.sessionAffinity: excludes a change of"),
    ],
)
def test_what_a_virtual_service_cannot_express_is_refused_by_name(given: Obj, analysis: Obj | None, names: str) -> None:
    [found] = ROUTER.problems(a_canary(given, analysis))
    assert found.startswith(names)


def test_what_has_no_effect_is_warned_of() -> None:
    service = {"rewrite": {"uri": "/", "type": "ReplacePrefixMatch"}, "backendTimeout": "1s"}
    canary = a_canary(service, AB | {"sessionAffinity": {"cookieName": "a"}})
    assert [text.partition(":")[0] for text in ROUTER.warnings(canary)] == [
        "spec.service.backendTimeout",
        "spec.service.rewrite.type",
        "spec.analysis.sessionAffinity",
    ]


# --- what others do to it -------------------------------------------------------------------------------------------------------------


def test_nobody_can_tell_whether_istio_took_it() -> None:
    observed = ROUTER.observed(a_canary(), ROUTER.desired(a_canary(), RouteSplit(1), [], SETTINGS), SETTINGS)
    assert (observed.judges, observed.accepted, observed.foreign) == (False, None, False)


@pytest.mark.parametrize(
    "change",
    [
        {"fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}},
        {"headers": {"request": {"add": {"x": "1"}}}},
        {"timeout": "1s"},
        {"match": [{"uri": {"prefix": "/only"}}]},
    ],
)
@pytest.mark.fault("Q-9")
def test_a_foreign_change_of_a_rule_is_seen_and_the_weight_still_read(change: Obj) -> None:
    canary = a_canary({"headers": {"request": {"add": {"w": "1"}}}})
    stored = ROUTER.desired(canary, RouteSplit(30), [], SETTINGS)
    assert ROUTER.observed(canary, stored, SETTINGS).in_shape
    stored[-1]["spec"]["http"][0] |= change
    observed = ROUTER.observed(canary, stored, SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(30), False)


def test_a_missing_destination_rule_is_seen() -> None:
    stored = ROUTER.desired(a_canary(), RouteSplit(30), [], SETTINGS)
    for index in (0, 1):
        observed = ROUTER.observed(a_canary(), stored[:index] + stored[index + 1 :], SETTINGS)
        assert (observed.split, observed.in_shape) == (RouteSplit(30), False)
    assert read(a_canary(), *stored[:2]) is None


def test_what_others_add_beside_the_rules_is_theirs() -> None:
    canary = a_canary({"trafficPolicy": {"tls": {"mode": "DISABLE"}}})
    stored = ROUTER.desired(canary, RouteSplit(30), [], SETTINGS)
    stored[-1]["spec"] |= {"exportTo": ["."], "tls": [{"match": [{"sniHosts": ["a"]}], "route": []}]}
    stored[0]["spec"] |= {"subsets": [{"name": "a"}], "exportTo": ["."]}
    stored[0]["spec"]["trafficPolicy"]["outlierDetection"] = {"interval": "1s"}
    assert ROUTER.observed(canary, stored, SETTINGS).in_shape


def test_a_traffic_policy_that_we_wrote_and_that_is_not_wanted_any_more_is_seen() -> None:
    before = a_canary({"trafficPolicy": {"tls": {"mode": "DISABLE"}, "loadBalancer": {"simple": "RANDOM"}}})
    stored = ROUTER.desired(before, RouteSplit(0), [], SETTINGS)
    policy: Obj = {".": {}, "f:tls": {"f:mode": {}}, "f:loadBalancer": {"f:simple": {}}}
    fields = {"f:spec": {"f:host": {}, "f:trafficPolicy": policy}}
    stored[0]["metadata"]["managedFields"] = [{"manager": "flaggerpy", "operation": "Apply", "fieldsV1": fields}]
    assert ROUTER.observed(before, stored, SETTINGS).in_shape
    for after in ({}, {"trafficPolicy": {"tls": {"mode": "DISABLE"}}}):
        assert not ROUTER.observed(a_canary(after), stored, SETTINGS).in_shape
    stored[0]["metadata"]["managedFields"][0]["manager"] = "somebody"
    assert ROUTER.observed(a_canary(), stored, SETTINGS).in_shape


def test_the_protocol_edited_in_the_middle_of_a_run_keeps_the_weight() -> None:
    stored = ROUTER.desired(a_canary(), RouteSplit(30), [], SETTINGS)
    observed = ROUTER.observed(a_canary({"appProtocol": "tcp"}), stored, SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(30), False)


# --- taking over and giving back ------------------------------------------------------------------------------------------------------

THEIRS: Obj = {
    "hosts": ["shop.example.com"],
    "gateways": ["istio-system/public"],
    "exportTo": ["*"],
    "http": [
        {"match": [{"uri": {"prefix": "/old"}}], "redirect": {"uri": "/new"}},
        {"route": [{"destination": {"host": "podinfo", "port": {"number": 80}}}]},
        {"route": [{"destination": {"host": "a.test.svc.cluster.local"}, "weight": 60}, {"destination": {"host": "b"}, "weight": 40}]},
    ],
}


def test_a_virtual_service_of_the_user_keeps_how_visitors_get_in_and_is_given_back() -> None:
    canary, theirs = a_canary(), user_made(copy.deepcopy(THEIRS))
    taken = virtual_service(canary, RouteSplit(0), [theirs])
    assert "ownerReferences" not in taken["metadata"]
    assert taken["spec"] == {"http": [{"route": to(100, 0)}]}
    assert json.loads(taken["metadata"]["annotations"][ORIGINAL]) == THEIRS
    stored = copy.deepcopy(taken)
    stored["spec"] = {**THEIRS, **taken["spec"]}
    rules_of = ROUTER.desired(canary, RouteSplit(0), [], SETTINGS)[:2]
    assert ROUTER.observed(canary, [*rules_of, stored], SETTINGS).in_shape
    assert not ROUTER.observed(canary, [*rules_of, stored], SETTINGS).foreign
    [back] = ROUTER.restore(canary, [*rules_of, stored])
    assert back["spec"] == THEIRS
    assert back["metadata"] == {"name": "podinfo", "namespace": "test"}


def test_hosts_that_the_canary_names_replace_the_users() -> None:
    canary = a_canary({"hosts": ["new.example.com"], "gateways": ["mine"]})
    spec = virtual_service(canary, RouteSplit(0), [user_made(copy.deepcopy(THEIRS))])["spec"]
    assert (spec["hosts"], spec["gateways"]) == (["new.example.com", "podinfo"], ["mine"])


def test_a_virtual_service_of_the_user_learns_of_our_services_and_leads_where_it_did() -> None:
    canary, theirs = a_canary(), user_made(copy.deepcopy(THEIRS))
    before = copy.deepcopy(theirs)
    assert ROUTER.observed(canary, [theirs], SETTINGS).foreign
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    assert theirs == before
    redirect, lone, both = THEIRS["http"]
    alone = [lone["route"][0] | {"weight": 100}]
    assert told["spec"] == {"http": [redirect, {"route": alone + to(0, 0)}, {"route": both["route"] + to(0, 0)}]}
    assert json.loads(told["metadata"]["annotations"][ORIGINAL]) == THEIRS
    assert ROUTER.observed(canary, [told], SETTINGS).split is None
    assert ROUTER.announce(canary, [told], SETTINGS) == []
    [leading] = ROUTER.announce(canary, [told], SETTINGS, lead=True)
    away = [[each | {"weight": 0} for each in routes] for routes in (alone, both["route"])]
    assert leading["spec"] == {"http": [redirect, *({"route": routes + to(100, 0)} for routes in away)]}
    assert ROUTER.announce(canary, [leading], SETTINGS, lead=True) == []
    assert not ROUTER.observed(canary, [virtual_service(canary, RouteSplit(0), [leading])], SETTINGS).foreign


def test_nothing_is_announced_where_no_route_of_the_user_could_learn_it() -> None:
    canary = a_canary()
    delegating = user_made({"hosts": ["a"], "http": [{"delegate": {"name": "other"}}]})
    for current in ([], [delegating], ROUTER.desired(canary, RouteSplit(0), [], SETTINGS)):
        assert ROUTER.announce(canary, current, SETTINGS) == []


@pytest.mark.fault("Q-39")
def test_what_flagger_kept_of_itself_is_not_given_back() -> None:
    canary = a_canary()
    flaggers = {"hosts": ["podinfo"], "http": [{"route": to(100, 0)}]}
    applied = json.dumps({"spec": THEIRS})
    kept = user_made(flaggers, **{ORIGINAL: json.dumps(flaggers), LAST_APPLIED: applied})
    [back] = ROUTER.restore(canary, [kept])
    assert back["spec"] == THEIRS
    [plain] = ROUTER.restore(canary, [user_made(flaggers, **{ORIGINAL: json.dumps(flaggers)})])
    assert plain["spec"] == {"http": [{"route": [{"destination": {"host": "podinfo"}, "weight": 100}]}]}
    [plain] = ROUTER.restore(canary, [user_made(flaggers, **{ORIGINAL: "{"})])
    assert plain["spec"]["http"][0]["route"][0]["destination"] == {"host": "podinfo"}


def test_a_destination_rule_of_the_user_keeps_its_policy_and_is_given_back() -> None:
    spec = {"host": "podinfo-primary", "trafficPolicy": {"tls": {"mode": "SIMPLE"}}}
    theirs: Obj = {
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "DestinationRule",
        "metadata": {"name": "podinfo-primary", "namespace": "test"},
        "spec": spec,
    }
    canary = a_canary()
    taken = ROUTER.desired(canary, RouteSplit(0), [theirs], SETTINGS)[0]
    assert taken["metadata"] == {
        "name": "podinfo-primary",
        "namespace": "test",
        "annotations": {ORIGINAL: json.dumps(spec, separators=(",", ":"))},
    }
    assert taken["spec"] == {"host": "podinfo-primary"}
    again = ROUTER.desired(canary, RouteSplit(0), [taken], SETTINGS)[0]
    assert again["metadata"] == taken["metadata"]
    [back] = ROUTER.restore(canary, [taken])
    assert back["spec"] == spec


def test_what_is_ours_goes_with_the_canary() -> None:
    assert ROUTER.restore(a_canary(), ROUTER.desired(a_canary(), RouteSplit(0), [], SETTINGS)) == []
