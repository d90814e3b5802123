from __future__ import annotations

import copy
import json
import re

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.contour import Contour, acceptance
from flaggerpy.routers.manifest import ORIGINAL
from tests.routers.builders import AB, META, WEIGHTED, a_canary

ROUTER = Contour()
SETTINGS = Settings()


def desired(canary: Canary, split: RouteSplit, current: list[Obj] | None = None, settings: Settings = SETTINGS) -> Obj:
    [proxy] = ROUTER.desired(canary, split, current or [], settings)
    return proxy


def service(name: str, weight: int, **more: bool) -> Obj:
    header = {"name": "l5d-dst-override", "value": f"{name}.test.svc.cluster.local:80"}
    return {"name": name, "port": 80, "weight": weight, "requestHeadersPolicy": {"set": [header]}, **more}


def services(primary: int, canary: int) -> list[Obj]:
    return [service("podinfo-primary", primary), service("podinfo-canary", canary)]


def test_a_weighted_proxy_that_a_root_includes() -> None:
    assert desired(a_canary(), RouteSplit(30)) == {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": META,
        "spec": {"routes": [{"conditions": [{"prefix": "/"}], "services": services(70, 30)}]},
    }


def test_everything_that_a_service_may_ask_for() -> None:
    canary = a_canary(
        {
            "match": [{"uri": {"prefix": "/api"}}, {"uri": {"exact": "/login"}, "headers": {"h": {"exact": "1"}}}],
            "timeout": "15s",
            "retries": {"attempts": 3, "perTryTimeout": "5s", "retryOn": "5xx, reset"},
            "headers": {"request": {"set": {"b": "2", "a": "1"}, "remove": ["z"]}, "response": {"remove": ["server"]}},
            "apex": {"labels": {"team": "a"}},
        }
    )
    assert ROUTER.problems(canary) == []
    proxy = desired(canary, RouteSplit(0), settings=Settings(ingress_class="contour"))
    common = {
        "services": services(100, 0),
        "timeoutPolicy": {"response": "15s", "idle": "5m"},
        "retryPolicy": {"count": 3, "perTryTimeout": "5s", "retryOn": ["5xx", "reset"]},
        "requestHeadersPolicy": {"set": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}], "remove": ["z"]},
        "responseHeadersPolicy": {"remove": ["server"]},
    }
    assert proxy["metadata"]["labels"] == {"team": "a"}
    assert proxy["spec"] == {
        "ingressClassName": "contour",
        "routes": [
            {"conditions": [{"prefix": "/api"}], **common},
            {"conditions": [{"exact": "/login"}, {"header": {"name": "h", "exact": "1"}}], **common},
        ],
    }


@pytest.mark.fault("Q-43")
def test_every_entry_of_an_ab_match_is_a_route_of_its_own() -> None:
    match = [{"headers": {"x": {"exact": "1"}, "w": {"regex": "a+"}}}, {"queryParams": {"q": {"prefix": "b"}}}]
    canary = a_canary(analysis=AB | {"match": match})
    assert ROUTER.problems(canary) == []
    assert desired(canary, RouteSplit(0, match=True))["spec"]["routes"] == [
        {
            "conditions": [{"prefix": "/"}, {"header": {"name": "w", "regex": "a+"}}, {"header": {"name": "x", "exact": "1"}}],
            "services": services(0, 100),
        },
        {"conditions": [{"prefix": "/"}, {"queryParameter": {"name": "q", "prefix": "b"}}], "services": services(0, 100)},
        {"conditions": [{"prefix": "/"}], "services": services(100, 0)},
    ]
    assert desired(canary, RouteSplit(0))["spec"]["routes"] == [{"conditions": [{"prefix": "/"}], "services": services(100, 0)}]


@pytest.mark.parametrize(
    ("test", "yes", "no"),
    [
        ({"prefix": "beta.1"}, ["beta.1", "beta.12"], ["xbeta.1", "betax1"]),
        ({"suffix": "@a.b"}, ["me@a.b"], ["me@a.bc", "me@axb"]),
    ],
)
@pytest.mark.fault("Q-43")
def test_a_prefix_and_a_suffix_of_a_header_are_not_contains(test: Obj, yes: list[str], no: list[str]) -> None:
    canary = a_canary(analysis=AB | {"match": [{"headers": {"user": test}}]})
    assert ROUTER.problems(canary) == []
    condition = desired(canary, RouteSplit(0, match=True))["spec"]["routes"][0]["conditions"][1]["header"]
    assert set(condition) == {"name", "regex"}
    assert all(re.fullmatch(condition["regex"], text) for text in yes)
    assert not any(re.fullmatch(condition["regex"], text) for text in no)


