"""The programs of a sandbox as processes: start one so that it outlives us and can be found, ask whether it lives, end it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from e2e.sandbox.layout import Layout
from e2e.sandbox.namespaces import inside, system_cgroup

HOLDER = "holder"


class NotReady(RuntimeError):
    """A program did not come up; the message names it, says what was waited for, and ends with its log."""


@dataclass(frozen=True)
class Program:
    """One program: its command, and a check that is True once it serves. The check runs inside the network namespace."""

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    seconds: float = 60.0
    env: dict[str, str] = field(default_factory=dict)


def birth(pid: int) -> str:
    """When a process started, in clock ticks: a pid alone may have been given to another since. Empty if there is none, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def pid_file(layout: Layout, name: str) -> Path:
    return layout.run / f"{name}.pid"


def pid_of(layout: Layout, name: str) -> int:
    """The pid of a living program of the sandbox, else 0."""
    try:
        pid, born = pid_file(layout, name).read_text().split()
    except (OSError, ValueError):
        return 0
    return int(pid) if birth(int(pid)) == born else 0


def spawn(layout: Layout, name: str, argv: tuple[str, ...], env: dict[str, str] | None = None) -> int:
    """Starts a program detached, in the sandbox's cgroup; returns its pid."""
    file = pid_file(layout, name)
    file.unlink(missing_ok=True)
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    # the shell joins the cgroup and notes its pid, then becomes the program: nothing it starts can escape
    script = f'echo $$ > {shlex.quote(str(system_cgroup(layout)))} && echo $$ > {shlex.quote(str(fresh))} && exec "$@"'
    with (layout.logs / f"{name}.log").open("ab") as log:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", script, "sh", *argv],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(layout.run), **(env or {})},
            check=True,
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(OSError):
            if text := fresh.read_text().strip():
                pid = int(text)
                file.write_text(f"{pid} {birth(pid)}")
                fresh.unlink()
                return pid
        time.sleep(0.01)
    raise NotReady(f"{name} could not be started:\n{tail(layout, name)}")


def start(layout: Layout, program: Program) -> None:
    """Starts a program in the sandbox's namespaces unless it lives already."""
    if pid_of(layout, program.name):
        return
    holder = pid_of(layout, HOLDER)
    enter = ("nsenter", f"--mount=/proc/{holder}/ns/mnt", f"--net={layout.netns_file}", "--")
    spawn(layout, program.name, (*enter, *program.argv), program.env)


def stop(layout: Layout, name: str, how: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> None:
    """Ends one program and waits for its end; SIGKILL when it takes too long."""
    pid = pid_of(layout, name)
    if not pid:
        return
    os.kill(pid, how)
    deadline = time.monotonic() + seconds
    while pid_of(layout, name):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            deadline += seconds
        time.sleep(0.02)


def await_ready(layout: Layout, program: Program) -> None:
    """Returns once the program serves. Raises NotReady when it died or took too long."""
    await_true(layout, program.ready, program.seconds, f"{program.name} to serve", program.name)


def await_true(layout: Layout, check: Callable[[], bool], seconds: float, what: str, program: str) -> None:
    deadline = time.monotonic() + seconds
    trouble = ""
    with inside(layout):
        while True:
            try:
                if check():
                    return
                trouble = ""
            except Exception as error:
                trouble = f" ({type(error).__name__}: {error})"
            if not pid_of(layout, program):
                raise NotReady(f"{program} died while waiting for {what}:\n{tail(layout, program)}")
            if time.monotonic() > deadline:
                raise NotReady(f"waited {seconds:.0f} s in vain for {what}{trouble}:\n{tail(layout, program)}")
            time.sleep(0.05)


def tail(layout: Layout, name: str, lines: int = 15) -> str:
    with suppress(OSError):
        return "\n".join((layout.logs / f"{name}.log").read_text(errors="replace").splitlines()[-lines:])
    return ""
