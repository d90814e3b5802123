"""The sandbox's registry once more, over TLS at the node's address: pods reach it there, where `127.0.0.1` would be themselves.

Its certificate is of the sandbox's own authority, as that of a company's registry is: containerd is given the authority in its certs.d, and
who else asks (flaggerpy, for `imageCheck`) needs it in its SSL_CERT_FILE.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from e2e.sandbox import pki
from e2e.sandbox.checks import port_open
from e2e.sandbox.cluster import Sandbox
from e2e.sandbox.layout import NODE_IP
from e2e.sandbox.processes import Program, await_ready, start

PORT = 5443
ADDRESS = f"{NODE_IP}:{PORT}"


def opened(sandbox: Sandbox) -> str:
    """Starts it where it does not run yet; answers its `HOST:PORT`. It ends with the sandbox. Ask inside the network namespace."""
    layout = sandbox.layout
    pki.leaf(layout, "registry", "/CN=registry", [f"subjectAltName=IP:{NODE_IP}", "extendedKeyUsage=serverAuth"])
    hosts = layout.conf / "certs.d" / ADDRESS
    hosts.mkdir(parents=True, exist_ok=True)
    # not by a hosts.toml: a tag that is missing at a [host] there is asked for once more at the server, which then is not trusted
    (hosts / "ca.crt").write_bytes(authority(sandbox).read_bytes())
    config = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(layout.data / "registry")}},
        "http": {"addr": ADDRESS, "tls": {"certificate": str(layout.pki / "registry.crt"), "key": str(layout.pki / "registry.key")}},
    }
    file = layout.conf / "secure-registry.yaml"
    file.write_text(yaml.safe_dump(config))
    program = Program("secure-registry", ("docker-registry", "serve", str(file)), lambda: port_open(PORT, NODE_IP))
    start(layout, program)
    await_ready(layout, program)
    return ADDRESS


def authority(sandbox: Sandbox) -> Path:
    """The certificate of the authority that vouches for it."""
    return sandbox.layout.pki / "ca.crt"