def test_weights_with_a_match_hold_for_the_matching_requests_only() -> None:
    canary = a_canary(analysis=WEIGHTED | {"match": AB["match"]})
    proxy = desired(canary, RouteSplit(40))
    assert [route["services"] for route in proxy["spec"]["routes"]] == [services(60, 40), services(100, 0)]
    assert ROUTER.observed(canary, [proxy], SETTINGS).split == RouteSplit(40)


@pytest.mark.parametrize(("weight", "written"), [(None, 100), (20, 20)])
def test_a_mirror_is_a_third_service(weight: int | None, written: int) -> None:
    canary = a_canary(analysis=WEIGHTED | {"mirror": True} | ({"mirrorWeight": weight} if weight else {}))
    assert ROUTER.problems(canary) == []
    proxy = desired(canary, RouteSplit(0, mirror=True))
    assert proxy["spec"]["routes"][0]["services"] == [*services(100, 0), service("podinfo-canary", written, mirror=True)]
    assert ROUTER.observed(canary, [proxy], SETTINGS).split == RouteSplit(0, mirror=True)


@pytest.mark.parametrize(
    ("given", "analysis", "names"),
    [
        ({"rewrite": {"uri": "/x"}}, None, "spec.service.rewrite: is not supported"),
        ({"mirror": [{"backendRef": {"name": "x", "port": 80}}]}, None, "spec.service.mirror: is not supported"),
        ({"headers": {"request": {"add": {"a": "b"}}}}, None, "service.headers.request.add"),
        ({"match": [{"method": {"exact": "GET"}}]}, None, "service.match[0].method.exact"),
        ({"match": [{"uri": {"prefix": "api"}}]}, None, "service.match[0].uri: must begin with /"),
        ({"timeout": "soon"}, None, "service.timeout"),
        ({"retries": {"perTryTimeout": "1"}}, None, "service.retries.perTryTimeout"),
        ({}, WEIGHTED | {"sessionAffinity": {"cookieName": "c"}}, "spec.analysis.sessionAffinity: is not supported"),
        ({}, AB | {"match": [{"sourceLabels": {"a": "b"}}]}, "analysis.match[0].sourceLabels"),
    ],
)
@pytest.mark.fault("Q-43")
def test_what_an_httpproxy_cannot_express_is_refused_by_name(given: Obj, analysis: Obj | None, names: str) -> None:
    found = ROUTER.problems(a_canary(given, analysis))
    assert len(found) == 1
    assert found[0].startswith("spec.")
    assert names in found[0]


def test_hosts_belong_to_the_root_proxy_and_are_warned_of() -> None:
    assert ROUTER.warnings(a_canary({"hosts": ["a.example.com"]})) == ["spec.service.hosts: has no effect with provider contour"]


@pytest.mark.parametrize(
    ("status", "accepted", "text"),
    [
        ({}, False, "has not judged HTTPProxy podinfo yet"),
        ({"currentStatus": "NotReconciled", "description": "Waiting for controller"}, False, "has not judged HTTPProxy podinfo yet"),
        ({"currentStatus": "valid", "conditions": [{"type": "Valid", "status": "True", "observedGeneration": 4}]}, True, ""),
        ({"currentStatus": "valid", "conditions": [{"type": "Valid", "status": "True"}]}, None, ""),
        (
            {"currentStatus": "valid", "conditions": [{"type": "Valid", "status": "True", "observedGeneration": 3}]},
            False,
            "has not judged generation 4",
        ),
        (
            {
                "currentStatus": "invalid",
                "description": "At least one error present, see Errors for details",
                "conditions": [
                    {
                        "type": "Valid",
                        "status": "False",
                        "observedGeneration": 4,
                        "errors": [{"reason": "ServiceUnresolvedReference", "message": "service not found"}],
                    }
                ],
            },
            False,
            "is invalid: ServiceUnresolvedReference: service not found",
        ),
        (
            {"currentStatus": "orphaned", "conditions": [{"type": "Valid", "status": "False", "observedGeneration": 4}]},
            False,
            "no root HTTPProxy includes it",
        ),
    ],
)
def test_acceptance_by_contour(status: Obj, accepted: bool | None, text: str) -> None:
    verdict, refusal = acceptance({"metadata": {"name": "podinfo", "generation": 4}, "status": status})
    assert verdict is accepted
    assert text in refusal


@pytest.mark.parametrize("field", ["timeoutPolicy", "requestHeadersPolicy", "directResponsePolicy"])
def test_a_foreign_change_is_seen_and_the_weight_still_read(field: str) -> None:
    stored = copy.deepcopy(desired(a_canary(), RouteSplit(30)))
    assert ROUTER.observed(a_canary(), [stored], SETTINGS).in_shape
    stored["spec"]["routes"][0][field] = {"response": "1s"}
    observed = ROUTER.observed(a_canary(), [stored], SETTINGS)
    assert observed.split == RouteSplit(30)
    assert not observed.in_shape


