"""Where a sandbox keeps what: its names, addresses, ports and files, all derived from its name."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

NODE_IP = "10.88.0.1"
NODE_NET = "10.88.0.0/24"
POD_CIDR = "10.244.0.0/22"
SERVICE_CIDR = "10.96.0.0/16"
KUBERNETES_IP = "10.96.0.1"

API_PORT = 6443
REGISTRY = "127.0.0.1:5000"
PROMETHEUS = "127.0.0.1:9090"
GATEWAY_PORT = 8080
ENVOY_STATS = "127.0.0.1:8002"
TRAEFIK_PORT = 8180
TRAEFIK_STATS = "127.0.0.1:8181"
KEDA_HEALTH_PORT = 8091
KWOK = "127.0.0.1:10247"


@dataclass(frozen=True)
class Layout:
    """The places of the sandbox `name` (lower-case letters, digits, dashes; at most 30)."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?", self.name):
            raise ValueError(f"a sandbox's name is up to 30 lower-case letters, digits and dashes, not {self.name!r}")

    @property
    def root(self) -> Path:
        """The one folder that holds all of its files."""
        return Path(os.environ.get("FLAGGERPY_STATE") or "/var/lib/flaggerpy-sandbox") / self.name

    @property
    def netns(self) -> str:
        """The network namespace's name; its file is /run/netns/<netns>."""
        return f"flaggerpy-{self.name}"

    @property
    def netns_file(self) -> Path:
        return Path("/run/netns") / self.netns

    @property
    def cgroup(self) -> str:
        return f"/flaggerpy-{self.name}"

    @property
    def node(self) -> str:
        return f"node-{self.name}"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def conf(self) -> Path:
        return self.root / "conf"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def targets(self) -> Path:
        """Prometheus scrapes what the JSON files below it name (file_sd), from the moment that one is written."""
        return self.conf / "targets.d"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.kubeconfig_of("admin")

    def kubeconfig_of(self, user: str) -> Path:
        return self.conf / f"{user}.kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def audit_log(self) -> Path:
        """One JSON object per request to the API server, level Metadata."""
        return self.logs / "audit.log"
