"""From a registry's answer to what every kubelet would make of it: a no is said only where all of them fail for good."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.images.conversation import Found
from flaggerpy.images.judging import Nodes, judge, of_pod, wanted
from flaggerpy.images.platforms import platform
from flaggerpy.rollout.causes.table import BY_ID

MISSING = Found("missing", "image-missing", "it answers 404")
DENIED = Found("doubt", "image-denied", "401")


def index(*platforms: str) -> Found:
    return Found("exists", platforms=tuple(map(platform, platforms)), index=True)


def nodes(*platforms: str, held: set[str] | None = None, count: int = 2, strict: bool = False) -> Nodes:
    return Nodes(tuple(map(platform, platforms)), None if held is None else frozenset(held), count, strict)


@pytest.mark.parametrize(
    ("image", "policy", "found", "given", "kind", "cause"),
    [
        ("App", None, None, nodes(), "missing", "image-name-invalid"),
        ("App", "Never", None, nodes(), "missing", "image-name-invalid"),
        ("app:1", "Never", MISSING, nodes(held=set()), "unchecked", ""),
        ("app:1", "Always", MISSING, nodes(held={"app:1"}), "missing", "image-missing"),
        ("app", None, MISSING, nodes(held={"app"}), "missing", "image-missing"),
        ("app:1", None, MISSING, nodes(held=set()), "missing", "image-missing"),
        ("app:1", None, MISSING, nodes(held={"app:1"}), "exists", ""),
        ("app:1", None, MISSING, nodes(held=None), "doubt", "image-missing"),
        ("app:1", "IfNotPresent", DENIED, nodes(held={"app:1"}), "exists", ""),
        ("app:1", "Always", DENIED, nodes(held={"app:1"}), "doubt", "image-denied"),
        ("app:1", "Always", index("linux/amd64", "linux/arm64"), nodes("linux/arm64"), "exists", ""),
        ("app:1", "Always", index("linux/amd64"), nodes("linux/arm64"), "missing", "image-platform"),
        ("app:1", "IfNotPresent", index("linux/amd64"), nodes("linux/arm64", held={"app:1"}), "exists", ""),
        ("app:1", "Always", index("linux/amd64"), nodes("linux/arm64", "linux/amd64"), "doubt", "image-platform"),
        ("app:1", "Always", index("linux/amd64"), nodes(), "exists", ""),
        ("localhost:5000/app:1", "Always", MISSING, nodes(held=set(), count=2), "doubt", "image-missing"),
        ("localhost:5000/app:1", "Always", MISSING, nodes(held=set(), count=1), "missing", "image-missing"),
    ],
)
def test_an_answer_is_what_the_kubelets_would_find(
    image: str, policy: str | None, found: Found | None, given: Nodes, kind: str, cause: str
) -> None:
    answer = judge(wanted(image, policy), found, given)
    assert (answer.kind, answer.cause) == (kind, cause)
    assert not answer.cause or answer.cause in BY_ID


def test_a_single_image_of_another_platform_may_run_under_emulation_and_is_a_doubt() -> None:
    single = Found("exists", platforms=(platform("linux/arm64"),))
    answer = judge(wanted("app:1", "Always"), single, nodes("linux/amd64"))
    assert (answer.kind, answer.cause, answer.detail) == ("doubt", "image-platform", "it is there for linux/arm64, not for linux/amd64")
    assert judge(wanted("app:1", "Always"), single, nodes("linux/amd64", strict=True)).kind == "missing"


def test_platforms_that_are_demanded_must_all_be_there() -> None:
    answer = judge(wanted("app:1", "Always"), index("linux/amd64"), nodes("linux/amd64", "linux/arm64", strict=True))
    assert (answer.kind, answer.cause) == ("missing", "image-platform")


def test_every_container_of_a_pod_is_asked_for_but_those_that_count_for_nothing() -> None:
    spec: dict[str, Any] = {
        "initContainers": [{"name": "i", "image": "init:1"}, {"name": "s", "image": "side:1", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "image": "app:1", "imagePullPolicy": "Never"}, {"name": "x", "image": "x:1"}],
    }
    found = of_pod(spec, ["x"])
    assert [(item.container, item.role, item.policy, item.to_ask) for item in found] == [
        ("i", "init", "IfNotPresent", True),
        ("s", "sidecar", "IfNotPresent", True),
        ("c", "main", "Never", False),
    ]
