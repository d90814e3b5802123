"""A small HTTP server that hooks, alerts and event webhooks are sent to: it notes every request and answers as it was told."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request; `at` in seconds of the monotonic clock."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    at: float = field(default_factory=time.monotonic)


class Receiver:
    """Listens on a free port of loopback, or of another `address` of ours. `answers` maps a path to the status to give; 200 where it says
    nothing."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.answers: dict[str, int] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.received.append(Received(self.path, json.loads(raw or b"{}"), {k.lower(): v for k, v in self.headers.items()}))
                self.send_response(outer.answers.get(self.path, 200))
                self.end_headers()
                self.wfile.write(b"as told")

            def log_message(self, format: str, *args: Any) -> None:
                """Silent: the notes are the log."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{self._server.server_address[0]!s}:{self._server.server_address[1]}"

    def at(self, path: str) -> list[Received]:
        """What came to a path, in order."""
        return [item for item in list(self.received) if item.path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
