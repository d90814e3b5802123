"""Installing flaggerpy as a user would: CRDs, then RBAC, then the controller, which runs as its own ServiceAccount, never as administrator.

The controller is a process beside the cluster (it would be a Deployment elsewhere) that knows one credential: a token of its account.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import yaml

from e2e.demo.manifests import NAMESPACE, SYSTEM, account_kubeconfig, namespace
from flaggerpy.cli.crds import established
from flaggerpy.cluster import kinds
from flaggerpy.cluster.client import Client
from flaggerpy.cluster.errors import ApiError
from flaggerpy.controller import rbac

ROOT = Path(__file__).parents[2]
MANAGER = "flaggerpy-demo"
TOKEN_SECONDS = 86400


class NotInstalled(RuntimeError):
    """Something did not come up; the text says what and why."""


async def crds(client: Client) -> None:
    """Apply the CRDs of this tree and wait until they are served. Raises Problem when they are not in time."""
    found = [obj for file in sorted((ROOT / "crds").glob("*.yaml")) for obj in yaml.safe_load_all(file.read_text()) if obj]
    for obj in found:
        await client.apply(obj, manager=MANAGER)
    await established(client)


async def account(client: Client, kubeconfig: str, context: str, provider: str) -> dict[str, Any]:
    """ServiceAccount, roles and bindings for this provider; answers a kubeconfig with a token of that account, valid for a day.

    `kubeconfig` is YAML.
    """
    await client.apply(namespace(SYSTEM), manager=MANAGER)
    # by the rule of Flagger the Lease lives in the one namespace that is watched
    for obj in rbac.manifests(SYSTEM, providers=(provider, "kubernetes"), lease_namespace=NAMESPACE):
        await client.apply(obj, manager=MANAGER)
    answer = await client.request(
        "POST",
        f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{rbac.NAME}/token",
        body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": TOKEN_SECONDS}},
    )
    return account_kubeconfig(yaml.safe_load(kubeconfig), context, answer["status"]["token"])


def write_private(file: Path, content: dict[str, Any]) -> Path:
    """A YAML file that nobody else can read, from its first byte on."""
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        yaml.safe_dump(content, stream)
    return file


def controller_command(kubeconfig: Path, prometheus: str, port: int, provider: str) -> tuple[str, ...]:
    """The command line of the controller, in Flagger's flags."""
    return (
        sys.executable,
        "-m",
        "flaggerpy.cli.main",
        "run",
        f"-kubeconfig={kubeconfig}",
        f"-mesh-provider={provider}",
        f"-metrics-server={prometheus or 'http://127.0.0.1:9090'}",
        f"-namespace={NAMESPACE}",
        "-address=127.0.0.1",
        f"-port={port}",
        "-log-level=info",
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fresh_namespace(client: Client, seconds: float = 60.0) -> None:
    """The demo's namespace, empty: an earlier one is removed first. Raises NotInstalled when that does not end."""
    found = await client.find(kinds.NAMESPACE, None, NAMESPACE)
    if found is not None:
        if (found["metadata"].get("labels") or {}).get("app.kubernetes.io/part-of") != "flaggerpy-demo":
            raise NotInstalled(f"the namespace {NAMESPACE} exists and is not the demo's; it is left alone")
        await client.delete(kinds.NAMESPACE, None, NAMESPACE)
        for _ in range(int(seconds * 5)):
            if await client.find(kinds.NAMESPACE, None, NAMESPACE) is None:
                break
            await asyncio.sleep(0.2)
        else:
            raise NotInstalled(f"the namespace {NAMESPACE} of an earlier demo is still there after {seconds:g} s")
    await client.apply(namespace(NAMESPACE), manager=MANAGER)


async def remove(client: Client) -> None:
    """Take away what the demo installed on a cluster, the CRDs last; what is not there is passed over."""
    gone = [(kinds.NAMESPACE, NAMESPACE)]
    gone += [(kinds.kind_of(obj), obj["metadata"]["name"]) for obj in rbac.manifests(SYSTEM) if obj["kind"].startswith("Cluster")]
    gone.append((kinds.NAMESPACE, SYSTEM))
    for kind, name in gone:
        try:
            await client.delete(kind, None, name)
        except ApiError as error:
            if error.status != 404:
                raise
