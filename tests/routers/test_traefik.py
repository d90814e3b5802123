"""The TraefikService: what Traefik would read of it, what somebody else put there, and what is refused."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.manifest import ORIGINAL
from flaggerpy.routers.traefik import Traefik
from tests.routers.builders import AB, META, WEIGHTED, a_canary

ROUTER = Traefik()
SETTINGS = Settings()
MIRRORED = WEIGHTED | {"mirror": True}


def desired(canary: Canary, split: RouteSplit, current: list[Obj] | None = None) -> Obj:
    *_, apex = ROUTER.desired(canary, split, current or [], SETTINGS)
    return apex


def backend(name: str, weight: int | None = None, **more: Any) -> Obj:
    return {"name": name, "namespace": "test", "port": 80, **({} if weight is None else {"weight": weight}), **more}


def of_user(*services: Obj, **spec: Any) -> Obj:
    weighted = {"weighted": {"services": list(services)}} if services else {}
    meta = {"name": "podinfo", "namespace": "test"}
    return {"apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService", "metadata": meta, "spec": {**weighted, **spec}}


def services(obj: Obj) -> list[Obj]:
    found: list[Obj] = obj["spec"]["weighted"]["services"]
    return found


def read_by_traefik(obj: Obj) -> dict[str, float]:
    """The shares in percent as Traefik's round robin reads them: a missing weight is 1, and none at 0 takes part."""
    weights = {each["name"]: each.get("weight", 1) for each in services(obj)}
    total = sum(weights.values())
    return {name: 100 * weight / total for name, weight in weights.items() if weight > 0}


def test_a_weighted_service_that_an_ingress_route_leads_to() -> None:
    assert ROUTER.desired(a_canary(), RouteSplit(30), [], SETTINGS) == [
        {
            "apiVersion": "traefik.io/v1alpha1",
            "kind": "TraefikService",
            "metadata": META,
            "spec": {"weighted": {"services": [backend("podinfo-primary", 70), backend("podinfo-canary", 30)]}},
        }
    ]


@pytest.mark.parametrize("weight", range(0, 101, 5))
@pytest.mark.fault("Q-45")
def test_traefik_reads_the_weights_that_were_meant(weight: int) -> None:
    wanted = {"podinfo-primary": 100.0 - weight, "podinfo-canary": float(weight)}
    assert read_by_traefik(desired(a_canary(), RouteSplit(weight))) == {name: share for name, share in wanted.items() if share}


@pytest.mark.parametrize(("weight", "named"), [(0, ["podinfo-primary"]), (100, ["podinfo-canary"])])
@pytest.mark.fault("Q-45")
def test_a_side_without_requests_is_left_out_as_it_may_have_no_endpoints(weight: int, named: list[str]) -> None:
    stored = desired(a_canary(), RouteSplit(weight))
    assert [each["name"] for each in services(stored)] == named
    observed = ROUTER.observed(a_canary(), [stored], SETTINGS)
    assert (observed.split, observed.in_shape, observed.judges, observed.accepted) == (RouteSplit(weight), True, False, None)


@pytest.mark.fault("Q-9")
def test_an_edit_of_the_canary_mid_run_keeps_the_weight() -> None:
    stored = desired(a_canary(), RouteSplit(30))
    edited = a_canary({"port": 8080, "apex": {"labels": {"team": "a"}}})
    observed = ROUTER.observed(edited, [stored], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(30), False)
    after = desired(edited, RouteSplit(30), [stored])
    assert [(each["port"], each["weight"]) for each in services(after)] == [(8080, 70), (8080, 30)]
    assert after["metadata"]["labels"] == {"team": "a"}


def test_a_weight_that_somebody_took_out_is_read_as_traefik_reads_it() -> None:
    stored = desired(a_canary(), RouteSplit(50))
    del services(stored)[1]["weight"]
    observed = ROUTER.observed(a_canary(), [stored], SETTINGS)
    assert observed.split == RouteSplit(2)
    assert not observed.in_shape


