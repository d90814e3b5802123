"""Fixtures of the providers' tests: those of the core. What a provider needs beside (CRDs, a proxy) its own file brings."""

from __future__ import annotations

from e2e.core.conftest import (  # noqa: F401
    controller,
    kube,
    namespace,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
    receiver,
    sandbox,
    stage,
)
