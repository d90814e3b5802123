"""Entries of Secrets as text."""

from __future__ import annotations

from flaggerpy.api.secrets import secret_data


def test_entries_are_decoded_and_lose_the_line_end_that_echo_left() -> None:
    assert secret_data({"data": {"token": "YWJjCg==", "address": "aHR0cDovL3g="}}) == {"token": "abc", "address": "http://x"}


def test_what_is_no_text_is_left_out() -> None:
    assert secret_data({"data": {"a": "/w==", "b": "not base64!", "c": None}}) == {}
    assert secret_data({}) == {}
    assert secret_data({"data": None}) == {}