@pytest.mark.fault("Q-31")
def test_fields_that_somebody_added_stay_and_hold_for_both_sides() -> None:
    stored = desired(a_canary(), RouteSplit(0))
    services(stored)[0].update({"scheme": "h2c", "nativeLB": True})
    stored["spec"]["weighted"]["sticky"] = {"cookie": {"name": "mine"}}
    assert ROUTER.observed(a_canary(), [stored], SETTINGS).in_shape
    step = desired(a_canary(), RouteSplit(20), [stored])
    assert services(step) == [
        backend("podinfo-primary", 80, scheme="h2c", nativeLB=True),
        backend("podinfo-canary", 20, scheme="h2c", nativeLB=True),
    ]
    assert "sticky" not in step["spec"]["weighted"]  # not ours: server-side apply leaves it alone
    assert ROUTER.observed(a_canary(), [step], SETTINGS).in_shape
    back = desired(a_canary(), RouteSplit(0), [step])
    assert services(back) == services(stored)


@pytest.mark.parametrize("edit", [{"healthCheck": {"path": "/"}}, {"kind": "TraefikService"}, {"port": 81}, {"namespace": "other"}])
def test_what_would_break_the_route_is_put_right_with_the_weight_in_force(edit: Obj) -> None:
    stored = desired(a_canary(), RouteSplit(30))
    services(stored)[1].update(edit)
    observed = ROUTER.observed(a_canary(), [stored], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(30), False)
    assert services(desired(a_canary(), RouteSplit(30), [stored])) == services(desired(a_canary(), RouteSplit(30)))


@pytest.mark.parametrize("spec", [None, {}, {"weighted": {}}, {"weighted": {"services": []}}, {"mirroring": {"name": "x"}}])
@pytest.mark.fault("Q-29")
def test_an_object_without_our_sides_holds_no_split(spec: Obj | None) -> None:
    observed = ROUTER.observed(a_canary(), [{"metadata": META, "kind": "TraefikService", "spec": spec}], SETTINGS)
    assert (observed.split, observed.in_shape, observed.foreign) == (None, False, False)


@pytest.mark.parametrize(("weight", "percent"), [(None, 100), (0, 100), (25, 25)])
def test_a_mirror_is_a_second_object_in_the_primarys_place(weight: int | None, percent: int) -> None:
    canary = a_canary(analysis=MIRRORED | ({} if weight is None else {"mirrorWeight": weight}))
    assert ROUTER.problems(canary) == []
    assert [each.name for each in ROUTER.objects(canary)] == ["podinfo-mirrored", "podinfo"]
    mirror, apex = ROUTER.desired(canary, RouteSplit(0, mirror=True), [], SETTINGS)
    assert mirror["metadata"]["name"] == "podinfo-mirrored"
    assert mirror["spec"] == {"mirroring": backend("podinfo-primary", mirrors=[backend("podinfo-canary", percent=percent)])}
    assert services(apex) == [{"name": "podinfo-mirrored", "namespace": "test", "kind": "TraefikService", "weight": 100}]
    observed = ROUTER.observed(canary, [mirror, apex], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(0, mirror=True), True)


def test_a_mirror_that_ended_copies_nothing_and_nobody_is_led_to_it() -> None:
    canary = a_canary(analysis=MIRRORED)
    before = ROUTER.desired(canary, RouteSplit(0, mirror=True), [], SETTINGS)
    mirror, apex = ROUTER.desired(canary, RouteSplit(20), before, SETTINGS)
    assert mirror["spec"] == {"mirroring": backend("podinfo-primary")}
    assert services(apex) == [backend("podinfo-primary", 80), backend("podinfo-canary", 20)]
    # the first of the two writes alone is the same split already, and is seen to be half of it
    observed = ROUTER.observed(canary, [mirror, before[1]], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(0), False)
    assert not ROUTER.observed(canary, [apex], SETTINGS).in_shape