def test_two_matches_of_the_service_are_not_taken_for_an_ab_test() -> None:
    canary = a_canary({"match": [{"uri": {"prefix": "/a"}}, {"uri": {"prefix": "/b"}}]}, AB)
    proxy = desired(canary, RouteSplit(100))
    assert ROUTER.observed(canary, [proxy], SETTINGS).split == RouteSplit(100)


def test_a_root_proxy_of_the_user_keeps_its_virtualhost_and_is_given_back() -> None:
    theirs: Obj = {
        "apiVersion": "projectcontour.io/v1",
        "kind": "HTTPProxy",
        "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": {"virtualhost": {"fqdn": "a.example.com"}, "routes": [{"services": [{"name": "podinfo", "port": 80}]}]},
    }
    canary = a_canary()
    taken = desired(canary, RouteSplit(0), [theirs])
    assert "ownerReferences" not in taken["metadata"]
    assert "virtualhost" not in taken["spec"]
    assert json.loads(taken["metadata"]["annotations"][ORIGINAL]) == theirs["spec"]
    stored = copy.deepcopy(taken)
    stored["spec"]["virtualhost"] = theirs["spec"]["virtualhost"]
    assert ROUTER.observed(canary, [stored], SETTINGS).in_shape
    [back] = ROUTER.restore(canary, [stored])
    assert back["spec"] == theirs["spec"]


def test_a_proxy_of_the_user_learns_of_our_services_and_leads_where_it_did() -> None:
    redirect: Obj = {"requestRedirectPolicy": {"scheme": "https"}}
    weighted = [{"name": "a", "port": 80, "weight": 9}, {"name": "b", "port": 80}]
    mirrored = [{"name": "podinfo", "port": 80}, {"name": "shadow", "port": 80, "mirror": True}]
    theirs: Obj = {
        "kind": "HTTPProxy",
        "metadata": {"name": "podinfo", "namespace": "test"},
        "spec": {"virtualhost": {"fqdn": "a"}, "routes": [{"services": weighted}, {"services": mirrored}, redirect]},
    }
    before, canary = copy.deepcopy(theirs), a_canary()
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    assert theirs == before
    # Contour shares evenly where no service has a weight
    alone = [{"name": "podinfo", "port": 80, "weight": 1}, mirrored[1]]
    assert told["spec"] == {"routes": [{"services": weighted + services(0, 0)}, {"services": alone + services(0, 0)}, redirect]}
    assert json.loads(told["metadata"]["annotations"][ORIGINAL]) == theirs["spec"]
    assert ROUTER.observed(canary, [told], SETTINGS).split is None
    assert ROUTER.observed(canary, [told], SETTINGS).foreign
    assert ROUTER.announce(canary, [told], SETTINGS) == []
    assert desired(canary, RouteSplit(0), [told]) == desired(canary, RouteSplit(0), [theirs])
    [leading] = ROUTER.announce(canary, [told], SETTINGS, lead=True)
    # the weight of a mirror is its share of the copies
    away = [[each | {"weight": 0} for each in weighted], [alone[0] | {"weight": 0}, mirrored[1]]]
    assert leading["spec"] == {"routes": [{"services": each + services(100, 0)} for each in away] + [redirect]}
    assert ROUTER.announce(canary, [leading], SETTINGS, lead=True) == []
    taken = desired(canary, RouteSplit(0), [leading])
    assert taken == desired(canary, RouteSplit(0), [theirs])
    assert not ROUTER.observed(canary, [taken], SETTINGS).foreign


def test_nothing_is_announced_where_no_proxy_of_the_user_could_learn_it() -> None:
    canary = a_canary()
    delegating = {"metadata": {"name": "podinfo"}, "spec": {"includes": [{"name": "other"}]}}
    for current in ([], [delegating], [desired(canary, RouteSplit(0))]):
        assert ROUTER.announce(canary, current, SETTINGS) == []


def test_a_proxy_whose_former_spec_is_not_known_is_led_to_the_apex_service() -> None:
    canary = a_canary()
    proxy = desired(canary, RouteSplit(0))
    assert ROUTER.restore(canary, [proxy]) == []
    del proxy["metadata"]["ownerReferences"]
    [back] = ROUTER.restore(canary, [proxy])
    assert back["spec"]["routes"] == [{"conditions": [{"prefix": "/"}], "services": [service("podinfo", 100)]}]
