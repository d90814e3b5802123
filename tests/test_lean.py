"""The controller's imports without what is none of its uses, and nothing taken from whoever does use it."""

from __future__ import annotations

import asyncio.sslproto
import importlib
import ssl
import subprocess
import sys
from typing import Any

import pytest

from flaggerpy import lean


def in_a_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_controller_loads_neither_a_second_client_nor_a_command_line() -> None:
    names = ("kubernetes.client", "oauthlib", "requests", "rich", "pygments", "pandas", "prometheus_api_client")
    code = f"import sys, flaggerpy.controller.run; print([name for name in {names!r} if name in sys.modules])"
    assert in_a_process(code) == "[]"


def test_who_wants_them_afterwards_gets_them() -> None:
    code = "import flaggerpy.controller.run, rich.console, click, kubernetes.client; print(kubernetes.client.V1Pod.__name__)"
    assert in_a_process(code) == "V1Pod"


def test_who_loaded_them_before_keeps_them() -> None:
    code = "import kubernetes, rich, flaggerpy.controller.run, sys; print(kubernetes.client.V1Pod.__name__, sys.modules['rich'] is rich)"
    assert in_a_process(code) == "V1Pod True"


def test_an_import_fails_within_and_not_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    with lean.without("wave"), pytest.raises(ImportError):
        importlib.import_module("wave")
    assert importlib.import_module("wave").open


def test_a_package_that_is_not_there_is_named() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        lean.bare("no_such_package_at_all")


async def test_a_tls_connection_reads_with_a_small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.sslproto.SSLProtocol, "max_size", asyncio.sslproto.SSLProtocol.max_size)
    lean.small_tls_buffers()
    loop = asyncio.get_running_loop()
    protocol: Any = asyncio.sslproto.SSLProtocol(loop, asyncio.Protocol(), ssl.create_default_context(), loop.create_future())
    assert len(protocol._ssl_buffer) == lean.TLS_BUFFER


def test_memory_that_was_freed_goes_back_to_the_machine() -> None:
    code = (
        "from flaggerpy import lean\n"
        "def rss(): return int(open('/proc/self/statm').read().split()[1])\n"
        "kept = [bytearray(70_000) for _ in range(800)]\n"
        "del kept[:-1]\n"  # the last one holds the heap up
        "before = rss(); lean.give_back(); print(before - rss() > 5000)"
    )
    assert in_a_process(code) == "True"


def test_a_full_collection_is_rare_and_leaves_out_what_was_there_when_all_was_warm() -> None:
    code = (
        "import gc\n"
        "from flaggerpy import lean\n"
        "full = [0]\n"
        "gc.callbacks.append(lambda phase, info: full.__setitem__(0, full[0] + (phase == 'start' and info['generation'] == 2)))\n"
        "def grow(): full[0] = 0; kept = [[number] for number in range(300_000)]; return full[0]\n"
        "before = grow(); lean.settle(); print(before > 1, grow() == 0, gc.get_freeze_count() > 10_000)"
    )
    assert in_a_process(code) == "True True True"
