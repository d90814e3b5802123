"""A merge patch leads exactly from the old to the new value; a comparison sees what is asked for and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.controller.patches import covers, digest, merge_diff

LEAVES = st.one_of(st.booleans(), st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))
OBJECTS = st.dictionaries(
    st.sampled_from("abc"), st.recursive(LEAVES, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8)
)


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386, as the API server does it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@settings(deadline=None)
@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_old_to_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = merge_diff(old, new)
    assert (patch is None) == (old == new)
    assert merged(old, patch or {}) == new


@settings(deadline=None)
@given(OBJECTS)
def test_every_object_covers_itself_and_digests_alike(obj: dict[str, Any]) -> None:
    assert covers(obj, obj)
    assert digest(obj) == digest(dict(reversed(list(obj.items()))))


@pytest.mark.parametrize(
    ("have", "want", "answer"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, True),
        ({"a": 1}, {"a": 2}, False),
        ({}, {"a": 1}, False),
        ({}, {"a": {}, "b": None}, True),
        ({"ports": [{"port": 80, "protocol": "TCP"}]}, {"ports": [{"port": 80}]}, True),
        ({"ports": [{"port": 80}, {"port": 81}]}, {"ports": [{"port": 80}]}, False),
        ({"a": "x"}, {"a": ["x"]}, False),
        ({"a": 1}, {"a": {"b": 1}}, False),
    ],
)
def test_only_what_is_asked_for_is_compared(have: Any, want: Any, answer: bool) -> None:
    assert covers(have, want) is answer
