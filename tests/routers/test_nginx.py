from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from flaggerpy.api.canary import Canary
from flaggerpy.api.names import LEFT_BY
from flaggerpy.routers.base import Obj, RouteSplit, Settings
from flaggerpy.routers.nginx import Nginx, leads_to
from tests.routers.builders import AB, OWNER, WEIGHTED, a_canary
from tests.routers.contract import INGRESS, Cluster

ROUTER = Nginx()
SETTINGS = Settings()
REF = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web"}
PREFIX = "nginx.ingress.kubernetes.io"


def nginx(analysis: Obj | None = None, service: Obj | None = None) -> Canary:
    return a_canary(service, analysis, ingressRef=REF)


def ab(*matches: Obj) -> Canary:
    return nginx(AB | {"match": [{"headers": match} for match in matches]})


def desired(canary: Canary, split: RouteSplit, *current: Obj, settings: Settings = SETTINGS) -> Obj:
    [made] = ROUTER.desired(canary, split, current or [INGRESS], settings)
    return made


def switches(made: Obj, prefix: str = PREFIX) -> dict[str, str]:
    """The annotations of a canary, without their prefix."""
    return {key.removeprefix(f"{prefix}/"): text for key, text in made["metadata"]["annotations"].items() if "/canary" in key}


def with_annotations(ingress: Obj, **annotations: str) -> Obj:
    changed = copy.deepcopy(ingress)
    changed["metadata"]["annotations"] |= {f"{PREFIX}/{key.replace('_', '-')}": text for key, text in annotations.items()}
    return changed


def test_a_canary_ingress_beside_the_users() -> None:
    backend = {"service": {"name": "podinfo-canary", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    assert desired(nginx(), RouteSplit(30)) == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "web-canary",
            "namespace": "test",
            "labels": {"team": "a"},
            "annotations": {f"{PREFIX}/canary": "true", f"{PREFIX}/canary-weight": "30", f"{PREFIX}/proxy-body-size": "8m"},
            "ownerReferences": [OWNER],
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["app.example.com"], "secretName": "cert"}],
            "rules": [{"host": "app.example.com", "http": {"paths": paths}}],
        },
    }


@pytest.mark.fault("Q-29")
def test_paths_that_lead_elsewhere_and_rules_without_paths_are_left_out() -> None:
    spec = desired(nginx(), RouteSplit(0))["spec"]
    assert "static" not in str(spec)
    assert "bare.example.com" not in str(spec)
    default = copy.deepcopy(INGRESS)
    default["spec"] = {"defaultBackend": {"service": {"name": "podinfo", "port": {"name": "http"}}}}
    assert desired(nginx(), RouteSplit(0), default)["spec"] == {
        "defaultBackend": {"service": {"name": "podinfo-canary", "port": {"name": "http"}}}
    }
    default["spec"]["defaultBackend"]["service"]["name"] = "other"
    default["spec"]["rules"] = INGRESS["spec"]["rules"]
    assert "defaultBackend" not in desired(nginx(), RouteSplit(0), default)["spec"]


def test_another_prefix_of_the_annotations() -> None:
    settings = Settings(ingress_annotations_prefix="example.com")
    made = desired(nginx(), RouteSplit(7), settings=settings)
    assert switches(made, "example.com") == {"canary": "true", "canary-weight": "7"}
    assert ROUTER.observed(nginx(), [INGRESS, made], settings).split == RouteSplit(7)
    assert ROUTER.observed(nginx(), [INGRESS, made], SETTINGS).split is None
    [back] = ROUTER.restore(nginx(), [INGRESS, made])
    assert switches(back, "example.com") == {"canary": "true", "canary-weight": "0"}


@pytest.mark.parametrize(
    ("matches", "wanted"),
    [
        ([{"x-user": {"exact": "insider"}}], {"by-header": "x-user", "by-header-value": "insider"}),
        ([{"x-user": {"regex": "in.*"}}], {"by-header": "x-user", "by-header-pattern": "in.*"}),
        ([{"x-user": {"prefix": "in.s"}}], {"by-header": "x-user", "by-header-pattern": r"^in\x2es"}),
        ([{"x-user": {"suffix": "@a.com"}}], {"by-header": "x-user", "by-header-pattern": r"\x40a\x2ecom$"}),
        ([{"x-user": {"exact": "me@a.com"}}], {"by-header": "x-user", "by-header-pattern": r"^me\x40a\x2ecom$"}),
        ([{"cookie": {"exact": "beta"}}], {"by-cookie": "beta"}),
        ([{"Cookie": {"regex": "beta=[12]"}}], {"by-header": "Cookie", "by-header-pattern": "beta=[12]"}),
        (
            [{"x-user": {"exact": "insider"}}, {"cookie": {"exact": "beta"}}],
            {"by-header": "x-user", "by-header-value": "insider", "by-cookie": "beta"},
        ),
    ],
)
@pytest.mark.fault("Q-41")
def test_an_ab_test_by_header_or_cookie(matches: list[Obj], wanted: dict[str, str]) -> None:
    canary = ab(*matches)
    assert ROUTER.problems(canary) == []
    made = desired(canary, RouteSplit(0, match=True))
    assert switches(made) == {"canary": "true", "canary-weight": "0", **{f"canary-{key}": text for key, text in wanted.items()}}
    assert ROUTER.observed(canary, [INGRESS, made], SETTINGS).split == RouteSplit(0, match=True)
    assert switches(desired(canary, RouteSplit(0))) == {"canary": "true", "canary-weight": "0"}


