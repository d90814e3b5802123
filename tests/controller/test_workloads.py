"""Kinds of targets in the API: each has a resource, a history and a selector that the API takes."""

from __future__ import annotations

from typing import Any

import pytest

from flaggerpy.cluster import kinds
from flaggerpy.controller.workloads import HISTORIES, WORKLOADS, resource_of, selector_text
from flaggerpy.targets.registry import TARGETS

Obj = dict[str, Any]


def test_every_kind_of_target_has_its_resource_and_its_history() -> None:
    assert WORKLOADS.keys() == HISTORIES.keys() == TARGETS.keys()
    assert all(kind == resource.kind for kind, resource in WORKLOADS.items())
    assert resource_of("DaemonSet") == kinds.DAEMON_SET
    assert resource_of("Service") == kinds.DEPLOYMENT  # refused before anything is read


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
