"""A terminal that is drawn upon: the alternate screen, one write per frame, keys, resizing, and a clean end however it comes.

A frame is a list of lines. Only lines that differ from those on the screen are written, all in one write and within a synchronised update
(terminals that do not know that ignore it), so that nothing flickers over a slow line. Left are: the old screen, the cursor, the modes of
the terminal, at q, Ctrl-C, SIGTERM, SIGHUP and an error. Ctrl-Z puts the screen back before it stops, and `fg` draws anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.text import Text

from flaggerpy.cli.printing import cleaned

try:
    import termios
    import tty
except ImportError:  # no such terminals: keys come with Enter only, signals do the rest
    termios = tty = None  # type: ignore[assignment]

ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
BEGIN, COMMIT = "\x1b[?2026h", "\x1b[?2026l"
SMALLEST = (20, 4)
PACE = 0.1
"""Seconds between two frames at least: what changes faster is drawn together."""
TICK = 1.0
"""Seconds after which a frame is drawn though nothing changed: clocks go on."""

_KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]|\x1b[^\x1b\[O]|.", re.DOTALL)
"""A key as a terminal sends it: a sequence (ESC [ ... letter, ESC O letter), one pressed with Alt (ESC before it), or a character."""
_UNFINISHED = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}|O)?\Z")

Draw = Callable[[int, int], Sequence[Text]]


class Quit(Exception):
    """The person or a signal ended it; `code` is the exit code (0: q was pressed)."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code


class Keys:
    """What is read of a terminal, as keys: over a slow line several come in one read, or a sequence in two."""

    def __init__(self) -> None:
        self._held = ""

    def of(self, text: str) -> list[str]:
        """The keys that are whole with this text. A letter within a sequence is no key of its own (ESC O q is the keypad's 1)."""
        alone = self._held == "\x1b" and not text.startswith(("[", "O"))
        found = [self._held] if alone else []
        text = text if alone else self._held + text
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        return found + _KEY.findall(text[:end])


class Canvas:
    """What is on the screen, and the text that turns it into the next frame. Pure but for its memory."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lines: list[str] = []
        self._size = (0, 0)

    def forget(self) -> None:
        """The screen was disturbed: the next frame is written whole."""
        self._size = (0, 0)

    def frame(self, lines: Sequence[Text], width: int, height: int) -> str:
        """What to write so that the screen shows these lines, "" when it does already. Lines are cut, never wrapped."""
        rendered = [self._render(line, width) for line in lines[:height]]
        rendered += ["\x1b[K"] * (height - len(rendered))
        whole = self._size != (width, height)
        old = [] if whole else self._lines
        changed = [
            f"\x1b[{number};1H{text}"
            for number, text in enumerate(rendered, 1)
            if number > len(old) or old[number - 1] != text
        ]
        self._lines, self._size = rendered, (width, height)
        if not changed:
            return ""
        return BEGIN + ("\x1b[2J" if whole else "") + "".join(changed) + COMMIT

    def _render(self, line: Text, width: int) -> str:
        cut = cleaned(line.copy())
        cut.truncate(width)
        # a line that fills its row leaves the cursor on its last letter, which an erasure to the end would take away
        rest = "\x1b[0m\x1b[K" if cut.cell_len < width else "\x1b[0m"
        with io.StringIO() as out:
            source = self._console
            depth: Any = source.color_system
            Console(
                file=out, width=width + 1, force_terminal=True, color_system=depth, no_color=source.no_color, highlight=False,
                soft_wrap=True, legacy_windows=False,
            ).print(cut, end="", markup=False)  # fmt: skip
            return out.getvalue() + rest


class Terminal:
    """The terminal of stdin and stdout, while it is drawn upon. `async with` it, then `await show(...)`."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._canvas = Canvas(console)
        self._out = sys.stdout.fileno()
        self._in = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._modes: Any = None
        self._wake = asyncio.Event()
        self._quit: Quit | None = None
        self._read_keys = Keys()
        self._keys: list[str] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._enter()
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            loop.add_signal_handler(number, self._end, Quit(code))
        loop.add_signal_handler(signal.SIGWINCH, self._disturbed)
        loop.add_signal_handler(signal.SIGTSTP, self._stop)
        if self._in is not None:
            loop.add_reader(self._in, self._read)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        loop = asyncio.get_running_loop()
        if self._in is not None:
            loop.remove_reader(self._in)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGWINCH, signal.SIGTSTP):
            loop.remove_signal_handler(number)
        self._leave()

    def poke(self) -> None:
        """Something changed: draw soon."""
        self._wake.set()

    async def show(self, draw: Draw, done: Callable[[], bool], key: Callable[[str], None] = lambda key: None) -> None:
        """Draw whenever poked, resized or a second is over, until `done()`; raises Quit when it is ended by a key or a signal."""
        while True:
            for pressed in self._keys:
                key(pressed)
            self._keys.clear()
            width, height = self.size()
            self._write(self._canvas.frame(draw(width, height), width, height))
            if self._quit:
                raise self._quit
            if done():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), TICK)
            self._wake.clear()
            if not self._quit:
                await asyncio.sleep(PACE)

    def size(self) -> tuple[int, int]:
        """Width and height in cells, never less than what a frame needs."""
        try:
            width, height = os.get_terminal_size(self._out)
        except OSError:
            width, height = 80, 24
        return max(width, SMALLEST[0]), max(height, SMALLEST[1])

    def _enter(self) -> None:
        if self._in is not None and termios is not None:
            self._modes = termios.tcgetattr(self._in)
            # keys come at once and unseen; Ctrl-C and Ctrl-Z stay signals
            tty.setcbreak(self._in)
        self._canvas.forget()
        self._write(ENTER)

    def _leave(self) -> None:
        self._write(LEAVE)
        if self._in is not None and self._modes is not None:
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._modes)

    def _write(self, text: str) -> None:
        data = text.encode(self._console.encoding, "replace")
        with contextlib.suppress(OSError):  # the terminal is gone: SIGHUP says so too
            while data:
                try:
                    data = data[os.write(self._out, data) :]
                except BlockingIOError:  # a shell beside us made it non-blocking
                    select_writable(self._out)

    def _end(self, how: Quit) -> None:
        self._quit = self._quit or how
        self._wake.set()

    def _disturbed(self) -> None:
        self._canvas.forget()
        self._wake.set()

    def _stop(self) -> None:
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        # here it goes on after `fg`
        self._enter()
        self._wake.set()

    def _read(self) -> None:
        try:
            data = os.read(self._in or 0, 64)
        except OSError:
            data = b""
        if not data:
            self._end(Quit(129))
            return
        pressed = self._read_keys.of(data.decode("utf-8", "replace"))
        if any(key in ("q", "Q", "\x03") for key in pressed):
            self._end(Quit(0))
        else:
            self._keys += pressed
            self._wake.set()


def select_writable(descriptor: int) -> None:
    """Wait until there is room to write."""
    import select

    select.select([], [descriptor], [])
