"""The agent of Argo CD's engine: it keeps the cluster as a git repository has it, with Argo CD's own diff, sync and pruning."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import httpx
import yaml

from e2e.gitops.tools import Process, answers
from e2e.kube import Kube, Object
from e2e.sandbox import Sandbox
from e2e.sandbox.build import program

PORT = 9401
SYNC = f"http://127.0.0.1:{PORT}/api/v1/sync"
NAMED = "argocd-controller"
"""A client's field manager is by default its program's name: this is the one that Argo CD goes by."""
EVERY = 3
"""Seconds between two syncs: it heals itself."""


class Argo(Process):
    """`publish` is a commit; what Git no longer has is pruned."""

    def __init__(self, kube: Kube, sandbox: Sandbox, folder: Path) -> None:
        super().__init__("agent", folder)
        self.kube, self.sandbox = kube, sandbox
        self.repository = folder / "repository"

    def begin(self) -> None:
        self.repository.mkdir()
        self._git("init", "-q")
        self._git("commit", "-q", "--allow-empty", "-m", "empty")
        argv = [
            NAMED, str(self.repository), "--default-namespace", "default",
            "--resync-seconds", str(EVERY), "--port", str(PORT),
        ]  # fmt: skip
        serves = partial(answers, SYNC)
        self.launch(argv, serves, {"KUBECONFIG": str(self.sandbox.kubeconfig)}, program("argo-agent", "argo"))

    def _git(self, *words: str) -> None:
        names = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *names, *words], cwd=self.repository, check=True, capture_output=True)

    def publish(self, namespace: str, *objects: Object) -> None:
        """These manifests are what Git has for the namespace from now on; none: nothing."""
        file = self.repository / f"{namespace}.yaml"
        file.write_text(yaml.safe_dump_all(objects, sort_keys=False))
        if not objects:
            file.unlink()
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "change")
        httpx.get(SYNC, timeout=120, trust_env=False)

    def syncs(self) -> int:
        """How many syncs it has told of."""
        return self.log.read_text().count("RESOURCE")
