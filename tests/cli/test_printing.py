"""What a stream can show: colours, encodings, and nothing that plays tricks on a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.text import Text

from flaggerpy.cli.glyphs import ASCII
from flaggerpy.cli.printing import Screen, animated, colours, console, harmless


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "terminal", "coloured"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, True, False),
        ({"CLICOLOR_FORCE": "1"}, False, True),
        ({"CLICOLOR_FORCE": "0"}, False, False),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False),
        ({"CLICOLOR_FORCE": "1", "TERM": "dumb"}, True, True),
    ],
)
def test_colours_follow_the_conventions(environment: Mapping[str, str], terminal: bool, coloured: bool) -> None:
    assert colours(environment, terminal) is coloured
    raw = io.BytesIO()
    stream = Terminal(raw, encoding="utf-8") if terminal else io.TextIOWrapper(raw, encoding="utf-8")
    console(stream, environment).print(Text("x", "red"), end="")
    stream.flush()
    assert ("\x1b[31m" in raw.getvalue().decode()) is coloured


@pytest.mark.parametrize(
    ("term", "terminal", "drawn"), [("xterm", True, True), ("dumb", True, False), ("", True, False), ("xterm", False, False)]
)
def test_only_a_terminal_that_can_move_its_cursor_is_drawn_upon(term: str, terminal: bool, drawn: bool) -> None:
    assert animated({"TERM": term}, terminal) is drawn


def test_bold_is_no_colour() -> None:
    raw = io.BytesIO()
    stream = Terminal(raw, encoding="utf-8")
    console(stream, {"TERM": "xterm", "NO_COLOR": "1"}).print(Text("x", "bold red"), end="")
    stream.flush()
    assert raw.getvalue() == b"\x1b[1mx\x1b[0m"


def test_what_an_encoding_has_no_letters_for_is_replaced_and_never_an_error() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    screen = Screen(console(stream, {}), console(stream, {}))
    screen.show("café ░")
    stream.flush()
    assert raw.getvalue() == b"caf? ?\n"
    assert screen.glyphs is ASCII


def test_control_characters_of_the_cluster_do_not_reach_the_terminal() -> None:
    assert harmless("a\x1b]0;title\x07b\x9bc\td\n") == "a�]0;title�b�c\td\n"
    text = harmless(Text.assemble(("a\x1b[2J", "red"), "b"))
    assert isinstance(text, Text)
    assert (text.plain, [(span.start, span.end) for span in text.spans]) == ("a�[2Jb", [(0, 5)])
