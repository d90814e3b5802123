"""Texts of others: nothing in them acts, nothing secret stays in them."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flaggerpy.api.texts import LOOKED_THROUGH, escaped, mask, one_line, printable, printable_object, visible

ODD = st.text(st.sampled_from("ab \n\t\x1b\x07[]0;m\\\x9b\x9c\u202e\u2066\ud800\x00\r\ufeff\u2028\U000e0041é漢"))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain, with ümläuts 漢字 and 🚀", "plain, with ümläuts 漢字 and 🚀"),
        ("two\n\tlines", "two\n\tlines"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGk=\x07", ""),
        ("\x9b2Jgone", "gone"),
        ("over\rwritten", "over\ufffdwritten"),
        ("back\x08", "back\ufffd"),
        ("\u202egpj.exe", "\ufffdgpj.exe"),
        ("a\u2028b", "a\ufffdb"),
        ("half \ud83d", "half \ufffd"),
    ],
)
def test_what_acts_on_a_terminal_is_taken_out(text: str, seen: str) -> None:
    assert printable(text) == seen


@given(ODD)
def test_nothing_that_acts_is_left(text: str) -> None:
    for shown in (printable(text), visible(text), one_line(text, 20)):
        assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") and char not in "\t\n"]
        assert not set(shown) & set("\u202e\u2066\ufeff\U000e0041")
        shown.encode()
    assert len(visible(text)) == len(text)
    assert "\n" not in one_line(text, 20)


@given(st.dictionaries(ODD, ODD))
def test_json_says_the_same_without_such_characters(value: dict[str, str]) -> None:
    text = escaped(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert visible(text) == text


def test_objects_are_cleaned_as_a_whole() -> None:
    assert printable_object({"a\x1b[1m": ["\x07", {"b": "\x1b[1mc"}, 1, None]}) == {"a": ["\ufffd", {"b": "c"}, 1, None]}


def test_long_texts_are_cut_and_told_to_be() -> None:
    assert one_line("x" * 30, 10) == "x" * 10 + "..."
    assert one_line(" x \n y ", 10) == "x y"
    assert one_line("x" + " " * 100 + "y", 10) == "x..."


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("you sent s3cret!", "you sent ***!"),
        ("S3CRET and s3cret-longer", "*** and ***"),
        ("abc", "abc"),
        ("Authorization: Bearer eyJhbGciOi.abc", "Authorization: Bearer ***"),
        ("basic dXNlcjpwYXNz", "basic ***"),
        ("a basic test", "a basic test"),
    ],
)
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert mask(text, {"s3cret", "s3cret-longer", "abc", ""}) == shown


@given(st.text("ab c", max_size=30), st.text("ab c", max_size=30), st.sampled_from(["aaaa", "abab", "a.b*c", "tok en"]))
def test_no_secret_is_left_whatever_is_around_it(before: str, after: str, secret: str) -> None:
    assert secret not in mask(before + secret + after, {secret})


def test_a_long_text_is_looked_through_only_as_far_as_is_ever_shown() -> None:
    assert len(mask("x" * 10_000_000, {"s3cret"})) == LOOKED_THROUGH
