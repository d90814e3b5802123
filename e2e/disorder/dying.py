"""A controller that dies at a chosen write: before the API server hears of it, or after it was carried out and before that is known.

Writes are counted at the client's one request function, in the order in which they are begun. Those of the Lease, of events and of access
reviews do not count: they are no part of a release. Nothing of this is in the product: it is a subclass of its client, and a program
around it.

    python -m e2e.disorder.dying 17 after WRITES.log -- -kubeconfig=... [the flags of flaggerpy run]
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from flaggerpy.cluster.client import Client
from flaggerpy.controller.run import serve
from flaggerpy.controller.settings import parse
from flaggerpy.telemetry.logs import configure

When = Literal["before", "after"]
BESIDE_THE_RELEASE = ("/leases", "/events", "/selfsubjectaccessreviews")


def of_a_release(method: str, path: str) -> bool:
    """Whether a request is a write that a release consists of."""
    return method != "GET" and not any(part in path for part in BESIDE_THE_RELEASE)


def end_process() -> None:
    """SIGKILL, at once."""
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Fate:
    """When a process ends: at its `at`-th write, counted from 1 (0: never). `note` hears of each write that is begun."""

    at: int = 0
    when: When = "before"
    die: Callable[[], None] = end_process
    note: Callable[[str], None] = lambda line: None


class DyingClient(Client):
    """A client that knows at which write its process ends. Once that is reached, no request of it is sent or answered any more."""

    fate = Fate()
    written = 0
    dead = False

    async def request(self, method: str, path: str, **options: Any) -> Any:
        fatal = False
        if not self.dead and of_a_release(method, path):
            self.written += 1
            fatal = self.written == self.fate.at
            self.fate.note(f"{self.written} {method} {path}")
        if fatal and self.fate.when == "before":
            self._end()
        if self.dead:
            await asyncio.Event().wait()
        answer, error = None, None
        try:
            answer = await super().request(method, path, **options)
        except Exception as failure:
            error = failure
        if fatal:
            self._end()
        if self.dead:
            await asyncio.Event().wait()
        if error is not None:
            raise error
        return answer

    def _end(self) -> None:
        self.dead = True
        self.fate.die()


async def run(argv: Sequence[str], fate: Fate) -> None:
    """A replica with these flags, until SIGTERM or its fate."""
    settings = parse(argv)
    configure(settings.log_level, settings.zap_encoding)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await DyingClient.connect(settings.kubeconfig or None, settings.kube_context or None)
    client.fate = fate
    try:
        await serve(settings, stop=stop, client=client)
    finally:
        await client.close()


def main() -> int:
    at, when, notes, dashes, *argv = sys.argv[1:]
    if when not in ("before", "after") or dashes != "--":
        raise SystemExit(__doc__)
    with Path(notes).open("a", buffering=1) as file:
        fate = Fate(int(at), "before" if when == "before" else "after", note=lambda line: print(line, file=file))
        asyncio.run(run(argv, fate))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
