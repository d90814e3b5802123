"""Installing flaggerpy as a user would: its image in the cluster's registry, its chart by Helm, one namespace to watch."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from e2e.demo.install import MANAGER, ROOT, NotInstalled
from e2e.demo.manifests import NAMESPACE, SYSTEM, Obj, Place
from e2e.sandbox.build import program
from flaggerpy.cluster.client import Client

RELEASE = "flagger"
AUTHORITY = "registry-authority"
SECONDS = 120
_MOUNT = "/etc/flaggerpy"


def values(place: Place, repository: str, digest: str) -> Obj:
    """What a user would write into values.yaml: the image by digest, the provider, where metrics are, and whom to trust."""
    return {
        "image": {"repository": repository, "digest": digest},
        "meshProvider": place.provider,
        "metricsServer": place.prometheus,
        "namespace": NAMESPACE,
        "rbac": {"providers": [place.provider, "kubernetes"]},
        "env": [{"name": "SSL_CERT_FILE", "value": f"{_MOUNT}/ca.crt"}],
        "additionalVolumes": [{"name": "authority", "configMap": {"name": AUTHORITY}}],
        "additionalVolumeMounts": [{"name": "authority", "mountPath": _MOUNT, "readOnly": True}],
    }


def authority(certificate: str) -> Obj:
    """The authority of the cluster's own registry, for the controller to trust."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": AUTHORITY, "namespace": SYSTEM},
        "data": {"ca.crt": certificate},
    }


async def uninstall() -> None:
    """Takes an earlier demo's release away, so that nobody minds the Canary that goes with its namespace."""
    await _helm("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait", "--timeout", f"{SECONDS}s")


async def install(client: Client, chosen: Mapping[str, Any], certificate: str, folder: Path) -> Path:
    """The chart, with these values; answers the file that they are in. Raises NotInstalled with what Helm and the pods say."""
    await client.apply(authority(certificate), manager=MANAGER)
    file = folder / "flaggerpy-values.yaml"
    file.write_text(json.dumps(chosen, indent=1))
    words = ("--namespace", SYSTEM, "--values", str(file), "--wait", "--timeout", f"{SECONDS}s")
    await _helm("upgrade", "--install", RELEASE, str(ROOT / "charts/flaggerpy"), *words)
    return file


async def _helm(*words: str) -> None:
    done = await _said([str(program("helm", "helm")), *words])
    if done[0]:
        pods = await _said(["kubectl", "get", "pods,events", "-n", SYSTEM])
        log = await _said(["kubectl", "logs", "-n", SYSTEM, f"deployment/{RELEASE}", "--tail=10"])
        raise NotInstalled("\n".join([f"helm {words[0]}: {done[1]}", pods[1], log[1]]))


async def _said(command: Sequence[str]) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env={**os.environ}
    )
    out, _ = await child.communicate()
    return child.returncode or 0, out.decode(errors="replace").strip()
