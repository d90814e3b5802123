"""The contract of routers: rules that hold for every provider of the registry, every spec and every split.

A new router is proven by its line in the registry and, where it needs or meets something of its own, an entry in `contract.PROFILES`.
"""

from __future__ import annotations

import copy
import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.api.canary import Canary, Provider
from flaggerpy.routers.base import Obj, RouteSplit
from flaggerpy.routers.registry import BUILT_IN, router_for
from tests.routers.builders import AB, WEIGHTED, a_canary
from tests.routers.contract import PROFILES, SETTINGS, Cluster, canary_of, cases, percents, profile_of

PROVIDERS = sorted(BUILT_IN)
ROUTED = [provider for provider in PROVIDERS if router_for(provider).objects(canary_of(provider))]
TAKING_OVER = [provider for provider in PROVIDERS if profile_of(provider).theirs]
EXAMPLES = settings(max_examples=10, deadline=None)

every_route = pytest.mark.parametrize("provider", ROUTED)


def text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def turned(value: Any) -> Any:
    """The same with every map and every list of weighted backends the other way round."""
    if isinstance(value, dict):
        return {key: turned(item) for key, item in reversed(value.items())}
    if isinstance(value, list):
        items = [turned(item) for item in value]
        return items[::-1] if items and all(isinstance(item, dict) and "weight" in item for item in items) else items
    return value


def numbers_apart(value: Any) -> Any:
    """The manifest without its weights."""
    if isinstance(value, dict):
        return {key: numbers_apart(item) for key, item in value.items() if key != "weight" and not key.endswith("/canary-weight")}
    return [numbers_apart(item) for item in value] if isinstance(value, list) else value


def test_every_profile_is_one_of_a_provider_that_is_there() -> None:
    assert set(PROFILES) <= set(BUILT_IN) <= set(get_args(Provider))


@every_route
@EXAMPLES
@given(data=st.data())
def test_weights_sum_to_100(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    totals = profile_of(provider).totals(Cluster(provider).router.desired(canary, split, profile_of(provider).around, SETTINGS))
    assert totals
    assert set(totals) == {100}


@every_route
@EXAMPLES
@given(data=st.data())
def test_what_is_written_is_read_back_and_a_second_look_writes_nothing(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider)
    assert cluster.router.problems(canary) == []
    assert cluster.reconcile(canary, split) > 0
    observed = cluster.router.observed(canary, cluster.current(canary), SETTINGS)
    assert (observed.split, observed.in_shape, observed.foreign) == (split, True, False)
    assert cluster.reconcile(canary, split) == 0
    # not even where the look is passed over
    for manifest in cluster.router.desired(canary, split, cluster.current(canary), SETTINGS):
        before = len(cluster.writes)
        cluster.apply(manifest)
        assert len(cluster.writes) == before


@every_route
@EXAMPLES
@given(data=st.data(), weight=percents)
def test_a_change_that_is_not_about_the_split_keeps_it(provider: str, data: st.DataObject, weight: int) -> None:
    canary, _ = data.draw(cases(provider))
    split = RouteSplit(weight)
    cluster = Cluster(provider)
    cluster.settle(canary, split)
    assert canary.spec.service is not None
    # whom the route is for is a question of the split
    optional = {name: values for name, values in profile_of(provider).optional.items() if name != "match"}
    other = data.draw(st.fixed_dictionaries({}, optional=optional))
    fresh = canary_of(provider, {**other, "port": 8080, "apex": {"labels": {"team": "b"}}}).spec.service
    assert fresh is not None
    service = fresh.model_copy(update={"match": canary.spec.service.match})
    changed = canary.model_copy(update={"spec": canary.spec.model_copy(update={"service": service})})
    observed = cluster.router.observed(changed, cluster.current(changed), SETTINGS)
    assert observed.split is not None
    assert observed.split.canary == weight
    cluster.settle(changed, observed.split)
    assert cluster.router.observed(changed, cluster.current(changed), SETTINGS).split == observed.split


@every_route
@EXAMPLES
@given(data=st.data(), one=percents, two=percents)
@pytest.mark.fault("Q-9")
def test_another_weight_changes_weights_and_nothing_else(provider: str, data: st.DataObject, one: int, two: int) -> None:
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider)
    around = profile_of(provider).around
    if profile_of(provider).leaves_out:
        one, two = (min(max(weight, 1), 99) for weight in (one, two))
    first = cluster.router.desired(canary, RouteSplit(one, split.match, split.mirror), around, SETTINGS)
    second = cluster.router.desired(canary, RouteSplit(two, split.match, split.mirror), around, SETTINGS)
    assert numbers_apart(first) == numbers_apart(second)
    assert (first == second) is (one == two)


