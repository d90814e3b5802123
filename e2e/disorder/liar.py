"""A Prometheus that is down, slow or lying, as it is told: `mode` may be changed at any time."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mode = Literal["well", "bad", "down", "slow", "nan", "infinite", "empty", "wrong json", "no json", "500", "401"]
SLOW_SECONDS = 60.0


def vector(*values: str) -> str:
    """The body of an instant query that found these values."""
    result = [{"metric": {}, "value": [time.time(), value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


class Liar:
    """Listens on a free port of loopback from entering to leaving. `asked` counts the questions."""

    def __init__(self) -> None:
        self.mode: Mode = "well"
        self.asked = 0
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._answer(self)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Liar:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        mode = self.mode
        if mode == "down":
            request.close_connection = True
            request.connection.close()
            return
        if mode == "slow":
            self._over.wait(SLOW_SECONDS)
        status = {"500": 500, "401": 401}.get(mode, 200)
        bodies = {
            "bad": vector("50"),
            "nan": vector("NaN"),
            "infinite": vector("+Inf"),
            "empty": vector(),
            "wrong json": '{"status": "success", "data": {"result": "yes"}}',
            "no json": "<html>hello</html>",
        }
        body = bodies.get(mode, vector("100")).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
