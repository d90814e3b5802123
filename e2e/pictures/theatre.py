"""The stage of the pictures: the controller in a sandbox, shops with visitors, and a gate that is closed until it is opened."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from e2e.core.controllers import Controller, install
from e2e.core.receiver import Receiver
from e2e.core.stage import Stage
from e2e.kube import Kube, until
from e2e.sandbox import Sandbox
from e2e.terminal.panes import Pane

ROOT = Path(__file__).resolve().parents[2]


class Theatre:
    """`sandbox`, `kube` and a running `controller`; `receiver` is the gate."""

    def __init__(self, sandbox: Sandbox, kube: Kube, controller: Controller, receiver: Receiver, folder: Path) -> None:
        self.sandbox, self.kube, self.controller, self.receiver, self._folder = sandbox, kube, controller, receiver, folder
        self._stack = ExitStack()

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Theatre]:
        """In the sandbox that we run in; ends everything that it began."""
        sandbox = Sandbox.current()
        kube = Kube(sandbox.kubeconfig)
        install(kube)
        folder = Path(tempfile.mkdtemp(prefix="flaggerpy-pictures-"))
        receiver = Receiver()
        controller = Controller(kube, folder, sandbox.prometheus_url, ("-ui", "-ui-actions")).start()
        theatre = cls(sandbox, kube, controller, receiver, folder)
        try:
            # the command by its own name, as the pictures show it
            command = folder / "bin" / "flaggerpy"
            command.parent.mkdir()
            command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m flaggerpy.cli.main "$@"\n')
            command.chmod(0o755)
            yield theatre
        finally:
            theatre._stack.close()
            controller.stop()
            receiver.close()
            shutil.rmtree(folder, ignore_errors=True)

    def shop(self, namespace: str, name: str, *, rate: int = 40, **canary: Any) -> Stage:
        """An application that is initialized and has visitors."""
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        until(lambda: self.kube.find("ServiceAccount", "default", namespace), 30, f"the default service account of {namespace}")
        stage = Stage(self.kube, self.sandbox, namespace, name)
        stage.initialise(stage.canary(**canary), seconds=90)
        self._stack.enter_context(stage.load(rate))
        return stage

    def pane(self, width: int, height: int) -> Pane:
        """A terminal with the cluster's kubeconfig and the command on its PATH; open until the end."""
        environment = {
            "KUBECONFIG": str(self.sandbox.kubeconfig), "PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}", "COLORTERM": "truecolor",
        }  # fmt: skip
        return self._stack.enter_context(Pane(width, height, environment=environment))