@every_route
@EXAMPLES
@given(data=st.data())
def test_foreign_fields_survive_byte_for_byte(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider)
    user = {key: text(obj) for key, obj in cluster.objects.items()}
    cluster.settle(canary, split)
    ours = [key for key in cluster.objects if key not in user]
    foreign = {"note": {"b": [3, 1, 2], "a": None, "c": "ü \u0000"}, "also": True}
    for key in ours:
        obj = cluster.objects[key]
        obj["metadata"].setdefault("labels", {})["theirs"] = "yes"
        obj["metadata"].setdefault("annotations", {})["example.com/theirs"] = "a\nb"
        obj["metadata"]["finalizers"] = ["example.com/theirs"]
        obj["status"] = copy.deepcopy(foreign)
        obj["spec"]["xTheirs"] = copy.deepcopy(foreign)
    assert cluster.reconcile(canary, split) == 0
    for other in (RouteSplit(100), RouteSplit(0), split):
        cluster.settle(canary, other)
    for key in ours:
        obj = cluster.objects[key]
        assert obj["metadata"]["labels"]["theirs"] == "yes"
        assert obj["metadata"]["annotations"]["example.com/theirs"] == "a\nb"
        assert obj["metadata"]["finalizers"] == ["example.com/theirs"]
        assert text(obj["status"]) == text(obj["spec"]["xTheirs"]) == text(foreign)
    assert {key: text(cluster.objects[key]) for key in user} == user


