"""Progress on the terminal: one line per step with its elapsed time, kept alive while the step runs."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_EVERY = 30.0  # seconds between two signs of life where the output is no terminal


def say(text: str) -> None:
    print(text, flush=True)


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


@contextmanager
def step(title: str, rest: str = "") -> Iterator[None]:
    """Shows `title` with the time it takes, and `rest` (what is still to come) while it runs."""
    started = time.monotonic()
    done = threading.Event()
    tty = sys.stdout.isatty()

    def tick() -> None:
        while not done.wait(1.0 if tty else QUIET_EVERY):
            line = f"  … {title}  {clock(time.monotonic() - started)}{rest}"
            print(f"\r\033[K{line}" if tty else line, end="" if tty else "\n", flush=True)

    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    outcome = "✗"
    try:
        yield
        outcome = "✓"
    finally:
        done.set()
        ticker.join()
        print(f"{chr(13)}{chr(27)}[K" if tty else "", end="")
        say(f"  {outcome} {title}  {time.monotonic() - started:.1f}s")
