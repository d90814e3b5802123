"""Label selectors in their text form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cluster.selectors import matches, selector_of

LABELS = {"app": "podinfo", "tier": "web", "example.com/x": ""}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("", True),
        (None, True),
        ("app=podinfo", True),
        ("app==podinfo", True),
        ("app=other", False),
        ("missing=x", False),
        ("app!=other", True),
        ("missing!=x", True),
        ("app!=podinfo", False),
        ("app in (a, podinfo),tier=web", True),
        ("app in (a,b)", False),
        ("app notin (a,b)", True),
        ("missing notin (a)", True),
        ("app notin (podinfo)", False),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("!app", False),
        ("example.com/x=", True),
        ("app=podinfo, tier in (web,api) ,!missing", True),
    ],
)
def test_requirements_are_all_needed(selector: str | None, expected: bool) -> None:
    assert matches(selector, LABELS) is expected


def test_no_labels_satisfy_only_what_asks_for_none() -> None:
    assert matches("!app", None)
    assert not matches("app", None)


KEYS = st.sampled_from(["app", "tier", "example.com/part-of", "x"])
VALUES = st.text(alphabet="abc019-_.", max_size=8)


@given(st.dictionaries(KEYS, VALUES))
def test_a_selector_from_labels_selects_exactly_who_has_them(labels: dict[str, str]) -> None:
    assert matches(selector_of(labels), {**labels, "and": "more"})
    for key in labels:
        assert not matches(selector_of(labels), {name: value for name, value in labels.items() if name != key})