@every_route
@EXAMPLES
@given(data=st.data())
def test_an_interrupted_write_can_be_repeated(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    before = RouteSplit(data.draw(percents))
    straight, broken = Cluster(provider), Cluster(provider)
    for cluster in (straight, broken):
        cluster.settle(canary, before)
    straight.settle(canary, split)
    parts = len(broken.router.desired(canary, split, broken.current(canary), SETTINGS))
    for part in range(parts):
        broken.reconcile(canary, split, dies_after=part)
        # the first part of a fresh start is told from the whole as well
        fresh = Cluster(provider)
        fresh.reconcile(canary, split, dies_after=part)
        seen = fresh.router.observed(canary, fresh.current(canary), SETTINGS)
        assert not (seen.split == split and seen.in_shape)
        fresh.settle(canary, split)
        assert fresh.router.observed(canary, fresh.current(canary), SETTINGS).split == split
    broken.settle(canary, split)
    assert text(sorted(broken.objects.items())) == text(sorted(straight.objects.items()))


@every_route
@EXAMPLES
@given(data=st.data())
@pytest.mark.fault("Q-9")
def test_the_order_of_maps_and_lists_never_causes_a_write(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider)
    cluster.settle(canary, split)
    other = canary.model_copy(deep=True)
    assert other.spec.service is not None
    for names in [match.headers for match in other.spec.plan.match] + [match.headers for match in other.spec.service.match]:
        items = list(names.items())[::-1]
        names.clear()
        names.update(items)
    assert cluster.reconcile(other, split) == 0
    before = text(cluster.router.desired(canary, split, cluster.current(canary), SETTINGS))
    assert text(cluster.router.desired(other, split, cluster.current(canary), SETTINGS)) == before
    cluster.objects = {key: turned(obj) for key, obj in cluster.objects.items()}
    assert cluster.reconcile(canary, split) == 0


@every_route
@EXAMPLES
@given(data=st.data())
@pytest.mark.fault("Q-40")
def test_a_weight_of_nought_sends_nobody_to_the_canary(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    none = RouteSplit(0, False, split.mirror, split.cookie, split.primary_cookie, split.previous_cookie)
    profile = profile_of(provider)
    weights = profile.canary_weights(router_for(provider).desired(canary, none, profile.around, SETTINGS))
    assert set(weights) <= {0}


@every_route
@EXAMPLES
@given(data=st.data())
def test_a_match_that_is_edited_mid_run_never_raises_the_weight(provider: str, data: st.DataObject) -> None:
    before, split = data.draw(cases(provider))
    after, _ = data.draw(cases(provider))
    cluster = Cluster(provider)
    cluster.settle(before, split)
    observed = cluster.router.observed(after, cluster.current(after), SETTINGS)
    assert observed.split is not None
    assert observed.split.canary <= max(split.canary, 100 * split.match)


@pytest.mark.parametrize("provider", TAKING_OVER)
@EXAMPLES
@given(data=st.data())
def test_finalizing_gives_a_route_that_was_taken_over_back_as_it_was(provider: str, data: st.DataObject) -> None:
    theirs = profile_of(provider).theirs
    assert theirs is not None
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider, theirs)
    router = cluster.router
    assert router.observed(canary, cluster.current(canary), SETTINGS).foreign
    for lead in (False, True):
        for manifest in router.announce(canary, cluster.current(canary), SETTINGS, lead=lead):
            cluster.apply(manifest)
        assert router.announce(canary, cluster.current(canary), SETTINGS, lead=lead) == []
    for each in (RouteSplit(0), split, RouteSplit(0)):
        cluster.settle(canary, each)
    for manifest in router.restore(canary, cluster.current(canary)):
        cluster.apply(manifest)
    # a deletion looks again and again until the proxies have followed
    assert router.restore(canary, cluster.current(canary)) == []
    back = cluster.objects[theirs["kind"], theirs["metadata"]["name"]]
    assert text(back["spec"]) == text(theirs["spec"])
    assert "ownerReferences" not in back["metadata"]
    for field in ("labels", "annotations"):
        assert (theirs["metadata"].get(field) or {}).items() <= (back["metadata"].get(field) or {}).items()


@every_route
@EXAMPLES
@given(data=st.data())
def test_finalizing_leads_nobody_to_the_canary_by_a_route_of_ours(provider: str, data: st.DataObject) -> None:
    canary, split = data.draw(cases(provider))
    cluster = Cluster(provider)
    user = {key: text(obj) for key, obj in cluster.objects.items()}
    cluster.settle(canary, split)
    for manifest in cluster.router.restore(canary, cluster.current(canary)):
        cluster.apply(manifest)
    made = [obj for key, obj in cluster.objects.items() if key not in user]
    # it goes with its Canary
    assert all(obj["metadata"]["ownerReferences"] for obj in made)
    assert {key: text(cluster.objects[key]) for key in user} == user


FEATURES: dict[str, Obj] = {
    "match": AB,
    "mirror": {**WEIGHTED, "mirror": True},
    "sessionAffinity": {**WEIGHTED, "sessionAffinity": {"cookieName": "fl"}},
}


@pytest.mark.parametrize("feature", sorted(FEATURES))
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.fault("Q-10", "Q-11")
def test_what_a_provider_does_not_support_is_refused_by_name(provider: str, feature: str) -> None:
    supports = router_for(provider).supports
    supported = {"match": supports.match, "mirror": supports.mirror, "sessionAffinity": supports.affinity}[feature]
    found = router_for(provider).problems(canary_of(provider, analysis=FEATURES[feature]))
    assert any(sentence.startswith(f"spec.analysis.{feature}: ") for sentence in found) is not supported


FIELDS: dict[str, Obj] = {
    "match": {"match": [{"uri": {"prefix": "/api"}}]},
    "rewrite": {"rewrite": {"uri": "/new"}},
    "headers": {"headers": {"request": {"set": {"x": "1"}}}},
    "mirror": {"mirror": [{"backendRef": {"name": "shadow", "port": 80}}]},
    "timeout": {"timeout": "15s"},
    "backendTimeout": {"backendTimeout": "15s"},
    "retries": {"retries": {"attempts": 3, "perTryTimeout": "5s"}},
    "corsPolicy": {"corsPolicy": {"allowOrigin": ["https://a.example.com"], "allowMethods": ["GET"]}},
    "trafficPolicy": {"trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}},
    "hosts": {"hosts": ["b.example.com"]},
    "gateways": {"gateways": ["istio-system/public"]},
    "gatewayRefs": {"gatewayRefs": [{"name": "another"}]},
    "delegation": {"delegation": True},
    "meshName": {"meshName": "mesh"},
    "backends": {"backends": ["other"]},
}


@pytest.mark.parametrize("field", sorted(FIELDS))
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.fault("Q-10")
def test_a_field_is_honoured_or_named_and_never_passed_over(provider: str, field: str) -> None:
    router, around = router_for(provider), profile_of(provider).around
    with_it, without = canary_of(provider, FIELDS[field]), canary_of(provider)
    named = [sentence for sentence in [*router.problems(with_it), *router.warnings(with_it)] if f"spec.service.{field}" in sentence]
    changed = [text(router.desired(canary, RouteSplit(10), around, SETTINGS)) for canary in (with_it, without)]
    assert named or changed[0] != changed[1]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_a_service_everything_is_refused(provider: str) -> None:
    canary: Canary = a_canary(analysis=FEATURES["match"])
    bare = canary.model_copy(update={"spec": canary.spec.model_copy(update={"service": None})})
    assert router_for(provider).problems(bare) == [f"spec.service: is missing; provider {provider} needs it"]
