"""ReplicaSets in the cache: a digest stands for their template, and a Deployment's own template comes back into the equal one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from flaggerpy.controller.workloads import HASH_LABEL, TEMPLATE_DIGEST, present_hash, selector_text, template_digest, with_templates
from flaggerpy.controller.world import slim_replica_set

Obj = dict[str, Any]


def deployment(image: str = "app:1") -> Obj:
    template = {"metadata": {"labels": {"app": "app"}}, "spec": {"containers": [{"name": "app", "image": image}]}}
    return {"metadata": {"name": "app"}, "spec": {"template": template}}


def replica_set(of: Obj, hash_: str) -> Obj:
    template = copy.deepcopy(of["spec"]["template"])
    template["metadata"]["labels"][HASH_LABEL] = hash_
    template["metadata"]["creationTimestamp"] = None
    return {"metadata": {"name": f"app-{hash_}", "labels": {HASH_LABEL: hash_}, "managedFields": [{}]}, "spec": {"template": template}}


def test_a_replica_set_enters_the_cache_with_a_digest_for_its_template() -> None:
    kept = slim_replica_set(replica_set(deployment(), "aaa"))
    assert "template" not in kept["spec"]
    assert "managedFields" not in kept["metadata"]
    assert kept["spec"][TEMPLATE_DIGEST] == template_digest(deployment()["spec"]["template"])
    assert kept["spec"][TEMPLATE_DIGEST] != template_digest(deployment("app:2")["spec"]["template"])


def test_the_template_comes_back_into_the_equal_one_only() -> None:
    old, new = deployment("app:1"), deployment("app:2")
    sets = [slim_replica_set(replica_set(old, "aaa")), slim_replica_set(replica_set(new, "bbb"))]
    templates = [obj["spec"]["template"] for obj in with_templates(new, sets)]
    assert templates == [{}, new["spec"]["template"]]
    assert present_hash(new, sets) == "bbb"
    assert present_hash(old, sets) == "aaa"
    assert present_hash(deployment("app:3"), sets) == ""


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["x", "y"]}]}, "a in (x,y)"),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["x"]}, {"key": "b", "operator": "Exists"}]}, "a notin (x),b"),
        ({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "DoesNotExist"}]}, "a=1,!b"),
    ],
)
def test_a_selector_is_written_as_the_api_takes_it(selector: Obj, text: str) -> None:
    assert selector_text(selector) == text