@pytest.mark.parametrize(
    ("service", "analysis", "names"),
    [
        ({}, AB, "spec.analysis.match: is not supported by provider traefik"),
        ({}, WEIGHTED | {"sessionAffinity": {"cookieName": "c"}}, "spec.analysis.sessionAffinity: is not supported by provider traefik; "),
        ({"match": [{"uri": {"prefix": "/"}}]}, None, "spec.service.match: is not supported"),
        ({"rewrite": {"uri": "/x"}}, None, "spec.service.rewrite: is not supported"),
        ({"headers": {"request": {"remove": ["a"]}}}, None, "spec.service.headers: is not supported"),
        ({"mirror": [{"backendRef": {"name": "x", "port": 80}}]}, None, "spec.service.mirror: is not supported"),
    ],
)
@pytest.mark.fault("Q-10", "Q-11")
def test_what_a_traefik_service_cannot_express_is_refused_by_name(service: Obj, analysis: Obj | None, names: str) -> None:
    [problem] = ROUTER.problems(a_canary(service, analysis))
    assert problem.startswith(names)


def test_what_belongs_to_the_ingress_route_is_warned_of() -> None:
    assert ROUTER.warnings(a_canary({"hosts": ["a.example.com"], "timeout": "5s"})) == [
        "spec.service.hosts: has no effect with provider traefik",
        "spec.service.timeout: has no effect with provider traefik",
    ]


def test_an_object_of_the_user_is_taken_over_after_a_moment_and_given_back() -> None:
    theirs = of_user(backend("podinfo", scheme="h2c", serversTransport="slow", nodePortLB=True), mirroring={"name": "kept"})
    before, canary = copy.deepcopy(theirs), a_canary()
    observed = ROUTER.observed(canary, [theirs], SETTINGS)
    assert (observed.split, observed.foreign) == (None, True)
    [told] = ROUTER.announce(canary, [theirs], SETTINGS)
    assert theirs == before
    assert "spec" not in told
    assert "ownerReferences" not in told["metadata"]
    assert json.loads(told["metadata"]["annotations"][ORIGINAL]) == theirs["spec"]
    stored = {**theirs, "metadata": told["metadata"]}
    for lead in (False, True):
        assert ROUTER.announce(canary, [stored], SETTINGS, lead=lead) == []
    taken = desired(canary, RouteSplit(0), [stored])
    assert services(taken) == [backend("podinfo-primary", 100, scheme="h2c", serversTransport="slow")]
    assert taken["metadata"]["annotations"][ORIGINAL] == told["metadata"]["annotations"][ORIGINAL]
    observed = ROUTER.observed(canary, [taken], SETTINGS)
    assert (observed.split, observed.in_shape, observed.foreign) == (RouteSplit(0), True, False)
    [back] = ROUTER.restore(canary, [taken])
    assert back["spec"] == theirs["spec"]


def test_an_object_of_ours_is_neither_announced_nor_restored() -> None:
    canary = a_canary()
    for current in ([], [desired(canary, RouteSplit(0))]):
        assert ROUTER.announce(canary, current, SETTINGS) == []
        assert ROUTER.restore(canary, current) == []


def test_an_object_that_was_taken_over_before_us_is_led_to_the_apex_service() -> None:
    canary = a_canary()
    orphan = desired(canary, RouteSplit(0))
    del orphan["metadata"]["ownerReferences"]
    assert ROUTER.announce(canary, [orphan], SETTINGS) == []
    [back] = ROUTER.restore(canary, [orphan])
    assert services(back) == [backend("podinfo", 100)]


def test_what_flagger_wrote_is_read_and_needs_no_write() -> None:
    flaggers = desired(a_canary(), RouteSplit(0))
    flaggers["spec"] = {"weighted": {"services": [{"name": "podinfo-primary", "namespace": "test", "port": 80, "weight": 100}]}}
    observed = ROUTER.observed(a_canary(), [flaggers], SETTINGS)
    assert (observed.split, observed.in_shape) == (RouteSplit(0), True)
