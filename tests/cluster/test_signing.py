"""A person's name in a field manager is what the API server takes, whatever the person is called."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.cluster.signing import LONGEST_MANAGER, signed


@pytest.mark.parametrize(
    ("person", "manager"),
    [
        ("ann", "flaggerpy-cli as ann"),
        ("system:serviceaccount:shop:bot", "flaggerpy-cli as system:serviceaccount:shop:bot"),
        ("Zoë Ångström", "flaggerpy-cli as Zoë Ångström"),
        ("a\x1bn\nn\u202e", "flaggerpy-cli as ann"),
        ("", "flaggerpy-cli"),
        ("\n\x07", "flaggerpy-cli"),
    ],
)
def test_a_person_signs_with_their_name(person: str, manager: str) -> None:
    assert signed("flaggerpy-cli", person) == manager


def test_a_long_name_is_cut_between_letters() -> None:
    assert signed("flaggerpy-cli", "é" * 200) == "flaggerpy-cli as " + "é" * 51


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_api_server_takes_every_name(person: str) -> None:
    found = signed("flaggerpy-ui", person)
    assert len(found.encode()) <= LONGEST_MANAGER < 128
    assert found.isprintable()
