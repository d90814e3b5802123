"""The process of a GitOps tool: started, asked whether it serves, ended."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from e2e.kube import until


class Process:
    """A program that runs from entering to leaving; what it says goes to `folder/NAME.log`."""

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log = folder, folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, argv: Sequence[str], serves: Callable[[], bool], env: Mapping[str, str], file: Path | None = None) -> None:
        """Start `argv`, as whose first word the program sees itself, and wait until it serves."""
        told = {**os.environ, **env}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(list(argv), executable=file, stdout=log, stderr=subprocess.STDOUT, env=told)
        until(serves, 180, f"{argv[0]} to serve", self.tail)

    def tail(self, lines: int = 30) -> str:
        assert self._process is not None
        state = "" if self._process.poll() is None else f"ended with {self._process.returncode}\n"
        return state + "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def begin(self) -> None:
        """Start it, and return when it serves."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def answers(url: str) -> bool:
    """Whether something answers there with success."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False