@pytest.mark.parametrize(
    ("kind", "yes", "no"), [("exact", "me@a.c", "me@aXc"), ("prefix", "me@a.c", "x me@a."), ("suffix", "to me@a.c", "me@a.cc")]
)
def test_a_text_as_a_pattern_is_that_text_and_nothing_else(kind: str, yes: str, no: str) -> None:
    text = {"exact": "me@a.c", "prefix": "me@a.", "suffix": "me@a.c"}[kind]
    pattern = switches(desired(ab({"x": {kind: text}}), RouteSplit(0, match=True)))["canary-by-header-pattern"]
    assert re.search(pattern, yes)
    assert not re.search(pattern, no)


@pytest.mark.parametrize(
    ("given", "analysis", "words"),
    [
        ({}, AB | {"match": [{"headers": {"a": {"exact": "1"}, "b": {"exact": "2"}}}]}, "match[0].headers: names a, b"),
        ({}, AB | {"match": [{"headers": {"a": {"exact": "1"}}}, {"headers": {"b": {"exact": "2"}}}]}, "compares one header once"),
        ({}, AB | {"match": [{"headers": {"a": {"exact": "1"}}}, {"headers": {"a": {"exact": "2"}}}]}, "compares one header once"),
        ({}, AB | {"match": [{"headers": {"cookie": {"exact": name}}} for name in "ab"]}, "names the cookies a, b"),
        ({}, AB | {"match": [{"headers": {"cookie": {"exact": "a=1"}}}]}, "'a=1' is no name of a cookie"),
        ({}, AB | {"match": [{"queryParams": {"q": {"exact": "1"}}}]}, "match[0].queryParams.q.exact: cannot be matched"),
        ({}, WEIGHTED | {"match": AB["match"]}, "spec.analysis.match: needs iterations"),
        ({}, WEIGHTED | {"sessionAffinity": {"cookieName": "c"}}, "spec.analysis.sessionAffinity: is not supported"),
        ({"match": [{"uri": {"prefix": "/a"}}]}, None, "spec.service.match: is not supported"),
    ],
)
@pytest.mark.fault("Q-41")
def test_what_the_annotations_cannot_say_is_refused_by_name(given: Obj, analysis: Obj | None, words: str) -> None:
    found = ROUTER.problems(nginx(analysis, given))
    assert any(words in sentence for sentence in found)
    assert all(sentence.startswith("spec.") for sentence in found)


def test_without_an_ingress_nothing_can_be_done() -> None:
    assert ROUTER.problems(a_canary()) == ["spec.ingressRef: is missing; provider nginx needs the Ingress that leads to Service podinfo"]
    assert ROUTER.objects(a_canary()) == []
    assert ROUTER.desired(a_canary(), RouteSplit(0), [], SETTINGS) == []


def test_a_pattern_that_newer_controllers_pass_over_is_warned_of() -> None:
    [told] = ROUTER.warnings(ab({"x-user": {"regex": "a{1,2}"}}))
    assert told.startswith("spec.analysis.match: ingress-nginx validates annotations, and then passes over the pattern 'a{1,2}'")
    assert ROUTER.warnings(ab({"x-user": {"regex": "^a+$"}})) == []


@pytest.mark.fault("Q-41")
def test_a_change_of_the_users_ingress_arrives_in_the_copy_and_keeps_the_weight() -> None:
    cluster = Cluster("nginx")
    cluster.settle(nginx(), RouteSplit(40))
    user = cluster.objects["Ingress", "web"]
    del user["metadata"]["annotations"][f"{PREFIX}/proxy-body-size"]
    user["metadata"]["annotations"][f"{PREFIX}/proxy-read-timeout"] = "5"
    del user["metadata"]["labels"]
    del user["spec"]["tls"]
    observed = ROUTER.observed(nginx(), cluster.current(nginx()), SETTINGS)
    assert observed.split == RouteSplit(40)
    assert not observed.in_shape
    cluster.settle(nginx(), RouteSplit(40))
    made = cluster.objects["Ingress", "web-canary"]
    assert made["metadata"]["annotations"] == {
        f"{PREFIX}/canary": "true", f"{PREFIX}/canary-weight": "40", f"{PREFIX}/proxy-read-timeout": "5"
    }  # fmt: skip
    assert not made["metadata"].get("labels")
    assert "tls" not in made["spec"]


