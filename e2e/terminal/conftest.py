"""Fixtures: those of the core of the end-to-end tests, and terminals with the command on their PATH."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from e2e.core.conftest import controller, kube, namespace, sandbox, stage
from e2e.sandbox import Sandbox
from e2e.terminal.panes import Pane

__all__ = ["controller", "kube", "namespace", "sandbox", "stage"]
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {"flaggerpy": "main:main", "kubectl-flaggerpy": "main:main", "kubectl_complete-flaggerpy": "words.completing:kubectl_complete"}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs that a wheel installs."""
    folder = tmp_path_factory.mktemp("bin")
    for name, entry in PROGRAMS.items():
        module, _, function = entry.partition(":")
        call = f"import sys; from flaggerpy.cli.{module} import {function} as run; sys.exit(run())"
        (folder / name).write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -c '{call}' \"$@\"\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def pane(programs: Path, sandbox: Sandbox) -> Iterator[Callable[[int, int], Pane]]:
    """Opens terminals of a size; they are gone after the test."""
    environment = {"KUBECONFIG": str(sandbox.kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}
    with ExitStack() as stack:
        yield lambda width, height: stack.enter_context(Pane(width, height, environment=environment))
