"""Nodes tell platforms by their labels and images by their status; a pod's selector and affinity pick among them."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.images.nodes import holds, may_land, platforms
from flaggerpy.images.reference import parse


def node(arch: str, *images: str, name: str = "n", **labels: str) -> dict[str, Any]:
    own = {"kubernetes.io/os": "linux", "kubernetes.io/arch": arch} | labels
    return {"metadata": {"name": name, "labels": own}, "status": {"images": [{"names": list(images)}]}}


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def needs(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


NODES = [node("amd64", name="a"), node("arm64", name="b", disk="ssd", rank="3")]


@pytest.mark.parametrize(
    ("pod", "found"),
    [
        ({}, ["linux/amd64", "linux/arm64"]),
        ({"nodeSelector": {"kubernetes.io/arch": "arm64"}}, ["linux/arm64"]),
        ({"nodeSelector": {"disk": "tape"}}, []),
        (affinity(needs("kubernetes.io/arch", "In", "amd64", "s390x")), ["linux/amd64"]),
        (affinity(needs("disk", "Exists")), ["linux/arm64"]),
        (affinity(needs("disk", "DoesNotExist")), ["linux/amd64"]),
        (affinity(needs("disk", "NotIn", "ssd")), ["linux/amd64"]),
        (affinity(needs("rank", "Gt", "2")), ["linux/arm64"]),
        (affinity(needs("rank", "Lt", "2")), []),
        (affinity(needs("disk", "In", "ssd"), needs("kubernetes.io/arch", "In", "amd64")), ["linux/amd64", "linux/arm64"]),
        (affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}), ["linux/arm64"]),
        (affinity({}), []),
    ],
)
def test_only_nodes_that_the_pod_may_land_on_count(pod: dict[str, Any], found: list[str]) -> None:
    assert [str(each) for each in platforms(NODES, pod)] == found


def test_an_operator_that_is_not_known_excludes_no_node() -> None:
    assert may_land(affinity(needs("disk", "Near", "x")), NODES[0])


def test_a_node_without_the_labels_tells_nothing() -> None:
    assert platforms([{"metadata": {"name": "x"}}], {}) == ()


@pytest.mark.parametrize(
    ("listed", "image", "held"),
    [
        ("docker.io/library/nginx:1", "nginx:1", True),
        ("docker.io/library/nginx:1", "nginx:11", False),
        ("r.example/nginx:1", "nginx:1", False),
        ("docker.io/library/nginx@sha256:" + "a" * 64, "nginx:1@sha256:" + "a" * 64, True),
        ("docker.io/library/nginx@sha256:" + "b" * 64, "nginx:1@sha256:" + "a" * 64, False),
        ("docker.io/library/nginx:latest", "nginx", True),
        ("<none>@<none>", "nginx", False),
    ],
)
def test_an_image_is_held_when_a_node_lists_it_under_any_of_its_names(listed: str, image: str, held: bool) -> None:
    assert holds([node("amd64", listed)], parse(image)) is held
