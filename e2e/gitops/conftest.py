"""Fixtures beside those of the core: Flux's kustomize-controller and Argo CD's engine, each one process of the run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.core.conftest import (  # noqa: F401
    _log_folder,
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
from e2e.gitops.argo import Argo
from e2e.gitops.flux import Flux
from e2e.kube import Kube
from e2e.sandbox import Sandbox


@pytest.fixture(scope="session")
def flux(kube: Kube, sandbox: Sandbox) -> Iterator[Flux]:  # noqa: F811
    """Flux's real kustomize-controller; the source is played by the test."""
    with Flux(kube, sandbox, _log_folder() / "flux") as started:
        yield started


@pytest.fixture(scope="session")
def argo(kube: Kube, sandbox: Sandbox) -> Iterator[Argo]:  # noqa: F811
    """The agent of Argo CD's engine on a git repository with a folder for each namespace."""
    with Argo(kube, sandbox, _log_folder() / "argo") as started:
        yield started
