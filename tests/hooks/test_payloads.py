"""Webhook bodies: Flagger's JSON, and checksums that tell revisions apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.hooks import checksum, event_payload, payload


def test_a_gates_body() -> None:
    assert payload("podinfo", "test", "Progressing", "abc", {"cmd": "hey"}) == {
        "name": "podinfo",
        "namespace": "test",
        "phase": "Progressing",
        "checksum": "abc",
        "metadata": {"cmd": "hey"},
    }


def test_empty_metadata_is_left_out() -> None:
    assert "metadata" not in payload("podinfo", "test", "Progressing", "abc", {})


def test_an_events_body_tells_the_event_and_keeps_the_hooks_own_metadata() -> None:
    body = event_payload(
        "podinfo", "test", "Failed", "abc", {"team": "a", "eventType": "mine"}, message="Canary failed!", type="Warning", at=1700000000.5
    )
    assert body["phase"] == "Failed"
    assert body["metadata"] == {"team": "a", "eventMessage": "Canary failed!", "eventType": "Warning", "timestamp": "1700000000500"}


configs = st.dictionaries(st.text(), st.text(), max_size=3)


@given(st.text(), configs, st.text(), configs)
def test_checksums_are_equal_for_equal_revisions_only(one: str, its: dict[str, str], other: str, others: dict[str, str]) -> None:
    assert (checksum(one, its) == checksum(other, others)) == ((one, its) == (other, others))
    assert checksum(one, dict(reversed(its.items()))) == checksum(one, its)


@pytest.mark.fault("Q-58")
def test_checksums_do_not_change_between_versions() -> None:
    assert checksum("5f7d8c9b4", None) == checksum("5f7d8c9b4", {}) == "33f03a1061"
