"""The way back of a route: every rule names what it will lead to before it does, and is the user's own at the end, to the letter."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.api.canary import Canary
from flaggerpy.routers import wayback
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.manifest import ORIGINAL
from flaggerpy.routers.registry import router_for
from tests.routers.builders import GATEWAY, a_canary

SETTINGS = Settings()
OURS = {"podinfo-primary", "podinfo-canary"}
PLACES = {"gatewayapi:v1": ("HTTPRoute", "rules", "backendRefs"), "contour": ("HTTPProxy", "routes", "services")}


def users(provider: str, *rules: list[Obj]) -> Obj:
    """A route of the user's whose rules have these backends; an empty one is a redirect."""
    kind, field, backends = PLACES[provider]
    version = "gateway.networking.k8s.io/v1" if kind == "HTTPRoute" else "projectcontour.io/v1"
    spec: Obj = {field: [{backends: each} if each else {"redirect": True} for each in rules]}
    spec |= {"parentRefs": [{"name": "gw"}]} if kind == "HTTPRoute" else {"virtualhost": {"fqdn": "a.example.com"}}
    meta = {"name": "podinfo", "namespace": "test", "annotations": {"mine": "1"}}
    return {"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}


def applied(have: Obj, manifest: Obj) -> Obj:
    """What server-side apply comes to, for objects whose every field it names or leaves alone."""
    made = copy.deepcopy(have)
    ours = {ORIGINAL, "helm.toolkit.fluxcd.io/driftDetection", "kustomize.toolkit.fluxcd.io/reconcile"}
    mine = {name: value for name, value in (made["metadata"].get("annotations") or {}).items() if name not in ours}
    made["metadata"]["annotations"] = {**mine, **(manifest["metadata"].get("annotations") or {})}
    made["spec"] = {**made["spec"], **copy.deepcopy(manifest["spec"])}
    return made


def named(provider: str, route: Obj) -> list[dict[str, int]]:
    """The weight of each backend, rule by rule; one without a weight has 1."""
    _, field, backends = PLACES[provider]
    return [
        {each["name"]: each.get("weight", 1) for each in rule[backends] if not each.get("mirror")}
        for rule in route["spec"][field] if rule.get(backends)
    ]  # fmt: skip


def taken(provider: str, canary: Canary, theirs: Obj, weight: int = 0) -> Obj:
    [manifest] = router_for(provider).desired(canary, RouteSplit(weight), [theirs], SETTINGS)
    return applied(theirs, manifest)


def walk(provider: str, canary: Canary, route: Obj) -> list[tuple[str, Obj]]:
    """The steps to the end, each with the route after it."""
    router = router_for(provider)
    out: list[tuple[str, Obj]] = []
    while step := wayback.next_step(router, canary, [route]):
        [manifest] = wayback.manifests(router, canary, [route], step)
        route = applied(route, manifest)
        out.append((step, route))
        assert len(out) <= 3, "it never ends"
    return out


@pytest.mark.parametrize("provider", PLACES)
@pytest.mark.parametrize("weight", [0, 40])
def test_a_route_of_the_user_is_given_back_in_three_steps(provider: str, weight: int) -> None:
    canary = a_canary(GATEWAY if provider != "contour" else {})
    theirs = users(provider, [{"name": "podinfo", "port": 80}], [])
    first = taken(provider, canary, theirs, weight)
    steps = walk(provider, canary, first)
    assert [step for step, _ in steps] == ["announce", "lead", "end"]
    (_, told), (_, leading), (_, back) = steps
    assert named(provider, told) == [{"podinfo-primary": 100 - weight, "podinfo-canary": weight, "podinfo": 0}]
    assert named(provider, leading) == [{"podinfo": 1, "podinfo-primary": 0, "podinfo-canary": 0}]
    _, field, backends = PLACES[provider]
    assert [backend["weight"] for backend in leading["spec"][field][0][backends]] == [1, 0, 0], "one without a weight would share alike"
    assert back["spec"] == theirs["spec"] | {name: back["spec"][name] for name in ("hostnames",) if name in back["spec"]}
    assert back["metadata"]["annotations"] == {"mine": "1"}


@pytest.mark.parametrize("provider", PLACES)
def test_a_route_of_ours_ends_at_the_apex_service_and_stays(provider: str) -> None:
    canary, router = a_canary(GATEWAY if provider != "contour" else {}), router_for(provider)
    [first] = router.desired(canary, RouteSplit(20), [], SETTINGS)
    steps = walk(provider, canary, first)
    assert [step for step, _ in steps] == ["announce", "lead", "end"]
    assert named(provider, steps[-1][1]) == [{"podinfo": 100}]
    assert wayback.stays(router, canary, steps[-1][1])


@pytest.mark.parametrize("provider", PLACES)
def test_a_route_that_was_never_taken_over_is_left_alone(provider: str) -> None:
    canary = a_canary(GATEWAY if provider != "contour" else {})
    assert walk(provider, canary, users(provider, [{"name": "podinfo", "port": 80}])) == []
    assert wayback.next_step(router_for(provider), canary, []) == ""


@pytest.mark.parametrize("provider", PLACES)
def test_one_that_was_only_told_of_us_forgets_us(provider: str) -> None:
    canary, router = a_canary(GATEWAY if provider != "contour" else {}), router_for(provider)
    theirs = users(provider, [{"name": "podinfo", "port": 80}])
    [manifest] = router.announce(canary, [theirs], SETTINGS)
    told = applied(theirs, manifest)
    assert [step for step, _ in walk(provider, canary, told)] == ["end"]
    [manifest] = router.announce(canary, [told], SETTINGS, lead=True)
    leading = applied(told, manifest)
    steps = walk(provider, canary, leading)
    assert [step for step, _ in steps] == ["lead", "end"]
    assert steps[-1][1]["spec"] == theirs["spec"]


@pytest.mark.parametrize("provider", PLACES)
def test_the_words_of_the_apex_service_stay_on_a_route_that_is_told(provider: str) -> None:
    canary = a_canary({**(GATEWAY if provider != "contour" else {}), "apex": {"annotations": {"team": "a"}}})
    [first] = router_for(provider).desired(canary, RouteSplit(20), [], SETTINGS)
    assert first["metadata"]["annotations"]["team"] == "a"
    for _, route in walk(provider, canary, first):
        assert route["metadata"]["annotations"]["team"] == "a"


@pytest.mark.parametrize("provider", PLACES)
def test_a_rule_that_is_full_is_told_of_nothing_and_led_back_all_the_same(provider: str) -> None:
    canary, router = a_canary(GATEWAY if provider != "contour" else {}), router_for(provider)
    theirs = users(provider, [{"name": "podinfo", "port": 80}, *({"name": f"b{number}", "port": 80} for number in range(15))])
    full = taken(provider, canary, theirs)
    _, field, backends = PLACES[provider]
    ours = {"name": "podinfo-canary", "port": 80, "weight": 1}
    full["spec"][field][0][backends] = [*({"name": f"b{number}", "port": 80, "weight": 1} for number in range(15)), ours]
    assert wayback.next_step(router, canary, [full]) == "lead"


def test_a_service_is_one_whether_its_kind_is_written_or_not() -> None:
    plain, written, other = ({"name": "a", "port": 80} | kind for kind in ({}, {"kind": "Service"}, {"kind": "ServiceImport"}))
    assert wayback._identity(plain) == wayback._identity(written) == ("a", "", "80", "")
    assert wayback._identity(other) == ("a", "", "80", "ServiceImport")


def test_where_proxies_need_no_steps_the_route_is_given_back_in_one() -> None:
    canary, router = a_canary(), router_for("traefik")
    assert isinstance(router, wayback.LeadsIn)
    current = list(router.desired(canary, RouteSplit(20), [], SETTINGS))
    assert wayback.next_step(router, canary, current) == "end"
    assert wayback.manifests(router, canary, current, "announce") == []
    made = wayback.manifests(router, canary, current, "end")
    assert made
    assert made == [router.plain(canary, current[-1])]
    back = [*current[:-1], applied(current[-1], made[0])]
    assert wayback.next_step(router, canary, back) == ""


def test_a_split_of_a_mesh_goes_with_the_canary() -> None:
    canary, router = a_canary(), router_for("smi:v1alpha2")
    [split] = router.desired(canary, RouteSplit(20), [], SETTINGS)
    assert wayback.next_step(router, canary, [split]) == ""
    assert not wayback.stays(router, canary, split)


@st.composite
def routes(draw: st.DrawFn) -> list[list[Obj]]:
    backend = st.builds(
        lambda name, port, weight, mirror: {"name": name, "port": port} | ({} if weight is None else {"weight": weight}) | mirror,
        st.sampled_from(["podinfo", "a", "b", "podinfo-canary"]), st.sampled_from([80, 81]), st.sampled_from([None, 0, 1, 7]),
        st.sampled_from([{}, {}, {"mirror": True}]),
    )  # fmt: skip
    return draw(st.lists(st.lists(backend, max_size=18, unique_by=lambda each: (each["name"], each["port"])), min_size=1, max_size=3))


@settings(max_examples=60)
@given(provider=st.sampled_from(sorted(PLACES)), rules=routes(), weight=st.integers(0, 100))
def test_whatever_a_route_was_it_ends_as_it_was_and_no_rule_leads_where_it_did_not_name_before(
    provider: str, rules: list[list[Obj]], weight: int
) -> None:
    if provider != "contour":
        rules = [[{name: value for name, value in each.items() if name != "mirror"} for each in rule] for rule in rules]
    canary = a_canary({} if provider == "contour" else {"gatewayRefs": [{"name": "gw"}]})
    theirs = users(provider, *rules)
    before = taken(provider, canary, theirs, weight)
    known = _every_name(provider, before)
    for step, route in walk(provider, canary, before):
        led = {name for rule in named(provider, route) for name, share in rule.items() if share > 0}
        assert led <= known, f"{step} leads to {led - known}"
        known = _every_name(provider, route)
        before = route
    assert before["spec"] == theirs["spec"]
    assert before["metadata"]["annotations"] == {"mine": "1"}


def _every_name(provider: str, route: Obj) -> set[Any]:
    return {name for rule in named(provider, route) for name in rule}
