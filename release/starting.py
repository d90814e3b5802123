"""Whether an image starts: here, in a root file system of its own, or as a pod of a cluster that pulls it by digest."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from release import oci
from release.tree import Tree, read_tar, write

SECONDS = 120.0
POD = "flaggerpy-release"
SAYS: tuple[tuple[str, ...], ...] = (("run", "-h"), ("crds", "print"))
"""Words that must end well beside `version`: they load all of the controller, and what is packed beside the code."""


class DoesNotStart(RuntimeError):
    """The image's program did not do what it should; the text is what it said."""


def root_of(image: oci.Image) -> Tree:
    """What a container of the image sees."""
    whole: Tree = {}
    for layer in image.layers:
        whole.update(read_tar(gzip.decompress(layer.content)))
    return whole


@contextmanager
def opened(image: oci.Image) -> Iterator[Callable[..., str]]:
    """A function that runs a command line under the image's own root, user and environment, and answers its output.

    Raises DoesNotStart, the function too; needs root.
    """
    if os.geteuid() != 0:
        raise DoesNotStart("only root can start an image here: name a cluster by --context, where it is started as a pod")
    config: dict[str, Any] = json.loads(image.config)["config"]
    environment = dict(entry.split("=", 1) for entry in config["Env"])
    with tempfile.TemporaryDirectory(prefix="flaggerpy-start-") as folder:
        root = Path(folder)
        write(root_of(image), root)
        root.chmod(0o755)

        def said(*command: str) -> str:
            inside = ["chroot", f"--userspec={config['User']}", "--groups=", str(root), *command]
            done = subprocess.run(inside, env={**environment, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, capture_output=True, text=True)
            if done.returncode:
                raise DoesNotStart(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-1000:]}")
            return done.stdout

        yield said


def here(image: oci.Image, version: str) -> None:
    """Starts the image's program with a few words. Raises DoesNotStart; needs root."""
    program: list[str] = json.loads(image.config)["config"]["Entrypoint"]
    with opened(image) as said:
        _is_version(said(*program, "version"), version)
        for words in SAYS:
            said(*program, *words)


def _is_version(said: str, version: str) -> None:
    if said.split() != ["flaggerpy", version]:
        raise DoesNotStart(f"the image says that it is {said.strip()!r}, not flaggerpy {version}")


def pod(reference: str) -> dict[str, Any]:
    """A pod that says its version, under the restrictions that the chart has."""
    context = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {"name": "flaggerpy", "image": reference, "imagePullPolicy": "Always", "args": ["version"], "securityContext": context}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "labels": {"app.kubernetes.io/name": POD}},
        "spec": {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]},
    }


def in_cluster(reference: str, version: str, context: str, namespace: str) -> None:
    """Lets a node of the cluster pull and start it. `context` "" is the kubeconfig's own. Raises DoesNotStart."""
    words = ["--namespace", namespace, *(["--context", context] if context else [])]

    def kubectl(*command: str, stdin: str = "") -> str:
        done = subprocess.run(["kubectl", *words, *command], input=stdin, capture_output=True, text=True)
        if done.returncode:
            raise DoesNotStart(f"kubectl {command[0]}: {done.stderr.strip()[-500:]}")
        return done.stdout

    kubectl("delete", "pod", POD, "--ignore-not-found", "--wait")
    kubectl("create", "-f", "-", stdin=json.dumps(pod(reference)))
    try:
        _until_ended(kubectl)
        _is_version(kubectl("logs", POD), version)
    finally:
        kubectl("delete", "pod", POD, "--ignore-not-found", "--wait=false")


def _until_ended(kubectl: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        status = json.loads(kubectl("get", "pod", POD, "-o", "json"))["status"]
        phase, waits = status.get("phase"), waiting(status.get("containerStatuses") or ())
        if phase == "Succeeded":
            return
        if phase == "Failed":
            raise DoesNotStart(f"the pod failed: {kubectl('logs', POD).strip()[-1000:]}")
        if time.monotonic() > deadline or "ImagePull" in waits:
            raise DoesNotStart(f"the pod does not start: {waits or phase}")
        time.sleep(0.5)


def waiting(statuses: Sequence[dict[str, Any]]) -> str:
    """Why its containers wait, as the kubelet says it."""
    found = [one["state"]["waiting"] for one in statuses if "waiting" in one.get("state", {})]
    return "; ".join(f"{one.get('reason', '')} {one.get('message', '')}".strip() for one in found)
