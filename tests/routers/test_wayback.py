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
