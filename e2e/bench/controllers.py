"""Both controllers, each as a user installs it: an account and roles of its own, one namespace that it looks after.

Each is a program of the sandbox and ends with it at the latest. The CRDs are ours, a superset of Flagger's: both run with them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from e2e.bench.figures import OURS, THEIRS
from e2e.core.controllers import ROOT, free_port
from e2e.demo.install import write_private
from e2e.demo.manifests import account_kubeconfig
from e2e.kube import Kube, Object, until
from e2e.sandbox import Sandbox
from e2e.sandbox.build import program
from e2e.sandbox.checks import http_ok
from e2e.sandbox.processes import Program, await_ready, pid_of, start, stop
from flaggerpy.controller import rbac

PROVIDER = "gatewayapi:v1"


@dataclass(frozen=True)
class Controller:
    """One installed controller. `user` is its name in the API server's audit log."""

    name: str
    namespace: str
    user: str
    sandbox: Sandbox
    program: Program

    @property
    def pid(self) -> int:
        """Its process, 0 when it does not live."""
        return pid_of(self.sandbox.layout, self.program.name)

    @property
    def log(self) -> Path:
        return self.sandbox.layout.logs / f"{self.program.name}.log"

    def start(self) -> None:
        """Starts it, and returns once it serves. Raises NotReady."""
        start(self.sandbox.layout, self.program)
        await_ready(self.sandbox.layout, self.program)

    def stop(self) -> None:
        stop(self.sandbox.layout, self.program.name)

    def memory(self) -> float:
        """Resident memory in MB."""
        return resident_mb(Path(f"/proc/{self.pid}/status").read_text())


    def cpu_seconds(self) -> float:
        """Processor time of its process so far, in user and kernel mode."""
        return cpu_seconds(Path(f"/proc/{self.pid}/stat").read_text())

    def scrape(self) -> str:
        """What its /metrics says."""
        port = next(word.partition("=")[2] for word in self.program.argv if word.startswith("-port="))
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10, trust_env=False).text


def cpu_seconds(stat: str) -> float:
    """User and system time of a text like /proc/PID/stat (proc(5): fields 14 and 15, in ticks)."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def buckets(exposition: str, name: str) -> dict[float, float]:
    """The cumulative buckets of a histogram without labels, by upper bound; empty where there is none."""
    found = {}
    for bound, count in re.findall(rf'^{name}\{{le="([^"]+)"\}} (\S+)', exposition, re.MULTILINE):
        found[float(bound)] = float(count)
    return found


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float | None:
    """The upper bound of the bucket below which `share` of the observations in between lie; None without any."""
    counts = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    total = max(counts.values(), default=0.0)
    return next((bound for bound, count in counts.items() if count >= share * total), None) if total else None


def resident_mb(status: str) -> float:
    """VmRSS of a text like /proc/PID/status, in MB (10^6 bytes). Raises ValueError when there is none."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024 / 1e6
    raise ValueError("no VmRSS: the process has ended")


def flaggerpy(
    sandbox: Sandbox, kube: Kube, namespace: str, flags: Sequence[str] = (), providers: Sequence[str] = (PROVIDER, "kubernetes"), *,
    everywhere: bool = False,
) -> Controller:  # fmt: skip
    """Ours, restricted to `namespace` (which exists; not `everywhere`), by its own least-privilege roles. Not started yet."""
    name = f"{OURS}-{namespace}"
    kube.apply(*rbac.manifests(namespace, providers=tuple(providers), lease_namespace=namespace, name=name))
    port = free_port()
    argv = (
        sys.executable,
        "-m",
        "flaggerpy.cli.main",
        "run",
        f"-kubeconfig={credentials(sandbox, kube, name, namespace)}",
        f"-mesh-provider={PROVIDER}",
        f"-metrics-server={sandbox.prometheus_url}",
        f"-leader-election-namespace={namespace}" if everywhere else f"-namespace={namespace}",
        "-address=127.0.0.1",
        f"-port={port}",
        "-log-level=info",
        *flags,
    )
    ready = Program(name, argv, lambda: http_ok(port, "/readyz"), env={"PYTHONPATH": str(ROOT)})
    return Controller(OURS, namespace, f"system:serviceaccount:{namespace}:{name}", sandbox, ready)


def flagger(sandbox: Sandbox, kube: Kube, namespace: str, flags: Sequence[str] = ()) -> Controller:
    """Flagger 1.44, restricted to `namespace` (which exists). Not started yet; `build --with flagger` makes its program."""
    name = f"{THEIRS}-{namespace}"
    kube.apply(*flagger_roles(name, namespace))
    port = free_port()
    argv = (
        str(program("flagger", "flagger")),
        f"-kubeconfig={credentials(sandbox, kube, name, namespace)}",
        f"-mesh-provider={PROVIDER}",
        f"-metrics-server={sandbox.prometheus_url}",
        f"-namespace={namespace}",
        f"-port={port}",
        "-log-level=info",
        *flags,
    )
    ready = Program(name, argv, lambda: http_ok(port, "/healthz"))
    return Controller(THEIRS, namespace, f"system:serviceaccount:{namespace}:{name}", sandbox, ready)


def flagger_roles(name: str, namespace: str) -> list[Object]:
    groups = ["", "apps", "autoscaling", "flagger.app", "networking.k8s.io", "coordination.k8s.io"]
    groups += ["gateway.networking.k8s.io", "projectcontour.io", "split.smi-spec.io", "networking.istio.io"]
    api = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [{"apiGroups": groups, "resources": ["*"], "verbs": ["*"]}],
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]


def credentials(sandbox: Sandbox, kube: Kube, account: str, namespace: str) -> Path:
    """A kubeconfig with a token of a service account, and no other credential."""
    token = until(lambda: kube.token(account, namespace), 10, f"a token of {account}")
    content = account_kubeconfig(yaml.safe_load(sandbox.kubeconfig.read_text()), "", token)
    return write_private(sandbox.layout.conf / f"{account}.kubeconfig", content)
