"""What is written to a terminal: one text per frame, only what changed, and never more than fits."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from flaggerpy.cli.terminal import BEGIN, COMMIT, Canvas


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
