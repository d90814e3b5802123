"""What is written down of a release is the same for two controllers that did the same."""

from __future__ import annotations

from typing import Any

import pytest

from e2e.beside.story import Words, changes, distinct, name_of, routed, shape

WORDS = Words({"http://127.0.0.1:4321": "RECEIVER", "beside-ours": "NAMESPACE"})


def test_what_is_one_sides_own_is_one_word() -> None:
    said = "http://127.0.0.1:4321/x of app.beside-ours, 0b1c2d3e-4f56-4789-8abc-def012345678"
    assert WORDS.text(said) == "RECEIVER/x of app.NAMESPACE, UUID"
    assert WORDS.of({"beside-ours": ["beside-ours", 3, None]}) == {"NAMESPACE": ["NAMESPACE", 3, None]}
    assert WORDS.text("flagger-cookie=AbCdEfGhIj; Max-Age=5") == "flagger-cookie=VALUE; Max-Age=5"
    assert WORDS.text(".*primary-cookie.*AbCdEfGhIj.*") == ".*primary-cookie.*VALUE.*"


def test_sequences_hold_changes_and_lists_hold_each_value_once() -> None:
    assert changes([1, 1, 2, 1]) == [1, 2, 1]
    assert distinct([["a"], ["b"], ["a"]]) == [["a"], ["b"]]


def test_a_shape_is_what_its_maker_says() -> None:
    owner = {"kind": "Canary", "name": "app", "uid": "u", "controller": True}
    annotations = {"note": "a", "deployment.kubernetes.io/revision": "3"}
    meta = {"name": "app", "uid": "u", "labels": {"a": "b"}, "annotations": annotations, "ownerReferences": [owner]}
    port = {"port": 9797, "nodePort": 30001}
    spec = {"clusterIP": "10.0.0.1", "ipFamilies": ["IPv4"], "selector": {"app": "app"}, "ports": [port, {"port": 80}]}
    assert shape({"kind": "Service", "metadata": meta, "spec": spec, "status": {}}, WORDS) == {
        "labels": {"a": "b"},
        "annotations": {"note": "a"},
        "owners": [{"kind": "Canary", "name": "app", "controller": True}],
        "finalizers": [],
        "spec": {"selector": {"app": "app"}, "ports": [{"port": 80}, {"port": 9797}]},
    }
    assert shape({"kind": "Service", "metadata": {}, "spec": {"clusterIP": "None"}}, WORDS)["spec"] == {"clusterIP": "None", "ports": []}


def test_the_version_in_the_name_of_a_copy_is_left_out() -> None:
    assert name_of("ConfigMap", "app-config-primary-0a1b2c3d", WORDS) == "ConfigMap app-config-primary"
    assert name_of("Service", "app-primary-0a1b2c3d", WORDS) == "Service app-primary-0a1b2c3d"


def backends(primary: int, canary: int) -> list[dict[str, Any]]:
    return [{"name": "app-primary", "weight": primary}, {"name": "app-canary", "weight": canary}]


STICKY = {"matches": [{"headers": [{"name": "Cookie", "type": "RegularExpression", "value": "x"}]}], "backendRefs": backends(0, 100)}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"rules": [{"backendRefs": backends(80, 20)}]}, "20"),
        ({"routes": [{"services": backends(60, 40)}]}, "40"),
        ({"rules": [{"backendRefs": backends(0, 100)}, {"backendRefs": [{"name": "app-primary", "weight": 100}]}]}, "match"),
        ({"rules": [STICKY, {"backendRefs": backends(50, 50)}]}, "50"),
        ({"backends": [{"service": "app-canary", "weight": 20}, {"service": "app-primary", "weight": 80}]}, "20"),
        ({"backends": [{"service": "app-canary", "weight": "20"}, {"service": "app-primary", "weight": "80"}]}, "20"),
        ({}, ""),
    ],
)
def test_where_a_route_leads(spec: dict[str, Any], word: str) -> None:
    assert routed({"spec": spec}) == word
