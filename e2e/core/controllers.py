"""A controller for end-to-end tests: installed as a user would, with a service account and roles of its own, and run as a process."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import httpx
import yaml

from e2e.kube import Kube, until, until_established
from flaggerpy.controller import rbac

ROOT = Path(__file__).parent.parent.parent
SYSTEM = "flagger-system"


def install(kube: Kube) -> None:
    """CRDs, service account and roles; safe to repeat."""
    install_crds(kube)
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
    kube.apply(*rbac.manifests(SYSTEM))


def install_crds(kube: Kube) -> None:
    """The CRDs of this tree, served."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        kube.apply_yaml(file.read_text())
    await_crds(kube)


def await_crds(kube: Kube) -> None:
    """Returns when the CRDs that were applied, ours or Flagger's, are served."""
    for name in ("canaries", "metrictemplates", "alertproviders"):
        until_established(kube, f"{name}.flagger.app")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Entrance(Protocol):
    """Another way to the API server: its URL, and the authority of its certificate (PEM)."""

    url: str
    authority: bytes


class Controller:
    """One controller process. `flags` are added to the command line; the log goes to `folder/controller.log`.

    `program` is the module that is run, with what comes before the flags; `through` is a proxy to reach the API server by;
    `account` is the service account that it has.
    """

    def __init__(
        self,
        kube: Kube,
        folder: Path,
        prometheus: str,
        flags: Sequence[str] = (),
        *,
        program: Sequence[str] = ("flaggerpy.cli.main", "run"),
        through: Entrance | None = None,
        account: str = rbac.NAME,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port, self.program = folder, free_port(), program
        self.log = folder / "controller.log"
        self._kubeconfig = folder / "kubeconfig"
        self._flags = list(flags)
        self._prometheus = prometheus
        self._process: subprocess.Popen[bytes] | None = None
        config = yaml.safe_load(kube.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": kube.token(account, SYSTEM)}
        if through is not None:
            authority = base64.b64encode(through.authority).decode()
            for cluster in config["clusters"]:
                cluster["cluster"] = {"server": through.url, "certificate-authority-data": authority}
        self._kubeconfig.write_text(yaml.safe_dump(config))
        (folder / "port").write_text(str(self.port))

    @classmethod
    def attached(cls, folder: Path) -> Controller:
        """A controller that another process of this run started: to look at, not to stop."""
        found = cls.__new__(cls)
        found.folder, found.log, found.port = folder, folder / "controller.log", int((folder / "port").read_text())
        found._process = None
        return found

    def start(self) -> Controller:
        """Start it and wait until it leads."""
        command = [
            sys.executable, "-m", *self.program, f"-kubeconfig={self._kubeconfig}", f"-metrics-server={self._prometheus}",
            f"-port={self.port}", "-address=127.0.0.1", "-log-level=info", "-mesh-provider=gatewayapi:v1", *self._flags,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, env=environment)
        until(self.is_ready, 120, "the controller to be ready", self.tail)
        return self

    def is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise AssertionError(f"the controller ended with {self._process.returncode}:\n{self.tail()}")
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2, trust_env=False).status_code == 200
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def terminate(self) -> None:
        """SIGTERM, as a kubelet does; its end is not waited for."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """SIGTERM, and its end; answers the exit code."""
        if self._process is None:
            return 0
        self.terminate()
        return self.ended()

    def ended(self) -> int:
        """Wait for the end after SIGTERM; answers the exit code."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=20)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
        self._process = None
        return code

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """SIGSTOP: it stands still in the middle of whatever it does."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def exit_code(self) -> int | None:
        """That of a process that ended by itself (minus the signal); None while it runs."""
        return self._process.poll() if self._process is not None else None

    def end(self) -> None:
        """End it in whatever state it is: running, stopped, dead or never started."""
        if self._process is not None:
            self.kill()

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def notes(self) -> list[str]:
        """What /readyz tells below its OK."""
        return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5, trust_env=False).text.splitlines()[1:]

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5, trust_env=False).text
