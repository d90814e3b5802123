"""A controller whose own clock can be set: SIGUSR1 puts it forward by an hour, SIGUSR2 back. Only the clock on the wall; no other stands.

    python -m e2e.disorder.stepping -kubeconfig=... [the flags of flaggerpy run]
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from flaggerpy.controller.run import main

HOUR = 3600.0
_true_time = time.time
_ahead = 0.0


def _set(number: int, frame: FrameType | None) -> None:
    global _ahead
    _ahead += HOUR if number == signal.SIGUSR1 else -HOUR


if __name__ == "__main__":
    time.time = lambda: _true_time() + _ahead
    for told in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(told, _set)
    raise SystemExit(main(sys.argv[1:]))
