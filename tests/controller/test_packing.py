"""Packed objects come back as they were, and a view unpacks what is asked for again only once."""

from __future__ import annotations

import json
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flaggerpy.cluster import kinds
from flaggerpy.cluster.watch import Cache
from flaggerpy.controller.packing import REMEMBERED, View, opened, pack, packed, unpack
from tests.controller.living import deployment

Obj = dict[str, Any]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6))
def test_an_object_comes_back_as_it_was(obj: Obj) -> None:
    assert unpack(pack(obj)) == obj


def numbered(name: str, version: str) -> Obj:
    obj = deployment(name)
    obj["metadata"]["resourceVersion"] = version
    return obj


def test_a_view_gives_out_the_same_object_until_it_changes() -> None:
    told: list[tuple[Obj | None, Obj | None]] = []
    cache = Cache(kinds.DEPLOYMENT, project=packed(dict), on_change=lambda key, new, old: told.append((opened(new), opened(old))))
    view = View(cache)
    assert view.get("shop", "a") is None
    cache.event("ADDED", numbered("a", "1"))
    first = view.get("shop", "a")
    assert first == numbered("a", "1")
    assert view.get("shop", "a") is first
    assert ("shop", "a") in view
    cache.event("MODIFIED", numbered("a", "2"))
    assert view.get("shop", "a") == numbered("a", "2")
    cache.event("DELETED", numbered("a", "3"))
    assert view.get("shop", "a") is None
    assert told == [(numbered("a", "1"), None), (numbered("a", "2"), numbered("a", "1")), (None, numbered("a", "2"))]


def test_a_view_remembers_few_and_lists_a_namespace() -> None:
    cache = Cache(kinds.DEPLOYMENT, project=packed(dict))
    view = View(cache)
    for number in range(REMEMBERED + 10):
        cache.event("ADDED", numbered(f"d{number}", str(number + 1)))
        view.get("shop", f"d{number}")
    assert len(view._recent) == REMEMBERED
    assert len(list(view)) == REMEMBERED + 10
    assert sum(1 for _ in view.items_of("shop")) == REMEMBERED + 10
    assert list(view.items_of("other")) == []


def test_a_deployment_takes_a_few_hundred_bytes() -> None:
    obj = deployment()
    assert sys.getsizeof(pack(obj)) < len(json.dumps(obj)) / 1.5


def test_a_view_that_forgot_unpacks_anew() -> None:
    cache = Cache(kinds.DEPLOYMENT, project=packed(dict))
    view = View(cache)
    cache.event("ADDED", numbered("a", "1"))
    first = view.get("shop", "a")
    view.forget()
    assert view.get("shop", "a") is not first
    assert view.get("shop", "a") == first
