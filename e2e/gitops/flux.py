"""Flux's real kustomize-controller. There is no source-controller: the test serves the archive, and fills a GitRepository's status."""

from __future__ import annotations

import hashlib
import http.server
import io
import tarfile
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml

from e2e.gitops.tools import Process, answers
from e2e.kube import Kube, Object, until_established
from e2e.sandbox import Sandbox
from e2e.sandbox.build import part_dir, part_named, program

MANAGER = "kustomize-controller"
SOURCE, KUSTOMIZATION = "source.toolkit.fluxcd.io/v1", "kustomize.toolkit.fluxcd.io/v1"
SYSTEM = "flux-system"
HEALTH = 8102


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: its requests are no news."""


class Flux(Process):
    """`publish` is a push to Git; what becomes of it, `condition` says."""

    def __init__(self, kube: Kube, sandbox: Sandbox, folder: Path) -> None:
        super().__init__("kustomize-controller", folder)
        self.kube, self.sandbox = kube, sandbox
        self._served = folder / "artifacts"
        self._served.mkdir(exist_ok=True)
        handler = partial(_Quiet, directory=str(self._served))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def begin(self) -> None:
        for part in ("flux", "flux-source"):
            for file in sorted((part_dir(part_named(part)) / "crds").glob("*.yaml")):
                for crd in self.kube.apply_yaml(file.read_text()):
                    until_established(self.kube, crd["metadata"]["name"])
        self.kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})
        argv = [
            str(program("kustomize-controller", "flux")), "--metrics-addr=127.0.0.1:8101", f"--health-addr=127.0.0.1:{HEALTH}",
            "--enable-leader-election=false", "--events-addr=", "--interval-jitter-percentage=0",
        ]  # fmt: skip
        env = {"KUBECONFIG": str(self.sandbox.kubeconfig), "RUNTIME_NAMESPACE": SYSTEM}
        self.launch(argv, lambda: answers(f"http://127.0.0.1:{HEALTH}/readyz"), env)

    def publish(self, namespace: str, *objects: Object, **files: Object) -> str:
        """These manifests are what Git holds from now on, as `app.yaml` beside other files `NAME.yaml`; answers the revision."""
        texts = {"app": yaml.safe_dump_all(objects, sort_keys=False)} | {name: yaml.safe_dump(each) for name, each in files.items()}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, text in texts.items():
                member = tarfile.TarInfo(f"{name}.yaml")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        revision = f"main@sha1:{hashlib.sha1(repr(texts).encode()).hexdigest()}"
        file = f"{namespace}-{revision[-12:]}.tgz"
        (self._served / file).write_bytes(packed.getvalue())
        self.kube.apply(_repository(namespace))
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        artifact = {
            "url": f"http://127.0.0.1:{self._server.server_port}/{file}",
            "path": file,
            "revision": revision,
            "digest": f"sha256:{hashlib.sha256(packed.getvalue()).hexdigest()}",
            "lastUpdateTime": now,
            "size": len(packed.getvalue()),
        }
        ready = {"type": "Ready", "status": "True", "reason": "Succeeded", "message": "stored", "lastTransitionTime": now}
        status = {"observedGeneration": 1, "artifact": artifact, "conditions": [ready]}
        self.kube.patch("GitRepository", "app", {"status": status}, namespace, "status", SOURCE)
        return revision

    def follow(self, namespace: str, **spec: object) -> None:
        """Have what was published applied, again and again, and waited for."""
        body = {
            "sourceRef": {"kind": "GitRepository", "name": "app"},
            "path": "./",
            "interval": "3s",
            "retryInterval": "3s",
            "timeout": "2m",
            "prune": True,
            "wait": True,
        }
        metadata = {"name": "app", "namespace": namespace}
        self.kube.apply({"apiVersion": KUSTOMIZATION, "kind": "Kustomization", "metadata": metadata, "spec": {**body, **spec}})

    def status(self, namespace: str) -> Object:
        found: Object = self.kube.get("Kustomization", "app", namespace, KUSTOMIZATION).get("status") or {}
        return found

    def condition(self, namespace: str) -> Object:
        return next((each for each in self.status(namespace).get("conditions", ()) if each["type"] == "Ready"), {})

    def ready(self, namespace: str, revision: str) -> bool:
        """Whether it says that this revision is applied and healthy."""
        status = self.status(namespace)
        return status.get("lastAppliedRevision") == revision and self.condition(namespace).get("status") == "True"

    def leave(self, namespace: str) -> None:
        """It follows no longer, and takes nothing away."""
        self.kube.patch("Kustomization", "app", {"spec": {"prune": False}}, namespace, api_version=KUSTOMIZATION)
        self.kube.delete("Kustomization", "app", namespace, KUSTOMIZATION)


def _repository(namespace: str) -> Object:
    spec = {"url": "https://git.example.com/app.git", "interval": "1h"}
    return {"apiVersion": SOURCE, "kind": "GitRepository", "metadata": {"name": "app", "namespace": namespace}, "spec": spec}