def test_switches_of_somebody_else_on_the_canary_ingress_are_taken_away() -> None:
    cluster = Cluster("nginx")
    cluster.settle(nginx(), RouteSplit(20))
    made = cluster.objects["Ingress", "web-canary"]
    cluster.objects["Ingress", "web-canary"] = with_annotations(
        made, canary_by_cookie="me", canary_weight_total="200", canary_weight="30"
    )
    assert ROUTER.observed(nginx(), cluster.current(nginx()), SETTINGS).split == RouteSplit(15, match=True)
    cluster.settle(nginx(), RouteSplit(20))
    assert switches(cluster.objects["Ingress", "web-canary"]) == {"canary": "true", "canary-weight": "20"}


@pytest.mark.parametrize(
    ("given", "split"),
    [
        ({"canary": "true", "canary-weight": "30"}, RouteSplit(30)),
        ({"canary": "True"}, RouteSplit(0)),
        ({"canary": "true", "canary-weight": "x"}, RouteSplit(0)),
        ({"canary": "true", "canary-weight": "150"}, RouteSplit(100)),
        ({"canary": "true", "canary-weight": "-1"}, RouteSplit(0)),
        ({"canary": "true", "canary-weight": "50", "canary-weight-total": "50"}, RouteSplit(50)),
        ({"canary": "true", "canary-weight": "0", "canary-by-header": ""}, RouteSplit(0)),
        ({"canary": "false", "canary-weight": "30"}, None),
        ({}, None),
    ],
)
def test_annotations_are_read_as_ingress_nginx_reads_them(given: dict[str, str], split: RouteSplit | None) -> None:
    made = desired(nginx(), RouteSplit(0))
    made["metadata"]["annotations"] = {f"{PREFIX}/{key}": text for key, text in given.items()}
    assert ROUTER.observed(nginx(), [INGRESS, made], SETTINGS).split == split


def observed_words(*current: Obj) -> str:
    observed = ROUTER.observed(nginx(), current, SETTINGS)
    assert observed.accepted is (False if observed.refusal else None)
    assert observed.judges is bool(observed.refusal)
    return observed.refusal


def test_what_is_in_the_way_is_named() -> None:
    made = desired(nginx(), RouteSplit(30))
    elsewhere = copy.deepcopy(INGRESS)
    elsewhere["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "other"
    theirs = {**made, "metadata": {**made["metadata"], "ownerReferences": []}}
    assert observed_words(INGRESS, made) == observed_words(INGRESS) == ""
    assert observed_words(made) == "Ingress web of spec.ingressRef is not there"
    assert observed_words(elsewhere, made) == "Ingress web has no path that leads to Service podinfo"
    assert observed_words(INGRESS, theirs).startswith("Ingress web-canary is not made by this Canary")
    for current in ([], [elsewhere], [INGRESS, theirs], [theirs]):
        assert ROUTER.desired(nginx(), RouteSplit(0), current, SETTINGS) == []
    # what stands is still led away from the canary
    for current in ([made], [elsewhere, made]):
        assert switches(desired(nginx(), RouteSplit(0), *current)) == {"canary": "true", "canary-weight": "0"}
        assert desired(nginx(), RouteSplit(0), *current)["spec"] == made["spec"]


def test_a_canary_ingress_that_was_left_behind_is_had_again() -> None:
    made = desired(nginx(), RouteSplit(0))
    noted = made["metadata"]["annotations"] | {LEFT_BY: "podinfo"}
    left = {**made, "metadata": {**made["metadata"], "ownerReferences": [], "annotations": noted}}
    assert observed_words(INGRESS, left) == ""
    assert desired(nginx(), RouteSplit(5), INGRESS, left)["metadata"]["ownerReferences"] == [OWNER]


def test_visitors_that_the_users_ingress_pins_to_the_canary_come_back_at_weight_nought() -> None:
    sticky = with_annotations(INGRESS, affinity="cookie")
    key = f"{PREFIX}/affinity-canary-behavior"
    assert desired(nginx(), RouteSplit(0), sticky)["metadata"]["annotations"][key] == "legacy"
    assert key not in desired(nginx(), RouteSplit(10), sticky)["metadata"]["annotations"]
    assert key not in desired(nginx(), RouteSplit(0))["metadata"]["annotations"]
    assert key not in desired(ab({"a": {"exact": "b"}}), RouteSplit(0, match=True), sticky)["metadata"]["annotations"]


def test_a_canary_ingress_that_flagger_made_is_taken_over_with_its_weight() -> None:
    made: dict[str, Any] = copy.deepcopy(desired(nginx(), RouteSplit(30)))
    made["spec"] = copy.deepcopy(INGRESS["spec"])
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"] = "podinfo-canary"
    observed = ROUTER.observed(nginx(), [INGRESS, made], SETTINGS)
    assert (observed.split, observed.foreign) == (RouteSplit(30), False)
    assert ROUTER.announce(nginx(), [INGRESS, made], SETTINGS) == []


def test_any_shape_of_an_ingress_is_read() -> None:
    shapes: list[Obj] = [{}, {"spec": None}, {"spec": {"rules": [None, {"http": []}, {"http": {"paths": {}}}], "defaultBackend": "x"}}]
    assert not any(leads_to(shape, "podinfo") for shape in shapes)
