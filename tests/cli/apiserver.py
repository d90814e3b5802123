"""An API server that only lists what it is given, for programs that are started: over HTTP, in a thread, with a kubeconfig for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

Obj = dict[str, Any]


@contextmanager
def serving(answers: Mapping[str, Obj | int], folder: Path) -> Iterator[Path]:
    """Answers paths (without their query) with objects or error codes, 404 for all else; gives the kubeconfig."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0], 404)
            code = answer if isinstance(answer, int) else 200
            body = {"kind": "Status", "message": f"code {code}", "code": code} if isinstance(answer, int) else answer
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(kubeconfig(f"http://127.0.0.1:{server.server_address[1]}")))
    try:
        yield file
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(url: str, *, context: str = "toy", namespace: str = "test") -> Obj:
    """A kubeconfig for a server."""
    return {
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{"name": "c", "cluster": {"server": url}}], "users": [{"name": "u", "user": {"token": "secret"}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "u", "namespace": namespace}} for name in (context, "other")],
    }  # fmt: skip


def listed(*names: str, namespace: str = "test") -> Obj:
    """A list of Canaries."""
    items = [{"metadata": {"name": name, "namespace": namespace}, "status": {"phase": "Progressing"}} for name in names]
    return {"kind": "CanaryList", "metadata": {"resourceVersion": "1"}, "items": items}


CANARIES = "/apis/flagger.app/v1beta1/namespaces/test/canaries"
EVERYWHERE = "/apis/flagger.app/v1beta1/canaries"
NAMESPACES = "/api/v1/namespaces"
