"""Rules that hold for every router, every spec and every split."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.api.canary import Canary
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.registry import router_for
from tests.routers.builders import AB, GATEWAY, WEIGHTED, a_canary

SETTINGS = Settings()
WITH_ROUTES = ["contour", "gatewayapi:v1", "linkerd", "smi:v1alpha3"]

words = st.text("abcxyz.-", min_size=1, max_size=6)
percents = st.integers(0, 100)
tests = st.one_of(words.map(lambda text: {"exact": text}), words.map(lambda text: {"regex": f"{text.replace('.', '')}x.*"}))
headers = st.dictionaries(st.sampled_from(["a", "b", "X-Canary", "x-user"]), tests, min_size=1, max_size=3)
uris = st.sampled_from([{"prefix": "/"}, {"prefix": "/api"}, {"exact": "/login"}, {"regex": "/v[0-9]+"}])
service_match = st.fixed_dictionaries({}, optional={"uri": uris, "headers": headers})
analyses = st.sampled_from(["weighted", "blue-green", "ab", "restricted", "affinity", "mirror"])


@st.composite
def cases(draw: st.DrawFn, provider: str) -> tuple[Canary, RouteSplit]:
    supports = router_for(provider).supports
    service: dict[str, Any] = dict(GATEWAY)
    if supports.match:
        service["match"] = draw(st.lists(service_match, max_size=3))
        service |= draw(st.fixed_dictionaries({}, optional={"timeout": st.sampled_from(["15s", "1.5s"])}))
    kind = draw(analyses)
    analysis: dict[str, Any] = dict(WEIGHTED)
    split = RouteSplit(draw(percents))
    if kind == "blue-green":
        analysis = {"interval": "10s", "threshold": 1, "iterations": 3}
        split = RouteSplit(draw(st.sampled_from([0, 100])))
    elif kind in ("ab", "restricted") and supports.match:
        match = [{"headers": value} for value in draw(st.lists(headers, min_size=1, max_size=3))]
        analysis = {**(AB if kind == "ab" else WEIGHTED), "match": match}
        split = RouteSplit(split.canary, match=kind == "ab" and draw(st.booleans()))
    elif kind == "mirror" and supports.mirror:
        analysis |= {"mirror": True, **draw(st.fixed_dictionaries({}, optional={"mirrorWeight": percents}))}
        split = RouteSplit(split.canary, mirror=draw(st.booleans()))
    elif kind == "affinity" and supports.affinity:
        analysis["sessionAffinity"] = {"cookieName": "fl-cookie", "primaryCookieName": "main", "path": "/", "secure": True}
        values = st.text("abcABC012", min_size=5, max_size=8)
        if split.canary:
            split = RouteSplit(split.canary, cookie=draw(values), primary_cookie=draw(st.one_of(st.just(""), values)))
        else:
            split = RouteSplit(0, previous_cookie=draw(st.one_of(st.just(""), values)))
    return a_canary(service, analysis), split


def numbers_apart(value: Any) -> Any:
    """The manifest without its weights."""
    if isinstance(value, dict):
        return {key: numbers_apart(item) for key, item in value.items() if key != "weight"}
    return [numbers_apart(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("provider", WITH_ROUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_back(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    router = router_for(provider)
    assert router.problems(canary) == []
    manifests = router.desired(canary, split, [], SETTINGS)
    observed = router.observed(canary, manifests, SETTINGS)
    assert observed.split == split
    assert observed.in_shape
    assert router.desired(canary, split, manifests, SETTINGS) == manifests


@pytest.mark.parametrize("provider", WITH_ROUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.fault("Q-9")
def test_a_manifest_is_the_same_however_the_spec_is_ordered(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    turned = canary.model_copy(deep=True)
    assert turned.spec.service is not None
    for names in [match.headers for match in turned.spec.plan.match] + [match.headers for match in turned.spec.service.match]:
        items = list(names.items())[::-1]
        names.clear()
        names.update(items)
    router = router_for(provider)
    before = copy.deepcopy(router.desired(canary, split, [], SETTINGS))
    assert router.desired(turned, split, [], SETTINGS) == before


@pytest.mark.parametrize("provider", WITH_ROUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), one=percents, two=percents)
@pytest.mark.fault("Q-9")
def test_another_weight_changes_weights_and_nothing_else(provider: str, data: st.DataObject, one: int, two: int) -> None:
    canary, split = data.draw(cases(provider))
    router = router_for(provider)
    first = router.desired(canary, RouteSplit(one, split.match, split.mirror), [], SETTINGS)
    second = router.desired(canary, RouteSplit(two, split.match, split.mirror), [], SETTINGS)
    assert numbers_apart(first) == numbers_apart(second)
    assert (first == second) is (one == two)


def to_canary(value: Any) -> list[int]:
    """The weights of all backends that lead to the canary, mirrors apart."""
    if isinstance(value, dict):
        name = value.get("name") or value.get("service")
        own = [int(value["weight"])] if name == "podinfo-canary" and "weight" in value and not value.get("mirror") else []
        return own + [weight for item in value.values() for weight in to_canary(item)]
    return [weight for item in value for weight in to_canary(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("provider", WITH_ROUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.fault("Q-40")
def test_a_weight_of_nought_sends_nobody_to_the_canary(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    none = RouteSplit(0, False, split.mirror, split.cookie, split.primary_cookie, split.previous_cookie)
    weights = to_canary(router_for(provider).desired(canary, none, [], SETTINGS))
    assert weights
    assert set(weights) == {0}


@pytest.mark.parametrize("provider", WITH_ROUTES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_match_that_is_edited_mid_run_never_raises_the_weight(provider: str, data: st.DataObject) -> None:
    before, split = data.draw(cases(provider))
    after, _ = data.draw(cases(provider))
    router = router_for(provider)
    manifests: list[Obj] = router.desired(before, split, [], SETTINGS)
    observed = router.observed(after, manifests, SETTINGS)
    assert observed.split is not None
    assert observed.split.canary <= max(split.canary, 100 * split.match)
