"""Load on the Gateway by e2e/apps/load, and what it counted."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from e2e.sandbox import Sandbox
from e2e.sandbox.build import program


@dataclass(frozen=True)
class Second:
    """Requests that were sent in one second (epoch), and those of them without a good answer."""

    at: int
    sent: int
    lost: int
    p99: float = 0.0
    """Milliseconds within which 99 of 100 answers came."""


def seconds(lines: Iterable[str]) -> list[Second]:
    """The seconds of the program's output, its total left out."""
    found = (json.loads(line) for line in lines if line.strip())
    return [Second(one["at"], one["sent"], one["lost"], one.get("p99_ms", 0.0)) for one in found if not one.get("total")]


def between(counted: Sequence[Second], since: float, until: float) -> tuple[int, int]:
    """(sent, lost) in the whole seconds that touch [since, until]."""
    chosen = [one for one in counted if int(since) <= one.at <= until]
    return sum(one.sent for one in chosen), sum(one.lost for one in chosen)


class Load:
    """`with Load(sandbox, host) as load`: requests at a constant rate until the end of the block; then `counted` is complete."""

    def __init__(self, sandbox: Sandbox, host: str, rate: float = 200.0, patience: str = "5s") -> None:
        self._argv = [str(program("load", "apps")), "-url", f"{sandbox.gateway_url}/", "-host", host, "-rate", f"{rate:g}"]
        self._argv += ["-timeout", patience]
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the block
        self._process: subprocess.Popen[bytes] | None = None
        self.counted: list[Second] = []
        self.errors: dict[str, int] = {}

    def __enter__(self) -> Load:
        self._process = subprocess.Popen(self._argv, stdout=self._output)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)
        self._output.seek(0)
        lines = self._output.read().splitlines()
        self._output.close()
        self.counted = seconds(lines)
        total = json.loads(lines[-1]) if lines else {}
        self.errors = {**{code: n for code, n in total.get("codes", {}).items() if code not in ("0", "200")}, **total.get("errors", {})}

    @property
    def lost(self) -> int:
        return sum(one.lost for one in self.counted)

    @property
    def sent(self) -> int:
        return sum(one.sent for one in self.counted)
