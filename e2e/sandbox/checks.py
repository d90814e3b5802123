"""Small questions to the programs of a sandbox over HTTP; ask them inside its network namespace (namespaces.inside)."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

from e2e.sandbox.layout import API_PORT, Layout


def http_get(port: int, path: str, host: str = "127.0.0.1", timeout: float = 3.0) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def http_ok(port: int, path: str) -> bool:
    return http_get(port, path)[0] == 200


def port_open(port: int, host: str = "127.0.0.1") -> bool:
    with socket.create_connection((host, port), timeout=2.0):
        return True


def https_ok(port: int, path: str) -> bool:
    """Whether a program with a certificate of its own making answers 200; only who listens is asked here, so it is not verified."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=3.0, context=ssl._create_unverified_context())
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    finally:
        connection.close()


def socket_open(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True


class Api:
    """Reads the API server as the administrator."""

    def __init__(self, layout: Layout) -> None:
        self.context = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
        self.context.load_cert_chain(str(layout.pki / "admin.crt"), str(layout.pki / "admin.key"))

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPSConnection("127.0.0.1", API_PORT, timeout=5.0, context=self.context)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def ok(self, path: str) -> bool:
        return self.get(path)[0] == 200

    def condition(self, path: str, kind: str) -> bool:
        """Whether the object at `path` has the status condition `kind` at True."""
        status, body = self.get(path)
        if status != 200:
            return False
        found: dict[str, Any] = json.loads(body)
        return any(c["type"] == kind and c["status"] == "True" for c in found.get("status", {}).get("conditions") or ())
