"""Memory that is not used: what libraries load for uses that are none of ours, buffers larger than what they hold, and what was freed.

12 of the 79 MB that the controller's imports once took were of the first kind. httpx loads a command line of its own where click and rich
are installed, kopf the classes of every Kubernetes client that it finds, and the package `kubernetes` its whole synchronous client before
`kubernetes.aio`. Each of them does without what cannot be imported, so while one is loaded those are not there. Afterwards whoever asks for
them gets them.
"""

from __future__ import annotations

import asyncio.sslproto
import ctypes
import gc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within it an import of these modules fails, unless they were loaded before."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how Python is told that a module is not to be had
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


def bare(name: str) -> None:
    """Loads the package without what its `__init__` loads: only its modules that are imported by their own names. Nothing to do where it is
    loaded already. Raises ModuleNotFoundError."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No package named {name!r}", name=name)
    package = ModuleType(name)
    package.__path__ = spec.submodule_search_locations
    package.__spec__ = spec
    sys.modules[name] = package


TLS_BUFFER = 32 * 1024
"""Bytes that a TLS connection reads at a time; a record has 16 KiB at most."""


def small_tls_buffers() -> None:
    """asyncio gives each TLS connection a buffer of 256 KiB for what it reads, and a release in analysis holds one for its pods' watch."""
    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER


COLLECTIONS = (5_000, 20, 20)
"""When cycles are looked for: seldom, as a full collection stops everything for up to a tenth of a second, and hundreds of Canaries that
are looked at bring one after the other. What waits for one is little: most of what a look makes is in no cycle."""


def settle() -> None:
    """What is there once the caches are warm stays: it is left out of every later collection, which else takes longer with each Canary."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)


def give_back() -> None:
    """Gives memory that was freed back to the machine: what hundreds of Canaries needed at once, glibc keeps for the next time.

    Takes some 10 ms per 100 MB, in which other threads run. Nothing happens where the C library is another one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
