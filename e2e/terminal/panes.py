"""A terminal that a program runs in, driven by tmux: type, resize, read the screen with or without its colours.

Each pane has a tmux server of its own on a socket of its own, so that nothing of the user's is touched and nothing stays.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self


class Pane:
    """A shell in a terminal of `width` x `height`. Use as a context manager."""

    def __init__(self, width: int = 100, height: int = 30, *, environment: Mapping[str, str] | None = None) -> None:
        if shutil.which("tmux") is None:
            subprocess.run(["apt-get", "install", "-y", "-q", "tmux"], check=True, capture_output=True)
        self._folder = tempfile.mkdtemp(prefix="flaggerpy-pane-")
        self._environment = {
            **os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "PS1": "$ ", "TMUX": "", "SHELL": "/bin/bash", **(environment or {}),
        }  # fmt: skip
        for name in ("NO_COLOR", "CLICOLOR_FORCE"):
            if name not in (environment or {}):
                self._environment.pop(name, None)
        self.size = (width, height)

    def __enter__(self) -> Self:
        width, height = self.size
        config = Path(self._folder, "tmux.conf")
        config.write_text('set -g default-terminal "tmux-256color"\nset -ga terminal-overrides ",*:RGB"\nset -g status off\n')
        self._tmux("-f", str(config), "new-session", "-d", "-x", str(width), "-y", str(height), "bash --norc --noprofile")
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def type(self, text: str) -> None:
        """Text, and Enter."""
        self._tmux("send-keys", "-l", text)
        self._tmux("send-keys", "Enter")

    def keys(self, *names: str) -> None:
        """Keys by tmux's names: q, C-c, Tab, Escape."""
        self._tmux("send-keys", *names)

    def resize(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def lines(self) -> list[str]:
        """The screen, without colours, blanks at the ends of lines left out."""
        return self._tmux("capture-pane", "-p").splitlines()

    def text(self) -> str:
        return "\n".join(self.lines())

    def ansi(self) -> str:
        """The screen with its colours, as escape sequences."""
        return self._tmux("capture-pane", "-p", "-e", "-N")

    def cursor(self) -> bool:
        """Whether the cursor is shown, and the alternate screen is not."""
        return self._tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}").split() == ["1", "0"]

    def child(self) -> int:
        """The pid of the program that the shell runs in the foreground."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        return int(Path(f"/proc/{shell}/task/{shell}/children").read_text().split()[-1])

    def until(self, check: Callable[[str], bool], seconds: float, what: str) -> str:
        """Wait until the screen's text fulfils a check; answers it. Raises AssertionError with the screen."""
        end = time.monotonic() + seconds
        while True:
            text = self.text()
            if check(text):
                return text
            if time.monotonic() > end:
                raise AssertionError(f"{what} was not seen within {seconds:g} s:\n{text}")
            time.sleep(0.1)

    def _tmux(self, *words: str, check: bool = True) -> str:
        command: Sequence[str] = ("tmux", "-u", "-S", f"{self._folder}/socket", *words)
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"tmux {' '.join(words)}: {done.stderr}")
        return done.stdout
