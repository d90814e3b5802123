"""What is written to a terminal: one text per frame, only what changed, and never more than fits."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from flaggerpy.cli.terminal import BEGIN, COMMIT, Canvas, Keys, Terminal


def canvas() -> Canvas:
    return Canvas(Console(file=io.StringIO(), force_terminal=True, color_system="standard"))


def test_the_first_frame_is_written_whole_and_the_next_only_where_it_differs() -> None:
    painter = canvas()
    first = painter.frame([Text("one", "red"), Text("two")], 20, 3)
    assert first == f"{BEGIN}\x1b[2J\x1b[1;1H\x1b[31mone\x1b[0m\x1b[0m\x1b[K\x1b[2;1Htwo\x1b[0m\x1b[K\x1b[3;1H\x1b[K{COMMIT}"
    assert painter.frame([Text("one", "red"), Text("2")], 20, 3) == f"{BEGIN}\x1b[2;1H2\x1b[0m\x1b[K{COMMIT}"
    assert painter.frame([Text("one", "red"), Text("2")], 20, 3) == ""


def test_after_a_resize_or_a_disturbance_all_is_written_anew() -> None:
    painter = canvas()
    painter.frame([Text("one")], 20, 2)
    assert "\x1b[2J" in painter.frame([Text("one")], 30, 2)
    painter.forget()
    assert "\x1b[2J" in painter.frame([Text("one")], 30, 2)


def test_lines_are_cut_and_tricks_are_taken_out() -> None:
    painter = canvas()
    written = painter.frame([Text("x" * 50), Text("a\x1b[31mb\nc"), Text("below")], 10, 2)
    assert "x" * 10 + "\x1b[0m\x1b[2;1H" in written, "the last letter of a full row is not erased"
    assert "x" * 11 not in written
    assert "below" not in written
    assert "a�[31mb" in written


class Screen:
    """What a terminal makes of it: lines by number."""

    def __init__(self, height: int) -> None:
        self.lines = [""] * height

    def write(self, text: str) -> None:
        for part in text.removeprefix(BEGIN).removesuffix(COMMIT).replace("\x1b[2J", "").split("\x1b[")[1:]:
            number, at, rest = part.partition(";1H")
            if at:
                self.lines[int(number) - 1] = rest


@given(st.lists(st.lists(st.text(alphabet="abc ", max_size=8), min_size=3, max_size=3), min_size=1, max_size=6))
def test_after_any_frames_the_screen_shows_the_last_one(frames: list[list[str]]) -> None:
    painter, screen = canvas(), Screen(3)
    for lines in frames:
        screen.write(painter.frame([Text(line) for line in lines], 10, 3))
    assert screen.lines == frames[-1]


@pytest.mark.parametrize(
    ("reads", "keys"),
    [
        (["q"], ["q"]),
        (["qq"], ["q", "q"]),
        (["\x1b[A\x1b[1;5Bq"], ["\x1b[A", "\x1b[1;5B", "q"]),
        (["\x1bOq"], ["\x1bOq"]),
        (["\x1b[2 q"], ["\x1b[2 q"]),
        (["\x1bq"], ["\x1bq"]),
        (["\x1b", "[A", "q"], ["\x1b[A", "q"]),
        (["\x1bO", "q"], ["\x1bOq"]),
        (["\x1b[1;", "5A"], ["\x1b[1;5A"]),
        (["\x1b", "q"], ["\x1b", "q"]),
        (["\x1b\x1b[A"], ["\x1b", "\x1b[A"]),
        (["jä\n"], ["j", "ä", "\n"]),
    ],
)
def test_what_is_read_is_taken_apart_into_keys(reads: list[str], keys: list[str]) -> None:
    read = Keys()
    assert [key for text in reads for key in read.of(text)] == keys


@given(st.text(alphabet="\x1b[O1;qA ", max_size=30), st.integers(0, 30))
def test_no_text_is_lost_wherever_it_is_cut(text: str, at: int) -> None:
    read = Keys()
    assert "".join(read.of(text[:at]) + read.of(text[at:]) + [read._held]) == text


@pytest.mark.parametrize(("sent", "ends"), [(b"qq", True), (b"\x1b[AQ", True), (b"j\x03", True), (b"\x1bOq", False), (b"jk", False)])
def test_q_ends_it_also_where_other_keys_come_in_the_same_read(sent: bytes, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(os.devnull, "r+") as nothing, open(reading, "rb"), open(writing, "wb", buffering=0) as keyboard:
        monkeypatch.setattr("sys.stdin", nothing)
        monkeypatch.setattr("sys.stdout", nothing)
        terminal = Terminal(Console(file=io.StringIO()))
        terminal._in = reading
        keyboard.write(sent)
        terminal._read()
    assert (terminal._quit is not None and terminal._quit.code == 0) == ends
