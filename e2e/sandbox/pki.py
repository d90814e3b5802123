"""Certificates and kubeconfigs of a sandbox, made by openssl: one authority, one client certificate per user."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from e2e.sandbox.layout import API_PORT, KUBERNETES_IP, NODE_IP, Layout
from e2e.sandbox.namespaces import command

DAYS = "365"
SERVER = f"https://127.0.0.1:{API_PORT}"

# user -> (common name, organisation); each program has a name of its own, so that the audit log tells them apart
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet": ("system:node:{node}", "system:nodes"),
    "kubelet-client": ("kube-apiserver", "system:masters"),
    "prometheus": ("prometheus", "system:masters"),
    "contour": ("contour", "system:masters"),
    "traefik": ("traefik", "system:masters"),
    "keda": ("keda", "system:masters"),
    "kwok": ("kwok", "system:masters"),
}


def make(layout: Layout) -> None:
    """Writes what is missing; what is there stays, so that a second `up` keeps every kubeconfig valid."""
    layout.pki.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca = layout.pki / "ca.crt"
    if not ca.exists():
        certificate(
            layout.pki / "ca", "/CN=flaggerpy-sandbox", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        )
    if not (layout.pki / "sa.key").exists():
        command("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(layout.pki / "sa.key"))
        command("openssl", "pkey", "-in", str(layout.pki / "sa.key"), "-pubout", "-out", str(layout.pki / "sa.pub"))
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = ["127.0.0.1", NODE_IP, KUBERNETES_IP]
    alternatives = ",".join([f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses])
    leaf(layout, "apiserver", "/CN=kube-apiserver", [f"subjectAltName={alternatives}", "extendedKeyUsage=serverAuth"])
    for user, (name, organisation) in USERS.items():
        subject = (f"/O={organisation}" if organisation else "") + f"/CN={name.format(node=layout.node)}"
        leaf(layout, user, subject, ["extendedKeyUsage=clientAuth"])
        write_kubeconfig(layout, user)


def leaf(layout: Layout, name: str, subject: str, extensions: list[str]) -> None:
    if not (layout.pki / f"{name}.crt").exists():
        extensions = ["basicConstraints=critical,CA:FALSE", *extensions]
        certificate(layout.pki / name, subject, extensions, ["-CA", str(layout.pki / "ca.crt"), "-CAkey", str(layout.pki / "ca.key")])


def certificate(stem: Path, subject: str, extensions: list[str], signer: list[str] | None = None) -> None:
    added = [word for extension in extensions for word in ("-addext", extension)]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{stem}.key"]
    command("openssl", "req", "-x509", *key, "-out", f"{stem}.crt", "-days", DAYS, "-subj", subject, *added, *(signer or []))


def write_kubeconfig(layout: Layout, user: str) -> None:
    """A kubeconfig with its certificates inside, valid within the sandbox's network namespace only."""
    layout.conf.mkdir(parents=True, exist_ok=True)

    def inline(name: str) -> str:
        return base64.b64encode((layout.pki / name).read_bytes()).decode()

    name = f"sandbox-{layout.name}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": user}}],
        "clusters": [{"name": name, "cluster": {"server": SERVER, "certificate-authority-data": inline("ca.crt")}}],
        "users": [{"name": user, "user": {"client-certificate-data": inline(f"{user}.crt"), "client-key-data": inline(f"{user}.key")}}],
    }
    path = layout.kubeconfig_of(user)
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=1))
