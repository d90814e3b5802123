"""The resource metrics API (metrics.k8s.io) for a sandbox: what HPAs ask for the load of pods, answered from a function.

metrics-server reads real kubelets, and the load of a two-core machine cannot be steered to a pod. So the API server is given another
backend for the same API: a small TLS server in the test's process behind an APIService, which says of each pod what `usage` does.
"""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from e2e.kube import Kube, Object
from e2e.registry.certificates import self_signed
from e2e.sandbox import Sandbox
from e2e.sandbox.layout import NODE_IP

GROUP = "metrics.k8s.io"
ROOT = f"/apis/{GROUP}/v1beta1"
NAME, NAMESPACE = "e2e-metrics", "kube-system"

Usage = Callable[[str, list[Object]], dict[str, int]]
"""Namespace and its pods to millicores by pod name; pods that are left out have no metrics yet."""


class MetricsApi:
    """While it is open, HPAs get what `usage` says. One in a cluster at a time: the next waits for it."""

    def __init__(self, kube: Kube, usage: Usage) -> None:
        self._kube, self.usage = kube, usage
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = outer._answer(self.path)
                body = json.dumps(answer if answer is not None else {"kind": "Status", "code": 404}).encode()
                self.send_response(200 if answer is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nothing: the HPA controller asks every 15 seconds."""

        self._server = ThreadingHTTPServer((NODE_IP, 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = self_signed(NODE_IP).context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> MetricsApi:
        self._lock = (Sandbox.current().layout.run / "metrics-api.lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._thread.start()
        port = self._server.server_address[1]
        meta = {"name": NAME, "namespace": NAMESPACE}
        self._kube.apply(
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 443, "targetPort": port}]}},
            {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
                "ports": [{"port": port, "protocol": "TCP"}], "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": True}}],
            },
        )  # fmt: skip
        self._kube.ask("PATCH", API_SERVICE, _api_service(), "application/apply-patch+yaml", fieldManager="e2e", force="true")
        return self

    def __exit__(self, *_: object) -> None:
        self._kube.ask("DELETE", API_SERVICE)
        self._kube.delete("EndpointSlice", NAME, NAMESPACE, "discovery.k8s.io/v1")
        self._kube.delete("Service", NAME, NAMESPACE)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)
        self._lock.close()

    def _answer(self, path: str) -> Object | None:
        at = urlsplit(path)
        parts = at.path.strip("/").split("/")
        if at.path == ROOT:
            pods = {"name": "pods", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]}
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1beta1", "resources": [pods]}
        if at.path.startswith(f"{ROOT}/namespaces/") and parts[-1] == "pods":
            return self._pods(parts[-2], "".join(parse_qs(at.query).get("labelSelector", [])))
        return None

    def _pods(self, namespace: str, selector: str) -> Object:
        pods = self._kube.items("Pod", namespace, selector)
        usage, now = self.usage(namespace, pods), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        items = [
            {
                "metadata": {"name": name, "namespace": namespace, "labels": pod["metadata"].get("labels", {})},
                "timestamp": now,
                "window": "1s",
                "containers": [{"name": "app", "usage": {"cpu": f"{usage[name]}m", "memory": "8Mi"}}],
            }
            for pod in pods
            if (name := pod["metadata"]["name"]) in usage
        ]
        return {"kind": "PodMetricsList", "apiVersion": f"{GROUP}/v1beta1", "metadata": {}, "items": items}


API_SERVICE = f"/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.{GROUP}"


def _api_service() -> Object:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{GROUP}"},
        "spec": {
            "group": GROUP,
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
            "service": {"name": NAME, "namespace": NAMESPACE, "port": 443},
        },
    }
